"""Encoded images: one array, and the sample that each row came from.

latents.npy   (image, copy, channel, row, column); copy 0 is the image, copy 1, where there is one, its mirror image.
              For a continuous codec: the raw posterior, means and then log-variances, in the codec's own scale
index.csv     the sample of each row
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsynth.artifacts import files

LATENTS, INDEX = "latents.npy", "index.csv"


@dataclass(frozen=True)
class Encoded:
    """Rows by name. The name is the join, never the position."""

    array: np.ndarray
    row_of: dict[str, int]

    def rows(self, samples: list[str]) -> np.ndarray:
        """The rows of the named samples, in their order, (sample, copy, channel, row, column)."""
        return np.asarray(self.array[[self.row_of[name] for name in samples]])


def save(folder: Path, array: np.ndarray, samples: list[str]) -> None:
    files.write(folder / LATENTS, lambda file: np.save(file, array, allow_pickle=False))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["sample"], *([name] for name in samples)])
    files.write_text(folder / INDEX, text.getvalue())


def load(folder: Path) -> Encoded:
    with (folder / INDEX).open(newline="", encoding="utf-8") as file:
        samples = [row["sample"] for row in csv.DictReader(file)]
    array = np.load(folder / LATENTS, mmap_mode="r", allow_pickle=False)
    return Encoded(array, {name: row for row, name in enumerate(samples)})
