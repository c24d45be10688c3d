"""Scores of the arms in every fold -> the answer, in words that claim no more than the numbers show."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from medsynth.report import words

FEWEST_FOLDS = 3  # a spread over fewer says nothing
NO_DIFFERENCE = 0.005  # of an AUC: below it a difference is not worth a word, however steady
BASELINES = {
    "real": "with the real images alone",
    "real+geometric": "with real images that are turned, shifted and scaled",
}

Values = Mapping[str, Mapping[int, float]]  # arm -> fold -> score


@dataclass(frozen=True)
class Comparison:
    """One arm against another, on the folds that have both."""

    arm: str
    baseline: str
    reached: float  # mean of the arm over those folds
    base: float  # mean of the baseline over those folds
    differences: tuple[float, ...]  # one a fold, arm minus baseline

    @property
    def mean(self) -> float:
        return fmean(self.differences)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the differences over folds; None for one fold."""
        return stdev(self.differences) if len(self.differences) > 1 else None

    @property
    def verdict(self) -> str:
        """`higher` or `lower` only where the mean difference exceeds its spread over enough folds."""
        if abs(self.mean) < NO_DIFFERENCE:
            return "equal"
        clear = len(self.differences) >= FEWEST_FOLDS and self.spread is not None and abs(self.mean) > self.spread
        if self.mean > 0:
            return "higher" if clear else "perhaps higher"
        return "lower" if clear else "perhaps lower"


@dataclass(frozen=True)
class Answer:
    """What the top of the report says."""

    headlines: tuple[str, ...]  # one a generator
    sentences: tuple[str, ...]
    caution: str
    comparisons: tuple[Comparison, ...] = ()


def compare(values: Values, arm: str) -> list[Comparison]:
    """An arm against every baseline there is, all on the same folds: those that have the arm and all the baselines.

    A baseline that shares no fold with the arm and the baselines before it is left out.
    """
    folds, bases = set(values[arm]), []
    for base in BASELINES:
        if folds & set(values.get(base, {})):
            folds &= set(values[base])
            bases.append(base)
    ours = [values[arm][fold] for fold in sorted(folds)]
    theirs = {base: [values[base][fold] for fold in sorted(folds)] for base in bases}
    return [
        Comparison(arm, base, fmean(ours), fmean(found), tuple(a - b for a, b in zip(ours, found, strict=True)))
        for base, found in theirs.items()
    ]


def answer(values: Values, *, metric: str = "AUC", unit: str = "image", has_patients: bool = True) -> Answer:
    """Did synthetic images help? `values` are scores for which more is better, of one metric and one unit."""
    arms = sorted((arm for arm in values if words.generators_of(arm)), key=words.arm_order)
    against = {arm: found for arm in arms if (found := compare(values, arm))}
    if not against:
        return Answer(
            ("No answer yet.",),
            ("No classifier has been trained both with and without synthetic images on the same fold.",),
            "What is on this page describes the data and the models so far.",
        )
    whom = (
        f"{words.MANY[unit]} of patients it had never seen"
        if has_patients and unit != "patient"
        else f"{words.MANY[unit]} it had never seen"
    )
    sentences = [_sentence(found, metric, whom) for found in against.values()] + _control(values, metric)
    comparisons = tuple(c for found in against.values() for c in found)
    headlines = tuple(_headline(found, several=len(against) > 1) for found in against.values())
    return Answer(headlines, tuple(sentences), _caution(comparisons, metric, has_patients), comparisons)


def _headline(found: list[Comparison], several: bool) -> str:
    """The plainest true sentence. An arm has to beat every baseline there is before it is said to do better."""
    subject = (
        f"Synthetic images by {words.listed(words.generator(k) for k in words.generators_of(found[0].arm))}"
        if several
        else "Synthetic images"
    )
    verdicts = {c.baseline: c.verdict for c in found}
    folds = min(len(c.differences) for c in found)
    few = f"; {words.count(folds, 'fold')} cannot settle it" if folds < FEWEST_FOLDS else ""
    if all(v == "higher" for v in verdicts.values()):
        if "real+geometric" not in verdicts:
            return f"{subject} improved on the real images alone; plain geometric augmentation was not tried."
        return f"{subject} improved the classifier in this run."
    if all(v == "lower" for v in verdicts.values()):
        return f"{subject} made the classifier worse."
    if verdicts.get("real") == "higher":
        return f"{subject} improved on the real images alone, but are not shown to beat plain geometric augmentation."
    if "higher" not in found[0].verdict:  # against the real images alone, where there is such an arm
        return f"{subject} did not help{few}."
    if all("higher" in v for v in verdicts.values()):
        return f"{subject} are not shown to help{few or ': the gain is within the spread over folds'}."
    return f"{subject} are not shown to help{few}."


def _sentence(found: list[Comparison], metric: str, whom: str) -> str:
    kinds = words.listed(words.generator(kind) for kind in words.generators_of(found[0].arm))
    turned = ", turned, shifted and scaled" if "geometric" in found[0].arm.split("+") else ""
    folds = len(found[0].differences)
    over = f"mean ± standard deviation over {folds} folds" if folds > 1 else "one fold"
    return (
        f"With real images and synthetic ones by {kinds}{turned}, the classifier reached an {metric} of "
        f"{found[0].reached:.3f} on {whom}. "
        f"That is {words.listed(_difference(c) for c in found)}; {over}."
    )


def _difference(c: Comparison) -> str:
    """`0.034 ± 0.012 more than with the real images alone (0.677)`."""
    spread = "" if c.spread is None else f" ± {c.spread:.3f}"
    size = f"{abs(c.mean):.3f}"
    return (
        f"{size}{spread} {'less' if c.mean < 0 and float(size) else 'more'} than {BASELINES[c.baseline]} ({c.base:.3f})"
    )


def _control(values: Values, metric: str) -> list[str]:
    """How far synthetic images get alone; nothing for a metric of which the value of guessing is not known."""
    alone = {arm: fmean(folds.values()) for arm, folds in sorted(values.items()) if arm.startswith("synthetic-only")}
    if not alone or metric != "AUC":
        return []
    which = f" ({words.listed(alone)})" if len(alone) > 1 else ""
    reached = words.listed(f"{value:.3f}" for value in alone.values())
    return [f"Trained on synthetic images alone it reached {reached}{which}, where 0.5 is guessing."]


def _caution(comparisons: tuple[Comparison, ...], metric: str, has_patients: bool) -> str:
    folds = min(len(c.differences) for c in comparisons)
    said = []
    if folds < FEWEST_FOLDS:
        said.append(f"{words.count(folds, 'fold').capitalize()} cannot tell a difference from chance.")
    elif any(c.verdict in ("perhaps higher", "perhaps lower") for c in comparisons):
        said.append("A difference that is smaller than its spread over folds may well be chance.")
    said.append(
        f"This page gives means and spreads of the {metric}, not a test of significance: "
        "confidence needs more folds and more patients."
    )
    if not has_patients:
        said.append(
            "No patient ids were given, so the same patient may be on both sides of the split, "
            "and every score may be too good."
        )
    return " ".join(said)
