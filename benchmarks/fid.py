"""A run -> how far each generator's images of each class are from the test images -> docs/benchmarks/fid-NAME.

    python benchmarks/fid.py NAME=RUN

As in "Synthesis of Color Fundus Images Using an Autoregressive Model": class by class, exactly as many synthetic images
as the class has test images. `python benchmarks/results.py NAME=RUN` then puts the table into that run's section of
docs/results.md.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from studio import Studio

from medsynth import codecs, plan, recipe
from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.data import images
from medsynth.data.loading import ImageSet
from medsynth.errors import BadData, BadUsage, MedsynthError, MissingStep
from medsynth.metrics.frechet import frechet
from medsynth.metrics.kid import kid
from medsynth.report import words
from medsynth.rundir import RunDirectory

AT_ONCE = 64  # images that a codec takes at once

TEXT = """# Distance to the test images, class by class: {name}

Fréchet distance and KID x 1000 between images of one class and the real test images of that class. N is the number of
images / of test images: as many synthetic images as the class has test images. Features are those of the fold's own
classifier of real images, 512 a picture; so this is FID[resnet34-foldK], to be compared within one fold of one run, and
not the FID of Inception's features that papers print. With few images even two sets of one kind are far apart: how much
above the floor a generator is says something, the number alone does not.

Real training images are the floor: as close as new patients of the same clinic come. The classifier has learnt from
them, which moves them a little away from the test images. The test images through the codec and back are the ceiling
of what a generator on this codec can reach.
"""


@dataclass(frozen=True)
class Judged:
    """The test images of one class, as the fold's classifier sees them."""

    studio: Studio
    label: str
    features: np.ndarray

    def as_many(self, made: tuple[Sample, ...], kind: str, factor: int) -> tuple[Sample, ...]:
        """The first synthetic images, as many as test images. Raises MissingStep where a larger factor is needed."""
        n = len(self.features)
        if len(made) < n:
            hint = self.studio.run.typed(f"expand --model {kind} --factor {-(-n * factor // max(1, len(made)))}")
            raise MissingStep(f"{len(made)} images of {kind} with {self.label}, and {n} test images", hint=hint)
        return made[:n]

    def row(self, name: str, found: np.ndarray) -> dict[str, Any]:
        """One line of the table. Raises BadData for fewer than two images."""
        if min(len(found), len(self.features)) < 2:
            problem = f"fold {self.studio.fold}, {self.label}: {len(found)} and {len(self.features)} images"
            raise BadData(problem, hint="a class needs two images in every part of a fold")
        return {
            "K": self.studio.fold,
            "class": self.label,
            "images": name,
            "FID[resnet34-foldK]": round(frechet(found, self.features), 2),
            "KID x 1000": round(1000 * kid(found, self.features), 1),
            "N": f"{len(found)} / {len(self.features)}",
        }


def rows_of(run: RunDirectory, fold: int) -> list[dict[str, Any]]:
    """Every class: the floor, each codec, each generator whose images the fold has."""
    studio, asked = Studio(run, fold=fold), recipe.parse(run.recipe_text())
    everyone = cohort.load(run.artifact("ingest").folder)
    if not everyone.facts.one_class:
        raise BadUsage(f"{run.root} has several labels an image, and this compares class by class", hint="another run")
    kinds = run.kinds("expand", fold)
    if not kinds:
        raise MissingStep(f"fold {fold} has no synthetic images", hint=run.typed("expand"))
    made = {kind: cohort.load(run.artifact("expand", fold, kind).folder) for kind in kinds}
    found = []
    for number, label in enumerate(everyone.facts.labels):
        tested = of_class(everyone.testing(fold), number)
        real = of_class(everyone.training(fold), number)
        judged = Judged(studio, label, studio.features(tested))
        found.append(judged.row("real training images", studio.features(cohort.evenly(real, len(tested)))))
        for codec in dict.fromkeys(map(asked.codec_of, kinds)):
            if codec != "identity":
                found.append(judged.row(f"test images through {codec}", reconstructed(studio, codec, tested)))
        for kind in kinds:
            drawn = judged.as_many(of_class(made[kind], number), kind, asked.expand.factor)
            found.append(judged.row(words.generator(kind), studio.features(drawn)))
    return found


def of_class(part: Cohort, number: int) -> tuple[Sample, ...]:
    return tuple(sample for sample in part.samples if sample.labels[number])


@torch.no_grad()
def reconstructed(studio: Studio, kind: str, samples: Sequence[Sample]) -> np.ndarray:
    """Features of images that went through a codec and back, rounded as stored images are."""
    codec, pixels = codecs.load(studio.run.artifact("codec", studio.fold, kind).folder), ImageSet(samples)
    found = []
    for rows in torch.arange(len(samples)).split(AT_ONCE):
        back = codecs.reconstruct(codec, pixels.tensor(rows))
        found.append(studio.judge.features(images.to_images(images.to_pixels(back))))
    return torch.cat(found).numpy()


def main() -> None:
    """Measure the run that is named, in every fold that has synthetic images."""
    name, equals, folder = (sys.argv[1] if len(sys.argv) == 2 else "").partition("=")
    if not equals or not name:
        raise SystemExit(f"what is to be measured? try: python {sys.argv[0]} NAME=RUN")
    run = RunDirectory(Path(folder))
    try:
        asked = recipe.parse(run.recipe_text())
        folds = [fold for fold in plan.folds_of(run, asked) if run.kinds("expand", fold)] or [0]
        rows = [row for fold in folds for row in rows_of(run, fold)]
    except MedsynthError as failure:
        raise SystemExit(f"{failure}; try: {failure.hint}") from None
    measure.write(f"fid-{name}", TEXT.format(name=name), rows, {"rows": rows})


if __name__ == "__main__":
    main()
