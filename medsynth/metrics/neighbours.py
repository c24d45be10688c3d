"""Features of two sets of images -> which of one lie among the other: precision, recall, density and coverage."""

from dataclasses import dataclass

import numpy as np

from medsynth.metrics import euclidean
from medsynth.metrics.owned import Unmeasurable

K = 5


@dataclass(frozen=True)
class Neighbourhoods:
    """How well synthetic images lie among real ones (precision, density) and the other way round (recall, coverage).

    All are shares in [0, 1] but `density`, which is 1 for sets of one kind and may be more.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbourhoods(real: np.ndarray, made: np.ndarray, k: int = K) -> Neighbourhoods:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    B(x) is the ball around an image x that reaches to its k-th nearest neighbour in its own set, the surface included,
    by the Euclidean distance of features (image, feature). Precision: the share of synthetic images in any B(real).
    Recall: the share of real images in any B(synthetic). Density: in how many B(real) a synthetic image lies, on the
    average, over k. Coverage: the share of B(real) with a synthetic image in it.

    Recall and coverage rise with the number of synthetic images and fall with that of real ones, so compare with
    values of as many images, such as those of held-out patients. Raises Unmeasurable for sets of k images or fewer.
    """
    if min(len(real), len(made)) <= k:
        few = f"sets of {len(real)} and {len(made)} images"
        raise Unmeasurable(f"{few}, but {k} neighbours need {k + 1} images or more")
    middle = real.mean(axis=0, dtype=np.float64)  # nearer to the origin, fewer digits are lost
    x, y = real - middle, made - middle
    reach_of_real, reach_of_made = reaches(x, k), reaches(y, k)
    recalled = np.zeros(len(x), dtype=bool)
    covered = np.zeros(len(x), dtype=bool)
    holding = np.zeros(len(y), dtype=int)
    for rows, found in euclidean.blocks(x, y):
        recalled[rows] = (found <= reach_of_made).any(axis=1)
        held = found <= reach_of_real[rows, None]
        covered[rows] = held.any(axis=1)
        holding += held.sum(axis=0)
    return Neighbourhoods(
        precision=float((holding > 0).mean()),
        recall=float(recalled.mean()),
        density=float(holding.mean() / k),
        coverage=float(covered.mean()),
    )


def reaches(features: np.ndarray, k: int = K) -> np.ndarray:
    """The squared distance of each image to its k-th nearest neighbour, itself not counted, (image,)."""
    reach = np.empty(len(features))
    for rows, found in euclidean.blocks(features, features):
        own = np.arange(len(found))
        found[own, own + rows.start] = np.inf
        found.partition(k - 1, axis=1)
        reach[rows] = found[:, k - 1]
    return reach
