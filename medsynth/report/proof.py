"""What evaluate, audit and compare found -> rows of the page's tables. Each table names the files that it came from."""

import json
from dataclasses import dataclass

from medsynth.artifacts import comparisons
from medsynth.artifacts.comparisons import Change, Comparison
from medsynth.artifacts.scores import Score
from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, Made
from medsynth.rundir import EXPORTS

LIKENESS = {  # score of `evaluate` -> how the page calls it
    "kid": "KID × 1000",
    "kid_across": "KID × 1000, pairs of one patient left out",
    "fid": "FID",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "fld": "FLD",
    "gap": "Generalisation gap",
    "gap_z": "Generalisation gap, deviations from real images'",
    "diversity": "Distance of two images of one class",
    "vendi": "Vendi score",
    "colour_shift": "Shift of the mean colour, grey levels",
    "sharpness": "Sharpness, real images = 1",
}
CLOSENESS = {  # score of `audit` -> how the page calls it
    "c05": "Closer to a training image than 95 % of new patients' images",
    "c01": "Closer to a training image than 99 % of new patients' images",
    "patient_ratio": "Unusually close to one patient among all",
    "copy_ratio": "Copies: three times nearer to one training image than to the next",
    "auth_pct": "Authentic, %",
    "identifiability": "Training images whose nearest image is synthetic",
}
KNOWN = {  # what the generator's loss gives away
    "membership.auc": "Training images told from others: AUC of the generator's loss",
    "membership.tpr_at_1fpr": "Training images told from others: found at 1 % false alarms by its loss",
}
SPACES = {"features": "the extractor's features", "appearance": "vessels and spots"}


@dataclass(frozen=True)
class Row:
    """One number in words, and the numbers to hold it against."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Of one generator and fold."""

    title: str
    heads: tuple[str, ...]
    rows: list[Row]
    source: str
    verdict: str = ""
    remark: str = ""


def likeness(found: Found) -> list[Table]:
    """A table for each evaluation: synthetic images, real training images as the floor, the codec's as the ceiling."""
    return [_likeness(made) for made in found.of("evaluate")]


def _likeness(made: Made) -> Table:
    heads = {"synthetic": "synthetic", "floor": "real training images", "ceiling": "test images through the codec"}
    rows = []
    for key, name in LIKENESS.items():
        cells = tuple(_said(made.scores.get(f"{part}.{key}")) for part in heads)
        if any(cell != NOTHING for cell in cells):
            rows.append(Row(name, cells))
    title = f"{words.generator(made.kind)}, fold {made.fold}"
    seen_by = str(made.get("summary").get("extractor", ""))
    remark = f"Seen by {seen_by}; numbers by another extractor cannot be compared with these." if seen_by else ""
    return Table(title, tuple(heads.values()), rows, f"{made.path}/scores.json", remark=remark)


def closeness(found: Found) -> list[Table]:
    """A table for each audit, with what is expected of a perfect generator, and its verdict."""
    return [_closeness(made) for made in found.of("audit")]


def _closeness(made: Made) -> Table:
    asked = {
        f"{space}.{key}": f"{name}, by {seen}" for space, seen in SPACES.items() for key, name in CLOSENESS.items()
    }
    rows = [
        Row(name, (_said(made.scores[key]), _said(made.scores.get(f"{key}.expected"))))
        for key, name in (asked | KNOWN).items()
        if key in made.scores
    ]
    summary = made.get("summary")
    return Table(
        f"{words.generator(made.kind)}, fold {made.fold}", ("found", "of a perfect generator"), rows,
        f"{made.path}/scores.json, pairs.csv, duplicates.csv",
        verdict="The audit was passed." if summary.get("passed") else "The audit was not passed.",
        remark=" ".join(summary.get("reasons", ())),
    )  # fmt: skip


def risks(found: Found) -> list[tuple[str, str]]:
    """Sets that left the run without a passed audit: which, and the reason that was given."""
    ingest = next(iter(found.of("ingest")))
    path = ingest.folder.parent / EXPORTS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return [(f"{words.generator(line['model'])}, fold {line['fold']}", line["reason"]) for line in lines]


def differences(found: Found) -> Table | None:
    """Every arm against what it is set against, by the score that was declared to decide; None before `compare`."""
    made = next(iter(found.of("compare")), None)
    if made is None:
        return None
    known = comparisons.load(made.folder)
    rows = [
        Row(f"{words.arm(c.arm)} against {words.arm(c.baseline)}", _cells(c, c.changes[known.primary]))
        for c in known.comparisons
        if known.primary in c.changes
    ]
    heads = ("difference", f"{known.level:.0%} interval", "p", "permuted", "over folds", "Holm")
    title = f"{words.metric(known.primary)} by {known.unit}, each fold's mean"
    remark = (
        f"p: by {known.resamples:,} resamples of the patients, the same for both arms, as is the interval; permuted: "
        "arms swapped within patients; over folds: a t-test that knows that folds share patients; Holm: the "
        "declared comparisons held together, a dash is a control. Trained models are taken as they are."
    )
    return Table(title, heads, rows, f"{made.path}/comparisons.json", remark=remark)


def _cells(of: Comparison, change: Change) -> tuple[str, ...]:
    between = (
        NOTHING if change.low is None or change.high is None else f"{_signed(change.low)} to {_signed(change.high)}"
    )
    several = (change.p, change.permutation_p, change.corrected_t_p, of.holm_p)
    return (_signed(change.difference), between, *map(_chance, several))


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _chance(p: float | None) -> str:
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _said(score: Score | None) -> str:
    """`1,277 (1,104 to 1,391)`."""
    if score is None:
        return NOTHING
    number = _number(score.value)
    if score.ci_low is None or score.ci_high is None:
        return number
    return f"{number} ({_number(score.ci_low)} to {_number(score.ci_high)})"


def _number(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value:.0e}".replace("-", "−")
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}").replace("-", "−")
