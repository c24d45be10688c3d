"""A CSV or TSV file -> its cells as text, and the line of the file on which each row begins."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medsynth.data import safe_text
from medsynth.errors import BadData

LINES_NAMED = 5  # of many rows with the same fault


@dataclass(frozen=True)
class Table:
    """A table as text. Nothing is guessed about its cells: 007 stays 007."""

    file: str  # its name, without its place
    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """A column, each cell spelled one way."""
        return [safe_text.tidy(text) for text in self.paths(name)]

    def paths(self, name: str) -> list[str]:
        """A column with its letters as they are: names of files are compared by their bytes."""
        position = self.header.index(name)
        return [row[position].strip() for row in self.rows]

    def where(self, rows: Sequence[int]) -> str:
        """`labels.csv line 17`, or the first lines of many."""
        lines = [str(self.lines[row]) for row in rows]
        more = f" and {len(lines) - LINES_NAMED} more" if len(lines) > LINES_NAMED else ""
        return f"{self.file} {'line' if len(lines) == 1 else 'lines'} {', '.join(lines[:LINES_NAMED])}{more}"


def parse(path: Path, name: str = "") -> Table:
    """The cells of a table. Raises BadData, with the line, where it is not one. `name`: how it is told of."""
    name = name or safe_text.shown(path.name)
    text, notes = _decode(path, name)
    first = text.partition("\n")[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, lines, begins = [], [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(cells)
                lines.append(begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadData(f"{name} line {begins} is not a row: {error}", hint="are all quotes closed?") from None
    if len(rows) < 2:
        raise BadData(
            f"{name} has no rows", hint="it needs a line with the names of the columns, and a line for each image"
        )
    for cells, line in zip(rows, lines, strict=True):
        if len(cells) != len(rows[0]):
            raise BadData(
                f"{name} line {line} has {len(cells)} cells, and line {lines[0]} names {len(rows[0])} columns",
                hint="a cell that contains the separator has to stand in double quotes",
            )
    return Table(name, _header(rows[0], name), rows[1:], lines[1:], notes)


def spelled(column: str) -> str:
    """The name of a column as it is compared and shown."""
    return safe_text.shown(safe_text.tidy(column))


def _header(cells: list[str], file: str) -> list[str]:
    header = [spelled(cell) for cell in cells]
    for name, times in Counter(header).items():
        if not name or times > 1:
            problem = f"has two columns {name!r}" if name else "has a column without a name"
            raise BadData(f"{file} {problem}", hint="give every column a name of its own in the first line")
    return header


def _decode(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file, whichever way it was written, and a note where that is a guess."""
    content = path.read_bytes()
    if content.startswith(b"PK"):
        raise BadData(f"{name} is not text, but a spreadsheet or an archive", hint="save it as CSV (UTF-8)")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), ()
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        note = f"{name} is not UTF-8: it was read as Latin-1. If names look wrong, save it as UTF-8."
        return content.decode("latin-1"), (note,)
