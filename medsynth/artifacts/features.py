"""How a network sees some images, and what they look like made small.

features.npy   (image, feature), float32
mirrored.npy   the same of the mirror images, where the cohort takes these for as plausible
pixels.npy     (image, row, column, channel), uint8: the pictures, at most SIDE pixels a side
index.csv      the sample of each row
facts.json     which extractor saw them, and how many features it gives
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medsynth.artifacts import arrays, files

SIDE = 32
FEATURES, MIRRORED, PIXELS, INDEX, FACTS = "features.npy", "mirrored.npy", "pixels.npy", "index.csv", "facts.json"


@dataclass(frozen=True)
class Features:
    """Of some images, a row each. Two sets can only be compared where one extractor saw both."""

    samples: tuple[str, ...]
    values: np.ndarray  # (image, feature), float32
    mirrored: np.ndarray | None  # of the mirror images
    pixels: np.ndarray  # (image, row, column, channel), uint8
    extractor: str  # as metrics are named after: `resnet34-fold0:ab12cd34`

    def of(self, samples: Sequence[str]) -> "Features":
        """The rows of these samples, in their order. The name is the join, never the position."""
        row_of = {name: row for row, name in enumerate(self.samples)}
        rows = [row_of[name] for name in samples]
        mirrored = None if self.mirrored is None else self.mirrored[rows]
        return replace(
            self, samples=tuple(samples), values=self.values[rows], mirrored=mirrored, pixels=self.pixels[rows]
        )


def save(folder: Path, found: Features) -> None:
    parts = {FEATURES: found.values, PIXELS: found.pixels}
    parts |= {} if found.mirrored is None else {MIRRORED: found.mirrored}
    for name, array in parts.items():
        arrays.save(folder / name, array)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["sample"], *([name] for name in found.samples)])
    files.write_text(folder / INDEX, text.getvalue())
    files.write_json(folder / FACTS, {"extractor": found.extractor, "features": found.values.shape[1]})


def load(folder: Path) -> Features:
    """Raises BadData for files that are damaged or do not fit each other."""
    with files.whole(folder / INDEX), (folder / INDEX).open(newline="", encoding="utf-8") as file:
        samples = tuple(row["sample"] for row in csv.DictReader(file, strict=True))
    with files.whole(folder / FACTS):
        extractor = str(files.read_json(folder / FACTS)["extractor"])
    values, pixels = arrays.load(folder / FEATURES), arrays.load(folder / PIXELS)
    mirrored = arrays.load(folder / MIRRORED) if (folder / MIRRORED).is_file() else None
    with files.whole(folder):
        same = mirrored is None or mirrored.shape == values.shape
        if not len(samples) == len(values) == len(pixels) or (values.ndim, pixels.ndim) != (2, 4) or not same:
            raise ValueError(f"{len(samples)} samples, {values.shape} features and {pixels.shape} pixels")
    return Features(samples, values, mirrored, pixels, extractor)
