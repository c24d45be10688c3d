"""What `compare` found -> the table of all arms against each other, and forest plots over all and for each label."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from medsynth.artifacts.comparisons import Change, Comparison, Comparisons
from medsynth.report import forest, words
from medsynth.report.answer import Gain
from medsynth.report.collect import NOTHING, Found
from medsynth.report.counts import Tested
from medsynth.report.proof import Row, Table

OF_LABEL = {"ap": "average precision", "auc": "AUC"}  # scores that single labels have
TOTAL = {"ap": "map", "auc": "auc"}  # and their mean over all labels


@dataclass(frozen=True)
class OfLabels:
    """One arm against another, label by label."""

    title: str
    plots: tuple[Markup, ...]
    unscored: tuple[str, ...]  # labels without a score


def gain_plot(found: tuple[Gain, ...], axis: str) -> Markup | None:
    """The gain of the first page. One generator: against every arm without it; several: against the first of these."""
    arms = list(dict.fromkeys(gain.arm for gain in found))
    shown = list(found)
    if len(arms) > 1:
        shown = [next(gain for gain in found if gain.arm == arm) for arm in arms]
    rows = [forest.Row(_called(gain, several=len(arms) > 1), gain.difference, gain.low, gain.high) for gain in shown]
    return forest.forest(rows, axis) if rows else None


def _called(gain: Gain, several: bool) -> str:
    made = words.listed(map(words.generator, words.generators_of(gain.arm)))
    return f"{made} against {words.arm(gain.baseline)}" if several else f"against {words.arm(gain.baseline)}"


def table(found: Found, known: Comparisons) -> Table:
    """Every arm against what it is set against, by the score that was declared to decide."""
    rows = [
        Row(f"{words.arm(c.arm)} against {words.arm(c.baseline)}", _cells(c, c.changes[known.primary]))
        for c in sorted(known.comparisons, key=lambda c: (words.arm_order(c.arm), words.arm_order(c.baseline)))
        if known.primary in c.changes
    ]
    heads = ("difference", f"{words.percent(known.level)} interval", "p", "permuted", "over folds", "Holm")
    title = f"{words.metric(known.primary)} by {known.unit}, each fold's mean"
    remark = (
        f"p: by {known.resamples:,} resamples of the patients, the same for both arms, as is the interval; permuted: "
        "arms swapped within patients; over folds: a t-test that knows that folds share patients; Holm: the "
        "declared comparisons held together, a dash is a control. Trained models are taken as they are."
    )
    return Table(title, heads, rows, (found.comparisons_file,), remark=remark)


def _cells(of: Comparison, change: Change) -> tuple[str, ...]:
    between = NOTHING if change.low is None or change.high is None else words.between(change.low, change.high)
    several = (change.p, change.permutation_p, change.corrected_t_p, of.holm_p)
    return (words.signed(change.difference), between, *map(words.chance, several))


def of_labels(known: Comparisons, tested: Tested) -> list[OfLabels]:
    """Plots for each declared comparison, against the real images alone first."""
    declared = [c for c in known.comparisons if c.declared]
    declared.sort(key=lambda c: (words.arm_order(c.baseline), words.arm_order(c.arm)))
    return [each for c in declared if (each := _of_labels(c, known, tested)).plots]


def _of_labels(of: Comparison, known: Comparisons, tested: Tested) -> OfLabels:
    plots = [
        forest.forest(rows, f"difference in {name}")
        for score, name in OF_LABEL.items()
        if len(rows := [*_rows(of, known, tested, score)]) > 1
    ]
    missing = [words.label(label) for label in known.labels if f"auc.{label}" not in of.changes]
    title = f"{words.arm(of.arm)} against {words.arm(of.baseline)}"
    return OfLabels(title, tuple(plots), tuple(missing))


def _rows(of: Comparison, known: Comparisons, tested: Tested, score: str) -> Iterator[forest.Row]:
    for label in known.labels:
        if change := of.changes.get(f"{score}.{label}"):
            note = f"{tested.positive[label]:,}" if label in tested.positive else ""
            yield forest.Row(words.label(label), change.difference, change.low, change.high, note)
    if change := of.changes.get(TOTAL[score]):
        yield forest.Row("together", change.difference, change.low, change.high, total=True)
