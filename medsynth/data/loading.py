"""A cohort's pictures and labels as tensors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from medsynth.artifacts.cohort import Sample
from medsynth.data import images, png
from medsynth.errors import BadData
from medsynth.shapes import Images, Labels, Masks

IN_MEMORY_BYTES = 4 << 30  # cohorts whose decoded pixels are larger are decoded anew for every batch


class ImageSet:
    """The pictures of some samples, in their order; decoded once if they fit into memory.

    With masks, the mask of its lesions is one more channel of each picture, the last. Raises BadData where one is
    missing.
    """

    def __init__(self, samples: Sequence[Sample], *, masks: bool = False) -> None:
        if masks:
            refuse_without_masks(samples)
        self.paths = [s.image for s in samples]
        self.masks = [s.mask for s in samples if s.mask] if masks else []
        self.pixels: np.ndarray | None = None
        if self.paths and self._read(0).nbytes * len(self.paths) <= IN_MEMORY_BYTES:
            self.pixels = self._decode(range(len(self.paths)))

    def __len__(self) -> int:
        return len(self.paths)

    def tensor(self, rows: Sequence[int] | Tensor) -> Images:
        """The pictures of these rows, on the CPU."""
        chosen = [int(row) for row in rows]
        return images.to_images(self._decode(chosen) if self.pixels is None else self.pixels[chosen])

    def _decode(self, rows: Sequence[int]) -> np.ndarray:
        with ThreadPoolExecutor(4) as pool:
            return np.stack(list(pool.map(self._read, rows)))

    def _read(self, row: int) -> np.ndarray:
        pixels = png.read(self.paths[row])
        return np.concatenate([pixels, png.read(self.masks[row])], axis=2) if self.masks else pixels


def refuse_without_masks(samples: Sequence[Sample]) -> None:
    """Raise BadData unless every sample has a mask."""
    bare = [s.sample for s in samples if s.mask is None]
    if not bare:
        return
    if len(bare) == len(samples):
        what, hint = "the images have no masks", "medsynth ingest SOURCE --mask COLUMN; or --without-masks"
    else:
        what = f"{len(bare)} of {len(samples)} images have no mask, {bare[0]} for one"
        hint = "name a mask for every image, a black one where there is no lesion, and ingest again; or --without-masks"
    raise BadData(f"masks are to be learnt, but {what}", hint=hint)


class MaskSet:
    """The masks of some samples that all have one, in their order."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._pictures = ImageSet([replace(s, image=s.mask) for s in samples if s.mask])

    def tensor(self, rows: Sequence[int] | Tensor) -> Masks:
        """The masks of these rows, on the CPU: 1 in the lesion, 0 elsewhere."""
        return (self._pictures.tensor(rows) > 0).float()


def labels_of(samples: Sequence[Sample]) -> Labels:
    """The labels of some samples as float32 zeros and ones, (sample, label)."""
    return torch.tensor([s.labels for s in samples], dtype=torch.float32)
