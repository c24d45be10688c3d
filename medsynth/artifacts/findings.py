"""What people should look at after ingest, as tables. A file is there only where something was found.

unreadable.csv   where in the source, and why the image was left out
duplicates.csv   pictures that are equal to the last pixel and belong to different patients: one number a picture
flat.csv         pictures in which there is next to nothing to see
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medsynth.artifacts import files
from medsynth.artifacts.cohort import Sample

UNREADABLE, DUPLICATES, FLAT = "unreadable.csv", "duplicates.csv", "flat.csv"


@dataclass(frozen=True)
class Unreadable:
    """An image that was left out. Its texts are safe to write anywhere."""

    where: str  # in the source
    image: str
    reason: str


def save(
    folder: Path,
    unreadable: Sequence[Unreadable],
    duplicates: Sequence[Sequence[Sample]],
    flat: Sequence[tuple[Sample, float]],
) -> None:
    """`duplicates` are groups of equal pictures; `flat` comes with the deviation of the grey values, 0 to 255."""
    _write(folder / UNREADABLE, ["where", "image", "reason"], [[u.where, u.image, u.reason] for u in unreadable])
    rows = [[number, s.sample, s.patient, s.eye, s.fold] for number, group in enumerate(duplicates, 1) for s in group]
    _write(folder / DUPLICATES, ["picture", "sample", "patient", "eye", "fold"], rows)
    _write(folder / FLAT, ["sample", "deviation"], [[s.sample, f"{deviation:.2f}"] for s, deviation in flat])


def _write(path: Path, header: list[str], rows: Iterable[Sequence[object]]) -> None:
    found = list(rows)
    if found:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *found])
        files.write_text(path, text.getvalue())
