"""Test images with their true masks, and what a segmenter's runs say -> masks, a row of numbers each, scores."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.scores import Score
from medsynth.artifacts.segmentations import DEVIATIONS, MASKS, Found
from medsynth.data import images
from medsynth.metrics import ensembles, masks, segmentation
from medsynth.metrics.measured import Bootstrap

UNIT = "image"


@dataclass(frozen=True)
class Rule:
    """How runs become a mask, and when a mask has failed."""

    combine: str  # mean, majority or staple
    threshold: float
    failure: float  # Dice below which it has

    def mask(self, runs: np.ndarray) -> np.ndarray:
        """The bool mask (row, column) of runs (run, row, column)."""
        return ensembles.combined(runs, self.combine, self.threshold)


@dataclass
class Judgement:
    """What was found in the test images so far; masks go into a folder as they come."""

    folder: Path
    fold: int
    rule: Rule
    rows: list[Found] = field(default_factory=list)
    of_ways: list[list[float]] = field(default_factory=list)  # Dice of each image by each way to combine runs
    pixels: list[tuple[int, int]] = field(default_factory=list)  # in both masks; in the one and in the other, added up
    runs: int = 1

    def __post_init__(self) -> None:
        for name in (MASKS, DEVIATIONS):
            (self.folder / name).mkdir(exist_ok=True)

    def add(self, sample: Sample, runs: np.ndarray, truth: np.ndarray) -> None:
        """One more image: probabilities (run, row, column), and its true mask (row, column)."""
        mask, self.runs = self.rule.mask(runs), len(runs)
        self._write(MASKS, sample, mask * 255.0)
        # The deviation of numbers from 0 to 1 is a half at most.
        self._write(DEVIATIONS, sample, runs.std(axis=0) * 510)
        ways = [ensembles.combined(runs, way, self.rule.threshold) for way in ensembles.WAYS]
        self.of_ways.append([masks.dice(each, truth) for each in ways])
        self.pixels.append((int((mask & truth).sum()), int(mask.sum() + truth.sum())))
        self.rows.append(
            Found(
                sample=sample.sample, patient=sample.patient, eye=sample.eye, fold=self.fold,
                true_area=float(truth.mean()), area=float(mask.mean()), dice=masks.dice(mask, truth),
                iou=masks.iou(mask, truth), hd95=masks.hd95(mask, truth),
                nqm=ensembles.nqm(runs) if self.runs > 1 else None,
            )
        )  # fmt: skip

    def scores(self, seed: int) -> dict[str, Score]:
        """Names as they are in scores.json, with intervals over patients."""
        n, dice = len(self.rows), self._column("dice")
        common, sizes = np.array(self.pixels, dtype=np.float64).T
        judged = segmentation.Judged(
            np.array([row.patient for row in self.rows]), dice, self._column("iou"), self._column("hd95"), common,
            sizes, self._column("true_area") > 0,
        )  # fmt: skip
        measured = segmentation.scores(judged, Bootstrap(seed))
        found = {
            f"{UNIT}.{name}": Score(of.value, of.n, UNIT, of.ci_low, of.ci_high, seed) for name, of in measured.items()
        }
        means = np.mean(self.of_ways, axis=0)
        found |= {f"{UNIT}.dice.{way}": Score(float(m), n, UNIT) for way, m in zip(ensembles.WAYS, means, strict=True)}
        failed = dice < self.rule.failure
        found[f"{UNIT}.failed"] = Score(float(failed.mean()), n, UNIT)
        if self.runs > 1:
            quality = self._column("nqm")
            found[f"{UNIT}.nqm"] = Score(float(quality.mean()), n, UNIT)
            found[f"{UNIT}.nqm_auc"] = Score(ensembles.failure_auc(quality, failed), n, UNIT)
        return found

    def _column(self, name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in self.rows])

    def _write(self, folder: str, sample: Sample, values: np.ndarray) -> None:
        pixels = np.clip(values.round(), 0, 255).astype(np.uint8)[..., None]
        images.write_png(self.folder / folder / f"{sample.sample}.png", pixels)
