"""An arm -> the pictures that its classifier learns from, as one set of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsynth import codecs
from medsynth.arms import Arm
from medsynth.artifacts.cohort import Sample
from medsynth.data import augment, images
from medsynth.data.loading import ImageSet, labels_of
from medsynth.draws import Draws
from medsynth.shapes import Images, Labels


@dataclass(frozen=True)
class Reconstructions:
    """The real images once more, as a codec gives them back: decoded when they are needed, drawn anew each time."""

    codec: Any
    posteriors: np.ndarray  # raw, (image, channel, row, column), or tokens
    device: str

    def images(self, rows: Tensor, noise: Tensor) -> Images:
        """The reconstructions of these rows, rounded as stored images are; `noise` is normal, a row for each."""
        raw = torch.from_numpy(np.ascontiguousarray(self.posteriors[rows.numpy()])).to(self.device)
        with torch.no_grad():
            back = self.codec.decode(self.codec.latents(raw, noise.to(self.device)))
        return images.to_images(images.to_pixels(codecs.colours(self.codec, back)))


@dataclass(frozen=True)
class Material:
    """What an arm learns from. Rows: the real images, then synthetic ones, then reconstructions of the real ones."""

    pictures: ImageSet
    labels: Labels  # of every row
    real: int  # how many rows are real
    items: Tensor  # the row of each item of an epoch: a row may come more than once
    augmentation: str
    mirror: bool
    device: str
    reconstructions: Reconstructions | None = None

    def __len__(self) -> int:
        """Items of an epoch."""
        return len(self.items)

    @property
    def synthetic(self) -> int:
        """How many rows are not real images."""
        return len(self.labels) - self.real

    def batch(self, items: Tensor, draws: Draws) -> Images:
        """The pictures of these items, augmented as the arm says."""
        return self._augmented(self._pictures(self.items[items], draws), draws).to(self.device)

    def truth(self, items: Tensor) -> Labels:
        return self.labels[self.items[items]].to(self.device)

    def _pictures(self, rows: Tensor, draws: Draws) -> Images:
        if self.reconstructions is None:
            return self.pictures.tensor(rows)
        # Every row is drawn for, so that what a row gets does not depend on which others are reconstructions.
        noise, again = draws.normal(*self.reconstructions.codec.code.shape), rows >= len(self.pictures)
        found = self.pictures.tensor(rows % self.real)
        if again.any():
            found[again] = self.reconstructions.images(rows[again] % self.real, noise[again])
        return found

    def _augmented(self, pictures: Images, draws: Draws) -> Images:
        if self.augmentation == "geometric":
            return augment.apply(pictures.to(self.device), augment.draw_moves(draws, mirror=self.mirror))
        if self.augmentation == "randaugment":
            return augment.rand_augment(pictures, draws)
        return pictures


def gathered(
    arm: Arm, real: Sequence[Sample], made: Sequence[Sample], *, seed: int, mirror: bool, device: str,
    reconstructions: Reconstructions | None = None, copies: int = 0,
) -> Material:  # fmt: skip
    """The material of an arm. `copies`: reconstructions of each real image, as many as an expansion would have."""
    kept = tuple(real) if arm.real else ()
    labels, synthetic = labels_of(kept + tuple(made)), len(made)
    if arm.shuffled:
        order = torch.randperm(synthetic, generator=torch.Generator().manual_seed(seed))
        labels[len(kept) :] = labels[len(kept) :][order]
    if reconstructions is not None:
        labels = torch.cat([labels, labels_of(real).repeat(copies, 1)])
    rows = torch.arange(len(labels))
    items = rows.repeat_interleave(repeats(labels)) if arm.oversampled else rows
    return Material(
        ImageSet(kept + tuple(made)), labels, len(kept), items, arm.augmentation, mirror, device, reconstructions
    )


def repeats(labels: Labels) -> Tensor:
    """How often each image comes in an epoch so that labels are seen about alike, (image,), at least once.

    An image of label c comes round(n / n_c) times, n_c the images of the label and n those of the commonest one; of
    several labels the rarest counts.
    """
    counts = labels.sum(dim=0)
    share = torch.where(counts > 0, counts.max() / counts.clamp(min=1), 0.0)
    return (labels * share).amax(dim=1).round().clamp(min=1).long()
