"""quality.csv: how likely every synthetic image is beside images of new patients, the least likely first."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from medsynth.artifacts import files

QUALITY = "quality.csv"
HEADER = ("sample", "quality")


def save(folder: Path, samples: Sequence[str], qualities: Sequence[float]) -> None:
    text = io.StringIO()
    rows = sorted(zip(qualities, samples, strict=True))
    csv.writer(text, lineterminator="\n").writerows([HEADER, *((name, f"{value:.6g}") for value, name in rows)])
    files.write_text(folder / QUALITY, text.getvalue())


def load(folder: Path) -> dict[str, float]:
    """Sample -> quality, the least likely first. Raises BadData for a damaged file."""
    with files.whole(folder / QUALITY), (folder / QUALITY).open(newline="", encoding="utf-8") as file:
        return {row["sample"]: float(row["quality"]) for row in csv.DictReader(file)}
