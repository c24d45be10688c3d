"""The drawn cohort as small pictures, and splits of it in which everybody's part is known."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32


@dataclass(frozen=True)
class Pictures:
    """uint8 pictures, (image, row, column, channel), and whose and of which eye they are, as whole numbers."""

    pixels: np.ndarray
    patients: np.ndarray
    eyes: np.ndarray

    def __getitem__(self, images: np.ndarray) -> "Pictures":
        return Pictures(self.pixels[images], self.patients[images], self.eyes[images])


def read(labels: Path) -> Pictures:
    """The pictures of a drawn labels.csv, averaged down to SIDE pixels a side."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    opened = [Image.open(labels.parent / row["image"]).resize((SIDE, SIDE), Image.Resampling.BOX) for row in rows]
    patients = np.array([int(row["patient"].removeprefix("P")) for row in rows])
    eyes = 2 * patients + [row["eye"] == "left" for row in rows]
    return Pictures(np.stack([np.asarray(picture) for picture in opened]), patients, eyes)


@dataclass(frozen=True)
class Parts:
    """Training patients with one image of each eye kept back, held-out patients, and those of an honest generator."""

    training: Pictures
    kept_back: Pictures
    new: Pictures
    honest: Pictures


def parts(of: Pictures, seed: int) -> Parts:
    dice = np.random.default_rng(seed)
    people = dice.permutation(np.unique(of.patients))
    cuts = np.split(people, [len(people) // 2, 3 * len(people) // 4])
    trained, new, honest = (np.flatnonzero(np.isin(of.patients, patients)) for patients in cuts)
    _, first = np.unique(of.eyes[trained], return_index=True)
    back = np.isin(np.arange(len(trained)), first)
    return Parts(of[trained[~back]], of[trained[back]], of[new], of[honest])
