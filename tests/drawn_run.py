"""A small run directory drawn by hand: real files, written through the modules that stages write with; no training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medsynth.artifacts import cohort, log, scores
from medsynth.artifacts.cohort import Cohort, Facts, Sample
from medsynth.artifacts.scores import Score
from medsynth.rundir import Artifact, RunDirectory

LABELS = ("haemorrhage", "exudate")
OF_A_FOLD = ("codec", "encode", "generator", "expand", "classify", "features", "evaluate", "audit", "segment")
ARMS = ("real", "real+geometric", "real+geca", "synthetic-only")
AUC = {"real": 0.70, "real+geometric": 0.72, "real+geca": 0.74, "synthetic-only": 0.66}
FACTS = Facts(labels=LABELS, one_class=False, image_size=16, folds=3, crop="centre", source="labels.csv")


@dataclass(frozen=True)
class DrawnRun:
    """Writes the stages of a run, one after the other."""

    root: Path
    facts: Facts = FACTS
    patients: tuple[str, ...] = tuple(f"patient-{i:02d}" for i in range(12))
    auc: Callable[[str, int], float] = lambda arm, fold: AUC[arm] + 0.01 * fold

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.root)

    def artifacts(self) -> list[Artifact]:
        """Every complete artifact, ingest first."""
        found = [self.run.artifact("ingest"), *(
            self.run.artifact(stage, fold, kind)
            for fold in range(self.facts.folds)
            for stage in OF_A_FOLD
            for kind in self.run.kinds(stage, fold)
        ), self.run.artifact("compare")]  # fmt: skip
        return [artifact for artifact in found if artifact.exists()]

    def ingest(self) -> "DrawnRun":
        """Two eyes a patient, an image each. With one fold, as with an official split, two thirds are never tested."""
        artifact = self.run.artifact("ingest")
        folder = artifact.scratch("0a")
        samples = [
            Sample(
                sample=f"{patient}-{eye}", patient=patient, eye=eye, image=folder / "images" / f"{i:03d}-{eye}.png",
                labels=self._labels(i), fold=i % max(3, self.facts.folds),
            )
            for i, patient in enumerate(self.patients) for eye in ("left", "right")
        ]  # fmt: skip
        held_out = {str(fold): (self.patients[(fold + 1) % 3],) for fold in range(self.facts.folds)}
        facts = replace(self.facts, selection=held_out)
        _save(folder, Cohort(facts, tuple(samples)))
        self.publish(
            artifact,
            "0a",
            {
                "summary": {"images": len(samples)},
                "settings": {"source": f"/home/somebody/{self.facts.source}", "folds": self.facts.folds},
            },
        )
        return self

    def train(self, stage: str, kind: str, fold: int) -> "DrawnRun":
        """A codec or generator: a log, a preview and, for a codec, its reconstruction error."""
        artifact = self.run.artifact(stage, fold, kind)
        folder = artifact.scratch("0b")
        (folder / "previews").mkdir(parents=True)
        _write_png(folder / "previews" / "step-0000400.png", _noise(16, 64, fold))
        write_log(folder, 0.9 if stage == "codec" else 0.4)
        if stage == "codec":
            scores.save(
                folder, {"selection.psnr": Score(28.0 + fold, 4, "image"), "selection.mae": Score(7.9, 4, "image")}
            )
        self.publish(
            artifact,
            "0b",
            {"summary": {"parameters": 270_000}, "settings": {"kind": kind, "size": "tiny"}},
            trained=fold,
        )
        return self

    def expand(self, fold: int, kind: str = "geca", copies: int = 2) -> "DrawnRun":
        """Synthetic images of which the first is a copy of a training image."""
        artifact = self.run.artifact("expand", fold, kind)
        folder = artifact.scratch("0c")
        real = cohort.load(self.run.artifact("ingest").folder).training(fold)
        samples = tuple(
            Sample(
                sample=f"{s.sample}-{copy}", patient="", image=folder / "images" / f"{s.sample}-{copy}.png",
                labels=s.labels, origin="synthetic", label_source=s.sample,
            )
            for s in real.samples for copy in range(copies)
        )  # fmt: skip
        _save(folder, Cohort(real.facts, samples))
        if samples:
            samples[0].image.write_bytes(real.samples[0].image.read_bytes())
        self.publish(
            artifact, "0c", {"summary": {"images": len(samples)}, "settings": {"factor": copies}}, trained=fold
        )
        return self

    def classify(self, fold: int, arm: str) -> "DrawnRun":
        """Scores by eye and by image, and a log with scores on the selection patients."""
        artifact = self.run.artifact("classify", fold, arm)
        folder = artifact.scratch("0d")
        write_log(folder, 0.7, scored=True)
        auc = self.auc(arm, fold)
        found = {"eye.auc": auc, "eye.map": auc - 0.2, "image.auc": auc - 0.01, "image.f1": auc - 0.3}
        found |= {f"eye.auc.{name}": auc + 0.02 * i for i, name in enumerate(self.facts.labels)}
        found |= {f"eye.positives.{name}": 3.0 for name in self.facts.labels}
        scores.save(folder, {name: Score(value, 8, name.split(".")[0]) for name, value in found.items()})
        expansion = self.run.artifact("expand", fold, "geca")
        inputs = {f"fold-{fold}/expand/geca": expansion.made} if arm not in ("real", "real+geometric") else {}
        self.publish(
            artifact, "0d", {"summary": {"auc": auc}, "settings": {"steps": 600}, "inputs": inputs}, trained=fold
        )
        return self

    def everything(self) -> "DrawnRun":
        self.ingest()
        for fold in range(self.facts.folds):
            self.train("codec", "kl", fold).train("generator", "geca", fold).expand(fold)
            for arm in ARMS:
                self.classify(fold, arm)
        return self

    def _labels(self, i: int) -> tuple[int, ...]:
        if self.facts.one_class:
            return tuple(int(k == i % len(self.facts.labels)) for k in range(len(self.facts.labels)))
        return tuple(int((i + k) % (2 + k) == 0) for k in range(len(self.facts.labels)))

    def publish(self, artifact: Artifact, id: str, record: dict[str, Any], trained: int | None = None) -> None:
        seen = None
        if trained is not None:
            seen = cohort.load(self.run.artifact("ingest").folder).training(trained).patients_hash()
        common = {
            "notes": [],
            "trained_on": seen,
            "seed": 7,
            "inputs": {},
            "versions": {"torch": "2.13.0"},
            "device": "cpu",
            "seconds": 61.0,
        }
        artifact.publish(id, common | record)


def _save(folder: Path, made: Cohort) -> None:
    (folder / "images").mkdir(parents=True)
    for i, s in enumerate(made.samples):
        _write_png(s.image, _disc(made.facts, s.labels, seed=i + 1000 * (s.origin == "synthetic")))
    cohort.save(folder, made)


def _disc(facts: Facts, labels: tuple[int, ...], seed: int) -> np.ndarray:
    """A pale disc on red, a dark spot for the first label, a light one for the second."""
    random, side = np.random.default_rng(seed), facts.image_size
    pixels = np.full((side, side, 3), (150, 60, 30)) + random.integers(-20, 20, (side, side, 3))
    top, left = random.integers(0, side // 2, 2)
    pixels[top : top + side // 4, left : left + side // 4] = (230, 190, 120)
    for k, value in enumerate(labels):
        if value:
            row, column = random.integers(side // 2, side - 2, 2)
            pixels[row : row + 2, column : column + 2] = (70, 10, 10) if k == 0 else (250, 240, 160)
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return pixels[..., 0] if facts.channels == 1 else pixels


def _noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def write_log(folder: Path, start: float, scored: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(1, 41):
        entry = {"step": 10 * i, "seconds": 0.1 * i, "loss": start / (1 + 0.1 * i), "learning_rate": 1e-3}
        log.append(folder, entry | ({"score": 0.5 + 0.005 * i} if scored and i % 5 == 0 else {}))
