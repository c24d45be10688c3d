"""Numbers -> small line drawings, as SVG text that takes its colours and letters from the page and so follows its mode.

Classes used: `axis` (thin lines), `grid`, `note` (small grey letters), `name` (letters), `real` and `made` (lines and
dots of real and of synthetic images), `link`, `best`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from medsynth.report.collect import mean_and_spread

MOST_POINTS = 160  # of a line: more cannot be told apart at this size


@dataclass(frozen=True)
class Panel:
    """One small plot of training curves."""

    title: str
    what: str  # the quantity, in words
    lines: Sequence[Sequence[tuple[float, float]]]  # (step, value), a line a fold
    made: bool = False  # drawn in the colour of synthetic images
    best: bool = False  # higher is better: mark the best point of every line
    dashed: Sequence[Sequence[tuple[float, float]]] = ()  # more lines, beside the others
    kept: Sequence[tuple[float, float]] = ()  # points to mark: whose weights were kept
    limit: float | None = None  # a value that should not be passed


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


def dots(
    values: Mapping[str, Mapping[int, float]], names: Mapping[str, str], made: frozenset[str], axis: str
) -> Markup:
    """A line for each arm: a dot a fold, dots of the same fold joined, the mean as a stroke, its spread as a band."""
    width, left, right, row, top = 680, 150, 104, 44, 8
    points = [v for folds in values.values() for v in folds.values()]
    pad = max((max(points) - min(points)) * 0.12, 0.01)
    x = Scale(min(points) - pad, max(points) + pad, left, width - right)
    y = {arm: top + row * (i + 0.5) for i, arm in enumerate(values)}
    bottom = top + row * len(values)
    out = [_open(width, bottom + 42, f"{axis} of every arm and fold")]
    for tick in ticks(x.low, x.high, 4):
        out.append(_line("grid", x(tick), top, x(tick), bottom))
        out.append(_text("note mid", x(tick), bottom + 16, _number(tick, x.high - x.low)))
    out.append(_text("note mid", (left + width - right) / 2, bottom + 35, axis))
    for fold in sorted({fold for folds in values.values() for fold in folds}):
        path = [(x(values[arm][fold]), y[arm]) for arm in values if fold in values[arm]]
        out.append(_path("link", path))
    for arm, folds in values.items():
        mean, spread = mean_and_spread(folds.values())
        shade = "made" if arm in made else "real"
        if spread is not None:
            start, end = (min(max(x(v), left), width - right) for v in (mean - spread, mean + spread))
            out.append(
                Markup('<rect class="band {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12"/>').format(
                    shade, start, y[arm] - 6, end - start
                )
            )
        for fold, value in sorted(folds.items()):
            out.append(_dot(shade, x(value), y[arm], f"fold {fold}: {value:.3f}"))
        out.append(_line(f"mean {shade}", x(mean), y[arm] - 11, x(mean), y[arm] + 11))
        out.append(_text(f"name {shade}", 0, y[arm] + 5, names[arm]))
        out.append(_text("end", width, y[arm] + 5, f"{mean:.3f}" + ("" if spread is None else f" ± {spread:.3f}")))
    return Markup("").join([*out, Markup("</svg>")])


def bar(share: float) -> Markup:
    """A horizontal bar for a table cell; `share` of its full length, 0 to 1."""
    start = Markup('<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">')
    rail = Markup('<rect class="rail" width="100" height="10"/>')
    filled = Markup('<rect class="real" width="{:.1f}" height="10"/></svg>').format(100 * min(max(share, 0), 1))
    return start + rail + filled


def curves(panel: Panel, low: float | None = None, high: float | None = None) -> Markup:
    """Training curves, a thin line a fold. `low` and `high`: limits shared with other panels."""
    width, height, left, right, top, bottom = 240, 172, 36, 8, 40, 150
    shade = "made" if panel.made else "real"
    lines, dashed = ([thinned(line) for line in many] for many in (panel.lines, panel.dashed))
    points = [point for line in [*lines, *dashed] for point in line]
    values = [v for _, v in points] + [v for v in (low, high, panel.limit) if v is not None]
    y = _value_scale(min(values), max(values), bottom, top)
    x = Scale(0, max(1, *(step for step, _ in points)), left, width - right)
    out = [_open(width, height, f"{panel.title}: {panel.what}")]
    out += [_text("name", 0, 12, panel.title), _text("note", 0, 27, panel.what)]
    for tick, number in _value_ticks(y):
        out += [
            _line("grid", left, y(tick), width - right, y(tick)),
            _text("note end", left - 6, y(tick) + 4, number),
        ]
    for tick in ticks(0, x.high):
        side = "mid" if x(tick) < width - 30 else "end"
        out.append(_text(f"note {side}", x(tick), bottom + 17, f"{tick:,.0f}" if tick else "0 steps"))
    if panel.limit is not None:
        out.append(_line("limit", left, y(panel.limit), width - right, y(panel.limit)))
    out += [_path(f"curve {shade}", [(x(s), y(v)) for s, v in line]) for line in lines]
    out += [_path(f"curve dashed {shade}", [(x(s), y(v)) for s, v in line]) for line in dashed]
    marked = [(*max(line, key=lambda point: point[1]), "best") for line in lines if panel.best]
    for step, value, why in [*marked, *((*point, "kept") for point in panel.kept)]:
        out.append(_dot(shade, x(step), y(value), f"{why}: {value:.3g} at step {step:,.0f}"))
    return Markup("").join([*out, Markup("</svg>")])


def thinned(line: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most so many points: means of neighbours. Few points stay as they are."""
    if len(line) <= most:
        return list(line)
    groups = [line[i * len(line) // most : (i + 1) * len(line) // most] for i in range(most)]
    return [(fmean(s for s, _ in group), fmean(v for _, v in group)) for group in groups]


def _value_scale(low: float, high: float, start: float, end: float) -> Scale:
    """By the logarithm where values are positive and span more than a factor of twenty."""
    if low > 0 and high / low > 20:
        return Scale(low, high, start, end, log=True)
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return Scale(low - pad, high + pad, start, end)


def _value_ticks(scale: Scale) -> list[tuple[float, str]]:
    """Values to mark, and how they are written: all with equally many decimals on a straight scale."""
    if scale.log:
        powers = range(math.ceil(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)
        return [(10.0**power, f"{10.0**power:g}") for power in powers]
    found = ticks(scale.low, scale.high)
    decimals = max(len(f"{tick:.10g}".partition(".")[2]) for tick in found)
    return [(tick, f"{tick:.{decimals}f}") for tick in found]


def _number(value: float, span: float) -> str:
    return f"{value:.{max(0, 1 - math.floor(math.log10(span)))}f}"


def _open(width: float, height: float, title: str) -> Markup:
    return Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(width, height, title)


def _line(style: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(style, x1, y1, x2, y2)


def _text(style: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(style, x, y, text)


def _dot(style: str, x: float, y: float, title: str) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3.6"><title>{}</title></circle>').format(
        style, x, y, title
    )


def _path(style: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(style, " ".join(f"{x:.1f},{y:.1f}" for x, y in points))
