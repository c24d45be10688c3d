"""SIGINT and SIGTERM as a question that loops ask where they can stop cleanly."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked: list[int] = []


class Interrupted(Exception):
    """The user or the system asked to stop, and everything so far is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def check() -> None:
    """Raise Interrupted if a signal came. To be called where nothing would be lost."""
    if _asked:
        raise Interrupted(_asked[0])


def asked() -> int:
    """The number of the signal that came; 0 when none did."""
    return _asked[0] if _asked else 0


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
