"""A cohort's pictures and labels as tensors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from medsynth.artifacts.cohort import Sample
from medsynth.data import images, png
from medsynth.shapes import Images, Labels, Masks

IN_MEMORY_BYTES = 4 << 30  # cohorts whose decoded pixels are larger are decoded anew for every batch


class ImageSet:
    """The pictures of some samples, in their order; decoded once if they fit into memory."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.paths = [s.image for s in samples]
        self.pixels: np.ndarray | None = None
        if self.paths and png.read(self.paths[0]).nbytes * len(self.paths) <= IN_MEMORY_BYTES:
            self.pixels = self._decode(range(len(self.paths)))

    def __len__(self) -> int:
        return len(self.paths)

    def tensor(self, rows: Sequence[int] | Tensor) -> Images:
        """The pictures of these rows, on the CPU."""
        chosen = [int(row) for row in rows]
        return images.to_images(self._decode(chosen) if self.pixels is None else self.pixels[chosen])

    def _decode(self, rows: Sequence[int]) -> np.ndarray:
        with ThreadPoolExecutor(4) as pool:
            return np.stack(list(pool.map(png.read, (self.paths[row] for row in rows))))


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
