"""Two arms on the same patients -> how often chance alone makes them differ as much.

If it made no difference which arm a patient was given to, the two predictions of a patient could be swapped. They are,
for a random half of the patients at a time, all things of a patient together.
"""

from collections.abc import Sequence

import numpy as np

from medsynth import seeds
from medsynth.metrics.classification import FEWEST_PATIENTS, Task
from medsynth.metrics.delong import midranks
from medsynth.metrics.resampling import Averages, Predicted, in_parts
from medsynth.metrics.weighted import Said, Scorer

PERMUTATIONS = 10_000
ROUNDING = 1e-12  # differences this near to each other are equal


def permuted(
    folds: Sequence[Predicted],
    arms: tuple[str, str],
    task: Task,
    *,
    seed: int,
    permutations: int = PERMUTATIONS,
    fewest: int = FEWEST_PATIENTS,
) -> dict[str, float]:
    """score -> two-sided p of the difference of its means over folds.

    p = (1 + how many permutations differ as much) / (1 + permutations), which holds its level for any number of them
    (Phipson and Smyth 2010). For AUC and average precision, ranks within the fold are swapped instead of probabilities,
    so that arms of equal rankings are equal whatever they mean by 0.3 (Bandos, Rockette and Gur 2005).
    """
    observed, swapped = Averages(), Averages()
    for number, fold in enumerate(folds):
        kept, patients = fold.scorable(fewest), len(fold.carriers())
        scorer = Scorer.of(np.tile(fold.truth, (2, 1)), _stacked([fold.said[arm] for arm in arms]), task, kept)
        # Of a patient who is swapped, an arm has what stands in the second half: the other arm's predictions.
        rows = np.concatenate([fold.owners, fold.owners + patients])
        dice = np.random.default_rng(seeds.derive(seed, "permutation", number))
        swaps = dice.integers(0, 2, size=(permutations, patients), dtype=np.int8).T
        for averages, swap in ((observed, np.zeros((patients, 1), dtype=np.int8)), (swapped, swaps)):
            halves = {"first": np.concatenate([1 - swap, swap]), "second": np.concatenate([swap, 1 - swap])}
            averages.add({arm: in_parts({arm: scorer}, own, rows)[arm] for arm, own in halves.items()})
    there, chance = observed.means(), swapped.means()
    found = {}
    for name in there.get("first", {}):
        difference = abs(there["first"][name] - there["second"][name]).item()
        by_chance = np.abs(chance["first"][name] - chance["second"][name])
        by_chance = by_chance[np.isfinite(by_chance)]
        if np.isfinite(difference):
            found[name] = (1 + int((by_chance >= difference - ROUNDING).sum())) / (1 + len(by_chance))
    return found


def _stacked(said: Sequence[Said]) -> Said:
    """What two arms say, one after the other, as if of twice as many things."""
    ranks = [np.stack([midranks(column) for column in of.ranked.T], axis=1) for of in said]
    shared = [ending for ending in said[0].called if all(ending in of.called for of in said)]
    called = {ending: np.concatenate([of.called[ending] for of in said]) for ending in shared}
    return Said(np.concatenate([of.probability for of in said]), np.concatenate(ranks), called)
