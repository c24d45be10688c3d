"""Segmenters that learned from synthetic images beside the real ones, against the same ones without -> did these help?

Declared beforehand: each NAME+GENERATOR against NAME, by the Dice of each test image. They are one family. Only those
are compared that were trained alike, on images that both were tested on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from markupsafe import Markup

from medsynth import arms, seeds, variants
from medsynth.artifacts import segmentations
from medsynth.metrics.corrected_t import corrected_t
from medsynth.metrics.multiplicity import holm
from medsynth.metrics.paired import FEWEST, Paired, Scored, paired
from medsynth.metrics.permutation import PERMUTATIONS
from medsynth.metrics.resampling import RESAMPLES
from medsynth.report import forest, segmentation, words
from medsynth.report.answer import BY_OTHERS, FEWEST_FOLDS, Answer, Gain
from medsynth.report.collect import NOTHING, Found, Made
from medsynth.report.proof import Row, Table

DECIDES = "dice"
SCORES = {"dice": "Dice", "dice_lesions": "Dice, with a lesion", "iou": "IoU"}
SOURCE = "fold-*/segment/*/masks.csv"
AS_MANY = 1.1  # times the steps of the other one; more is another training
HEADLINES = {  # verdict -> what synthetic images did, the best first
    "higher": "made the masks better in this run.",
    "perhaps higher": "may have made the masks better; {unsettled}.",
    "undecided": "are not shown to make masks better.",
    "perhaps lower": "may have made the masks worse; {unsettled}.",
    "lower": "made the masks worse.",
}

NO_ANSWER = Answer(
    ("No answer yet.",),
    ("No segmenters with and without synthetic images have been compared on the same fold.",),
    "What is on this page describes the data and the models so far.",
)

Images = list[tuple[segmentations.Found, segmentations.Found]]  # without and with synthetic images


@dataclass(frozen=True)
class How:
    """How the statistics are done: as those of the classifiers where these were compared."""

    level: float = 0.95
    resamples: int = RESAMPLES
    permutations: int = PERMUTATIONS


@dataclass(frozen=True)
class MaskGain:
    """One segmenter with the images of one generator, minus the same without them."""

    kind: str  # `unet+geca`
    changes: dict[str, Paired]  # of SCORES, those that there are
    over_folds: dict[str, float]  # of these the p over folds, from three folds on
    reached: tuple[float, float]  # mean Dice without and with
    folds: tuple[int, ...]
    images: int  # that both were tested on
    patients: int | None  # None: not known
    holm_p: float  # of Dice: that of the permutation, adjusted
    level: float

    @property
    def segmenter(self) -> str:
        return segmentation.called(variants.parted(self.kind)[0])

    @property
    def generator(self) -> str:
        return words.generator(variants.parted(self.kind)[1])

    @property
    def dice(self) -> Gain:
        of, folds = self.changes[DECIDES], len(self.folds)
        plain = variants.parted(self.kind)[0]
        alpha = round(1 - self.level, 12)
        adjusted, permuted = self.holm_p, of.permutation_p
        return Gain(self.kind, plain, of.value, of.low, of.high, adjusted, folds, folds, alpha, permuted)

    @property
    def standing(self) -> str:
        """`500 images of 399 patients`."""
        whom = "" if self.patients is None else f" of {words.count(self.patients, 'patient')}"
        return f"{words.count(self.images, 'image')}{whom}"


def gains(found: Found) -> tuple[MaskGain, ...]:
    """Every pair that can be compared, in the order of the segmenters."""
    return found.once(_gains)


def pairs(found: Found) -> list[str]:
    """The segmenters that learned from synthetic images, and that are there without them, too."""
    return [kind for kind in found.kinds("segment") if _pairs(found, kind)]


def unlike(found: Found) -> list[str]:
    """Sentences about segmenters that cannot be compared with what they were without synthetic images."""
    return [
        f"{ours.artifact.name} cannot be compared with {theirs.artifact.name} ({why})"
        for kind in pairs(found)
        for theirs, ours in _pairs(found, kind).values()
        if (why := _unlike(found, theirs, ours))
    ]


def how(found: Found) -> How:
    known = found.comparisons
    return How(known.level, known.resamples, known.permutations) if known else How()


def _pairs(found: Found, kind: str) -> dict[int, tuple[Made, Made]]:
    """fold -> the segmenter without and with; none for one that knows no synthetic images."""
    plain, generator = variants.parted(kind)
    without = {made.fold: made for made in found.of("segment", plain)} if generator else {}
    both = {made.fold: (without[made.fold], made) for made in found.of("segment", kind) if made.fold in without}
    return {fold: both[fold] for fold in sorted(fold for fold in both if fold is not None)}


def _unlike(found: Found, theirs: Made, ours: Made) -> str:
    """Why the two cannot be compared; "" where they can."""
    why = [*arms.unlike({"real": theirs.record, ours.kind: ours.record}).values()]
    taken, usual = (made.get("summary").get("steps") or 0 for made in (ours, theirs))
    if not why and max(taken, usual) > AS_MANY * min(taken, usual):  # where minutes were given
        why.append(f"{taken:,} steps were taken, not {usual:,}")
    if theirs.record.get("trained_on") != ours.record.get("trained_on"):
        why.append("they learned from other patients")
    if len({row.patient for _, row in _shared(found, theirs, ours)}) < FEWEST:
        why.append(f"both were tested on images of fewer than {FEWEST} of the fold's patients")
    return "; ".join(why)


def _shared(found: Found, theirs: Made, ours: Made) -> Images:
    """The images that both were tested on, and that the fold tests now."""
    tested = {sample.sample for sample in found.cohort.testing(ours.fold or 0).samples}
    known = {row.sample: row for row in segmentations.load(theirs.folder) if row.sample in tested}
    return [(known[row.sample], row) for row in segmentations.load(ours.folder) if row.sample in known]


def _gains(found: Found) -> tuple[MaskGain, ...]:
    known = []
    for kind in pairs(found):
        alike = {fold: pair for fold, pair in _pairs(found, kind).items() if not _unlike(found, *pair)}
        if alike:
            known.append(_gain(found, kind, {fold: _shared(found, *pair) for fold, pair in alike.items()}))
    raised = holm([gain.holm_p for gain in known])
    return tuple(replace(gain, holm_p=p) for gain, p in zip(known, raised, strict=True))


def _gain(found: Found, kind: str, shared: Mapping[int, Images]) -> MaskGain:
    """Before the adjustment."""
    rows, asked = [both for of in shared.values() for both in of], how(found)
    run_seed = str(found.of("segment", kind)[0].record.get("seed", 0))
    every = paired(
        [_scored(of) for of in shared.values()], seed=seeds.derive(run_seed, "segment", "with and without", kind),
        resamples=asked.resamples, permutations=asked.permutations, level=asked.level,
    )  # fmt: skip
    changes = {name: change for name, change in zip(SCORES, every, strict=True) if isfinite(change.value)}
    without, with_ = (float(np.mean([both[side].dice for both in rows])) for side in (0, 1))
    patients = len({ours.patient for _, ours in rows}) if found.cohort.facts.has_patients else None
    return MaskGain(
        kind, changes, _over_folds(found, changes), (without, with_), tuple(shared), len(rows), patients,
        changes[DECIDES].permutation_p, asked.level,
    )  # fmt: skip


def _over_folds(found: Found, changes: Mapping[str, Paired]) -> dict[str, float]:
    several = {name: change.by_fold for name, change in changes.items() if len(change.by_fold) >= FEWEST_FOLDS}
    tests = {name: corrected_t(of, 1 / (found.cohort.facts.folds - 1)) for name, of in several.items()}
    return {name: test.p for name, test in tests.items() if test and test.p is not None}


def _scored(of: Images) -> Scored:
    """Of each image one column a score."""
    theirs, ours = (
        np.array([[getattr(both[side], name.removesuffix("_lesions")) for name in SCORES] for both in of])
        for side in (0, 1)
    )
    weight = [[float(not name.endswith("_lesions") or ours.true_area > 0) for name in SCORES] for _, ours in of]
    return Scored([ours.patient for _, ours in of], ours, theirs, np.array(weight))


def table(found: Found) -> Table:
    """Every pair, by every score."""
    known, asked = gains(found), how(found)
    rows = [
        Row(f"{gain.segmenter}, with {gain.generator}'s images against without, {SCORES[name]}", _cells(gain, name))
        for gain in known
        for name in gain.changes
    ]
    heads = ("difference", f"{words.percent(asked.level)} interval", "p", "permuted", "over folds", "Holm")
    remark = (
        f"Mean over test images of all folds together. p: of the bootstrap, by {asked.resamples:,} resamples of the "
        "patients, the same for both, as is the interval; permuted: with and without swapped within patients; over "
        "folds: a t-test that knows that folds share patients, a dash for fewer than three; Holm: the permuted p of "
        f"Dice, which holds for few patients, too, adjusted for {words.count(len(known), 'declared comparison')}; the "
        "other p-values are not adjusted. Trained models are taken as they are."
    )
    return Table("With and without synthetic images", heads, rows, (SOURCE,), remark=remark)


def plot(found: Found, known: Sequence[MaskGain]) -> Markup | None:
    """What Dice gained, pair by pair."""
    rows = [
        forest.Row(f"{gain.generator}, {gain.segmenter}", gain.dice.difference, gain.dice.low, gain.dice.high)
        for gain in known
    ]
    axis = f"difference in the mean Dice of an image, {words.percent(how(found).level)} intervals"
    return forest.forest(rows, axis) if rows else None


def _cells(gain: MaskGain, name: str) -> tuple[str, ...]:
    change = gain.changes[name]
    adjusted = gain.holm_p if name == DECIDES else None
    chances = (change.p, change.permutation_p, gain.over_folds.get(name), adjusted)
    return (words.signed(change.value), words.between(change.low, change.high), *map(words.chance, chances))


def answer(found: Found, *, alone: bool = True) -> Answer | None:
    """Did synthetic images make masks better? None: nothing was compared. `alone`: nobody else answers, so that
    everything that has to be kept in mind is said here."""
    known = gains(found)
    if not known:
        return None
    told: dict[str, list[MaskGain]] = {}
    for gain in sorted(known, key=lambda gain: [*HEADLINES].index(gain.dice.verdict)):  # of equal ones the first first
        told.setdefault(HEADLINES[gain.dice.verdict].format(unsettled=_unsettled(gain)), []).append(gain)
    named = dict(zip((gain.kind for gain in known), names(known), strict=True)) if len(known) > 1 else {}
    headlines = tuple(
        f"{_subject([named[gain.kind] for gain in which if named])} {what}" for what, which in told.items()
    )
    sentences = () if len(known) > 1 else (_sentence(known[0]),)
    return Answer(headlines, sentences, _caution(found, known, alone))


def no_answer(found: Found) -> Answer:
    """That nothing was compared; and how well lesions are found by what learned from real images alone."""
    alone = [kind for kind in found.kinds("segment") if not variants.parted(kind)[1]]
    rows = {kind: segmentation.row(kind, found.of("segment", kind)) for kind in alone}
    dice = {row.name: row.main[0].said for row in rows.values() if row.main[0].said != NOTHING}
    if not dice:
        return NO_ANSWER
    best = sorted(dice, key=lambda name: -float(dice[name]))
    reached = words.listed(f"{dice[name]} ({name})" for name in best)
    said = f"Segmenters that learned from real images alone reach, on test images, a mean Dice of {reached}."
    return replace(NO_ANSWER, sentences=(*NO_ANSWER.sentences, said))


def _unsettled(gain: MaskGain) -> str:
    folds = len(gain.folds)
    few = folds < FEWEST_FOLDS
    return f"{words.count(folds, 'fold')} cannot settle it" if few else BY_OTHERS


def names(known: Sequence[MaskGain]) -> list[str]:
    """`GeCA`; `GeCA for U-Net` where there are several segmenters."""
    several = len({gain.segmenter for gain in known}) > 1
    return [f"{gain.generator} for {gain.segmenter}" if several else gain.generator for gain in known]


def _subject(named: Sequence[str]) -> str:
    return f"Synthetic images by {words.listed(named)}" if named else "Synthetic images"


def _sentence(gain: MaskGain) -> str:
    of, (without, with_) = gain.changes[DECIDES], gain.reached
    return (
        f"With synthetic images and masks by {gain.generator} beside the real ones, the mean Dice of {gain.segmenter} "
        f"changed by {words.signed(of.value)} (interval {words.between(of.low, of.high)}), from {without:.3f} to "
        f"{with_:.3f}."
    )


def _caution(found: Found, known: Sequence[MaskGain], alone: bool) -> str:
    folds = min(len(gain.folds) for gain in known)
    said = [
        f"Intervals and p-values of masks are over patients (intervals by a bootstrap of {how(found).resamples:,} "
        "resamples, the same for both sides; Holm's adjustment is of the p of a permutation) and take the trained "
        "segmenters as they are: each was trained once in a fold, and how far two trainings differ is not in them."
    ]
    if folds < FEWEST_FOLDS:
        said.append(
            f"{words.count(folds, 'fold')} of masks cannot settle anything: no difference is called proven with fewer "
            f"than {FEWEST_FOLDS}."
        )
    if alone and not found.cohort.facts.has_patients:
        said.append(
            "No patient ids were given, so the same patient may be on both sides of the split, "
            "and every score may be too good."
        )
    return " ".join(said)
