"""Embeddings of training images -> which of them is nearest to an image, and how near the next ones are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medsynth.metrics.closeness import distances, ratios

CELLS = 1 << 22  # distances held at once


@dataclass(frozen=True)
class Known:
    """Training images: embeddings, (known, version, dimension), and whose they are, (known,).

    The versions are the image and, where it is as plausible, its mirror image.
    """

    embeddings: np.ndarray
    patients: np.ndarray

    def part(self, rows: np.ndarray) -> "Known":
        return Known(self.embeddings[rows], self.patients[rows])


@dataclass(frozen=True)
class Nearest:
    """Of each asked image, (asked,): distances of embeddings of length one; infinite where there is no such image."""

    image: np.ndarray  # the nearest known image
    distance: np.ndarray
    next_distance: np.ndarray  # to the next nearest known image
    other_distance: np.ndarray  # to the nearest known image of another patient than the nearest's

    def patients(self, known: Known) -> np.ndarray:
        """The patient of the nearest known image."""
        return known.patients[self.image]

    @property
    def ratios(self) -> np.ndarray:
        """distance / next_distance: 0 for a copy, at most 1 (Favero et al. 2025)."""
        return ratios(self.distance, self.next_distance)

    @property
    def patient_ratios(self) -> np.ndarray:
        """distance / other_distance: small also where several images of the same person are near."""
        return ratios(self.distance, self.other_distance)


def nearest(asked: np.ndarray, known: Known) -> Nearest:
    """Compare images, (asked, dimension), with all known ones. Raises ValueError where nothing is known."""
    if not len(known.patients):
        raise ValueError("there are no known images to compare with")
    owners = _numbered(known.patients)
    return _joined([_of_block(block, block.argmin(axis=1), owners) for _, block in blocks(asked, known)])


def among(known: Known) -> Nearest:
    """Of each known image: itself at the distance 0, the next nearest image, and the nearest one of another patient.

    Its own mirror image is itself.
    """
    owners, parts = _numbered(known.patients), []
    for rows, block in blocks(known.embeddings[:, 0], known):
        own = np.arange(rows.start, rows.start + len(block))
        block[np.arange(len(block)), own] = 0
        parts.append(_of_block(block, own, owners))
    return _joined(parts)


def blocks(asked: np.ndarray, known: Known) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of distances(asked, known), some at a time: which rows, and (row, known)."""
    count = max(1, CELLS // max(1, len(known.patients)))
    for first in range(0, len(asked), count):
        rows = slice(first, first + count)
        yield rows, distances(asked[rows], known.embeddings)


def _numbered(patients: np.ndarray) -> np.ndarray:
    return np.unique(patients, return_inverse=True)[1].reshape(-1)


def _of_block(block: np.ndarray, image: np.ndarray, owners: np.ndarray) -> Nearest:
    everyone = np.arange(len(block))
    distance = block[everyone, image]
    others = np.where(owners[None] == owners[image][:, None], np.inf, block).min(axis=1)
    block[everyone, image] = np.inf
    return Nearest(image, distance, block.min(axis=1), others)


def _joined(parts: list[Nearest]) -> Nearest:
    if not parts:
        return Nearest(np.empty(0, int), *(np.empty(0) for _ in range(3)))
    fields = ("image", "distance", "next_distance", "other_distance")
    return Nearest(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
