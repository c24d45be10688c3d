"""Encoded images: their copies, how each copy was moved, and the sample that each row came from.

latents.npy            (image, copy, channel, row, column); copy 0 is the image, copy 1 its mirror image if that is
                       plausible. Of a continuous codec: the raw posterior, means and then log-variances, in the
                       codec's own scale; of a discrete one: tokens, (image, copy, row, column), two bytes each
parameters.npy         (image, copy, 5): how each copy was moved, as data.augment.parameters says it; 0 for the image
moved.npy              moved copies of the images that are learnt from, if any were asked for: those of the first rows
moved_parameters.npy   (image, copy, 5)
index.csv              the sample of each row
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsynth.artifacts import arrays, files

LATENTS, PARAMETERS, INDEX = "latents.npy", "parameters.npy", "index.csv"
MOVED, MOVED_PARAMETERS = "moved.npy", "moved_parameters.npy"


@dataclass(frozen=True)
class Copies:
    """Copies of some images."""

    posteriors: np.ndarray  # (image, copy, channel, row, column), or tokens, (image, copy, row, column)
    parameters: np.ndarray  # (image, copy, 5): how each copy was moved


@dataclass(frozen=True)
class Encoded:
    """Rows by name. The name is the join, never the position."""

    plain: Copies
    moved: Copies | None
    row_of: dict[str, int]

    def rows(self, samples: list[str], most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Of the named samples, in their order: (sample, copy, channel, row, column), and (sample, copy, 5).

        The copies that all of them have, moved ones last, at most `most`; what is not asked for is not read.
        """
        rows, parts = [self.row_of[name] for name in samples], [self.plain]
        more = most is None or most > self.plain.posteriors.shape[1]
        if more and self.moved and max(rows, default=0) < len(self.moved.posteriors):
            parts.append(self.moved)
        posteriors = np.concatenate([part.posteriors[rows, :most] for part in parts], axis=1)
        parameters = np.concatenate([part.parameters[rows, :most] for part in parts], axis=1)
        return posteriors[:, :most], parameters[:, :most]


def save(folder: Path, plain: Copies, moved: Copies | None, samples: list[str]) -> None:
    """`moved` has a row for each of the first samples."""
    parts = {LATENTS: plain.posteriors, PARAMETERS: plain.parameters}
    parts |= {MOVED: moved.posteriors, MOVED_PARAMETERS: moved.parameters} if moved else {}
    for name, array in parts.items():
        arrays.save(folder / name, array)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["sample"], *([name] for name in samples)])
    files.write_text(folder / INDEX, text.getvalue())


def load(folder: Path) -> Encoded:
    """Raises BadData for files that are damaged or do not fit each other."""
    with files.whole(folder / INDEX), (folder / INDEX).open(newline="", encoding="utf-8") as file:
        samples = [row["sample"] for row in csv.DictReader(file, strict=True)]

    def copies(posteriors: str, parameters: str) -> Copies:
        found = Copies(arrays.load(folder / posteriors, mapped=True), arrays.load(folder / parameters))
        with files.whole(folder / posteriors):
            shape, moved = found.posteriors.shape, found.parameters.shape
            if len(shape) < 3 or len(moved) != 3 or shape[:2] != moved[:2] or shape[0] > len(samples):
                raise ValueError(f"{len(samples)} samples, {shape} and {moved}")
        return found

    moved = copies(MOVED, MOVED_PARAMETERS) if (folder / MOVED).is_file() else None
    return Encoded(copies(LATENTS, PARAMETERS), moved, {name: row for row, name in enumerate(samples)})
