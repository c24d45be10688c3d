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
DECIDED = ("sensitivity", "specificity")


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
        Row(_against(c), _cells(c, c.changes[known.primary])) for c in _ordered(known) if known.primary in c.changes
    ]
    heads = ("difference", f"{words.percent(known.level)} interval", "p", "permuted", "over folds", "Holm")
    family = sum(c.declared for c in known.comparisons if known.primary in c.changes)
    title = f"{words.metric(known.primary)} by {known.unit}, each fold's mean"
    remark = (
        f"p: of the bootstrap, by {known.resamples:,} resamples of the patients, the same for both arms, as is the "
        "interval; permuted: arms swapped within patients; over folds: a t-test that knows that folds share patients, "
        f"a dash for one fold; Holm: the bootstrap's p, adjusted for {words.count(family, 'declared comparison')}, a "
        "dash is a control. A difference is called proven only where the permuted p is small, too, which holds for few "
        "patients. Trained models are taken as they are."
    )
    return Table(title, heads, rows, (found.comparisons_file,), remark=remark)


def pooled(found: Found, known: Comparisons) -> Table:
    """The same differences of AUC and mAP twice: as means over folds, and from ranks that are pooled over all folds."""
    rows = [
        Row(f"{_against(c)}, {words.metric(name)}", _between(c.changes[name]) + _between(c.pooled[name]))
        for c in _ordered(known)
        for name in dict.fromkeys((known.primary, *TOTAL.values()))
        if name in c.pooled and name in c.changes
    ]
    heads = ("mean over folds", "interval", "p", "all folds together", "interval", "p")
    remark = (
        "All folds together: a rank within its fold means the same in every fold, a probability need not; so the "
        f"ranks of all folds' {words.MANY[known.unit]} are scored at once. Where the two differ, so do folds."
    )
    return Table("", heads, rows, (found.comparisons_file,), remark=remark)


def decisions(found: Found, known: Comparisons) -> Table:
    """What two arms decide about the same patients at 0.5, all labels together and all folds."""
    rows = [
        Row(f"{_against(c)}, {metric}", (words.signed(d.difference), f"{d.gained:,}", f"{d.lost:,}", words.chance(d.p)))
        for c in _ordered(known)
        for metric in DECIDED
        if (d := c.mcnemar.get(metric))
    ]
    heads = ("difference", "right with the first alone", "right with the second alone", "p")
    one_class = found.cohort.facts.one_class
    decides = "the most probable class counts" if one_class else "a probability of 0.5 decides"
    remark = (
        f"McNemar's test, in which two {words.MANY[known.unit]} of a patient are less than two patients: {decides}, "
        f"for every {known.unit} and {'class' if one_class else 'label'}; what both arms decide alike says nothing. "
        "These p-values are not adjusted for their number."
    )
    return Table("", heads, rows, (found.comparisons_file,), remark=remark)


def areas(found: Found, known: Comparisons) -> Table:
    """DeLong's test of the area under the ROC curve of each label."""
    rows = [
        Row(
            f"{_against(c)}, {words.label(label)}",
            (words.signed(c.delong[label].difference), words.chance(c.delong[label].p)),
        )
        for c in _ordered(known)
        for label in known.labels
        if label in c.delong
    ]
    remark = (
        f"DeLong's test over patients and folds, in which two {words.MANY[known.unit]} of a patient are less than two "
        "patients. These p-values are not adjusted for their number."
    )
    return Table("", ("difference in AUC", "p, DeLong"), rows, (found.comparisons_file,), remark=remark)


def _ordered(known: Comparisons) -> list[Comparison]:
    return sorted(known.comparisons, key=lambda c: (words.arm_order(c.arm), words.arm_order(c.baseline)))


def _against(of: Comparison) -> str:
    return f"{words.arm(of.arm)} against {words.arm(of.baseline)}"


def _between(change: Change) -> tuple[str, str, str]:
    between = NOTHING if change.low is None or change.high is None else words.between(change.low, change.high)
    return words.signed(change.difference), between, words.chance(change.p)


def _cells(of: Comparison, change: Change) -> tuple[str, ...]:
    several = (change.permutation_p, change.corrected_t_p, of.holm_p)
    return (*_between(change), *map(words.chance, several))


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
    return OfLabels(_against(of), tuple(plots), tuple(missing))


def _rows(of: Comparison, known: Comparisons, tested: Tested, score: str) -> Iterator[forest.Row]:
    for label in known.labels:
        if change := of.changes.get(f"{score}.{label}"):
            note = f"{tested.positive[label]:,}" if label in tested.positive else ""
            yield forest.Row(words.label(label), change.difference, change.low, change.high, note)
    if change := of.changes.get(TOTAL[score]):
        yield forest.Row("together", change.difference, change.low, change.high, total=True)
