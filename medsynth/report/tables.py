"""What was found in a run -> rows of the page's tables, as plain text ready to be shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from medsynth.artifacts.cohort import NO_FOLD, Cohort, Sample
from medsynth.artifacts.scores import LOWER_IS_BETTER
from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, Made, mean_and_spread

SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class LabelRow:
    """How often a label occurs: (images, patients) in every part, and among all images as a share."""

    name: str
    parts: list[tuple[int, int]]
    total: tuple[int, int]
    share: float


@dataclass(frozen=True)
class Cell:
    """One score of one arm over the folds."""

    mean: str
    spread: str
    folds: list[str]
    best: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """Scores of one unit (or of one metric's labels): a row a score, a cell an arm."""

    unit: str
    tested: str  # how many of the unit were tested, in words
    rows: list[tuple[str, list[Cell]]]
    positives: dict[str, str]  # label -> positive cases in each fold, in words

    @property
    def blocks(self) -> list[list[tuple[str, list[Cell]]]]:
        """The scores, so many at a time as fit side by side on a page with an arm in each row."""
        count = -(-len(self.rows) // SIDE_BY_SIDE)  # rounded up; blocks of like size
        return [self.rows[len(self.rows) * i // count : len(self.rows) * (i + 1) // count] for i in range(count)]


@dataclass(frozen=True)
class ArmRow:
    """What a classifier was trained on."""

    name: str
    meaning: str
    real: str
    synthetic: str
    made: bool  # synthetic images are part of it


def description(found: Found) -> list[str]:
    """The cohort in sentences."""
    facts, images = found.cohort.facts, words.count(len(found.cohort.samples), "image")
    patients = f" of {words.count(len(found.cohort.patients()), 'patient')}" if facts.has_patients else ""
    colour = "grey" if facts.channels == 1 else "colour"
    said = [f"{images}{patients}, in {colour}, {facts.image_size} × {facts.image_size} pixels."]
    if facts.one_class:
        grades = ", which are grades" if facts.ordinal else ""
        said.append(f"Each belongs to one of {words.count(len(facts.labels), 'class', 'classes')}{grades}.")
    else:
        said.append(f"Each may have any of {words.count(len(facts.labels), 'label')}, or none.")
    if facts.crop:
        said.append(words.sentence(facts.crop))
    if facts.mirror:
        said.append("A mirrored image counts as equally plausible.")
    if facts.has_patients:
        said.append("All images of a patient are in the same fold.")
    else:
        said.append("There were no patient ids: every image was taken for a patient of its own.")
    return said


def parts(found: Found) -> list[tuple[str, Cohort]]:
    """The folds as parts of the cohort, and what an official split keeps from being tested."""
    fold_of = {s.sample: s.fold if s.fold in found.folds else NO_FOLD for s in found.cohort.samples}
    names = {fold: f"fold {fold}" for fold in found.folds} | (
        {NO_FOLD: "never tested"} if NO_FOLD in fold_of.values() else {}
    )

    def part(fold: int) -> Cohort:
        return Cohort(found.cohort.facts, tuple(s for s in found.cohort.samples if fold_of[s.sample] == fold))

    return [(name, part(fold)) for fold, name in names.items()]


def labels(found: Found) -> list[LabelRow]:
    """A row a label, then all images."""
    columns = [part for _, part in parts(found)]

    def row(name: str, index: int | None) -> LabelRow:
        total = _sizes(found.cohort.samples, index)
        return LabelRow(
            name, [_sizes(part.samples, index) for part in columns], total, total[0] / max(1, len(found.cohort.samples))
        )

    return [*(row(name, i) for i, name in enumerate(found.cohort.facts.labels)), row("all images", None)]


def _sizes(samples: Iterable[Sample], label: int | None) -> tuple[int, int]:
    """Images and patients, of one label or of all."""
    chosen = [s for s in samples if label is None or s.labels[label]]
    return len(chosen), len({s.patient for s in chosen})


def arms(found: Found) -> list[ArmRow]:
    """What each classifier was trained on, with the number of images in every fold."""
    rows = []
    for name in found.arms:
        folds = found.of("classify", name)
        real = [_real_images(found, arm) for arm in folds]
        made = [expansion.images if (expansion := found.expansion_of(arm)) else 0 for arm in folds]
        rows.append(ArmRow(words.arm(name), words.meaning(name), _range(real), _range(made), any(made)))
    return rows


def _real_images(found: Found, arm: Made) -> int:
    """As many as it says that it learned from; where it does not, those that the fold trains on now."""
    if (told := arm.get("summary").get("real_images")) is not None:
        return int(told)
    return 0 if arm.kind.startswith("synthetic-only") else len(found.cohort.training(arm.fold or 0).samples)


def scores(found: Found, unit: str) -> ScoreTable:
    """Every metric over all labels."""
    rows = [(words.metric(metric), cells(found, unit, metric)) for metric in found.metrics(unit)]
    return ScoreTable(unit, _tested(found, unit), rows, {})


def label_scores(found: Found, unit: str, metric: str = "auc") -> ScoreTable:
    """One metric for each label that has it."""
    have = {s.label for s in found.arm_scores if (s.unit, s.metric) == (unit, metric) and s.label}
    labels = [name for name in found.cohort.facts.labels if name in have]
    positives = {name: _positives(found, unit, name) for name in labels}
    return ScoreTable(unit, "", [(name, cells(found, unit, metric, name)) for name in labels], positives)


def _positives(found: Found, unit: str, label: str) -> str:
    """`5, 6 and 4`: every arm is tested on the same cases, so any arm's count will do."""
    counts = {fold: n for folds in found.values(unit, "positives", label).values() for fold, n in folds.items()}
    return words.listed(f"{counts[fold]:.0f}" for fold in sorted(counts)) if counts else ""


def cells(found: Found, unit: str, metric: str, label: str = "") -> list[Cell]:
    """One score of every arm, in the order of the arms."""
    values = found.values(unit, metric, label)
    means = {arm: f"{fmean(folds.values()):.3f}" for arm, folds in values.items()}
    choose = min if metric in LOWER_IS_BETTER else max
    best = choose(means.values(), key=float) if len(means) > 1 else ""
    row = []
    for arm in found.arms:
        folds = values.get(arm, {})
        if not folds:
            row.append(Cell(NOTHING, "", []))
            continue
        spread = mean_and_spread(folds.values())[1]
        each = (
            [_short(folds[fold]) if fold in folds else NOTHING for fold in found.folds] if len(found.folds) > 1 else []
        )
        marked = metric in words.METRICS and metric not in words.TRADED
        row.append(
            Cell(
                means[arm].replace("-", "−"),
                "" if spread is None else f"± {spread:.3f}",
                each,
                marked and means[arm] == best,
            )
        )
    return row


def _short(value: float) -> str:
    """`.702`: without the zero that all of them share."""
    return f"{value:.3f}".replace("-", "−").replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.3f}"


def _tested(found: Found, unit: str) -> str:
    """`64, 61 and 66 eyes in the folds 0, 1 and 2`, as far as the scores say."""
    counts = {
        s.fold: s.score.n
        for s in found.arm_scores
        if s.unit == unit and not s.label and s.score.n and s.score.unit in (None, unit)
    }
    if not counts:
        return ""
    folds = sorted(counts)
    if len(folds) > 1 and len(set(counts.values())) == 1:
        return f"{counts[folds[0]]:,} {words.MANY[unit]} tested in each of {words.count(len(folds), 'fold')}"
    where = f"fold {folds[0]}" if len(folds) == 1 else f"the folds {words.listed(folds)}"
    return f"{words.listed(f'{counts[fold]:,}' for fold in folds)} {words.MANY[unit]} tested in {where}"


def _range(counts: list[int]) -> str:
    """`240`, or `231 – 246` where folds differ."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} – {high:,}"
