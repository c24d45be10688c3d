"""medsynth demo --task segment goes from nothing to a page that shows masks of patients who were never seen."""

from pathlib import Path

import pytest
from shell import done, medsynth

from medsynth import demo
from medsynth.artifacts import scores
from medsynth.command import Common
from medsynth.errors import MedsynthError
from medsynth.rundir import RunDirectory

QUICK = ("steps=2", "size=tiny", "batch_size=4", "selection_images=2", "tested_images=3")


def test_the_demo_of_masks_goes_from_nothing_to_a_report(tmp_path: Path) -> None:
    changes = [word for change in QUICK for word in ("--set", f"segment.unet.{change}")]
    words = ("demo", "--task", "segment", "--model", "unet", *changes, "--run", tmp_path / "demo", "--json")
    found = done(*words).json
    run = RunDirectory(tmp_path / "demo")
    of_folds = [scores.load(run.artifact("segment", fold, "unet").folder)["image.dice"].value for fold in (0, 1)]
    assert abs(found["dice"]["unet"] - sum(of_folds) / 2) < 1e-3
    assert 'id="masks"' in Path(found["report"]).read_text(encoding="utf-8")
    table = done(*words[:-1], "--quiet").out
    known = scores.load(run.artifact("segment", 0, "unet").folder)
    assert "with a lesion" in table
    assert "images without one" in table
    assert {"image.dice_lesions", "image.without_lesion"} <= known.keys()


def test_a_task_that_there_is_not_is_named() -> None:
    refused = medsynth("demo", "--task", "detect")
    assert refused.code == 2
    assert refused.hint.startswith("--task classify or segment")


def test_of_folds_side_by_side_the_one_that_failed_is_named_and_not_those_that_are_stopped_for_it(
    ingested: RunDirectory,
) -> None:
    """Fold 9 is not there; fold 0 would train for hours."""
    asked = ["train-codec", "--set", "codec.steps=1000000"]
    with pytest.raises(MedsynthError, match="fold 9 did not come to its end") as failure:
        demo._side_by_side(Common(run=ingested.root, device="cpu", quiet=True), ingested, [0, 9], asked)
    assert failure.value.exit_code == 4
