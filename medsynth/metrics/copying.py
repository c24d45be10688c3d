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


def copies_beyond(made: PerImage, new: PerImage, bootstrap: Bootstrap) -> Measured:
    """How much larger the share of copies is than that of one more new patient's images may be, -1 to 1.

    The share of synthetic images with a copy ratio below 1/3, less (hits + 1) / (n + 1) of n images of new patients:
    as in closeness.unusual, one more image counts as a hit, so that few new images do not make any hit suspicious. The
    interval draws patients of both; above 0 its lower limit says that more are copies than new patients' images seem
    to be, and for a generator that copies nobody it is above 0 about as seldom as an interval of its level may be.
    """
    copied, alike = made.values < COPY, new.values < COPY

    def beyond(ours: np.ndarray, theirs: np.ndarray) -> float:
        return float(ours[copied].sum() / ours.sum() - (theirs[alike].sum() + 1) / (theirs.sum() + 1))

    return bootstrap.measured(beyond, (made.patients, new.patients), n=len(made.values), expected=0.0)


def times_copied(found: Nearest, limit: float, known: int) -> np.ndarray:
    """How many synthetic images have each of `known` training images as their nearest, closer than `limit`, (known,).

    N_mem of Dar et al. 2024 is the share of training images above 0, with the limit measured on new patients
    (closeness.unusual).
    """
    return np.bincount(found.image[found.distance < limit], minlength=known)
