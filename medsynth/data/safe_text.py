"""Text from data -> text that a spreadsheet, a terminal and a file system take for text and nothing else."""

import re
import unicodedata
from collections.abc import Iterable

from medsynth.errors import BadData

FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # spreadsheets take the wide forms for the narrow
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
LONGEST_NAME = 100  # characters; file systems take 255 bytes, and endings are still to come


def tidy(text: str) -> str:
    """Spelled one way: accents composed, no white space around it."""
    return unicodedata.normalize("NFC", text).strip()


def shown(text: str) -> str:
    """A name as people and terminals may see it: in one line, what cannot be seen or steers becomes `_`.

    >>> shown("a\\nb\\u202ec")
    'a_b_c'
    """
    return text if text.isprintable() else "".join("_" if _is_control(character) else character for character in text)


def cell(text: str) -> str:
    """What may be written into a table: control characters become `_`, a would-be formula gets an apostrophe.

    >>> cell("=1+1"), cell("a\\x1bb")
    ("'=1+1", 'a_b')
    """
    printable = shown(tidy(text))
    return f"'{printable}" if printable.startswith(FORMULA_STARTS) else printable


def cells(texts: Iterable[str], what: str) -> dict[str, str]:
    """`cell` of each distinct text. Raises BadData where two of them would become one; `what` says what they are."""
    written: dict[str, str] = {}
    original: dict[str, str] = {}
    for text in dict.fromkeys(tidy(text) for text in texts):
        written[text] = cell(text)
        other = original.setdefault(written[text], text)
        if other != text:
            raise BadData(
                f"the {what} {other!r} and {text!r} would both be written as {written[text]!r}",
                hint=f"rename one of the two in the source: a {what} should be plain letters and digits",
            )
    return written


def sample_names(stems: Iterable[str]) -> list[str]:
    """A name for each stem, in order: safe as a file name on any system, and unlike every other, whatever the case."""
    taken: set[str] = set()
    last: dict[str, int] = {}  # number of each plain name: all before it are taken for good
    names = []
    for stem in stems:
        plain = _file_name(stem)
        number = last.get(plain.casefold(), 1)
        name = plain if number == 1 else f"{plain}-{number}"
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        last[plain.casefold()] = number
        taken.add(name.casefold())
        names.append(name)
    return names


def is_device(name: str) -> bool:
    """Whether Windows takes a file of this name for a device, whatever its ending."""
    return name.partition(".")[0].strip().casefold() in DEVICES


def _file_name(stem: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", unicodedata.normalize("NFC", stem))[:LONGEST_NAME].lstrip(".-").rstrip(".")
    if not re.search(r"[A-Za-z0-9]", plain):
        return "image"
    return f"image-{plain}" if is_device(plain) else plain


def _is_control(character: str) -> bool:
    # C: control, invisible, direction of writing, unassigned; Zl, Zp: line and paragraph separators
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp")
