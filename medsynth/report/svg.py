"""The strokes that every drawing of the report is made of, as SVG text that takes its colours and letters from the page
and so follows its mode.

Classes used: `axis` and `grid` (thin lines), `zero` (no difference), `note` (small grey letters), `name` (letters),
`real` and `made` (lines and dots of real and of synthetic images), `link`, `band`, `limit`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

LETTER = 7.2  # pixels that a letter of a name takes, about


@dataclass(frozen=True)
class Scale:
    """Values to places, straight or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def ticks(low: float, high: float, least: int = 3) -> list[float]:
    """The coarsest round numbers (1, 2 or 5 times a power of ten apart) of which `least` or more lie in [low, high]."""
    if not high > low:
        return [low]
    power = 10.0 ** math.ceil(math.log10(high - low))
    found: list[float] = []
    for step in (power * part for part in (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)):
        found = [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        if len(found) >= least:
            break
    return found


def numbers(values: Sequence[float]) -> list[str]:
    """Values of an axis as they are written: all with equally many decimals, as few as they need."""
    decimals = max(len(f"{value:.10g}".partition(".")[2]) for value in values)
    return [f"{value:.{decimals}f}".replace("-", "−") for value in values]


def shortened(name: str, most: int) -> str:
    """At most so many letters."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def begin(width: float, height: float, title: str) -> Markup:
    """The opening tag; `title` is what is read out to those who do not see it."""
    return Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(width, height, title)


def finished(strokes: Sequence[Markup]) -> Markup:
    return Markup("").join([*strokes, Markup("</svg>")])


def line(style: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(style, x1, y1, x2, y2)


def text(style: str, x: float, y: float, said: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(style, x, y, said)


def upright(style: str, x: float, y: float, said: str) -> Markup:
    """Letters that run upwards: the name of a vertical axis, `x`, `y` being its middle."""
    return Markup('<text class="{}" transform="translate({:.1f} {:.1f}) rotate(-90)">{}</text>').format(
        style, x, y, said
    )


def rectangle(style: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        style, x, y, width, height
    )


def dot(style: str, x: float, y: float, title: str, radius: float = 3.6) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>').format(
        style, x, y, radius, title
    )


def path(style: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(style, " ".join(f"{x:.1f},{y:.1f}" for x, y in points))


def area(style: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<polygon class="{}" points="{}"/>').format(style, " ".join(f"{x:.1f},{y:.1f}" for x, y in points))
