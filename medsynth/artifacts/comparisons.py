"""What the statistics of the classifiers found: comparisons.json. What is no number is null there, None here."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medsynth.artifacts import files

COMPARISONS = "comparisons.json"


@dataclass(frozen=True)
class Change:
    """One score of an arm minus that of another arm, averaged over folds."""

    difference: float
    low: float | None  # paired bootstrap over patients
    high: float | None
    p: float  # of the same bootstrap
    permutation_p: float | None = None  # arms swapped within patients
    corrected_t_p: float | None = None  # over folds and repeats (Nadeau and Bengio)
    corrected_t_low: float | None = None
    corrected_t_high: float | None = None
    differences: tuple[float, ...] = ()  # what the corrected t is of: one for every fold and repeat


@dataclass(frozen=True)
class AreaTest:
    """DeLong's test of one label's area under the ROC curve, over patients and folds."""

    difference: float
    z: float | None
    p: float | None


@dataclass(frozen=True)
class Decisions:
    """McNemar's test of what two arms decide about the same patients, two-sided, over all folds."""

    difference: float  # of the shares that are decided rightly
    gained: int  # decided rightly by the arm alone
    lost: int  # by the other one alone
    z: float | None
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """One arm against another on the folds that both have."""

    arm: str
    baseline: str
    declared: bool  # of the family that Holm's adjustment is over; otherwise a control
    folds: tuple[int, ...]
    changes: Mapping[str, Change]  # score, or score.label -> what changed
    delong: Mapping[str, AreaTest]  # label -> test
    holm_p: float | None = None  # of the primary score
    pooled: Mapping[str, Change] = field(default_factory=dict)  # AUC and average precision of ranks within folds
    mcnemar: Mapping[str, Decisions] = field(default_factory=dict)  # sensitivity and specificity, of each label and all


@dataclass(frozen=True)
class ArmScore:
    """One score of one arm."""

    value: float  # averaged over folds, of probabilities that were averaged over repeats
    low: float | None  # bootstrap over patients
    high: float | None
    mean: float | None  # of single trainings, averaged over repeats and folds
    deviation: float | None  # over folds; None for one fold
    repeat_deviation: float | None  # over repeats within a fold, averaged over folds; None for one repeat


@dataclass(frozen=True)
class Calibration:
    """Of all things that were tested in any fold. For one class: of the probability of the class decided for."""

    error: float | None  # expected calibration error, averaged over labels
    said: tuple[float, ...]  # the reliability curve of all labels together
    true: tuple[float, ...]
    count: tuple[int, ...]


@dataclass(frozen=True)
class ArmFound:
    """Everything of one arm."""

    arm: str
    folds: tuple[int, ...]
    repeats: int  # trainings in the fold that has most of them
    scores: Mapping[str, ArmScore]
    calibration: Calibration
    pooling: Mapping[str, str]  # fold -> how the images of a thing were put together: max or mean
    thresholds: Mapping[str, tuple[float, ...]]  # fold -> of each label, chosen on selection patients
    pooled: Mapping[str, ArmScore] = field(default_factory=dict)  # AUC and average precision of ranks within folds


@dataclass(frozen=True)
class Comparisons:
    """The whole file."""

    unit: str  # what a score counts
    primary: str  # the score that was declared beforehand to decide
    labels: tuple[str, ...]
    level: float  # of every interval
    resamples: int
    permutations: int
    test_share: float  # n_test / n_train of the corrected t
    arms: tuple[ArmFound, ...]
    comparisons: tuple[Comparison, ...]
    unscored: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # fold -> label -> why it has no score

    def of(self, arm: str, baseline: str) -> Comparison | None:
        return next((c for c in self.comparisons if (c.arm, c.baseline) == (arm, baseline)), None)


def save(folder: Path, found: Comparisons) -> None:
    files.write_json(folder / COMPARISONS, _writable(asdict(found)))


def load(folder: Path) -> Comparisons:
    """Raises BadData for a damaged file."""
    with files.whole(folder / COMPARISONS):
        known = files.read_json(folder / COMPARISONS)
        return Comparisons(
            **known
            | {
                "labels": tuple(known["labels"]),
                "arms": tuple(_arm(arm) for arm in known["arms"]),
                "comparisons": tuple(_comparison(of) for of in known["comparisons"]),
            }
        )


def _arm(known: dict[str, Any]) -> ArmFound:
    curve = {name: tuple(known["calibration"][name]) for name in ("said", "true", "count")}
    return ArmFound(
        **known
        | {
            "folds": tuple(known["folds"]),
            "scores": {name: ArmScore(**of) for name, of in known["scores"].items()},
            "calibration": Calibration(error=known["calibration"]["error"], **curve),
            "thresholds": {fold: tuple(of) for fold, of in known["thresholds"].items()},
            "pooled": {name: ArmScore(**of) for name, of in known.get("pooled", {}).items()},
        }
    )


def _comparison(known: dict[str, Any]) -> Comparison:
    changes, pooled = (
        {name: Change(**of | {"differences": tuple(of["differences"])}) for name, of in known.get(part, {}).items()}
        for part in ("changes", "pooled")
    )
    delong = {label: AreaTest(**of) for label, of in known["delong"].items()}
    mcnemar = {name: Decisions(**of) for name, of in known.get("mcnemar", {}).items()}
    read = {"changes": changes, "pooled": pooled, "delong": delong, "mcnemar": mcnemar}
    return Comparison(**known | {"folds": tuple(known["folds"])} | read)


def _writable(value: Any) -> Any:
    """JSON has no NaN: what is no number is null."""
    if isinstance(value, dict):
        return {name: _writable(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(of) for of in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
