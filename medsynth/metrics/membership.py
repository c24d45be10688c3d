"""Whether a score tells images that a model was trained on from images of patients it never saw."""

import numpy as np

from medsynth.metrics.measured import Bootstrap, Measured, PerImage

FALSE_POSITIVES = 0.01


def membership_auc(members: PerImage, others: PerImage, bootstrap: Bootstrap) -> Measured:
    """The probability that a member's score is above that of an image of a patient never seen; 0.5 tells nothing.

    Scores are low for what is unknown to the model, such as minus its loss less that of a model that has not seen the
    image either (difficulty calibration: Watson et al. 2022). The interval draws patients of both. `n` counts both.
    """
    ranked = np.sort(others.values)
    order = np.argsort(others.values, kind="stable")
    below, up_to = (np.searchsorted(ranked, members.values, side=side) for side in ("left", "right"))

    def area(ours: np.ndarray, theirs: np.ndarray) -> float:
        reached = np.concatenate([[0.0], np.cumsum(theirs[order])])
        return float(ours @ (reached[below] + reached[up_to]) / 2 / (ours.sum() * reached[-1]))

    return bootstrap.measured(
        area, (members.patients, others.patients), n=len(members.values) + len(others.values), expected=0.5
    )


def true_positive_rate(
    members: PerImage, others: PerImage, bootstrap: Bootstrap, false_positives: float = FALSE_POSITIVES
) -> Measured:
    """The share of members with a score above that of all but the share `false_positives` of the others (Carlini et al.
    2022).

    Expected where scores tell nothing is (k + 1) / (n + 1), with k of n others allowed above: a single false positive
    among 50 is 2 % already.
    """
    order = np.argsort(-others.values, kind="stable")
    falling = others.values[order]

    def rate(ours: np.ndarray, theirs: np.ndarray) -> float:
        above = np.cumsum(theirs[order])
        limit = falling[np.searchsorted(above, false_positives * above[-1], side="right")]
        return float(ours[members.values > limit].sum() / ours.sum())

    count = len(others.values)
    allowed = int(false_positives * count)
    return bootstrap.measured(
        rate, (members.patients, others.patients),
        n=len(members.values) + count, expected=(allowed + 1) / (count + 1),
    )  # fmt: skip
