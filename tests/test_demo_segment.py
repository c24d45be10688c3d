"""medsynth demo --task segment goes from nothing to a page that shows masks of patients who were never seen."""

from pathlib import Path

from shell import done, medsynth

from medsynth.artifacts import scores
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


def test_a_task_that_there_is_not_is_named() -> None:
    refused = medsynth("demo", "--task", "detect")
    assert refused.code == 2
    assert refused.hint.startswith("--task classify or segment")
