"""What `compare` found -> whether synthetic images helped, in words that claim no more than the numbers show."""

from collections.abc import Iterable
from dataclasses import dataclass

from medsynth.artifacts.comparisons import ArmFound, Change, Comparison, Comparisons
from medsynth.report import words

VERDICTS = ("higher", "perhaps higher", "undecided", "perhaps lower", "lower")  # the best first
SHUFFLED = "shuffled-labels"
BY_OTHERS = "by other tests it may be chance"
FEWEST_FOLDS = 3  # intervals are over patients: fewer say nothing of the luck of what was learned from whom


@dataclass(frozen=True)
class Gain:
    """The score that was declared to decide, of an arm with synthetic images minus that of an arm without."""

    arm: str
    baseline: str
    difference: float
    low: float | None  # paired bootstrap over patients
    high: float | None
    p: float | None  # adjusted for all declared comparisons
    folds: int  # that have both arms
    trainings: int  # of each arm: folds times repeats
    alpha: float = 0.05
    permutation_p: float | None = None  # of arms swapped within patients

    @property
    def verdict(self) -> str:
        """`higher` or `lower` only where zero is outside the interval, the adjusted p is small and so is that of the
        permutation, which holds for few patients, too, and no single fold can have been the reason, however often it
        was trained on; `perhaps` where the interval alone says so."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "undecided"
        clear = self.is_adjusted and self.is_permuted and self.folds >= FEWEST_FOLDS
        direction = "higher" if self.low > 0 else "lower"
        return direction if clear else f"perhaps {direction}"

    @property
    def is_adjusted(self) -> bool:
        """Whether the adjusted p is small."""
        return self.p is not None and self.p < self.alpha

    @property
    def is_permuted(self) -> bool:
        """Whether trainings swapped within patients seldom differ as much."""
        return self.permutation_p is not None and self.permutation_p <= self.alpha


@dataclass(frozen=True)
class Answer:
    """What the top of the report says."""

    headlines: tuple[str, ...]  # one for all generators of which the same is true
    sentences: tuple[str, ...]
    caution: str
    gains: tuple[Gain, ...] = ()  # by arm, the baselines in their usual order

    def beside(self, other: "Answer") -> "Answer":
        """Both, this one first."""
        return Answer(
            self.headlines + other.headlines, self.sentences + other.sentences, f"{self.caution} {other.caution}",
            self.gains + other.gains,
        )  # fmt: skip


def gains(known: Comparisons) -> tuple[Gain, ...]:
    """The declared comparisons of the primary score."""
    repeats = {arm.arm: arm.repeats for arm in known.arms}
    declared = [c for c in known.comparisons if c.declared and known.primary in c.changes]
    declared.sort(key=lambda c: (words.arm_order(c.arm), words.arm_order(c.baseline)))
    return tuple(_gain(c, known, len(c.folds) * min(repeats[c.arm], repeats[c.baseline])) for c in declared)


def _gain(of: Comparison, known: Comparisons, trainings: int) -> Gain:
    change = of.changes[known.primary]
    return Gain(
        of.arm, of.baseline, change.difference, change.low, change.high, of.holm_p, len(set(of.folds)), trainings,
        round(1 - known.level, 12), change.permutation_p,
    )  # fmt: skip


def answer(known: Comparisons | None, *, has_patients: bool = True) -> Answer:
    """Did synthetic images help? None: nothing was compared yet."""
    found = gains(known) if known else ()
    if known is None or not found:
        return Answer(
            ("No answer yet.",),
            ("No classifiers with and without synthetic images have been compared on the same fold.",),
            "What is on this page describes the data and the models so far.",
        )
    by_arm, told = _by_arm(found), dict[str, list[str]]()
    for arm in sorted(by_arm, key=lambda name: _rank(by_arm[name])):  # of equal ones the first stays first
        told.setdefault(_verdict(by_arm[arm]), []).append(arm)
    several = len(by_arm) > 1
    headlines = tuple(f"{_subject(which, several)} {what}" for what, which in told.items())
    sentences = [] if several else [_sentence([*found], known)]
    return Answer(headlines, (*sentences, *_control(known)), _caution(known, found, has_patients), found)


def _rank(found: list[Gain]) -> tuple[int, int]:
    """Small for an arm that did well against the first arm without a generator, and then against many."""
    return VERDICTS.index(found[0].verdict), sum(gain.verdict != "higher" for gain in found)


def _by_arm(found: Iterable[Gain]) -> dict[str, list[Gain]]:
    groups: dict[str, list[Gain]] = {}
    for gain in found:
        groups.setdefault(gain.arm, []).append(gain)
    return groups


def _subject(which: list[str], several: bool) -> str:
    if not several:
        return "Synthetic images"
    return f"Synthetic images by {words.listed(words.generator(k) for arm in which for k in words.generators_of(arm))}"


def _verdict(found: list[Gain]) -> str:
    """The plainest true sentence, without its subject. An arm has to beat every baseline there is before it is said to
    do better."""
    first, verdicts = found[0], {gain.baseline: gain.verdict for gain in found}
    alone = words.baseline(first.baseline)  # the real images alone, where there is such an arm
    if all(verdict == "higher" for verdict in verdicts.values()):
        if first.baseline == "real" and len(found) == 1:
            return f"improved on {alone}; augmentation without a generator was not tried."
        return "improved the classifier in this run."
    if all(verdict == "lower" for verdict in verdicts.values()):
        return "made the classifier worse."
    if first.verdict == "higher":
        others = [words.baseline(b) for b, verdict in verdicts.items() if verdict != "higher"]
        what = others[0] if len(others) == 1 else f"{len(others)} of the {len(found)} arms without a generator"
        return f"improved on {alone}, but are not shown to beat {what}."
    unsettled = _unsettled(first)
    doubts = {
        "lower": f"made the classifier worse than {alone}.",
        "perhaps higher": f"may have improved on {alone}; {unsettled}.",
        "perhaps lower": f"may have made the classifier worse than {alone}; {unsettled}.",
    }
    return doubts.get(first.verdict, "are not shown to help.")


def _unsettled(gain: Gain) -> str:
    if gain.folds < FEWEST_FOLDS:
        return f"{words.count(gain.folds, 'fold')} cannot settle it"
    return BY_OTHERS if gain.is_adjusted else "held together with the other comparisons, it may be chance"


def _sentence(found: list[Gain], known: Comparisons) -> str:
    first, scores = found[0], {arm.arm: arm for arm in known.arms}
    ours, theirs = scores[first.arm], scores[first.baseline]
    name, kinds = words.metric(known.primary), words.listed(map(words.generator, words.generators_of(first.arm)))
    said = (
        f"With synthetic images by {kinds} beside the real ones, the {name} changed by {words.signed(first.difference)}"
    )
    if first.low is not None and first.high is not None:
        said += f" (interval {words.between(first.low, first.high)})"
    reached = _reached(ours, known.primary, first), _reached(theirs, known.primary, first)
    if None not in reached:
        said += f", from {reached[1]:.3f} with {words.baseline(first.baseline)} to {reached[0]:.3f}"
    return f"{said}."


def _reached(arm: ArmFound, primary: str, of: Gain) -> float | None:
    """An arm's score, where it is of just the folds that the difference is of."""
    score = arm.scores.get(primary)
    return score.value if score and len(arm.folds) * arm.repeats == of.trainings else None


