"""What was made with something that may have seen tested patients -> the banner, and a first page that claims nothing
from it. The details below still show it: somebody forced it in order to look at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from medsynth.report import masks, summary, words
from medsynth.report.answer import Answer, answer
from medsynth.report.collect import Found, Made
from medsynth.report.masks import MaskGain
from medsynth.report.summary import Part
from medsynth.report.withhold import withholder
from medsynth.rundir import LEAK, RECORD

VOID = "No valid evidence."


def _void(what: str) -> Answer:
    return Answer(
        (f"No valid answer{what}: what was compared may have seen patients that are tested.",),
        (),
        "Somebody forced a leak; what was made with it, and why, stands on top. Its scores say nothing of new "
        "patients.",
    )


VOID_ANSWER = _void("")
MEASURED_BY = {"help": "compare", "masks": "segment", "like": "evaluate", "new": "audit"}  # question -> stage


@dataclass(frozen=True)
class Leak:
    """Artifacts that were made with the same ones, for the same reason."""

    made: tuple[str, ...]
    of: tuple[str, ...]  # what may have seen patients that are tested
    reason: str  # of whoever forced it, without ids and names
    files: tuple[str, ...]  # records that say so, from the run directory on

    @property
    def sentence(self) -> str:
        reason = f"“{self.reason}”" if self.reason else "none was given"
        return f"{words.sentence('; '.join(self.made))} Made with {'; '.join(self.of)}. Reason: {reason}"


def leaks(found: Found) -> list[Leak]:
    """Every artifact whose record has the mark, those of a common cause together."""
    withhold, causes = withholder(found.cohort.samples), dict[tuple[tuple[str, ...], str], list[Made]]()
    for made in found.made:
        if LEAK in made.record:
            mark = made.get(LEAK)
            causes.setdefault((tuple(map(str, mark.get("from", ()))), str(mark.get("reason", ""))), []).append(made)
    return [
        Leak(tuple(m.artifact.name for m in some), of, withhold(reason), tuple(f"{m.path}/{RECORD}" for m in some))
        for (of, reason), some in causes.items()
    ]


class First(NamedTuple):
    """What the first page says."""

    said: Answer
    parts: tuple[Part, ...]
    gained: tuple[MaskGain, ...]  # by segmenters


def first_page(found: Found) -> First:
    """The answer and the questions, from what nothing leaked into."""
    sound = _sound(found)
    gained, said = masks.gains(sound), _said(found, sound)
    kept = {made.path for made in sound.made}
    left_out = {stage: [m for m in found.of(stage) if m.path not in kept] for stage in MEASURED_BY.values()}
    asked = {"help": not found.only_masks, "masks": found.only_masks or bool(masks.pairs(found))}
    parts = summary.parts(sound, said, gained, [key for key in asked if asked[key]])
    return First(said, tuple(_without(part, left_out[MEASURED_BY[part.key]]) for part in parts), gained)


def _said(found: Found, sound: Found) -> Answer:
    """What is true of classifiers, of segmenters, or of both."""
    classified = answer(sound.comparisons, has_patients=found.cohort.facts.has_patients)
    valid, void = [classified] if classified.gains else [], []
    if sound.comparisons is None and found.comparisons is not None:
        void.append("classifiers")
    if of_masks := masks.answer(sound, alone=not valid):
        valid.append(of_masks)
    elif masks.gains(found):
        void.append("masks")
    if not valid:
        return VOID_ANSWER if void else masks.no_answer(sound) if found.only_masks else classified
    first, *others = [*(_void(f" for {what}") for what in void), *valid]
    return reduce(Answer.beside, others, first)


def _sound(found: Found) -> Found:
    """Without what has the mark, and without what was made from such a thing before that had it."""
    marked = {made.path for made in found.made if LEAK in made.record}
    if not marked:
        return found
    return replace(found, made=tuple(m for m in found.made if not {m.path, *m.get("inputs")} & marked))


def _without(part: Part, left_out: Sequence[Made]) -> Part:
    """A question's answer, and what it does not take into account."""
    if not left_out:
        return part
    names = words.listed(made.artifact.name for made in left_out)
    if not part.lines:
        standing = f"Measured with what may have seen patients that are tested: {names}."
        return Part(part.key, part.question, VOID, part.anchor, standing=standing)
    return replace(part, standing=f"{part.standing} Left out, as no valid evidence: {names}.")
