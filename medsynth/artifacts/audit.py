"""What an audit found beside its numbers, for people to look at.

pairs.csv        the images closest to a training image, synthetic ones and, for scale, those of new patients
copied.csv       how many synthetic images are unusually close to each training image, where any is
duplicates.csv   the same picture under two patients, and synthetic pictures that are a training picture
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from medsynth.artifacts import files

PAIRS, COPIED, DUPLICATES = "pairs.csv", "copied.csv", "duplicates.csv"


@dataclass(frozen=True)
class Pair:
    """An image and the training image nearest to it, in one space of features."""

    space: str  # "features" or "appearance"
    origin: str  # of the image: "synthetic", or "real" for one of a new patient
    label: str  # that it is among the closest of; "" where it is among the closest of all
    sample: str
    training_sample: str
    distance: float  # of embeddings of length one: 0 to 2
    mirrored: bool  # the training image is nearest as its mirror image


@dataclass(frozen=True)
class Copied:
    """A training image, and how many synthetic images have it as their nearest and are unusually close to it."""

    space: str
    training_sample: str
    times: int


@dataclass(frozen=True)
class Duplicate:
    """Two samples that show the same picture."""

    origin: str  # of the first: "real", or "synthetic" with a training image as the second
    sample: str
    other_sample: str
    exact: bool  # equal in every pixel of the small pictures
    mirrored: bool
    distance: float  # of appearances


@dataclass(frozen=True)
class Evidence:
    """The rows of all three files."""

    pairs: tuple[Pair, ...]
    copied: tuple[Copied, ...]
    duplicates: tuple[Duplicate, ...]


Row = TypeVar("Row", Pair, Copied, Duplicate)


def save(folder: Path, found: Evidence) -> None:
    _write(folder / PAIRS, Pair, found.pairs)
    _write(folder / COPIED, Copied, found.copied)
    _write(folder / DUPLICATES, Duplicate, found.duplicates)


def load(folder: Path) -> Evidence:
    """Raises BadData for damaged files."""
    return Evidence(_read(folder / PAIRS, Pair), _read(folder / COPIED, Copied), _read(folder / DUPLICATES, Duplicate))


def _write(path: Path, row_type: type[Row], rows: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(row_type)])
    writer.writerows([[_cell(value) for value in asdict(row).values()] for row in rows])
    files.write_text(path, text.getvalue())


def _read(path: Path, row_type: type[Row]) -> tuple[Row, ...]:
    with files.whole(path), path.open(newline="", encoding="utf-8") as file:
        return tuple(
            row_type(**{field.name: _value(row[field.name], field.type) for field in fields(row_type)})
            for row in csv.DictReader(file, strict=True)
        )


def _cell(value: Any) -> Any:
    """Flags as 0 and 1; numbers with the digits that give a float back to the bit."""
    return int(value) if isinstance(value, bool) else value


def _value(cell: str, kind: Any) -> Any:
    return cell == "1" if kind is bool else kind(cell)
