"""Does a probability mean what it says? Of each arm, a small square plot: what was said against what was so."""

from collections.abc import Sequence

from markupsafe import Markup

from medsynth.artifacts.comparisons import ArmFound
from medsynth.report import svg, words
from medsynth.report.collect import NOTHING
from medsynth.report.svg import Scale

WIDTH, HEIGHT = 240, 252
LEFT, RIGHT, TOP, BOTTOM = 42, 8, 40, 212
MARKS = (0.0, 0.5, 1.0)


def panels(arms: Sequence[ArmFound]) -> list[Markup]:
    """A plot for each arm whose probabilities were held against what was so, plain arms first."""
    found = [arm for arm in arms if arm.calibration.count]
    return [_panel(arm) for arm in sorted(found, key=lambda arm: words.arm_order(arm.arm))]


def _panel(arm: ArmFound) -> Markup:
    """Points on the diagonal: three in ten of those that were given 0.3 have the finding."""
    known, shade = arm.calibration, "made" if words.uses_synthetic(arm.arm) else "real"
    x, y = Scale(0, 1, LEFT, WIDTH - RIGHT), Scale(0, 1, BOTTOM, TOP)
    error = NOTHING if known.error is None else f"{known.error:.3f}"
    name = words.arm(arm.arm)
    out = [svg.begin(WIDTH, HEIGHT, f"{name}: probability said, and share that has the finding")]
    out += [svg.text(f"name {shade}", 0, 12, name), svg.text("note", 0, 28, f"error of calibration {error}")]
    for mark in MARKS:
        out += [
            svg.line("grid", x(0), y(mark), x(1), y(mark)), svg.line("grid", x(mark), y(0), x(mark), y(1)),
            svg.text("note end", LEFT - 6, y(mark) + 4, f"{mark:g}"),
            svg.text("note end" if mark == 1 else "note mid", x(mark), BOTTOM + 16, f"{mark:g}"),
        ]  # fmt: skip
    out.append(svg.line("zero", x(0), y(0), x(1), y(1)))
    out.append(svg.text("note mid", (x(0) + x(1)) / 2, BOTTOM + 34, "probability said"))
    out.append(svg.upright("note mid", 12, (y(0) + y(1)) / 2, "share that has it"))
    points = [(x(said), y(true)) for said, true in zip(known.said, known.true, strict=True)]
    out.append(svg.path(f"curve {shade}", points))
    for (left, up), said, true, count in zip(points, known.said, known.true, known.count, strict=True):
        out.append(
            svg.dot(shade, left, up, f"{count} were given {said:.2f} on the average, {true:.2f} of them have it")
        )
    return svg.finished(out)
