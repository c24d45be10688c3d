"""Which synthetic images are copies: the share of them, and how often each training image was copied."""

import numpy as np

from medsynth.metrics.closeness import COPY, share_below
from medsynth.metrics.measured import Bootstrap, Measured, PerImage
from medsynth.metrics.nearest import Nearest


def copy_share(made: PerImage, new: PerImage, bootstrap: Bootstrap) -> Measured:
    """The share of synthetic images with a copy ratio below 1/3 (Favero et al. 2025); values are Nearest.ratios.

    Expected is the same share of new patients' images: nearly 0. It finds copies, and no other image of a training
    patient: for those, give Nearest.patient_ratios to calibrated.closer_share.
    """

    def share(weights: np.ndarray) -> float:
        return float(weights[made.values < COPY].sum() / weights.sum())

    expected = share_below(new.values, COPY) if len(new.values) else None
    return bootstrap.measured(share, (made.patients,), n=len(made.values), expected=expected)


def times_copied(found: Nearest, limit: float, known: int) -> np.ndarray:
    """How many synthetic images have each of `known` training images as their nearest, closer than `limit`, (known,).

    N_mem of Dar et al. 2024 is the share of training images above 0, with the limit measured on new patients
    (closeness.unusual).
    """
    return np.bincount(found.image[found.distance < limit], minlength=known)
