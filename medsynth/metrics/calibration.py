"""Whether a probability means what it says: of the things that were given 0.3, did three in ten have the label?

The error of calibration is measured in bins that hold equally many things, because probabilities of rare labels crowd
near 0, where bins of equal width would put nearly all things into one. It is never 0 for few things, however well
calibrated: compare it between arms on the same things. The Brier score needs no bins.
"""

from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """A reliability curve: what was said and what was so, in bins by rising probability."""

    said: np.ndarray  # mean probability, (bin,)
    true: np.ndarray  # share of positives, (bin,)
    count: np.ndarray  # things, (bin,)


def reliability(truth: np.ndarray, probability: np.ndarray, bins: int = BINS) -> Reliability:
    """Truth, 0 or 1, and probability, each (thing,) -> at most `bins` points.

    The limits are quantiles of the probabilities, as in scikit-learn's calibration_curve(strategy="quantile"); equal
    probabilities are in one bin, and a bin without a thing is left out. Raises ValueError for no things.
    """
    if not len(truth):
        raise ValueError("there is nothing whose calibration could be measured")
    limits = np.percentile(probability, np.linspace(0, 1, bins + 1) * 100)
    place = np.searchsorted(limits[1:-1], probability)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    said, true = (np.bincount(place, weights=values, minlength=bins)[held] for values in (probability, truth))
    return Reliability(said / count[held], true / count[held], count[held])


def calibration_error(curve: Reliability) -> float:
    """Expected calibration error: the mean over things of how far what is said in their bin is from what is so there
    (Naeini et al. 2015; bins of equal counts: Nixon et al. 2019)."""
    return float(np.average(np.abs(curve.said - curve.true), weights=curve.count))


def brier(truth: np.ndarray, probability: np.ndarray) -> float:
    """The mean square of probability minus truth (Brier 1950), in [0, 1]; of several labels, their mean."""
    return float(np.square(probability - truth).mean())
