"""Images + a trained segmenter -> what each of its runs says of each image, some images at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medsynth import cost, interrupt
from medsynth.draws import row_draws
from medsynth.shapes import Images

PIXELS_AT_ONCE = 1 << 18  # of images that are segmented together; what is found does not depend on it


@dataclass
class Masker:
    """A segmenter in evaluation mode, on a device, and how long it took so far."""

    model: Any
    device: str = "cpu"
    images: int = 0
    seconds: float = 0.0

    def runs(
        self,
        pictures: Callable[[Sequence[int]], Images],
        seeds: Sequence[int],
        progress: Callable[[int], None] = lambda _done: None,
    ) -> Iterator[np.ndarray]:
        """Of each image in turn, probabilities (run, row, column), float32.

        `pictures` gives the images of some rows, all of one size; `seeds` are one an image, and what is found in an
        image depends on it and on its seed alone. `progress` is told how many are done. Raises Interrupted.
        """
        count = len(seeds)
        at_once = max(1, PIXELS_AT_ONCE // pictures([0])[0, 0].numel()) if count else 1
        for first in range(0, count, at_once):
            interrupt.check()
            rows = range(first, min(first + at_once, count))
            yield from self._some(pictures(rows), [seeds[row] for row in rows])
            progress(rows.stop)

    @torch.no_grad()
    def _some(self, images: Images, seeds: list[int]) -> np.ndarray:
        """(image, run, row, column)"""
        started = time.perf_counter()
        said: np.ndarray = self.model.predict(images.to(self.device), row_draws(seeds)).float().cpu().numpy()
        self.images, self.seconds = self.images + len(images), self.seconds + time.perf_counter() - started
        return said

    @torch.no_grad()
    def megabytes(self, image: Images) -> float:
        """What the masks of one image (1, channel, row, column) take at most: the weights, and the numbers on the way.

        Runs come one after the other, so it is that of one; of a run that repeats itself, that of one repetition.
        """
        image, draws = image.to(self.device), row_draws([0])
        weights = sum(p.numel() * p.element_size() for p in self.model.parameters()) / 1e6
        return weights + cost.peak_of(lambda: self.model.round(image, draws), self.device)

    def cost(self, grid: tuple[int, int], runs: int) -> dict[str, float]:
        """Parameters, and multiply-accumulates and seconds of all runs for one image of so many rows and columns."""
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "mega_macs_per_image": float(f"{self.model.macs(grid) * runs / 1e6:.6g}"),
            "seconds_per_image": float(f"{self.seconds / max(1, self.images):.4g}"),
        }
