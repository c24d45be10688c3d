"""Segmenters that learned from synthetic images beside the real ones, against the same ones without -> did these help?

Declared beforehand: each NAME+GENERATOR against NAME, by the Dice of each test image. They are one family. Only those
are compared that were trained alike, on images that both were tested on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from medsynth import arms, seeds, variants
from medsynth.artifacts import segmentations
from medsynth.metrics.corrected_t import corrected_t
from medsynth.metrics.multiplicity import holm
from medsynth.metrics.paired import Paired, Scored, paired
from medsynth.metrics.resampling import RESAMPLES
from medsynth.report import forest, segmentation, words
from medsynth.report.answer import FEWEST_FOLDS, Answer, Gain
from medsynth.report.collect import Found, Made
from medsynth.report.proof import Row, Table

DECIDES = "dice"
SCORES = {"dice": "Dice", "dice_lesions": "Dice, with a lesion", "iou": "IoU"}
SOURCE = "fold-*/segment/*/masks.csv"
Images = list[tuple[segmentations.Found, segmentations.Found]]  # without and with synthetic images

HEADLINES = {  # verdict -> what synthetic images did, the best first
    "higher": "made the masks better in this run.",
    "perhaps higher": "may have made the masks better; {unsettled}.",
    "undecided": "are not shown to make masks better.",
    "perhaps lower": "may have made the masks worse; {unsettled}.",
    "lower": "made the masks worse.",
}


@dataclass(frozen=True)
class MaskGain:
    """One segmenter with the images of one generator, minus the same without them."""

    kind: str  # `unet+geca`
    changes: dict[str, Paired]  # one each of SCORES
    reached: tuple[float, float]  # mean Dice without and with
    folds: tuple[int, ...]
    images: int  # that both were tested on
    patients: int
    corrected_t_p: float | None  # over folds; None for fewer than three
    holm_p: float  # of Dice

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
        return Gain(self.kind, plain, of.value, of.low, of.high, self.holm_p, folds, folds)


def gains(found: Found) -> tuple[MaskGain, ...]:
    """Every pair that can be compared, in the order of the segmenters."""
    shared = {kind: _tested(found, kind) for kind in found.kinds("segment")}
    known = [_gain(found, kind, folds) for kind, folds in shared.items() if folds]
    raised = holm([gain.changes[DECIDES].p for gain in known])
    return tuple(replace(gain, holm_p=p) for gain, p in zip(known, raised, strict=True))


def _pairs(found: Found, kind: str) -> dict[int, tuple[Made, Made]]:
    """fold -> the segmenter without and with; none for one that knows no synthetic images."""
    plain, generator = variants.parted(kind)
    without = {made.fold: made for made in found.of("segment", plain)} if generator else {}
    return {m.fold or 0: (without[m.fold], m) for m in found.of("segment", kind) if m.fold in without}


def _unlike(theirs: Made, ours: Made) -> str:
    """In what the two were trained otherwise; "" where alike."""
    return "; ".join(arms.unlike({"real": theirs.record, ours.kind: ours.record}).values())


def unlike(found: Found) -> list[str]:
    """Sentences about segmenters that were left out, for they were trained otherwise."""
    return [
        f"{ours.artifact.name} was trained otherwise than without synthetic images ({why})"
        for kind in found.kinds("segment")
        for theirs, ours in _pairs(found, kind).values()
        if (why := _unlike(theirs, ours))
    ]


def _tested(found: Found, kind: str) -> dict[int, Images]:
    """fold -> the test images of both, of the folds in which they were trained alike."""
    alike = {fold: pair for fold, pair in _pairs(found, kind).items() if not _unlike(*pair)}
    return {fold: images for fold, pair in sorted(alike.items()) if (images := _shared(*pair))}


def _shared(theirs: Made, ours: Made) -> Images:
    known = {row.sample: row for row in segmentations.load(theirs.folder)}
    return [(known[row.sample], row) for row in segmentations.load(ours.folder) if row.sample in known]


def _gain(found: Found, kind: str, shared: dict[int, Images]) -> MaskGain:
    rows = [both for of in shared.values() for both in of]
    run_seed = str(found.of("segment", kind)[0].record.get("seed", 0))
    seed = seeds.derive(run_seed, "segment", "with and without", kind)
    changes = {name: paired([_scored(of, name) for of in shared.values()], seed=seed) for name in SCORES}
    without, with_ = (float(np.mean([both[side].dice for both in rows])) for side in (0, 1))
    several = len(shared) >= FEWEST_FOLDS
    t = corrected_t(changes[DECIDES].by_fold, 1 / (found.cohort.facts.folds - 1)) if several else None
    return MaskGain(
        kind, changes, (without, with_), tuple(shared), len(rows), len({ours.patient for _, ours in rows}),
        t.p if t else None, changes[DECIDES].p,
    )  # fmt: skip


def _scored(of: Images, name: str) -> Scored:
    lesions = name.endswith("_lesions")
    theirs, ours = (np.array([getattr(both[side], name.removesuffix("_lesions")) for both in of]) for side in (0, 1))
    weight = np.array([not lesions or ours.true_area > 0 for _, ours in of], dtype=float)
    return Scored([ours.patient for _, ours in of], ours, theirs, weight)


def table(known: Sequence[MaskGain]) -> Table:
    """Every pair, by every score."""
    rows = [
        Row(f"{gain.segmenter}, with {gain.generator}'s images against without, {called}", _cells(gain, name))
        for gain in known
        for name, called in SCORES.items()
        if np.isfinite(gain.changes[name].value)
    ]
    heads = ("difference", "95 % interval", "p", "permuted", "over folds", "Holm")
    remark = (
        f"Mean over test images of all folds together. p: of the bootstrap, by {RESAMPLES:,} resamples of the "
        "patients, the same for both, as is the interval; permuted: with and without swapped within patients; over "
        "folds: a t-test that knows that folds share patients, a dash for fewer than three; Holm: the bootstrap's p of "
        f"Dice, adjusted for {words.count(len(known), 'declared comparison')}. Trained models are taken as they are."
    )
    return Table("With and without synthetic images", heads, rows, (SOURCE,), remark=remark)


def plot(known: Sequence[MaskGain]) -> Markup | None:
    """What Dice gained, pair by pair."""
    rows = [
        forest.Row(f"{gain.generator}, {gain.segmenter}", gain.dice.difference, gain.dice.low, gain.dice.high)
        for gain in known
    ]
    return forest.forest(rows, "difference in the mean Dice of an image, 95 % intervals") if rows else None


def _cells(gain: MaskGain, name: str) -> tuple[str, ...]:
    change, decides = gain.changes[name], name == DECIDES
    several = (change.p, change.permutation_p, *((gain.corrected_t_p, gain.holm_p) if decides else (None, None)))
    return (words.signed(change.value), words.between(change.low, change.high), *map(words.chance, several))


def answer(known: Sequence[MaskGain], *, has_patients: bool = True) -> Answer | None:
    """Did synthetic images make masks better? None: nothing was compared."""
    if not known:
        return None
    told: dict[str, list[MaskGain]] = {}
    for gain in sorted(known, key=lambda gain: [*HEADLINES].index(gain.dice.verdict)):  # of equal ones the first first
        told.setdefault(HEADLINES[gain.dice.verdict].format(unsettled=_unsettled(gain)), []).append(gain)
    headlines = tuple(f"{_subject(which, len(known) > 1)} {what}" for what, which in told.items())
    sentences = () if len(known) > 1 else (_sentence(known[0]),)
    return Answer(headlines, sentences, _caution(known, has_patients))


def _unsettled(gain: MaskGain) -> str:
    folds = len(gain.folds)
    few = folds < FEWEST_FOLDS
    return f"{words.count(folds, 'fold')} cannot settle it" if few else "among the other comparisons, it may be chance"


def _subject(which: Sequence[MaskGain], several: bool) -> str:
    if not several:
        return "Synthetic images"
    return f"Synthetic images by {words.listed(f'{gain.generator} for {gain.segmenter}' for gain in which)}"


def _sentence(gain: MaskGain) -> str:
    dice, (without, with_) = gain.dice, gain.reached
    assert dice.low is not None
    assert dice.high is not None
    return (
        f"With synthetic images and masks by {gain.generator} beside the real ones, the mean Dice of {gain.segmenter} "
        f"changed by {words.signed(dice.difference)} (interval {words.between(dice.low, dice.high)}), from "
        f"{without:.3f} to {with_:.3f}."
    )


def _caution(known: Sequence[MaskGain], has_patients: bool) -> str:
    folds = min(len(gain.folds) for gain in known)
    said = [
        f"Intervals and p-values of masks are over patients (a bootstrap of {RESAMPLES:,} resamples, the same for both "
        "sides; Holm's adjustment is of its p-values) and take the trained segmenters as they are: each was trained "
        "once in a fold, and how far two trainings differ is not in them."
    ]
    if folds < FEWEST_FOLDS:
        said.append(
            f"{words.count(folds, 'fold')} cannot settle anything: no difference is called proven with fewer than "
            f"{FEWEST_FOLDS}."
        )
    if not has_patients:
        said.append(
            "No patient ids were given, so the same patient may be on both sides of the split, "
            "and every score may be too good."
        )
    return " ".join(said)
