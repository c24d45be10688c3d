"""Differences with their intervals -> a forest plot: a row each, no difference as a line down the middle."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from medsynth.report import svg, words
from medsynth.report.svg import Scale

WIDTH, SAID = 680, 178  # pixels: of all, and room for the numbers on the right
TOP, ROW = 8, 24
LONGEST = 34  # letters of a name
HALF = 4  # pixels from the middle of a mark to its edge


@dataclass(frozen=True)
class Row:
    """One difference."""

    name: str
    value: float
    low: float | None
    high: float | None
    note: str = ""  # in small letters behind the name
    total: bool = False  # over all labels: drawn as a diamond, below a line


def forest(rows: Sequence[Row], axis: str) -> Markup:
    """A square a row, and a stroke from one end of its interval to the other. `axis`: the quantity of the differences;
    `rows` may not be empty."""
    limits = [v for row in rows for v in (row.value, row.low, row.high, 0.0) if v is not None]
    pad = max((max(limits) - min(limits)) * 0.06, 1e-4)
    x = Scale(min(limits) - pad, max(limits) + pad, _names(rows), WIDTH - SAID)
    bottom = TOP + ROW * len(rows)
    out = [svg.begin(WIDTH, bottom + 54, f"{axis}: difference and interval of each row")]
    marks = svg.ticks(x.low, x.high)
    for tick, number in zip(marks, svg.numbers(marks), strict=True):
        style = "zero" if tick == 0 else "grid"
        out.append(svg.line(style, x(tick), TOP, x(tick), bottom))
        out.append(svg.text("note mid", x(tick), bottom + 16, f"+{number}" if tick > 0 else number))
    out.append(svg.text("note mid", (x.start + x.end) / 2, bottom + 33, axis))
    out.append(svg.text("note", x.start, bottom + 50, "← worse"))
    out.append(svg.text("note end", x.end, bottom + 50, "better →"))
    for place, row in enumerate(rows):
        out += _drawn(row, x, TOP + ROW * (place + 0.5))
    return svg.finished(out)


def _names(rows: Sequence[Row]) -> float:
    """Room for the names and notes, in pixels."""
    notes = max(len(row.note) for row in rows)
    return max(len(svg.shortened(row.name, LONGEST)) for row in rows) * svg.LETTER + (notes * 8 + 14) * bool(notes) + 16


def _drawn(row: Row, x: Scale, y: float) -> list[Markup]:
    out = [svg.line("grid", 0, y - ROW / 2, WIDTH, y - ROW / 2)] if row.total else []
    out.append(svg.text("name made" if row.total else "", 0, y + 4.5, svg.shortened(row.name, LONGEST)))
    if row.note:
        out.append(svg.text("note end", x.start - 12, y + 4.5, row.note))
    middle, said = x(row.value), words.signed(row.value)
    if row.low is not None and row.high is not None:
        out.append(svg.line("reach", x(row.low), y, x(row.high), y))
        said = f"{said} ({words.between(row.low, row.high)})"
    if row.total:
        corners = [(middle - 7, y), (middle, y - 5.5), (middle + 7, y), (middle, y + 5.5)]
        out.append(svg.area("made", corners))
    else:
        out.append(svg.rectangle("made", middle - HALF, y - HALF, 2 * HALF, 2 * HALF))
    return [*out, svg.text("end", WIDTH, y + 4.5, said)]
