"""`medsynth evaluate` measures synthetic images against patients whom nothing has seen, and says by what."""

import json
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
from shell import done, medsynth

from medsynth.artifacts import cohort, features, files, qualities, scores
from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.scores import Score
from medsynth.compared import Part, Sets
from medsynth.job import Job
from medsynth.metrics.owned import Owned
from medsynth.recipe import Recipe
from medsynth.rundir import RunDirectory
from medsynth.stages import evaluate

QUICK = ("--fold", 0, "--set", "evaluate.bootstrap=50", "--set", "evaluate.reference_draws=3")


@pytest.fixture(scope="module")
def evaluated(finished: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(finished.root, root)
    run = RunDirectory(root)
    done("evaluate", *QUICK, "--run", root)
    return run


def of(run: RunDirectory) -> dict[str, Score]:
    return scores.load(run.artifact("evaluate", 0, "geca").folder)


def test_every_number_says_on_how_much_it_stands_and_who_saw_the_images(evaluated: RunDirectory) -> None:
    found = of(evaluated)
    assert {"synthetic.kid", "floor.kid", "ceiling.kid", "synthetic.fid", "synthetic.gap", "synthetic.diversity"} <= {
        *found
    }
    extractor = features.load(evaluated.artifact("features", 0, "real").folder).extractor
    assert extractor.startswith("resnet34-fold0:")
    for name, score in found.items():
        assert score.n, name
        assert score.unit in ("image", "pair", "patient"), name
        if not name.partition(".")[2].startswith(("colour", "sharpness")):
            assert extractor in str(score.extractor), name
    kid = found["synthetic.kid"]
    assert kid.ci_low is not None
    assert kid.ci_high is not None
    assert kid.ci_low <= kid.value <= kid.ci_high


def test_the_excess_over_the_floor_has_an_interval_of_the_difference_itself(evaluated: RunDirectory) -> None:
    found, summary = of(evaluated), evaluated.artifact("evaluate", 0, "geca").record()["summary"]
    for name in ("kid", "kid_across"):
        excess = found[f"excess.{name}"]
        assert excess.value == pytest.approx(found[f"synthetic.{name}"].value - found[f"floor.{name}"].value)
        assert excess.ci_low is not None
        assert excess.ci_high is not None
        assert excess.ci_low < excess.ci_high
        assert summary[f"excess.{name}"] == float(f"{excess.value:.4g}")
    tested = cohort.load(evaluated.artifact("ingest").folder).testing(0).samples
    assert (found["excess.kid_across"].n, found["excess.kid_across"].unit) == (
        len({s.patient for s in tested}),
        "patient",
    )


def test_fid_is_of_equally_many_images_and_both_are_of_features_of_equal_length(evaluated: RunDirectory) -> None:
    found = of(evaluated)
    fids = [found[f"{name}.fid"] for name in ("synthetic", "floor", "ceiling")]
    assert len({fid.n for fid in fids}) == 1
    for name in ("synthetic.kid", "floor.fid", "synthetic.fid_full", "excess.kid_across", "synthetic.kid_of_parts"):
        assert str(found[name].extractor).endswith(", of equal length"), name
    assert not str(found["synthetic.precision"].extractor).endswith("length")
    assert found["synthetic.kid_of_parts_deviation"].value > 0
    assert (
        found["synthetic.kid_of_parts_deviation"].n
        == found["synthetic.kid_of_parts"].n
        == min(
            len(cohort.load(evaluated.artifact("expand", 0, "geca").folder).samples) // 4,
            len(cohort.load(evaluated.artifact("ingest").folder).testing(0).samples),
        )
    )
    notes = evaluated.artifact("evaluate", 0, "geca").record()["notes"]
    assert any("has learned from the images that the floor" in note for note in notes)


def drawn(seed: int, images: int) -> Part:
    values = np.random.default_rng(seed).normal(size=(images, 6)).astype(np.float32)
    sample = Sample(sample="s", patient="P", image=Path("s.png"), labels=(1,))
    return Part((sample,) * images, Owned(values, np.arange(images)), np.ones((images, 1), dtype=int))


def test_what_is_measured_on_some_of_the_images_says_on_how_many() -> None:
    sets = Sets(drawn(0, 500), drawn(1, 100), None, drawn(2, 30), None, "resnet34-fold0:ab")
    job = Job(Recipe(), (), Path(), 0, "geca", lambda *_: None, settings=Recipe().evaluate)
    near = {**evaluate._neighbourhoods(job, sets, "synthetic"), **evaluate._neighbourhoods(job, sets, "floor")}
    assert len(near) == 8
    assert {score.n for score in near.values()} == {30}  # as many as there are test images
    assert {name: score.n for name, score in evaluate._likelihood(job, sets).items()} == {
        "synthetic.fld": 50, "synthetic.gap": 50  # half of the training images
    }  # fmt: skip
    band = evaluate._band(job, sets)
    assert band.keys() == {f"synthetic.{name}" for name in ("gap_z", "gap_of_real", "gap_of_real_deviation")}
    assert {score.n for score in band.values()} == {15}  # half of the test images


def test_fld_and_the_gap_stay_where_the_band_cannot_be_measured(evaluated: RunDirectory) -> None:
    """Only one test patient's images differ: the half without that patient says nothing."""
    copy = RunDirectory(evaluated.root.with_name("band"))
    shutil.copytree(evaluated.root, copy.root)
    place, before = copy.artifact("features", 0, "real"), of(evaluated)
    real, tested = features.load(place.folder), cohort.load(copy.artifact("ingest").folder).testing(0)
    alike = {s.sample for s in tested.samples if s.patient != tested.patients()[0]}
    rows = [row for row, name in enumerate(real.samples) if name in alike]
    values = real.values.copy()
    values[rows] = values[rows[0]]
    features.save(place.folder, replace(real, values=values))
    record = place.record()
    record["outputs"]["features.npy"] = files.sha256(place.folder / "features.npy")
    (place.folder / "stage.json").write_text(json.dumps(record))
    done("evaluate", *QUICK, "--force", "--run", copy.root)
    assert "synthetic.gap_z" in before
    assert {"synthetic.fld", "synthetic.gap"} <= of(copy).keys()
    assert "synthetic.gap_z" not in of(copy)
    notes = copy.artifact("evaluate", 0, "geca").record()["notes"]
    assert any("halves of the test patients" in note for note in notes)


def test_every_synthetic_image_has_its_quality_the_least_likely_first(evaluated: RunDirectory) -> None:
    folder, found = evaluated.artifact("evaluate", 0, "geca").folder, of(evaluated)
    by_name = qualities.load(folder)
    made = cohort.load(evaluated.artifact("expand", 0, "geca").folder).samples
    assert by_name.keys() == {s.sample for s in made}
    assert [*by_name.values()] == sorted(by_name.values())
    assert np.mean([*by_name.values()]) == pytest.approx(found["synthetic.quality"].value, rel=1e-4)
    assert "floor.quality" in found


def test_features_are_extracted_once_for_all_that_is_measured_on_them(evaluated: RunDirectory) -> None:
    made = [evaluated.artifact("features", 0, kind).made for kind in ("real", "geca", "through-kl")]
    done("evaluate", *QUICK, "--set", "evaluate.neighbours=3", "--run", evaluated.root)
    assert [evaluated.artifact("features", 0, kind).made for kind in ("real", "geca", "through-kl")] == made
    done("evaluate", *QUICK, "--set", "evaluate.neighbours=5", "--run", evaluated.root)


def test_the_test_patients_own_images_would_be_the_nearest_that_can_be(evaluated: RunDirectory) -> None:
    """Each synthetic image is given the features of a test image: precision and coverage are then those of a copy."""
    folder = evaluated.artifact("features", 0, "geca").folder
    real = features.load(evaluated.artifact("features", 0, "real").folder)
    tested = [s.sample for s in cohort.load(evaluated.artifact("ingest").folder).testing(0).samples]
    made, before = features.load(folder), of(evaluated)
    rows = np.arange(len(made.samples)) % len(tested)
    planted = replace(made, values=real.of(tested).values[rows])
    copy = RunDirectory(evaluated.root.with_name("planted"))
    shutil.copytree(evaluated.root, copy.root)
    place = copy.artifact("features", 0, "geca")
    features.save(place.folder, planted)
    refused = medsynth("evaluate", "--fold", 0, "--force", "--run", copy.root)
    assert "is not what features geca, fold 0 wrote" in refused.err  # nobody changes features unseen
    record = place.record()
    record["outputs"]["features.npy"] = files.sha256(place.folder / "features.npy")
    (place.folder / "stage.json").write_text(json.dumps(record))
    done("evaluate", *QUICK, "--force", "--run", copy.root)
    after = of(copy)
    assert after["synthetic.precision"].value == 1
    if len(made.samples) >= len(tested):
        assert after["synthetic.coverage"].value == 1
    assert after["synthetic.kid"].value < before["synthetic.kid"].value
    assert after["synthetic.fid"].value < before["synthetic.fid"].value


def test_features_of_two_extractors_are_never_compared(evaluated: RunDirectory) -> None:
    copy = RunDirectory(evaluated.root.with_name("two"))
    shutil.copytree(evaluated.root, copy.root)
    place = copy.artifact("features", 0, "geca")
    features.save(place.folder, replace(features.load(place.folder), extractor="inception:6726825d"))
    record = place.record()
    record["outputs"]["facts.json"] = files.sha256(place.folder / "facts.json")
    (place.folder / "stage.json").write_text(json.dumps(record))
    refused = medsynth("evaluate", "--fold", 0, "--force", "--run", copy.root)
    assert refused.code == 4
    assert "inception:6726825d" in refused.err


def test_the_report_shows_what_was_found_and_names_the_file(evaluated: RunDirectory) -> None:
    done(
        "audit",
        "--fold",
        0,
        "--set",
        "audit.bootstrap=20",
        "--set",
        "audit.membership_images=2",
        "--run",
        evaluated.root,
    )
    done("classify", "--arms", "real,real+geca", "--run", evaluated.root)
    done("report", "--set", "compare.bootstrap=50", "--set", "compare.permutations=50", "--run", evaluated.root)
    page = (evaluated.root / "report" / "index.html").read_text(encoding="utf-8")
    for file in ("fold-0/evaluate/geca/scores.json", "fold-0/audit/geca/scores.json", "compare/comparisons.json"):
        assert file in page
    assert "The audit was" in page
    reasons = evaluated.artifact("audit", 0, "geca").record()["summary"]["reasons"]
    assert all(escape(reason) in page for reason in reasons)
    assert "[&#39;" not in page  # a list is not how sentences are shown
