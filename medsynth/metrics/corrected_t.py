"""Differences of two arms in every fold and repeat -> a t-test that knows that the folds share their training patients.

Training sets of two folds have most patients in common, so that their differences vary less than those of independent
samples would, and the usual t-test finds too much. Nadeau and Bengio (2003) enlarge the variance by n_test / n_train.
Their correction is derived for random splits; for k-fold cross-validation it is a conservative convention.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CorrectedT:
    """The test of a mean difference against 0, two-sided, and the interval of that mean."""

    mean: float
    deviation: float  # of the differences, with n - 1
    t: float | None  # None where all differences are equal: nothing varies, so nothing is tested
    freedom: int
    p: float | None
    low: float
    high: float


def corrected_t(differences: Sequence[float], test_share: float, level: float = 0.95) -> CorrectedT | None:
    """t = mean(d) / sqrt((1/J + n_test/n_train) s^2) over J differences, J - 1 degrees of freedom; None for J < 2.

    `test_share` is n_test / n_train: 1 / (k - 1) for k folds, whatever the number of repeats. The interval covers
    `level`. Raises ValueError for a share that is negative.
    """
    from scipy.stats import t as student

    if test_share < 0:
        raise ValueError(f"n_test / n_train = {test_share} is negative")
    count, d = len(differences), np.asarray(differences, dtype=float)
    if count < 2:
        return None
    mean, deviation = float(d.mean()), float(d.std(ddof=1))
    error = float(np.sqrt(1 / count + test_share)) * deviation
    reach = float(student.ppf((1 + level) / 2, count - 1)) * error
    t = mean / error if error > 0 else None
    p = None if t is None else float(2 * student.sf(abs(t), count - 1))
    return CorrectedT(mean, deviation, t, count - 1, p, mean - reach, mean + reach)
