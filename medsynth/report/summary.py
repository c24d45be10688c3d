"""The first page: do synthetic images help, are they like new patients' images, are they new? One answer each, with the
number, its interval, on how many it stands and the file it came from; or that it was not measured, and by what it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.scores import Score
from medsynth.report import counts, likeness, novelty, proof, words
from medsynth.report.answer import Answer, Gain
from medsynth.report.collect import Found

NOT_MEASURED = "Not measured."
HELP, LIKE, NEW = "Do they help?", "Are they like new patients' images?", "Are they new?"
GAINS = {  # verdict -> in a line
    "higher": "Yes, in this run.",
    "perhaps higher": "Perhaps; not settled.",
    "undecided": "Not shown.",
    "perhaps lower": "Perhaps they harm; not settled.",
    "lower": "No, they harm.",
}
DISTANCES = {  # the worst last
    "as near": "Yes, as near as other real images.",
    "": "Not settled.",
    "perhaps farther": "Perhaps not; not settled.",
    "farther": "No, farther than other real images.",
}


@dataclass(frozen=True)
class Line:
    """The number of one generator."""

    name: str
    number: str
    interval: str  # "" where there is none
    meaning: str
    source: str  # file, from the run directory on


@dataclass(frozen=True)
class Part:
    """One question with its answer."""

    key: str
    question: str
    verdict: str
    anchor: str  # of the section that has the details
    lines: tuple[Line, ...] = ()
    standing: str = ""  # on whom it was measured
    command: str = ""  # what measures it, where it was not


def parts(found: Found, answer: Answer) -> tuple[Part, Part, Part]:
    return _help(found, answer), _like(found), _new(found)


def compared(found: Found, answer: Answer) -> str:
    """What was set against what, in a sentence; "" where nothing was."""
    known = found.comparisons
    if known is None or not answer.gains:
        return ""
    arms = dict.fromkeys(gain.arm for gain in answer.gains)
    kinds = dict.fromkeys(kind for arm in arms for kind in words.generators_of(arm))
    drawn = [made.images for kind in kinds for made in found.of("expand", kind)]
    size = f"{_range(drawn)} synthetic images" if drawn else "synthetic images"
    each = " of each of them" if len(kinds) > 1 else ""
    whom = "patients" if found.cohort.facts.has_patients else "images"
    return (
        f"The same classifier was trained on real images with and without {size}{each}, drawn by "
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
    first = list({gain.arm: gain for gain in reversed(answer.gains)}.values())[::-1]
    lines = tuple(_gained(gain, words.spelled(known.primary), found.comparisons_file) for gain in first)
    return Part("help", HELP, _overall(answer.gains), "help", lines, f"Tested on {_tested(found)}.")


def _overall(gains: tuple[Gain, ...]) -> str:
    """One generator: the verdict; several: of the one that did best, by name."""
    best = {arm: _of_arm([g for g in gains if g.arm == arm]) for arm in dict.fromkeys(gain.arm for gain in gains)}
    order = list(GAINS)
    arm = min(best, key=lambda name: order.index(best[name]))
    said = GAINS[best[arm]]
    if len(best) == 1 or len(set(best.values())) == 1:
        return said
    return f"{words.listed(map(words.generator, words.generators_of(arm)))}: {said[:1].lower()}{said[1:]}"


def _of_arm(gains: list[Gain]) -> str:
    """`higher` only where every baseline is beaten; otherwise what holds against the first."""
    if gains[0].verdict == "higher" and any(gain.verdict != "higher" for gain in gains):
        return "perhaps higher"
    return gains[0].verdict


def _gained(gain: Gain, metric: str, source: str) -> Line:
    interval = "" if gain.low is None or gain.high is None else words.between(gain.low, gain.high)
    meaning = f"of {metric} gained over {words.baseline(gain.baseline)}"
    if gain.p is not None:
        meaning += f"; adjusted p\u00a0{words.chance(gain.p)}"
    meaning += "."
    name = words.listed(map(words.generator, words.generators_of(gain.arm)))
    return Line(name, words.signed(gain.difference), interval, meaning, source)


def _like(found: Found) -> Part:
    measured = likeness.distances(found)
    if not measured:
        return Part("like", LIKE, NOT_MEASURED, "like", command="medsynth evaluate")
    order = list(DISTANCES)
    verdict = DISTANCES[max((d.verdict for d in measured), key=order.index)]
    own = [[d for d in measured if d.made.kind == kind] for kind in dict.fromkeys(d.made.kind for d in measured)]
    worst = [max(some, key=lambda d: d.excess) for some in own]
    lines = tuple(_distant(d, len(some)) for d, some in zip(worst, own, strict=True))
    fold = worst[0].made.fold or 0
    standing = _against(found, fold, found.cohort.testing(fold).samples)
    return Part("like", LIKE, verdict, "like", lines, standing)


def _distant(of: likeness.Distance, folds: int) -> Line:
    meaning = "KID × 1000, a distance to new patients' images"
    if of.real:
        between = _between(of.real, words.number)
        meaning += f"; other real images: {words.number(of.real.value)}" + (f" ({between})" if between else "")
    return Line(
        words.generator(of.made.kind), words.number(of.ours.value), _between(of.ours, words.number),
        f"{meaning}. {_drawn(of.ours, of.made.fold, folds)}", f"{of.made.path}/scores.json",
    )  # fmt: skip


def _new(found: Found) -> Part:
    audits = novelty.audited(found)
    if not audits:
        return Part("new", NEW, NOT_MEASURED, "new", command="medsynth audit")
    own = [[a for a in audits if a.made.kind == kind] for kind in dict.fromkeys(a.made.kind for a in audits)]
    worst = [novelty.worst(some) for some in own]
    lines = tuple(_close(a, len(some)) for a, some in zip(worst, own, strict=True))
    passed = sum(a.passed for a in audits)
    verdict = "No sign of copying; the audit was passed."
    if any(a.close.value > a.expected for a in audits):
        verdict = "Not settled; the audit was passed, but closer than expected."
    if passed < len(audits):
        many = f" in {len(audits) - passed} of {len(audits)} cases" if len(audits) > 1 else ""
        verdict = f"Not shown; the audit was not passed{many}."
    fold = worst[0].made.fold or 0
    new = [*found.cohort.selection(fold).samples, *found.cohort.testing(fold).samples]
    return Part("new", NEW, verdict, "new", lines, _against(found, fold, new))


def _close(audited: novelty.Audited, folds: int) -> Line:
    between = _between(audited.close, proof.share)
    meaning = (
        "of them are closer to a training image than 95 % of new patients' images are; "
        f"{proof.share(audited.expected)} % would be expected. By {novelty.SPACES[audited.space]}. "
        f"{_drawn(audited.close, audited.made.fold, folds)}"
    )
    number = f"{proof.share(audited.close.value)} %"
    source = f"{audited.made.path}/scores.json"
    return Line(words.generator(audited.made.kind), number, f"{between} %" if between else "", meaning, source)


def _drawn(score: Score, fold: int | None, folds: int) -> str:
    """`630 synthetic images of fold 1, the worst of 2.`"""
    images = words.count(score.n, "synthetic image") if score.n else "Synthetic images"
    return f"{images} of fold {fold}" + (f", the worst of {folds}." if folds > 1 else ".")


def _against(found: Found, fold: int, real: Sequence[Sample]) -> str:
    standing = counts.of(real, found.cohort, "image").sentence(found.cohort.facts.has_patients)
    return f"Against {standing}, of fold {fold}."


def _between(score: Score, number: Callable[[float], str]) -> str:
    """`170 to 632`; "" where there is no interval."""
    if score.ci_low is None or score.ci_high is None:
        return ""
    return f"{number(score.ci_low)} to {number(score.ci_high)}"
