"""The first page: do synthetic images help, are they like new patients' images, are they new? One answer each, with the
number, its interval, on how many it stands and the file it came from; or that it was not measured, and by what it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medsynth import variants
from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.scores import Score
from medsynth.report import counts, likeness, masks, novelty, proof, signs, words
from medsynth.report.answer import Answer, Gain
from medsynth.report.collect import Found
from medsynth.report.masks import MaskGain

NOT_MEASURED = "Not measured."
HELP, LIKE, NEW = "Do they help?", "Are they like new patients' images?", "Are they new?"
MASKS = "Do they help to find lesions?"
GAINS = {  # verdict -> in a line
    "higher": "Yes, in this run.",
    "perhaps higher": "Perhaps; not settled.",
    "undecided": "Not shown.",
    "perhaps lower": "Perhaps they harm; not settled.",
    "lower": "No, they harm.",
}
DISTANCES = {  # verdict -> in a line, the best first; that nothing was found is no likeness
    "nearer": "Nearer to new patients' images than other real images are.",
    "no difference": "No difference found",
    "": "Not measured against other real images; medsynth evaluate does it.",
    "farther": "No, farther from new patients' images than other real images are.",
}


@dataclass(frozen=True)
class Line:
    """The number of one generator."""

    name: str
    number: str
    interval: str  # "" where there is none
    note: str  # what holds of this generator alone
    source: str  # file, from the run directory on


@dataclass(frozen=True)
class Part:
    """One question with its answer."""

    key: str
    question: str
    verdict: str
    anchor: str  # of the section that has the details
    meaning: str = ""  # what the numbers are
    lines: tuple[Line, ...] = ()
    standing: str = ""  # on whom it was measured
    command: str = ""  # what measures it, where it was not


def parts(
    found: Found, answer: Answer, gained: Sequence[MaskGain] = (), asked: Sequence[str] = ("help",)
) -> tuple[Part, ...]:
    """The three questions. `asked`: what synthetic images were to help, classifiers (`help`), segmenters (`masks`) or
    both; `gained`: what the latter gained."""
    helped = [_help(found, answer)] if "help" in asked else []
    return (*helped, *([_masks(found, gained)] if "masks" in asked else []), _like(found), _new(found))


def compared(found: Found, answer: Answer, gained: Sequence[MaskGain] = ()) -> str:
    """What was set against what; "" where nothing was."""
    classified = dict.fromkeys(kind for gain in answer.gains for kind in words.generators_of(gain.arm))
    masked = dict.fromkeys(variants.parted(gain.kind)[1] for gain in gained)
    said = [(what, [*kinds]) for what, kinds in (("classifier", classified), ("segmenter", masked)) if kinds]
    return " ".join(_with_and_without(found, what, kinds) for what, kinds in said)


def _with_and_without(found: Found, what: str, kinds: Sequence[str]) -> str:
    drawn = [made.images for kind in kinds for made in found.of("expand", kind)]
    size = f"{_range(drawn)} synthetic images" if drawn else "synthetic images"
    each = " of each of them" if len(kinds) > 1 else ""
    whom = "patients" if found.cohort.facts.has_patients else "images"
    return (
        f"The same {what} was trained on real images with and without {size}{each}, drawn by "
        f"{words.listed(map(words.generator, kinds))}, and tested on {whom} of which nothing had learned."
    )


def _tested(found: Found) -> str:
    known = found.comparisons
    assert known is not None
    folds = [fold for c in known.comparisons if c.declared for fold in c.folds]
    return counts.tested(found.cohort, folds, known.unit).sentence(found.cohort.facts.has_patients)


def _range(sizes: list[int]) -> str:
    """`630`, or `630 to 635` where folds differ."""
    return f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"


def _help(found: Found, answer: Answer) -> Part:
    known = found.comparisons
    if known is None or not answer.gains:
        command = "medsynth compare" if found.arms and known is None else "medsynth classify"
        return Part("help", HELP, NOT_MEASURED, "help", command=command)
    own = {arm: [g for g in answer.gains if g.arm == arm] for arm in dict.fromkeys(gain.arm for gain in answer.gains)}
    verdicts = {_generators(arm): _of_arm(gains) for arm, gains in own.items()}
    lines = tuple(_gained(gains[0], found.comparisons_file) for gains in own.values())
    meaning = f"{words.spelled(known.primary)} gained over {words.baseline(answer.gains[0].baseline)}"
    return Part("help", HELP, _of_best(verdicts, GAINS), "help", meaning, lines, f"Tested on {_tested(found)}.")


def _masks(found: Found, gained: Sequence[MaskGain]) -> Part:
    if not gained:
        if unlike := masks.unlike(found):
            return Part("masks", MASKS, "Cannot be told.", "masks", standing=words.sentence("; ".join(unlike)))
        arms = f"real,real+{next(iter(found.kinds('expand')), 'geca')}"
        return Part("masks", MASKS, NOT_MEASURED, "masks", command=f"medsynth segment --arms {arms}")
    several = len(gained) > 1
    verdicts = dict(zip(masks.names(gained), (gain.dice.verdict for gain in gained), strict=True))
    lines = tuple(_fits(name, gain, several) for name, gain in zip(verdicts, gained, strict=True))
    segmenters = dict.fromkeys(gain.segmenter for gain in gained)
    whose = f", {next(iter(segmenters))}'s" if len(segmenters) == 1 else ""
    meaning = f"mean Dice of an image (0 to 1){whose} with synthetic images minus without"
    standing = "" if several else f"Tested on {gained[0].standing}."
    return Part("masks", MASKS, _of_best(verdicts, GAINS), "masks", meaning, lines, standing)


def _fits(name: str, gain: MaskGain, several: bool) -> Line:
    of, (without, with_) = gain.changes[masks.DECIDES], gain.reached
    note = f"from {without:.3f} to {with_:.3f}; p, permuted and adjusted by Holm, {words.chance(gain.holm_p)}"
    note += f"; {gain.standing}" if several else ""
    return Line(name, words.signed(of.value), words.between(of.low, of.high), note, masks.SOURCE)


def _of_best(verdicts: Mapping[str, str], told: Mapping[str, str]) -> str:
    """What is true of all generators; else of the best, by name. `told`: verdict -> in a line, the best first."""
    order = list(told)
    best = min(verdicts, key=lambda name: order.index(verdicts[name]))
    said = told[verdicts[best]]
    return said if len(set(verdicts.values())) == 1 else f"{best}: {said[:1].lower()}{said[1:]}"


def _of_arm(gains: list[Gain]) -> str:
    """`higher` only where every baseline is beaten; otherwise what holds against the first."""
    if gains[0].verdict == "higher" and any(gain.verdict != "higher" for gain in gains):
        return "perhaps higher"
    return gains[0].verdict


def _generators(arm: str) -> str:
    return words.listed(map(words.generator, words.generators_of(arm)))


def _gained(gain: Gain, source: str) -> Line:
    interval = "" if gain.low is None or gain.high is None else words.between(gain.low, gain.high)
    permuted = f"; permuted {words.chance(gain.permutation_p)}" if gain.permutation_p is not None else ""
    note = f"bootstrap p, adjusted by Holm, {words.chance(gain.p)}{permuted}" if gain.p is not None else ""
    return Line(_generators(gain.arm), words.signed(gain.difference), interval, note, source)


def _like(found: Found) -> Part:
    own: dict[str, list[likeness.Distance]] = {}
    for distance in likeness.distances(found):
        own.setdefault(words.generator(distance.made.kind), []).append(distance)
    if not own:
        return Part("like", LIKE, NOT_MEASURED, "like", command="medsynth evaluate")
    worst = {words.generator(d.made.kind): d for d in likeness.farthest(found)}
    lines = tuple(_distant(name, d, len(own[name])) for name, d in worst.items())
    first = next(iter(worst.values()))
    meaning = "KID × 1000, a distance to new patients' images"
    if first.more:
        meaning += ": so much more for synthetic images than for other real ones"
    fold = first.made.fold or 0
    standing = _against(found, fold, first.ours, found.cohort.testing(fold).samples)
    whom = "patient" if found.cohort.facts.has_patients else "image"
    told = DISTANCES | {"no difference": _undecided(worst.values(), whom)}
    verdict = _of_best({name: d.verdict for name, d in worst.items()}, told)
    return Part("like", LIKE, verdict, "like", meaning, lines, standing)


def _undecided(found: Iterable[likeness.Distance], whom: str) -> str:
    """`No difference found on 37 patients.`: on how many nothing was found is all that can be said."""
    sizes = {words.count(d.more.n, whom) for d in found if d.more and d.more.n}
    where = f" on {sizes.pop()}" if len(sizes) == 1 else ""
    return f"{DISTANCES['no difference']}{where}."


def _distant(name: str, of: likeness.Distance, folds: int) -> Line:
    """What the verdict is of: by how much more they differ than real images; else the distance alone."""
    source, where = f"{of.made.path}/scores.json", _fold(of.made.fold, folds)
    others = f"other real images {_with_interval(of.real)}; " if of.real else ""
    if of.more is None:
        return Line(name, words.number(of.ours.value), _between(of.ours, words.number), f"{others}{where}", source)
    note = f"synthetic images {_with_interval(of.ours)}, {others}{where}"
    return Line(name, words.number(of.more.value), _between(of.more, words.number), note, source)


def _with_interval(score: Score) -> str:
    between = _between(score, words.number)
    return words.number(score.value) + (f" ({between})" if between else "")


def _new(found: Found) -> Part:
    audits = novelty.audited(found)
    if not audits:
        return Part("new", NEW, NOT_MEASURED, "new", command="medsynth audit")
    own: dict[str, list[novelty.Audited]] = {}
    for each in audits:
        own.setdefault(words.generator(each.made.kind), []).append(each)
    worst = {words.generator(a.made.kind): a for a in novelty.worst(found)}
    lines = tuple(_close(name, a, own[name]) for name, a in worst.items())
    verdict = signs.verdict(
        [a.signs for a in audits], failed=sum(not a.passed for a in audits), of=len(audits),
        close=any(a.close.value > a.expected for a in audits),
    )  # fmt: skip
    first = next(iter(worst.values()))
    meaning = (
        "of the synthetic images are closer to a training image than 95 % of new patients' images are; "
        f"{proof.share(first.expected)} % would be expected"
    )
    fold = first.made.fold or 0
    new = [*found.cohort.selection(fold).samples, *found.cohort.testing(fold).samples]
    return Part("new", NEW, verdict, "new", meaning, lines, _against(found, fold, first.close, new))


def _close(name: str, audited: novelty.Audited, all_folds: Sequence[novelty.Audited]) -> Line:
    between = _between(audited.close, proof.share)
    passed = sum(each.passed for each in all_folds)
    note = f"by {novelty.SPACES[audited.space]}; {_fold(audited.made.fold, len(all_folds))}"
    note += f"; passed in {passed} of {len(all_folds)}" if len(all_folds) > 1 else ""
    number, source = f"{proof.share(audited.close.value)} %", f"{audited.made.path}/scores.json"
    return Line(name, number, f"{between} %" if between else "", note, source)


def _fold(fold: int | None, folds: int) -> str:
    """`fold 1, the worst of 2`."""
    return f"fold {fold}" + (f", the worst of {folds}" if folds > 1 else "")


def _against(found: Found, fold: int, measured: Score, real: Sequence[Sample]) -> str:
    """On how many a number of a fold stands."""
    images = words.count(measured.n, "synthetic image") if measured.n else "Synthetic images"
    standing = counts.of(real, found.cohort, "image").sentence(found.cohort.facts.has_patients)
    return f"{images} against {standing}, of fold {fold}."


def _between(score: Score, number: Callable[[float], str]) -> str:
    """`170 to 632`; "" where there is no interval."""
    if score.ci_low is None or score.ci_high is None:
        return ""
    return f"{number(score.ci_low)} to {number(score.ci_high)}"
