"""Scores of all arms, and training curves -> small line drawings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from medsynth.report import svg, words
from medsynth.report.collect import mean_and_spread
from medsynth.report.svg import Scale

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


def dots(
    values: Mapping[str, Mapping[int, float]], names: Mapping[str, str], made: frozenset[str], axis: str
) -> Markup:
    """A line for each arm: a dot a fold, dots of the same fold joined, the mean as a stroke, its spread as a band."""
    width, right, row, top = 680, 104, 30, 8
    left = max(150, max(len(names[arm]) for arm in values) * (svg.LETTER + 0.6) + 16)  # bold letters are wider
    points = [v for folds in values.values() for v in folds.values()]
    pad = max((max(points) - min(points)) * 0.12, 0.01)
    x = Scale(min(points) - pad, max(points) + pad, left, width - right)
    y = {arm: top + row * (i + 0.5) for i, arm in enumerate(values)}
    bottom = top + row * len(values)
    out = [svg.begin(width, bottom + 42, f"{axis} of every arm and fold")]
    marks = svg.ticks(x.low, x.high, 4)
    for tick, number in zip(marks, svg.numbers(marks), strict=True):
        out.append(svg.line("grid", x(tick), top, x(tick), bottom))
        out.append(svg.text("note mid", x(tick), bottom + 16, number))
    out.append(svg.text("note mid", (left + width - right) / 2, bottom + 35, axis))
    for fold in sorted({fold for folds in values.values() for fold in folds}):
        path = [(x(values[arm][fold]), y[arm]) for arm in values if fold in values[arm]]
        out.append(svg.path("link", path))
    for arm, folds in values.items():
        mean, spread = mean_and_spread(folds.values())
        shade = "made" if arm in made else "real"
        if spread is not None:
            start, end = (min(max(x(v), left), width - right) for v in (mean - spread, mean + spread))
            out.append(svg.rectangle(f"band {shade}", start, y[arm] - 6, end - start, 12))
        for fold, value in sorted(folds.items()):
            out.append(svg.dot(shade, x(value), y[arm], f"fold {fold}: {value:.3f}"))
        out.append(svg.line(f"mean {shade}", x(mean), y[arm] - 10, x(mean), y[arm] + 10))
        out.append(svg.text(f"name {shade}", 0, y[arm] + 5, names[arm]))
        out.append(svg.text("end", width, y[arm] + 5, f"{mean:.3f}" + ("" if spread is None else f" ± {spread:.3f}")))
    return svg.finished(out)


def arms(values: Mapping[str, Mapping[int, float]], axis: str) -> Markup:
    """`dots` of arms by their names."""
    made = frozenset(arm for arm in values if words.uses_synthetic(arm))
    return dots(values, {arm: words.arm(arm) for arm in values}, made, axis)


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
    out = [svg.begin(width, height, f"{panel.title}: {panel.what}")]
    out += [svg.text("name", 0, 12, panel.title), svg.text("note", 0, 27, panel.what)]
    for tick, number in _value_ticks(y):
        out += [
            svg.line("grid", left, y(tick), width - right, y(tick)),
            svg.text("note end", left - 6, y(tick) + 4, number),
        ]
    for tick in svg.ticks(0, x.high):
        side = "mid" if x(tick) < width - 30 else "end"
        out.append(svg.text(f"note {side}", x(tick), bottom + 17, f"{tick:,.0f}" if tick else "0 steps"))
    if panel.limit is not None:
        out.append(svg.line("limit", left, y(panel.limit), width - right, y(panel.limit)))
    out += [svg.path(f"curve {shade}", [(x(s), y(v)) for s, v in line]) for line in lines]
    out += [svg.path(f"curve dashed {shade}", [(x(s), y(v)) for s, v in line]) for line in dashed]
    marked = [(*max(line, key=lambda point: point[1]), "best") for line in lines if panel.best]
    for step, value, why in [*marked, *((*point, "kept") for point in panel.kept)]:
        out.append(svg.dot(shade, x(step), y(value), f"{why}: {value:.3g} at step {step:,.0f}"))
    return svg.finished(out)


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
    """Values to mark, and how they are written."""
    if scale.log:
        powers = range(math.ceil(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)
        return [(10.0**power, f"{10.0**power:g}") for power in powers]
    found = svg.ticks(scale.low, scale.high)
    return [*zip(found, svg.numbers(found), strict=True)]
