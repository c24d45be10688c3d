"""Whether a synthetic image lies nearer to a training image than any other training image does (Alaa et al. 2022)."""

import numpy as np

from medsynth.metrics.measured import Bootstrap, Measured
from medsynth.metrics.nearest import Nearest


def authentic(asked: Nearest, reach: np.ndarray) -> np.ndarray:
    """Whether each image is authentic, (asked,): the nearest training image t* has a training image nearer than it.

    1[d(t*, NN(t*)) < d(g, t*)] (Alaa et al. 2022, section 4.3). `reach` is the distance of each training image to its
    nearest other one: nearest.among(known).next_distance; or, of another patient, .other_distance. With several images
    of a patient the first is the distance of two images of one person, and hardly any image of a training patient
    is found by it; by the second many images of new patients are not authentic either.
    """
    return reach[asked.image] < asked.distance


def authentic_percentage(
    made: Nearest, new: Nearest, reach: np.ndarray, patients: np.ndarray, bootstrap: Bootstrap
) -> Measured:
    """AuthPct: the percentage of authentic synthetic images, 0 to 100. Nothing is subtracted; FLD's code subtracts 50.

    Expected is that of new patients' images, and only beside it does it say anything. `patients` are those of the
    training images, (known,).
    """
    ours, theirs = authentic(made, reach), authentic(new, reach)

    def percentage(weights: np.ndarray) -> float:
        return float(100 * weights[ours].sum() / weights.sum())

    expected = float(100 * theirs.mean()) if len(theirs) else None
    return bootstrap.measured(percentage, (patients[made.image],), n=len(ours), expected=expected)
