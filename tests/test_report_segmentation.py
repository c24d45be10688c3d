"""The report's table of segmenters: scores of all folds together, names as people say them, a floor."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medsynth.artifacts.segmentations import Found
from medsynth.metrics import segmentation as metrics
from medsynth.metrics.measured import Bootstrap
from medsynth.report import segmentation
from medsynth.report.collect import Made
from medsynth.rundir import RunDirectory


def images_of(patients: int, seed: int = 0) -> list[Found]:
    """Two images of each patient, some without a lesion."""
    dice = np.random.default_rng(seed)
    rows = []
    for image in range(2 * patients):
        true = float(dice.choice([0.0, 0.1, 0.3]))
        area, fits = (0.0, 1.0) if not true else (true, float(dice.random()))
        rows.append(
            Found(f"s{image}", f"p{image // 2}", "", 0, true, area, fits, fits / (2 - fits), 9 * (1 - fits), None)
        )
    return rows


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("unet+geca", "U-Net + GeCA"),
        ("direct-compat+ldm", "automaton without diffusion, as published + LDM"),
        ("multi-compat", "Multi-MedSegDiffNCA, as published"),
        ("basic", "MedSegDiffNCA"),
        ("another", "another"),
    ],
)
def test_a_segmenter_is_called_by_its_name_and_by_whose_images_it_learned_from(kind: str, name: str) -> None:
    assert segmentation.called(kind) == name


def test_what_is_called_as_published_and_was_not_run_so_says_where(tmp_path: Path) -> None:
    artifact = RunDirectory(tmp_path).artifact("segment", 0, "multi-compat")
    paper = {"ensemble": 10, "batch_size": 8, "combine": "mean"}
    for settings, said in ((paper, ""), (paper | {"ensemble": 1}, " but for ensemble 1 (10)"), ({}, "")):
        made = Made(artifact, "", {"settings": settings})
        assert segmentation.departures("multi-compat", [made]) == said
        assert segmentation.departures("multi", [made]) == ""


def test_scores_of_all_folds_together_are_those_of_their_images_with_an_interval_over_patients() -> None:
    rows = images_of(40)
    cells = segmentation.pooled(rows, 0, 0.8)
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in ("dice", "iou", "hd95", "true_area")}
    sizes = 2 * columns["true_area"]
    judged = metrics.Judged(
        np.array([row.patient for row in rows]), columns["dice"], columns["iou"], columns["hd95"],
        columns["dice"] * sizes / 2, sizes, columns["true_area"] > 0,
    )  # fmt: skip
    expected = metrics.scores(judged, Bootstrap(1))
    for name in ("dice", "iou", "dice_lesions", "iou_lesions", "pooled_dice", "pooled_iou"):
        assert float(cells[name].said) == pytest.approx(expected[name].value, abs=6e-4)
        low, high = map(float, cells[name].small.split(" to "))
        assert (low, high) == pytest.approx((expected[name].ci_low, expected[name].ci_high), abs=0.02)
    assert float(cells["hd95"].said) == pytest.approx(expected["hd95"].value, abs=0.06)
    assert float(cells["failed"].said) == pytest.approx((columns["dice"] < 0.8).mean(), abs=6e-3)
    assert cells["without_lesion"].said == str((columns["true_area"] == 0).sum())


def test_where_there_is_no_lesion_or_one_patient_nothing_is_made_up() -> None:
    empty = [replace(row, true_area=0.0, area=0.0, dice=1.0, iou=1.0) for row in images_of(3)]
    assert "dice_lesions" not in segmentation.pooled(empty, 0, 0.8)
    assert segmentation.pooled(images_of(1), 0, 0.8)["dice"].small == ""
