"""A number about synthetic images, what it would be of a perfect generator, and how sure it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medsynth.metrics.interval import REPLICATES, Interval


@dataclass(frozen=True)
class Measured:
    """`expected` is the value of a generator whose images are as far from the training images as new patients' are.

    The interval is None where it cannot be told; so is `expected`.
    """

    value: float
    n: int  # what it was measured on: synthetic images, unless said otherwise
    ci_low: float | None = None
    ci_high: float | None = None
    expected: float | None = None

    @classmethod
    def of(cls, value: float, replicates: np.ndarray, *, n: int, expected: float | None = None) -> "Measured":
        """With the percentile interval of replicates, (replicate,), as far as they are numbers."""
        found = Interval.of(value, replicates)
        low, high = (limit if np.isfinite(limit) else None for limit in (found.low, found.high))
        return cls(value, n, low, high, expected)


@dataclass(frozen=True)
class PerImage:
    """A value of each image, (image,), and the patient it counts for, (image,)."""

    values: np.ndarray
    patients: np.ndarray

    def part(self, images: np.ndarray) -> "PerImage":
        return PerImage(self.values[images], self.patients[images])


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn: how many resamples of patients, 0 for none, and from which seed."""

    seed: int
    replicates: int = REPLICATES

    def measured(
        self,
        statistic: Callable[..., float],
        patients: Sequence[np.ndarray],
        *,
        n: int,
        expected: float | None = None,
    ) -> Measured:
        """The statistic, and its percentile interval over resamples of the patients.

        `patients` holds an array (image,) for each set of images; `statistic` takes a weight for each image of each
        set: all 1 for the value itself, else how often the image's patient was drawn. No interval where a set has
        fewer than two patients: nothing then says how patients differ.
        """
        value = statistic(*(np.ones(len(of_set)) for of_set in patients))
        return Measured.of(value, self.replicates_of(statistic, patients), n=n, expected=expected)

    def replicates_of(self, statistic: Callable[..., float], patients: Sequence[np.ndarray]) -> np.ndarray:
        """The statistic of resamples, (replicate,); nothing where a set has fewer than two patients."""
        if any(len(np.unique(of_set)) < 2 for of_set in patients):
            return np.empty(0)
        weightings = [_weightings(of_set, self.seed, place) for place, of_set in enumerate(patients)]
        return np.array([statistic(*map(next, weightings)) for _ in range(self.replicates)])


def _weightings(patients: np.ndarray, seed: int, place: int) -> Iterator[np.ndarray]:
    """For ever: how often the patient of each image is drawn when as many patients are drawn as there are, (image,)."""
    names, of_image = np.unique(patients, return_inverse=True)
    random = np.random.default_rng((seed, place))
    even = np.full(len(names), 1 / max(1, len(names)))
    while True:
        yield random.multinomial(len(names), even)[of_image.reshape(-1)].astype(np.float64)
