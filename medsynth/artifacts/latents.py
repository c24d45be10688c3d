"""Encoded images: one array, how each copy was moved, and the sample that each row came from.

latents.npy      (image, copy, channel, row, column); copy 0 is the image, copy 1 its mirror image if that is plausible,
                 the rest are moved copies if any were asked for. For a continuous codec: the raw posterior, means and
                 then log-variances, in the codec's own scale
parameters.npy   (image, copy, 5): how each copy was moved, as data.augment.parameters says it; 0 for the image itself
index.csv        the sample of each row
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsynth.artifacts import files

LATENTS, PARAMETERS, INDEX = "latents.npy", "parameters.npy", "index.csv"


@dataclass(frozen=True)
class Encoded:
    """Rows by name. The name is the join, never the position."""

    array: np.ndarray
    parameters: np.ndarray
    row_of: dict[str, int]

    def rows(self, samples: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Of the named samples, in their order: (sample, copy, channel, row, column), and (sample, copy, 5)."""
        rows = [self.row_of[name] for name in samples]
        return np.asarray(self.array[rows]), np.asarray(self.parameters[rows])


def save(folder: Path, array: np.ndarray, parameters: np.ndarray, samples: list[str]) -> None:
    files.write(folder / LATENTS, lambda file: np.save(file, array, allow_pickle=False))
    files.write(folder / PARAMETERS, lambda file: np.save(file, parameters, allow_pickle=False))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["sample"], *([name] for name in samples)])
    files.write_text(folder / INDEX, text.getvalue())


def load(folder: Path) -> Encoded:
    with (folder / INDEX).open(newline="", encoding="utf-8") as file:
        samples = [row["sample"] for row in csv.DictReader(file)]
    array = np.load(folder / LATENTS, mmap_mode="r", allow_pickle=False)
    parameters = np.load(folder / PARAMETERS, allow_pickle=False)
    return Encoded(array, parameters, {name: row for row, name in enumerate(samples)})
