"""Predictions of all folds put together by their ranks -> areas and average precisions of all patients at once.

Two classifiers need not mean the same by 0.3, so probabilities of different folds are not ranked against each other. A
rank within the fold means the same in every fold, as far as folds hold like patients. What comes of it stands beside
the mean over folds: where the two differ, so do folds.
"""

from collections.abc import Sequence

import numpy as np

from medsynth import seeds
from medsynth.metrics.classification import FEWEST_PATIENTS, Task
from medsynth.metrics.delong import midranks
from medsynth.metrics.resampling import RESAMPLES, Predicted, Resampled, drawn_times, in_parts, rarest_label
from medsynth.metrics.weighted import Said, Scorer

RANKED = ("auc", "map", "ap")  # scores that go by ranks alone


def pooled(
    folds: Sequence[Predicted], task: Task, *, seed: int, resamples: int = RESAMPLES, fewest: int = FEWEST_PATIENTS
) -> Resampled:
    """AUC and average precision of ranks r / (n + 1) within folds of n things, and of resamples of the patients.

    Patients are drawn as in `resampling.bootstrap` with the same seed: the same ones. A label is scored where `fewest`
    patients of all folds have it and as many do not. All folds must have the same arms. Ranks are those of the fold as
    it is, in every resample.
    """
    whole, rarest = together(folds), rarest_label(folds)
    times = [
        drawn_times(fold.carriers()[:, rarest], resamples, seeds.derive(seed, "bootstrap", number))
        for number, fold in enumerate(folds)
    ]
    kept = whole.scorable(fewest)
    scorers = {arm: Scorer.of(whole.truth, said, task, kept) for arm, said in whole.said.items()}
    once = np.ones((int(whole.owners.max()) + 1, 1))
    value, drawn = (in_parts(scorers, often, whole.owners) for often in (once, np.concatenate(times)))

    def ranked(name: str) -> bool:
        return name.partition(".")[0] in RANKED

    return Resampled(
        {arm: {name: found.item() for name, found in of.items() if ranked(name)} for arm, of in value.items()},
        {arm: {name: found for name, found in of.items() if ranked(name)} for arm, of in drawn.items()},
    )


def together(folds: Sequence[Predicted]) -> Predicted:
    """All folds as one, with ranks within the fold for what is ranked; owners go on counting."""
    first, owners = 0, []
    for fold in folds:
        owners.append(fold.owners + first)
        first += int(fold.owners.max(initial=-1)) + 1
    said = {}
    for arm in folds[0].said:
        parts = [fold.said[arm] for fold in folds]
        probability, ranked = (np.concatenate([*map(look, parts)]) for look in (_probability, _ranks))
        said[arm] = Said(probability, ranked, {"": np.concatenate([of.called[""] for of in parts])})
    return Predicted(np.concatenate([fold.truth for fold in folds]), np.concatenate(owners), said)


def _probability(said: Said) -> np.ndarray:
    return said.probability


def _ranks(said: Said) -> np.ndarray:
    """Of each label, as shares of how many things there are: above 0 and below 1."""
    return np.stack([midranks(column) for column in said.ranked.T], axis=1) / (len(said.ranked) + 1)
