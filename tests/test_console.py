"""Whatever a text holds, the terminal shows it as text."""

import contextlib
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from medsynth import console

EVIL = [
    "[red]alarm[/red]",
    "[/]",
    "[link=file:///etc/passwd]click[/link]",
    "\x1b[2J\x1b[31mgone",
    "\x1b]8;;http://example.org\x07click\x1b]8;;\x07",
    "\x9b31mred",
    "a\rb",
    "a\x08b",
    "a\x00b",
    "name\u202egnp.exe",
    "zero\u200bwidth",
    ":skull: :warning:",
    "back\\",
    "back\\[bold]",
    "[expand] has no setting 'facter'",
]


def plain(text: str) -> str:
    """What somebody sees who sees the text: control characters and the like are shown as one mark."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Both consoles on one wide terminal that knows colours."""
    screen = io.StringIO()
    for name in ("out", "err"):
        drawn = Console(file=screen, force_terminal=True, width=400, color_system="truecolor", soft_wrap=True)
        monkeypatch.setattr(console, name, drawn)
    return screen


def seen(screen: io.StringIO) -> str:
    """The screen without the colours that the program itself sets; nothing else may steer it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    return text


@pytest.mark.parametrize("text", EVIL, ids=repr)
def test_every_way_to_say_something_shows_the_text_as_it_is(terminal: io.StringIO, text: str) -> None:
    console.error(text, text)
    console.say(text)
    console.note(text)
    console.next_command(text)
    console.outcome(text, "done", {"patient": text})
    console.table(("sample",), [(text,)])
    assert seen(terminal).count(plain(text)) == 8


@pytest.mark.parametrize("text", EVIL, ids=repr)
def test_the_name_of_a_progress_bar_is_shown_as_it_is(terminal: io.StringIO, text: str) -> None:
    with console.progress(quiet=False) as progress:
        progress(text, 1, 2)
        progress(text, 2, 2)
    without_moves = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "")
    assert plain(text) in without_moves
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", without_moves)


@given(st.text(max_size=60))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as screen:
        console.error("", text)
    assert screen.getvalue() == "error: \n" + (f"  try: {plain(text)}\n" if text else "")


def test_an_error_says_what_is_wrong_and_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    console.error("[expand] has no setting 'facter'", "did you mean factor?")
    shown = capsys.readouterr()
    assert shown.err == "error: [expand] has no setting 'facter'\n  try: did you mean factor?\n"
    assert shown.out == ""


def test_results_go_to_stdout_and_messages_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console.outcome(
        "codec kl, fold 0", "done", {"psnr": 24.801234, "labels": {"a": 3, "b": 4}, "empty": "", "none": None}
    )
    console.say("said")
    console.note("noted")
    console.next_command("medsynth encode")
    shown = capsys.readouterr()
    assert shown.out == "codec kl, fold 0: done  psnr 24.8  labels a 3, b 4\n"
    assert shown.err == "said\nnote: noted\nnext: medsynth encode\n"


def test_without_a_terminal_progress_is_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with console.progress(quiet=False) as progress:
        for done in range(0, 101, 10):
            progress("train [red]", done, 100)
            now += 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train [red]: 20 of 100, about 1 min 20 s left"
    assert len(lines) == 5


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(quiet=True) as progress:
        progress("train", 1, 2)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (3600, "1 h 0 min"), (90061, "25 h 1 min")],
)
def test_a_duration_is_said_in_short_words(seconds: float, words: str) -> None:
    assert console.duration(seconds) == words


def test_bars_of_a_terminal_show_one_thing_at_a_time(terminal: io.StringIO) -> None:
    with console.progress(quiet=False) as progress:
        progress("codec", 1, 2)
        progress("generator", 1, 2)
        assert isinstance(progress.bars, Progress)
        assert [task.visible for task in progress.bars.tasks] == [False, True]