def _control(known: Comparisons) -> list[str]:
    """How far synthetic images get alone, and whether labels that mean nothing hurt, as they must."""
    alone = [arm for arm in known.arms if arm.arm.startswith("synthetic-only") and known.primary in arm.scores]
    said = []
    if alone:
        which = f" ({words.listed(words.arm(arm.arm) for arm in alone)})" if len(alone) > 1 else ""
        reached = words.listed(f"{arm.scores[known.primary].value:.3f}" for arm in alone)
        said.append(f"As a control, synthetic images alone reached {reached}{which}.")
    shuffled = [c for c in known.comparisons if c.arm.startswith(SHUFFLED) and known.primary in c.changes]
    return [*said, *(_shuffled(c, c.changes[known.primary], known) for c in shuffled)]


def _shuffled(of: Comparison, change: Change, known: Comparisons) -> str:
    """A control that is judged: synthetic images whose labels mean nothing have to hurt."""
    kind = of.arm.removeprefix(SHUFFLED).removeprefix("-")  # "" for the main generator's
    found = f"{words.signed(change.difference)} {words.metric(known.primary)}"
    if change.low is not None and change.high is not None:
        found += f", interval {words.between(change.low, change.high)}"
    judged = "did not hurt: then something else than the labels of synthetic images carries the score."
    if change.low is not None and change.high is not None:
        if change.high < 0:
            judged = "hurt, as they must."
        elif change.low <= 0:
            judged = (
                "are not shown to hurt, though they must: something else than the labels of synthetic images may "
                "carry the score."
            )
    whose = f" of {words.generator(kind)}" if kind else ""
    return f"Shuffled labels{whose}, against {words.baseline(of.baseline)} ({found}), {judged}"


def _caution(known: Comparisons, found: Iterable[Gain], has_patients: bool) -> str:
    folds = min(gain.folds for gain in found)
    once = all(arm.repeats == 1 for arm in known.arms)
    said = [
        f"Intervals and p-values are over patients (a bootstrap of {known.resamples:,} resamples, the same for both "
        "sides; Holm's adjustment is of its p-values) and take the trained classifiers as they are. A difference is "
        "called proven only where arms swapped within patients seldom differ as much, too."
    ]
    if once:
        also = " in a fold" if len({fold for arm in known.arms for fold in arm.folds}) > 1 else ""
        said.append(
            f"Every arm was trained once{also}: how far two trainings differ is not in them "
            "(medsynth classify --seeds 3)."
        )
    if folds < FEWEST_FOLDS:
        said.append(
            f"{words.count(folds, 'fold')} cannot settle anything, however often each is repeated: no difference is "
            f"called proven with fewer than {FEWEST_FOLDS}."
        )
    if not has_patients:
        said.append(
            "No patient ids were given, so the same patient may be on both sides of the split, "
            "and every score may be too good."
        )
    return " ".join(said)
