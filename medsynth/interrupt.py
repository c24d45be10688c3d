"""SIGINT and SIGTERM as a question that loops ask where they can stop cleanly."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SET_PARENT_DEATH_SIGNAL = 1  # as linux/prctl.h numbers it

_asked: list[int] = []


class Interrupted(BaseException):
    """The user or the system asked to stop, and everything so far is saved. No failure that a reader may swallow."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def check() -> None:
    """Raise Interrupted if a signal came. To be called where nothing would be lost."""
    if _asked:
        raise Interrupted(_asked[0])


def checking(progress: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
    """Progress that also checks: for work of which nothing is kept before its end."""

    def told(name: str, done: int, total: int) -> None:
        progress(name, done, total)
        check()

    return told


def asked() -> int:
    """The number of the signal that came; 0 when none did."""
    return _asked[0] if _asked else 0


def ends_with_its_parent() -> Callable[[], None] | None:
    """For a child process to call first of all: it is killed as soon as its parent is gone. None where Linux is not."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()  # loaded here: little may be done after a fork

    def bind() -> None:
        prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it went before that was said
            os._exit(1)

    return bind


@contextmanager
def listening() -> Iterator[None]:
    """While the block runs, the first signal waits for the next check(); a second one stops at once."""

    def remember(number: int, _frame: FrameType | None) -> None:
        if _asked:
            raise Interrupted(number)
        _asked.append(number)

    _asked.clear()
    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked.clear()
