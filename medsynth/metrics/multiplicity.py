"""Several p-values of one family -> p-values that may be held against one level together."""

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm 1979): whoever calls those below a level different is wrong about any
    of them with at most that probability, however the tests depend on each other.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below one before it, none above 1.
    Raises ValueError for a value that is no probability.
    """
    values = np.asarray(p, dtype=float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"not all of these are probabilities: {list(p)}")
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(raised, 1)
    return adjusted.tolist()
