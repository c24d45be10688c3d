"""A number and the interval that a bootstrap gives it."""

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
REPLICATES = 1000


@dataclass(frozen=True)
class Interval:
    """A value and the limits between which `LEVEL` of its bootstrap replicates lie."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, replicates: np.ndarray) -> "Interval":
        """The percentile interval of replicates, (replicate,); those that are no number are left out."""
        found = replicates[np.isfinite(replicates)]
        low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(found) else (np.nan, np.nan)
        return cls(value, float(low), float(high))


def drawn_again(count: int, replicates: int, seed: int) -> np.ndarray:
    """How often each of `count` things is drawn in `count` draws with replacement, (replicate, thing), float64."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)
    return drawn.astype(np.float64)
