"""How things look. The only module that knows Rich: results to stdout, progress and messages to stderr."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

PLAIN_SECONDS = 15  # between two lines of progress where there is no terminal


def safe(text: object) -> str:
    """Text from data as the terminal may see it: control characters, and others that cannot be seen, become a mark."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))


def error(message: str, hint: str) -> None:
    err.print(_line(("error:", "bold red"), f" {safe(message)}"))
    if hint:
        err.print(_line("  ", ("try:", "dim"), f" {safe(hint)}"))


def say(sentence: str) -> None:
    """A message that is not the result."""
    err.print(_line((safe(sentence), "dim")))


def note(sentence: str) -> None:
    """Something that somebody has to read."""
    err.print(_line(("note:", "yellow"), f" {safe(sentence)}"))


def next_command(command: str) -> None:
    err.print(_line(("next:", "dim"), f" {safe(command)}"))


def outcome(name: str, state: str, summary: dict[str, Any]) -> None:
    facts = "  ".join(f"{key} {_short(value)}" for key, value in summary.items() if value not in (None, "", [], {}))
    out.print(_line((safe(name), "bold"), f": {state}  ", (safe(facts), "dim")))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout."""
    columns = (Column(header, overflow="fold") for header in headers)  # a path that is cut is of no use
    drawn = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(safe(cell)) for cell in row))
    out.print(drawn)


def _line(*parts: str | tuple[str, str]) -> Text:
    """Texts and styled texts as one. Rich never reads them: brackets and colons in them mean nothing."""
    return Text.assemble(*parts)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(part)}" for key, part in value.items())
    return ", ".join(_short(part) for part in value) if isinstance(value, (list, tuple)) else str(value)


class _Bars:
    """Progress of one command: bars with the time left on a terminal, a plain line now and then elsewhere."""

    def __init__(self, bars: Progress | None) -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}
        self.started: dict[str, tuple[float, int]] = {}
        self.last_line = time.monotonic()

    def __call__(self, name: str, done: int, total: int) -> None:
        if self.bars is None:
            self._line(name, done, total)
            return
        if name not in self.tasks:
            for task in self.tasks.values():
                self.bars.update(task, visible=False)
            self.tasks[name] = self.bars.add_task(safe(name), total=total)
        self.bars.update(self.tasks[name], completed=done, total=total, visible=True)

    def _line(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        began, first = self.started.setdefault(name, (now, done))
        if now - self.last_line < PLAIN_SECONDS or done <= first:
            return
        self.last_line = now
        left = (now - began) / (done - first) * (total - done)
        err.print(_line(f"{safe(name)}: {done} of {total}, about {duration(left)} left"))


def duration(seconds: float) -> str:
    """A length of time in words that are short."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def progress(quiet: bool) -> Iterator[Any]:
    """A callable (name, done, total) that shows how far things are."""
    if quiet:
        yield lambda _name, _done, _total: None
    elif not err.is_terminal:
        yield _Bars(None)
    else:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=err, transient=True) as bars:
            yield _Bars(bars)
