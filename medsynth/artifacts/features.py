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
from functools import partial
from pathlib import Path

import numpy as np

from medsynth.artifacts import files

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
    arrays = {FEATURES: found.values, PIXELS: found.pixels}
    arrays |= {} if found.mirrored is None else {MIRRORED: found.mirrored}
    for name, array in arrays.items():
        files.write(folder / name, partial(np.save, arr=array, allow_pickle=False))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["sample"], *([name] for name in found.samples)])
    files.write_text(folder / INDEX, text.getvalue())
    files.write_json(folder / FACTS, {"extractor": found.extractor, "features": found.values.shape[1]})


def load(folder: Path) -> Features:
    with (folder / INDEX).open(newline="", encoding="utf-8") as file:
        samples = tuple(row["sample"] for row in csv.DictReader(file))

    def array(name: str) -> np.ndarray:
        return np.load(folder / name, allow_pickle=False)

    return Features(
        samples=samples,
        values=array(FEATURES),
        mirrored=array(MIRRORED) if (folder / MIRRORED).is_file() else None,
        pixels=array(PIXELS),
        extractor=files.read_json(folder / FACTS)["extractor"],
    )
