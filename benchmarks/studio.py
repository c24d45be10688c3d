"""A drawn cohort, or another source, in a run of its own -> how good a generator's images are under some settings.

The cohort is drawn from another seed than the demo's, so that nothing that is chosen here has seen the demo's patients.
Two numbers: KID against the real images of the fold's held-out patients, in the features of the fold's own classifier
of real images (so `KID[resnet34-fold0]`, to be compared within one run only), and the macro AUC on these patients of a
classifier that was trained on synthetic images alone.
"""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import numpy as np
import torch

from medsynth import classifier, codecs, generators, pipeline, recipe, seeds
from medsynth.artifacts import cohort, scores
from medsynth.artifacts.cohort import Sample
from medsynth.data.drawn import draw_cohort
from medsynth.data.loading import ImageSet, labels_of
from medsynth.draws import row_draws
from medsynth.metrics.kid import kid
from medsynth.pipeline import Options
from medsynth.rundir import RunDirectory
from medsynth.sampling import Sampling

SEED, PATIENTS, PIXELS = 1, 60, 96  # of the drawn cohort; the demo's seed is 0


@dataclass(frozen=True)
class Studio:
    """A run, and the fold in which everything is measured."""

    run: RunDirectory
    base: tuple[str, ...] = ()  # settings, as --set has them
    fold: int = 0

    def done(self, stage: str, kinds: Iterable[str], *changes: str) -> dict[str, Any]:
        """Do a stage where it is not up to date; its record."""
        asked = recipe.parse(self.run.recipe_text(), [*self.base, *changes])
        options = Options(progress=_progress)
        folds = [] if stage == "ingest" else [self.fold]
        outcome = pipeline.execute(self.run, asked, stage, folds=folds, kinds=kinds, options=options)[-1]
        return outcome.artifact.record()

    @cached_property
    def judge(self) -> classifier.Classifier:
        self.done("classify", ["real"])
        return classifier.load(self.run.artifact("classify", self.fold, "real").folder).eval()

    @cached_property
    def held_out(self) -> np.ndarray:
        everyone = cohort.load(self.run.artifact("ingest").folder)
        return self.features(everyone.testing(self.fold).samples)

    def kid_of(self, kind: str, sampling: Sampling, images: int) -> float:
        """KID x 1000 of some images that are drawn for nothing else, with the labels of so many training images."""
        training = cohort.load(self.run.artifact("ingest").folder).training(self.fold).samples
        labels = labels_of([training[i * len(training) // images] for i in range(images)])
        model = generators.load(self.run.artifact("generator", self.fold, kind).folder)
        codec_kind = recipe.parse(self.run.recipe_text()).codec_of(kind)
        codec = codecs.load(self.run.artifact("codec", self.fold, codec_kind).folder)
        found = []
        with torch.no_grad():
            for rows in torch.arange(images).split(64):
                draws = row_draws([seeds.derive(0, "benchmark", int(row)) for row in rows])
                found.append(self.judge.features(codec.decode(model.sample(labels[rows], draws, sampling))))
                _progress(f"{kind}, {sampling.sampler} {sampling.steps}, {sampling.inherit}", int(rows[-1]) + 1, images)
        return round(1000 * kid(torch.cat(found).numpy(), self.held_out), 1)

    def kid_of_expansion(self, kind: str) -> float:
        """KID x 1000 of what was expanded with a generator, with the classifier of real images that the run has."""
        made = cohort.load(self.run.artifact("expand", self.fold, kind).folder).samples
        return round(1000 * kid(self.features(made), self.held_out), 1)

    def features(self, samples: tuple[Sample, ...]) -> np.ndarray:
        judge = self.judge  # which may be trained first, with gradients
        with torch.no_grad():
            parts = [judge.features(part) for part in ImageSet(samples).tensor(range(len(samples))).split(128)]
        return torch.cat(parts).numpy()

    def measured(self, kind: str, *changes: str, auc: bool = True) -> dict[str, Any]:
        """Train and draw with these settings, where that is not done yet; then measure."""
        self.done("generator", [kind], *changes)
        summary = self.done("expand", [kind], *changes)["summary"]
        made = cohort.load(self.run.artifact("expand", self.fold, kind).folder).samples
        found = {"images": len(made), "kid": self.kid_of_expansion(kind)}
        if auc:
            self.done("classify", [f"synthetic-only-{kind}"], *changes)
            found["auc"] = round(self._area(f"synthetic-only-{kind}"), 3)
        return found | {"seconds_per_image": summary.get("seconds_per_image")}

    def reference(self) -> dict[str, Any]:
        """The same numbers for the real training images: what a perfect generator would get."""
        everyone = cohort.load(self.run.artifact("ingest").folder)
        real = self.features(everyone.training(self.fold).samples)
        return {
            "images": len(real),
            "kid": round(1000 * kid(real, self.held_out), 1),
            "auc": round(self._area("real"), 3),
        }

    def _area(self, arm: str) -> float:
        found = scores.load(self.run.artifact("classify", self.fold, arm).folder)
        return next(found[name].value for name in ("eye.auc", "patient.auc", "image.auc") if name in found)


def drawn(folder: Path, *base: str) -> Studio:
    """A studio on a drawn cohort, with the demo's recipe."""
    source = folder / "drawn" / "labels.csv"
    if not source.is_file():
        draw_cohort(source.parent, patients=PATIENTS, seed=SEED, size=PIXELS)
    return of_recipe(folder / "run", "demo", f"ingest.source={source.resolve()}", *base)


def of_recipe(folder: Path, name: str, *base: str) -> Studio:
    """A studio on what a recipe names; goes on where it was left."""
    run = RunDirectory(folder)
    if not run.exists():
        run.save_recipe(recipe.dump(recipe.load(recipe.locate(name), [*base])))
    studio = Studio(run, base)
    studio.done("ingest", [])
    return studio


def _progress(name: str, done: int, total: int) -> None:
    now = time.monotonic()
    if done == total or now - getattr(_progress, "last", 0.0) > 30:
        _progress.last = now  # type: ignore[attr-defined]
        print(f"{time.strftime('%H:%M:%S')} {name}: {done} of {total}", file=sys.stderr, flush=True)
