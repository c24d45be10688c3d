"""A random generator and the labels of an eye -> its lesions: outlines on the retina, by label.

They are larger and fewer than life, so that they are still seen at 32 pixels a side.
"""

from dataclasses import dataclass, field

import numpy as np

from medsynth.data.drawn.canvas import Points, blob

HAEMORRHAGES, EXUDATES, WOOL_SPOTS = "haemorrhages", "exudates", "cotton_wool_spots"
COUNTS = {HAEMORRHAGES: (6, 11), EXUDATES: (4, 5), WOOL_SPOTS: (3, 4)}  # fewest and most in an eye that has any
FIELD = 0.78  # lesions lie within this distance of the fovea: every photograph of the eye shows them whole
DISC_SPACE = 0.32  # and keep this distance from the middle of the optic disc


@dataclass
class Lesions:
    """The outlines of each kind, and the room they take up."""

    disc: Points
    outlines: dict[str, list[Points]] = field(default_factory=dict)
    taken: list[tuple[Points, float]] = field(default_factory=list)

    def place(self, dice: np.random.Generator, radius: float, ring: tuple[float, float]) -> Points:
        """A spot for a lesion of `radius`, at a distance within `ring` from the fovea, as free as can be found."""
        best, best_room = np.zeros(2), -np.inf
        for _ in range(40):
            distance, angle = np.sqrt(dice.uniform(ring[0] ** 2, ring[1] ** 2)), dice.uniform(0, 2 * np.pi)
            spot = distance * np.array([np.cos(angle), np.sin(angle)])
            around = [(self.disc, DISC_SPACE), *self.taken]
            room = min(float(np.hypot(*(spot - other))) - space for other, space in around) - radius
            if room > best_room:
                best, best_room = spot, room
            if best_room > 0:
                break
        self.taken.append((best, radius))
        return best


def scatter(dice: np.random.Generator, disc: Points, labels: dict[str, int]) -> Lesions:
    """Lesions of every kind whose label is 1. The largest find their place first."""
    lesions = Lesions(disc, {name: [] for name in labels})
    for name, draw in ((WOOL_SPOTS, _wool_spot), (EXUDATES, _exudate_cluster), (HAEMORRHAGES, _haemorrhage)):
        fewest, most = COUNTS[name]
        for _ in range(int(dice.integers(fewest, most + 1)) if labels.get(name) else 0):
            lesions.outlines[name] += draw(dice, lesions)
    return lesions


def _haemorrhage(dice: np.random.Generator, lesions: Lesions) -> list[Points]:
    radius = dice.uniform(0.06, 0.12)
    spot = lesions.place(dice, radius, (0.2, FIELD - 0.04))
    if dice.random() < 0.6:
        drops = spot + dice.normal(0, 0.9 * radius, (2, 2))
        return [blob(dice, spot, radius, rough=0.4), *(blob(dice, drop, 0.35 * radius, rough=0.4) for drop in drops)]
    # A flame: streaks side by side, along the nerve fibres that run to the optic disc.
    along = (lesions.disc - spot) / np.hypot(*(lesions.disc - spot))
    across = np.array([-along[1], along[0]])
    streaks = []
    for shift in np.linspace(-0.5, 0.5, 5) * radius:
        round_streak = blob(dice, np.zeros(2), 1.0, rough=0.1) * (radius * dice.uniform(0.9, 1.7), radius * 0.26)
        middle = spot + shift * across + dice.normal(0, 0.2) * radius * along
        streaks.append(middle + round_streak @ np.stack([along, across]))
    return streaks


def _exudate_cluster(dice: np.random.Generator, lesions: Lesions) -> list[Points]:
    """Small deposits, crowded in the middle of the cluster."""
    spot = lesions.place(dice, 0.13, (0.22, 0.62))
    count = int(dice.integers(14, 24))
    spots = spot + np.clip(dice.normal(0, 0.063, (count, 2)), -0.14, 0.14)
    return [blob(dice, place, dice.uniform(0.014, 0.044), rough=0.35) for place in spots]


def _wool_spot(dice: np.random.Generator, lesions: Lesions) -> list[Points]:
    """A patch of a few lobes that melt into each other when their edges are softened."""
    radius = dice.uniform(0.13, 0.17)
    spot = lesions.place(dice, radius, (0.3, FIELD - 0.1))
    lobes = spot + dice.normal(0, 0.4 * radius, (5, 2))
    return [blob(dice, place, radius * dice.uniform(0.5, 0.85), rough=0.4) for place in lobes]
