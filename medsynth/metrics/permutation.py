"""Two arms on the same patients -> how often chance alone makes them differ as much.

If it made no difference which arm a patient was given to, the two predictions of a patient could be swapped. They are,
for a random half of the patients at a time, all things of a patient together.
"""

from collections.abc import Sequence

import numpy as np

from medsynth import seeds
from medsynth.metrics.classification import FEWEST_PATIENTS, Task
from medsynth.metrics.delong import midranks
from medsynth.metrics.resampling import CELLS_AT_ONCE, Averages, Predicted, in_parts
from medsynth.metrics.weighted import Said, Scorer, Scores

PERMUTATIONS = 10_000
FEW = 20  # patients of a fold: with fewer, a rank says much of the others who were ranked with them
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
    so that arms of equal rankings are equal whatever they mean by 0.3 (Bandos, Rockette and Gur 2005). A rank depends
    on the fold's other patients, who may be swapped or not: at 5 %, three folds of 7 patients are called different in
    7 % of the cases in which they are not, and of 20 patients in 5 %. So in a fold of fewer than `FEW` probabilities
    are swapped and ranked anew: that is exact, but arms that mean other things by 0.3 are then harder to tell apart.
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
            scored = {arm: in_parts({arm: scorer}, own, rows)[arm] for arm, own in halves.items()}
            if patients < FEW and kept.any():
                anew = {"first": swap, "second": 1 - swap}
                scored = {arm: scored[arm] | _ranked_anew(fold, arms, task, kept, anew[arm]) for arm in scored}
            averages.add(scored)
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


def _ranked_anew(fold: Predicted, arms: tuple[str, str], task: Task, kept: np.ndarray, swap: np.ndarray) -> Scores:
    """AUC and average precision of the first arm with the other one's word for the patients of whom `swap` is 1,
    (patient, permutation)."""
    own, others = (fold.said[arm].ranked for arm in arms)
    swapped, found = swap[fold.owners].astype(bool), Scores()
    for column in np.flatnonzero(kept):
        said = np.where(swapped, others[:, [column]], own[:, [column]])
        label = task.labels[column]
        found[f"auc.{label}"], found[f"ap.{label}"] = _auc_and_ap(fold.truth[:, column] == 1, said)
    means = {"auc": "auc.", "map": "ap."}
    return found | {
        name: np.mean([of for key, of in found.items() if key.startswith(start)], axis=0)
        for name, start in means.items()
    }


def _auc_and_ap(positive: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each column of `said`, (thing, permutation), each (permutation,). Every positive is set against everything."""
    found = []
    size = max(1, CELLS_AT_ONCE * 16 // (len(said) * int(positive.sum())))
    for first in range(0, said.shape[1], size):
        part = said[:, first : first + size]
        level = part[positive][:, None]  # (positive, 1, permutation)
        at_least, true = (part >= level).sum(axis=1), (part[positive] >= level).sum(axis=1)
        false, above = at_least - true, (part[~positive] > level).sum(axis=1)
        found.append([1 - (false + above).mean(axis=0) / (2 * (~positive).sum()), (true / at_least).mean(axis=0)])
    auc, ap = np.concatenate(found, axis=1)
    return auc, ap
