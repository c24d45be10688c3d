"""A random generator -> the vessels of one eye: lines from the optic disc around the macula, branching and tapering."""

from dataclasses import dataclass

import numpy as np

from medsynth.data.drawn.canvas import REACH, Points

STEP = 0.03  # between two points of a vessel, in units of the retina
MACULA = 0.22  # no vessel comes closer to the fovea
TRUNKS = {  # where an arcade passes from the disc on, as three control points; mirrored in y for the one below
    "temporal": ((-0.02, -0.50), (-0.60, -0.74), (-1.45, -0.34)),
    "nasal": ((0.16, -0.16), (0.28, -0.42), (0.50, -0.95)),
}


@dataclass(frozen=True)
class Vessel:
    """A line on the retina, with its width at each point. Veins are darker than arteries."""

    points: Points
    widths: np.ndarray
    vein: bool


def grow(dice: np.random.Generator, disc: Points) -> list[Vessel]:
    """Both arcades and their branches, of an eye whose optic disc is at `disc`."""
    vessels: list[Vessel] = []
    for arcade, controls in TRUNKS.items():
        for below in (False, True):
            for vein in (True, False):
                trunk = _trunk(dice, disc, np.array(controls) * (1, -1 if below else 1), vein, thin=arcade == "nasal")
                vessels += [trunk, *_branches(dice, trunk, depth=2)]
    return vessels


def _trunk(dice: np.random.Generator, disc: Points, controls: Points, vein: bool, *, thin: bool) -> Vessel:
    outward = 1.0 if vein else 0.86  # the artery of a pair runs inside of its vein
    bends = disc + controls * outward * (1, dice.uniform(0.82, 1.1)) + dice.normal(0, 0.05, (3, 2))
    start = disc + dice.normal(0, 0.025, 2)
    t = np.linspace(0, 1, 48)[:, None]
    points = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * bends[0] + 3 * (1 - t) * t**2 * bends[1] + t**3 * bends[2]
    points = points + _sway(dice, len(points))
    width = (0.070 if vein else 0.050) * (0.6 if thin else 1.0) * dice.uniform(0.85, 1.15)
    # Narrow where it comes out of the disc, or the disc would hardly be seen behind its own vessels.
    emerging = np.clip(0.45 + np.hypot(*(points - disc).T) / 0.5, 0, 1)
    return Vessel(points, width * emerging * np.linspace(1, 0.18, len(points)) ** 0.8, vein)


def _branches(dice: np.random.Generator, parent: Vessel, depth: int) -> list[Vessel]:
    found: list[Vessel] = []
    at, side = int(dice.integers(5, 11)), int(dice.choice([-1, 1]))
    while depth and at < len(parent.points) - 4:
        along = parent.points[at + 1] - parent.points[at - 1]
        heading = np.arctan2(along[1], along[0]) + side * dice.uniform(0.5, 1.0)
        width = float(parent.widths[at]) * dice.uniform(0.5, 0.75)
        branch = _walk(dice, parent.points[at], heading, width, -side * dice.uniform(0.0, 0.035), parent.vein)
        if len(branch.points) > 4:
            found += [branch, *_branches(dice, branch, depth - 1)]
        at, side = at + int(dice.integers(5, 11)), -side
    return found


def _walk(dice: np.random.Generator, start: Points, heading: float, width: float, bend: float, vein: bool) -> Vessel:
    steps = int(dice.uniform(0.3, 0.6) * (1 + width / 0.04) / STEP)
    headings = heading + np.cumsum(bend + dice.normal(0, 0.09, steps))
    strides = STEP * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    points = np.concatenate([start[None], start + np.cumsum(strides, axis=0)])
    outside = (np.hypot(points[:, 0], points[:, 1]) < MACULA) | (np.abs(points) > REACH).any(axis=1)
    end = int(outside.argmax()) if outside.any() else len(points)
    return Vessel(points[:end], width * np.linspace(1, 0.25, len(points))[:end], vein)


def _sway(dice: np.random.Generator, count: int) -> Points:
    """A slow wandering that begins at zero, so that a trunk still starts on the disc."""
    t = np.linspace(0, 1, count)[:, None]
    waves = [np.sin(n * np.pi * t) * dice.normal(0, 0.05 / n, 2) for n in (1, 2, 3, 4, 6)]
    return np.sum(waves, axis=0)
