"""What two arms decide about the same patients -> which of them is right more often where they differ."""

from collections.abc import Sequence
from math import erfc, sqrt

import numpy as np

from medsynth.artifacts.comparisons import Decisions
from medsynth.metrics.pooled import together
from medsynth.metrics.resampling import Predicted


def mcnemar(ours: np.ndarray, theirs: np.ndarray, owners: np.ndarray) -> Decisions:
    """McNemar's test for things of patients: `ours` and `theirs` say whether a thing was decided rightly, (thing,).

    z = sum_i d_i / sqrt(sum_i d_i^2), d_i being how many more of patient i's things the first arm decides rightly:
    the variance of the sum over patients where there is no difference (in the manner of Obuchowski 1998), so that two
    eyes of a patient are less than two patients. With one thing for every patient z^2 is McNemar's (b - c)^2 / (b + c)
    (1947). `owners` are whole numbers from 0, (thing,). Raises ValueError for no things.
    """
    if not len(ours):
        raise ValueError("nothing was decided, so that nothing can be compared")
    change = ours.astype(int) - theirs.astype(int)
    sums = np.bincount(owners, change)
    spread = float(np.square(sums).sum())
    z = float(sums.sum()) / sqrt(spread) if spread > 0 else None
    return Decisions(
        float(change.mean()), int((change > 0).sum()), int((change < 0).sum()), z,
        None if z is None else erfc(abs(z) / sqrt(2)),
    )  # fmt: skip


def decisions(folds: Sequence[Predicted], pair: tuple[str, str], labels: Sequence[str]) -> dict[str, Decisions]:
    """`sensitivity.LABEL` and `specificity.LABEL` -> the test of one arm against another, over all folds.

    Decided at the fixed threshold of 0.5, or for the most probable class. `sensitivity` and `specificity` alone are of
    all labels together. No patient is in two folds.
    """
    truth = np.concatenate([fold.truth for fold in folds]) == 1
    ours, theirs = (np.concatenate([fold.said[arm].called[""] for fold in folds]) == truth for arm in pair)
    owners = together(folds).owners
    found = {}
    for name, asked in (("sensitivity", truth), ("specificity", ~truth)):
        columns = {f"{name}.{label}": [i] for i, label in enumerate(labels)} | {name: list(range(len(labels)))}
        for key, chosen in columns.items():
            rows, of = np.nonzero(asked[:, chosen])
            if len(rows):
                place = np.array(chosen)[of]
                found[key] = mcnemar(ours[rows, place], theirs[rows, place], owners[rows])
    return found
