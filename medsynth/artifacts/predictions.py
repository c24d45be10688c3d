"""What a classifier said of each image: sample,patient,eye,fold, then truth and probability of each label.

predictions.csv   the test patients of the fold
selection.csv     the selection patients, on whom thresholds are chosen; not there where nobody was set aside
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsynth.artifacts import files
from medsynth.artifacts.cohort import Cohort

PREDICTIONS, SELECTION = "predictions.csv", "selection.csv"
FIXED = ["sample", "patient", "eye", "fold"]


@dataclass(frozen=True)
class Predictions:
    """Rows in the order of the file. `truth` and `probability` are (image, label)."""

    samples: list[str]
    patients: list[str]
    eyes: list[str]
    labels: list[str]
    truth: np.ndarray
    probability: np.ndarray


def save(folder: Path, cohort: Cohort, fold: int, probability: np.ndarray, name: str = PREDICTIONS) -> None:
    """`probability` is (image, label), in the order of `cohort.samples`. Nine digits give a float32 back to the bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [column for name in cohort.facts.labels for column in (f"true.{name}", f"probability.{name}")]
    writer.writerow([*FIXED, *columns])
    for s, row in zip(cohort.samples, probability, strict=True):
        pairs = [cell for true, p in zip(s.labels, row, strict=True) for cell in (true, f"{p:.9g}")]
        writer.writerow([s.sample, s.patient, s.eye, fold, *pairs])
    files.write_text(folder / name, text.getvalue())


def load(folder: Path, name: str = PREDICTIONS) -> Predictions:
    """Raises BadData for a file that is damaged or has what is no probability."""
    with files.whole(folder / name), (folder / name).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, strict=True)
        if header[:4] != FIXED or any(len(row) != len(header) for row in rows) or len(header) % 2:
            raise ValueError("its rows are not what its header says")
        values = np.array([[float(cell) for cell in row[4:]] for row in rows]).reshape(len(rows), -1)
        truth, probability = values[:, 0::2], values[:, 1::2]
        if not np.isfinite(probability).all() or not np.isin(truth, (0, 1)).all():
            raise ValueError("not every truth is 0 or 1, or not every probability a number")
    return Predictions(
        samples=[row[0] for row in rows],
        patients=[row[1] for row in rows],
        eyes=[row[2] for row in rows],
        labels=[column.removeprefix("true.") for column in header[4::2]],
        truth=truth.astype(int),
        probability=probability,
    )
