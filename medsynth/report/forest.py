"""Differences with their intervals -> a forest plot: a row each, no difference as a line down the middle."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from medsynth.report import svg, words
from medsynth.report.svg import Scale

TOP, ROW = 8, 24
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


@dataclass(frozen=True)
class Frame:
    """How a plot is laid out, in pixels."""

    axis: str  # the quantity of the differences
    width: int = 680
    names: int = 210  # room for the names, on the left
    said: int = 178  # room for the numbers, on the right


def forest(rows: Sequence[Row], frame: Frame) -> Markup:
    """A square a row, and a stroke from one end of its interval to the other. `rows` may not be empty."""
    limits = [v for row in rows for v in (row.value, row.low, row.high, 0.0) if v is not None]
    pad = max((max(limits) - min(limits)) * 0.06, 1e-4)
    x = Scale(min(limits) - pad, max(limits) + pad, frame.names, frame.width - frame.said)
    bottom = TOP + ROW * len(rows)
    out = [svg.begin(frame.width, bottom + 54, f"{frame.axis}: difference and interval of each row")]
    marks = svg.ticks(x.low, x.high)
    for tick, number in zip(marks, svg.numbers(marks), strict=True):
        style = "zero" if tick == 0 else "grid"
        out.append(svg.line(style, x(tick), TOP, x(tick), bottom))
        out.append(svg.text("note mid", x(tick), bottom + 16, f"+{number}" if tick > 0 else number))
    out.append(svg.text("note mid", (x.start + x.end) / 2, bottom + 33, frame.axis))
    out.append(svg.text("note", x.start, bottom + 50, "← worse"))
    out.append(svg.text("note end", x.end, bottom + 50, "better with synthetic images →"))
    for place, row in enumerate(rows):
        out += _drawn(row, x, TOP + ROW * (place + 0.5), frame)
    return svg.finished(out)


def _drawn(row: Row, x: Scale, y: float, frame: Frame) -> list[Markup]:
    out = [svg.line("grid", 0, y - ROW / 2, frame.width, y - ROW / 2)] if row.total else []
    out.append(svg.text("name made" if row.total else "", 0, y + 4.5, row.name))
    if row.note:
        out.append(svg.text("note end", frame.names - 12, y + 4.5, row.note))
    middle, said = x(row.value), words.signed(row.value)
    if row.low is not None and row.high is not None:
        out.append(svg.line("reach", x(row.low), y, x(row.high), y))
        said = f"{said} ({words.between(row.low, row.high)})"
    if row.total:
        corners = [(middle - 7, y), (middle, y - 5.5), (middle + 7, y), (middle, y + 5.5)]
        out.append(svg.area("made", corners))
    else:
        out.append(svg.rectangle("made", middle - HALF, y - HALF, 2 * HALF, 2 * HALF))
    return [*out, svg.text("end", frame.width, y + 4.5, said)]
