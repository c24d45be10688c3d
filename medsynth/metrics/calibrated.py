"""How near synthetic images come to training images, measured by how near new patients' images come: the audit's gate.

Nobody can say what distance is a copy. What can be said is how near images come of patients who were never trained on,
and how many of the synthetic ones come nearer than nearly all of these (as in Dar et al. 2024).
"""

from dataclasses import replace

import numpy as np

from medsynth.metrics.closeness import USUAL, share_below, unusual
from medsynth.metrics.measured import Bootstrap, Measured, PerImage

FEWEST = 2  # new images that have to lie below a threshold for a resample to tell how sure it is


def closer_share(made: PerImage, new: PerImage, bootstrap: Bootstrap, usual: float = USUAL) -> Measured:
    """c_a: the share of synthetic images closer than all but the share `usual` of new patients' images.

    Values are small for what is close: distances to the nearest training image (nearest.Nearest.distance), or its
    patient_ratios. A synthetic image counts for the patient of its nearest training image: copies come in groups, too.

    `usual` is expected of a generator whose images are no closer than new patients', or 1 / (n + 1) where that is more:
    n new images tell of nothing rarer. The interval draws new patients, who make the threshold, and nearest training
    patients, who make the hits; it is None where fewer than FEWEST new images lie below the threshold.
    """
    order = np.argsort(new.values, kind="stable")
    rising = new.values[order]

    def share(of_made: np.ndarray, of_new: np.ndarray) -> float:
        below = made.values < _weighted(rising, of_new[order], usual)
        return float(of_made[below].sum() / of_made.sum())

    found = bootstrap.measured(
        share, (made.patients, new.patients), n=len(made.values), expected=max(usual, 1 / (len(new.values) + 1))
    )
    told = usual * len(new.values) >= FEWEST
    return found if told else replace(found, ci_low=None, ci_high=None)


def closer_share_of_class(
    made: PerImage, new: PerImage, of_class: tuple[np.ndarray, np.ndarray], bootstrap: Bootstrap, usual: float = USUAL
) -> Measured | None:
    """c_a of one class's synthetic images; rare classes are learned by heart first. None where there are none.

    `of_class` are masks over `made` and `new`. The threshold is that of all new images, of which a rare class has too
    few; expected is the share of the class's own new images below it, or None where there are none.
    """
    ours, theirs = of_class
    if not ours.any():
        return None
    found = closer_share(made.part(ours), new, bootstrap, usual)
    own = new.values[theirs]
    return replace(found, expected=share_below(own, unusual(new.values, usual)) if len(own) else None)


def _weighted(rising: np.ndarray, weights: np.ndarray, usual: float) -> float:
    """closeness.unusual of values in rising order, each there as often as its weight, a whole number, says."""
    count = weights.sum()
    rank = min(max(usual * (count + 1), 1), count)
    reached = np.cumsum(weights)
    low, high = np.searchsorted(reached, [np.floor(rank), np.ceil(rank)])
    return float(rising[low] + (rank - np.floor(rank)) * (rising[high] - rising[low]))
