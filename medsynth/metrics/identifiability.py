"""How many training images have a synthetic image nearer than any other real one (ADS-GAN, Yoon et al. 2020)."""

import numpy as np

from medsynth.metrics.measured import Bootstrap, Measured
from medsynth.metrics.nearest import Known, blocks

DRAWS = 5  # random parts that are averaged over


def identifiability(
    made: np.ndarray, known: Known, reach: np.ndarray, bootstrap: Bootstrap, images: int | None = None
) -> Measured:
    """The share of training images t with d(t, NN among the synthetic) < d(t, NN among the other training images).

    `made` (image, dimension) are synthetic images, or new patients' for a value to compare with. The more there are,
    the nearer comes one by chance: so the share is the mean over DRAWS random parts of as many as there are training
    images, or `images`. `reach` as in authenticity.authentic. Distances are not weighted by entropies, which the
    paper gives columns of a table. `n` is the number of training images; the interval draws their patients.
    """
    count = min(len(made), images or len(known.patients))
    random = np.random.default_rng(bootstrap.seed)
    chosen = np.zeros((DRAWS if count < len(made) else 1, len(made)), dtype=bool)
    for row in chosen:
        row[random.permutation(len(made))[:count]] = True
    share = (_nearest_of(made, known, chosen) < reach).mean(axis=0)

    def weighted(weights: np.ndarray) -> float:
        return float(weights @ share / weights.sum())

    return bootstrap.measured(weighted, (known.patients,), n=len(known.patients))


def _nearest_of(made: np.ndarray, known: Known, chosen: np.ndarray) -> np.ndarray:
    """The distance of each training image to the nearest image of each part of the others, (part, known)."""
    found = np.full((len(chosen), len(known.patients)), np.inf)
    for rows, block in blocks(made, known):
        for part, inside in zip(found, chosen[:, rows], strict=True):
            np.minimum(part, block[inside].min(axis=0, initial=np.inf), out=part)
    return found
