"""Every failure a user can repair. Each says what is wrong, and what to type next."""

from collections.abc import Sequence
from difflib import get_close_matches


class MedsynthError(Exception):
    """A failure the user can repair: what is wrong, with the value in it, and the next thing to type."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BadUsage(MedsynthError):
    """A flag, a recipe key or a value that cannot be understood."""

    exit_code = 2


class BadData(MedsynthError):
    """The images or labels cannot be used as they are."""

    exit_code = 3


class Refused(MedsynthError):
    """It could be done, but it would leak, contradict what the run holds, or disturb another process."""

    exit_code = 4


class MissingStep(MedsynthError):
    """An earlier step has to be done first; the hint is its command."""

    exit_code = 5


class MissingWeights(MedsynthError):
    """A file of weights is not there or not the right one."""

    exit_code = 6


def nearest(word: str, words: Sequence[str]) -> str:
    """A hint for a word that is not known: the one that was probably meant, else all there are."""
    close = get_close_matches(word, words, n=1)
    return f"did you mean {close[0]}?" if close else f"it may be one of: {', '.join(sorted(words))}"
