"""What a segmenter found in each tested image.

masks/         a PNG a sample: 255 in what was looked for, 0 elsewhere
deviations/    how far the runs are apart: their standard deviation, 0.5 as 255
masks.csv      sample,patient,eye,fold and the numbers of each image
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from medsynth.artifacts import files

MASKS, DEVIATIONS, TABLE = "masks", "deviations", "masks.csv"


@dataclass(frozen=True)
class Found:
    """One tested image. Areas are shares of the image; a score that cannot be told is left empty."""

    sample: str
    patient: str
    eye: str
    fold: int
    true_area: float
    area: float
    dice: float
    iou: float
    hd95: float  # pixels
    nqm: float | None  # None: nothing was random


def save(folder: Path, found: Sequence[Found]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Found)], lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    files.write_text(folder / TABLE, text.getvalue())


def load(folder: Path) -> list[Found]:
    with (folder / TABLE).open(newline="", encoding="utf-8") as file:
        return [_found(row) for row in csv.DictReader(file)]


def _found(row: dict[str, str]) -> Found:
    numbers = {name: float(row[name]) for name in ("true_area", "area", "dice", "iou", "hd95")}
    return Found(
        row["sample"], row["patient"], row["eye"], int(row["fold"]), **numbers,
        nqm=float(row["nqm"]) if row["nqm"] else None,
    )  # fmt: skip
