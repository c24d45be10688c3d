"""A trained generator and an image -> how well the generator knows it: the attack of somebody who holds its weights.

A generator's loss is lower on images that it learned from. It is also lower on images that are easy, so the loss of a
generator that has not learned from the image is taken off (difficulty calibration: Watson et al. 2022).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medsynth import codecs, generators, seeds
from medsynth.artifacts.cohort import Sample, evenly
from medsynth.data.loading import ImageSet, labels_of
from medsynth.draws import row_draws
from medsynth.metrics.measured import PerImage
from medsynth.shapes import Images, Labels

DRAWS = 10  # of noise level and noise, the same for every image and every generator


@dataclass(frozen=True)
class Knower:
    """A generator, and the codec whose latents it learned."""

    generator: Any
    codec: Any
    device: str = "cpu"

    @classmethod
    def load(cls, generator: Path, codec: Path, device: str = "cpu") -> "Knower":
        return cls(generators.load(generator, device), codecs.load(codec, device), device)

    @property
    def masks(self) -> bool:
        """Whether it has to see an image with its mask."""
        return bool(self.codec.picture.masks)

    @torch.no_grad()
    def score(self, image: Images, labels: Labels, drawn_with: Sequence[int]) -> float:
        """Minus the generator's loss on one image, (1, channel, row, column), with its labels, (1, label).

        A mask that the image has and the codec does not know is left out. The mean over as many draws as there are
        seeds. Tokens are not noised, so one draw says it all.
        """
        chosen = list(drawn_with[:1] if self.codec.code.vocabulary else drawn_with)
        draws, count = row_draws(chosen), len(chosen)
        known = image[:, : self.codec.picture.planes].to(self.device)
        posterior = self.codec.encode(known).repeat_interleave(count, dim=0)
        latents = self.codec.latents(posterior, draws.normal(*self.codec.code.shape).to(self.device))
        return -float(self.generator.loss(latents, labels.repeat(count, 1).to(self.device), draws))


def draw_seeds(seed: int) -> tuple[int, ...]:
    return tuple(seeds.derive(seed, "membership", draw) for draw in range(DRAWS))


@dataclass(frozen=True)
class Asked:
    """How an attack is done: the seeds of its draws, how many images of either part, and who is told how far it is."""

    seeds: tuple[int, ...]
    images: int
    done: Callable[[int, int], None] = lambda _done, _all: None


@dataclass(frozen=True)
class Attack:
    """Scores of members, who were learned from, and of others; calibrated where another generator could be asked."""

    members: PerImage
    others: PerImage
    calibrated: bool


def attack(
    own: Knower, references: Mapping[int, Knower], parts: tuple[Sequence[Sample], Sequence[Sample]], settings: Asked
) -> list[Attack]:
    """Ask the generator about members and others: once for the plain scores, once for calibrated ones if there are any.

    `references` are the generators of other folds: an image that fold k tests was not seen by that of fold k.
    """
    plain: list[PerImage] = []
    calibrated: list[PerImage] = []
    for part in parts:
        chosen = evenly(part, settings.images)
        masks = any(knower.masks for knower in (own, *references.values()))
        pictures, labels = ImageSet(chosen, masks=masks), labels_of(chosen)
        scores, differences = np.empty(len(chosen)), np.full(len(chosen), np.nan)
        for row, sample in enumerate(chosen):
            image = pictures.tensor([row]), labels[row : row + 1]
            scores[row] = own.score(*image, settings.seeds)
            if sample.fold in references:
                differences[row] = scores[row] - references[sample.fold].score(*image, settings.seeds)
            settings.done(row + 1, len(chosen))
        patients = np.array([sample.patient for sample in chosen])
        plain.append(PerImage(scores, patients))
        calibrated.append(PerImage(differences, patients).part(np.isfinite(differences)))
    found = [Attack(plain[0], plain[1], False), Attack(calibrated[0], calibrated[1], True)]
    return [each for each in found if len(each.members.values) and len(each.others.values)]
