"""The table of distances, class by class, stands on as many images as it says, and on those that it names."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import clinic, rows_of
from shell import ROOT, done

sys.path.append(str(ROOT / "benchmarks"))
import fid
import measure
from studio import Studio

from medsynth.artifacts import cohort
from medsynth.errors import BadUsage, MissingStep
from medsynth.metrics.frechet import frechet
from medsynth.rundir import RunDirectory

LITTLE = [
    "codec.steps=1", "codec.width=8", "generator.steps=1", "generator.geca.watch_every=0", "generator.size=xs",
    "expand.factor=1", "expand.sampling_steps=1", "classify.steps=1", "classify.evaluate_every=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Two classes, one fold, hardly any training; no classifier yet."""
    place = tmp_path_factory.mktemp("fid")
    source = clinic(place / "clinic", rows_of(30, lambda n, row: row | {"level": n // 2 % 3}))
    words = [word for change in LITTLE for word in ("--set", change)]
    at = ("--run", place / "run")
    done("ingest", source, *at, "--image-size", 16, "--classes", "a=0,b=1+2", "--split", "0.5,0.2,0.3", *words)
    done("train-generator", *at)
    done("expand", *at)
    return RunDirectory(place / "run")


def test_every_class_is_compared_with_as_many_images_as_it_has_test_images(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["fid.py", f"tried={run.root}"])
    fid.main()
    rows = json.loads((tmp_path / "fid-tried.json").read_text())["rows"]
    assert [(row["class"], row["images"]) for row in rows] == [
        (label, name) for label in "ab" for name in ("real training images", "test images through kl", "GeCA")
    ]
    assert [row["N"] for row in rows] == ["6 / 6"] * 3 + ["12 / 12"] * 3
    page = (tmp_path / "fid-tried.md").read_text()
    assert "FID[resnet34-foldK]" in page
    assert str(run.root) not in page


def test_the_distance_is_that_of_the_first_synthetic_images_of_the_class(run: RunDirectory) -> None:
    studio = Studio(run)
    made = cohort.load(run.artifact("expand", 0, "geca").folder).samples
    real = cohort.load(run.artifact("ingest").folder).testing(0).samples
    ours, theirs = (studio.features(tuple(s for s in part if s.labels[1])) for part in (made, real))
    row = fid.rows_of(run, 0)[-1]
    assert row["FID[resnet34-foldK]"] == round(frechet(ours[: len(theirs)], theirs), 2)
    assert np.isfinite(row["KID x 1000"])


def test_too_few_synthetic_images_are_refused_with_the_factor_that_is_needed(run: RunDirectory) -> None:
    made = cohort.load(run.artifact("expand", 0, "geca").folder).samples
    judged = fid.Judged(Studio(run), "a", np.zeros((11, 4)))
    assert judged.as_many(made, "geca", 1) == made[:11]
    with pytest.raises(MissingStep, match="5 images of geca with a, and 11 test images") as failure:
        judged.as_many(made[:5], "geca", 2)
    assert "expand --model geca --factor 5" in failure.value.hint


def test_several_labels_an_image_are_no_classes(run: RunDirectory, tmp_path: Path) -> None:
    rows = rows_of(9, lambda n, row: {k: v for k, v in row.items() if k != "level"} | {"A": n % 2, "B": n // 2 % 2})
    done("ingest", clinic(tmp_path / "clinic", rows), "--run", tmp_path / "run", "--image-size", 16, "--folds", 2)
    with pytest.raises(BadUsage, match="several labels an image"):
        fid.rows_of(RunDirectory(tmp_path / "run"), 0)


def test_images_are_taken_evenly_or_all() -> None:
    assert cohort.evenly("abcdefgh", 4) == ("a", "c", "e", "g")
    assert cohort.evenly("abc", 4) == ("a", "b", "c")
