"""Numbers that a stage found: flat JSON, name -> {value, n, unit, ...}. The report reads nothing else."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from medsynth.artifacts import files

SCORES = "scores.json"
LOWER_IS_BETTER = ("mae", "brier")  # of these scores; of all others more is better, or neither


@dataclass(frozen=True)
class Score:
    """One number and what it stands on."""

    value: float
    n: int | None = None  # how many things it was measured on
    unit: str | None = None  # what one of them is: image, eye, patient, label
    ci_low: float | None = None
    ci_high: float | None = None
    seed: int | None = None
    extractor: str | None = None


def save(folder: Path, scores: Mapping[str, Score]) -> None:
    """A score that is not a finite number (a label with no positives, say) is left out, never written as NaN."""
    table = {
        name: {key: value for key, value in asdict(score).items() if value is not None}
        for name, score in scores.items()
        if math.isfinite(score.value)
    }
    files.write_json(folder / SCORES, table)


def load(folder: Path) -> dict[str, Score]:
    """Raises BadData for a file that is damaged or has what is no number."""
    with files.whole(folder / SCORES):
        found = {name: Score(**fields) for name, fields in files.read_json(folder / SCORES).items()}
        for name, of in found.items():
            if not all(part is None or math.isfinite(part) for part in (of.value, of.ci_low, of.ci_high)):
                raise ValueError(f"{name} is {of.value!r}")
    return found
