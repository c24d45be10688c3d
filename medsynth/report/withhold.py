"""Sentences that stages wrote -> the same without patient ids and image names, because the page is passed on."""

import re
from collections.abc import Callable, Iterable

from medsynth.artifacts.cohort import Sample

WITHHELD = "[withheld]"
SHORTEST_NUMBER = 5  # digits: a shorter number is more often a count than an id


def withholder(samples: Iterable[Sample]) -> Callable[[str], str]:
    """A function that takes the ids and names of these samples out of a text.

    Ids that cannot be told from a count (short numbers) or from prose (one letter) stay.
    """
    names = {name for s in samples for name in (s.patient, s.sample, s.image.name) if _identifies(name)}

    def withhold(text: str) -> str:
        for name in sorted((name for name in names if name in text), key=lambda name: (-len(name), name)):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", WITHHELD, text)
        return text

    return withhold


def _identifies(name: str) -> bool:
    return len(name) >= SHORTEST_NUMBER if name.isdigit() else len(name) > 1
