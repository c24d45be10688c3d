"""What every arm says of every fold -> the statistics of the arms, and of declared comparisons.

Primary: the paired bootstrap over patients. Beside it stand a permutation of arms within patients, the corrected t over
folds and repeats, and DeLong's test for single labels. Holm's adjustment is over the declared comparisons of the
primary score alone; every other p stands for itself. McNemar's test is of decisions at 0.5; AUC and average precision
of ranks that were pooled over folds stand beside the means over folds. An arm that was trained several times in a fold
enters all but the corrected t with its probabilities averaged over the repeats; that one keeps repeats apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np

from medsynth import seeds
from medsynth.artifacts.comparisons import (
    AreaTest,
    ArmFound,
    ArmScore,
    Calibration,
    Change,
    Comparison,
    Comparisons,
)
from medsynth.metrics import delong
from medsynth.metrics.calibration import calibration_error, reliability
from medsynth.metrics.classification import FEWEST_PATIENTS, Task, measure, reasons
from medsynth.metrics.corrected_t import corrected_t
from medsynth.metrics.mcnemar import decisions
from medsynth.metrics.multiplicity import holm
from medsynth.metrics.permutation import PERMUTATIONS, permuted
from medsynth.metrics.pooled import pooled
from medsynth.metrics.resampling import RESAMPLES, Predicted, Resampled, bootstrap
from medsynth.metrics.verdicts import FoldVerdicts
from medsynth.metrics.weighted import Said

PRIMARY = "map"  # macro average precision
COUNTS = ("positives.", "patients.")

Values = dict[str, dict[tuple[int, int], float]]  # score -> (fold, repeat) -> value


@dataclass(frozen=True)
class Asked:
    """Which arm is set against which."""

    arm: str
    baseline: str
    declared: bool  # False: a control, outside the family


@dataclass(frozen=True)
class Settings:
    """How the statistics are done."""

    seed: int
    test_share: float  # n_test / n_train of the corrected t
    resamples: int = RESAMPLES
    permutations: int = PERMUTATIONS
    level: float = 0.95
    fewest: int = FEWEST_PATIENTS


@dataclass(frozen=True)
class Material:
    """The verdicts of a run and what they are measured by."""

    folds: Mapping[int, FoldVerdicts]
    task: Task
    settings: Settings

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(arm for fold in self.folds.values() for arm in fold.averaged))

    def folds_of(self, *arms: str) -> tuple[int, ...]:
        """The folds that have all of these arms."""
        return tuple(f for f, of in sorted(self.folds.items()) if all(arm in of.averaged for arm in arms))

    def predicted(self, fold: int, arms: Sequence[str]) -> Predicted:
        verdicts = self.folds[fold].averaged
        rated = verdicts[arms[0]].rated
        said = {arm: Said.of(verdicts[arm].rated.probability, self.task, verdicts[arm].thresholds) for arm in arms}
        return Predicted(rated.truth, rated.owners(), said)

    def measured(self, arm: str) -> Values:
        """Every score of every single training of an arm."""
        found: Values = {}
        for fold in self.folds_of(arm):
            for repeat, verdict in self.folds[fold].single[arm].items():
                scores = measure(verdict.rated, self.task, verdict.thresholds, self.settings.fewest)
                for name, score in scores.items():
                    name = name.removeprefix(f"{verdict.rated.unit}.")
                    if not name.startswith(COUNTS) and np.isfinite(score.value):
                        found.setdefault(name, {})[fold, repeat] = score.value
        return found


def compare(
    material: Material,
    asked: Sequence[Asked],
    *,
    progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
) -> Comparisons:
    """All arms, and all comparisons of arms that share a fold. Raises ValueError for no fold."""
    if not material.folds:
        raise ValueError("there is nothing to compare")
    asked = [a for a in asked if material.folds_of(a.arm, a.baseline)]
    measured = {arm: material.measured(arm) for arm in material.arms}
    resampled = _resampled(material, asked, progress)
    arms = [_arm(material, arm, measured[arm], *resampled[material.folds_of(arm)]) for arm in material.arms]
    found = []
    for number, pair in enumerate(asked):
        progress("arms swapped within patients", number, len(asked))
        of_both = resampled[material.folds_of(pair.arm, pair.baseline)]
        found.append(_comparison(material, pair, of_both, (measured[pair.arm], measured[pair.baseline])))
    settings = material.settings
    first = next(iter(material.folds.values())).averaged
    return Comparisons(
        unit=next(iter(first.values())).rated.unit, primary=PRIMARY, labels=material.task.labels, level=settings.level,
        resamples=settings.resamples, permutations=settings.permutations, test_share=settings.test_share,
        arms=tuple(arms), comparisons=tuple(_adjusted(found)),
        unscored={str(fold): why for fold in material.folds if (why := _unscored(material, fold))},
    )  # fmt: skip


def _resampled(
    material: Material, asked: Sequence[Asked], progress: Callable[[str, int, int], None]
) -> dict[tuple[int, ...], tuple[Resampled, Resampled]]:
    """One bootstrap for every set of folds that an arm or a comparison has: mostly a single one, of all folds.

    Of scores that are averaged over folds, and of ranks that are pooled over them.
    """
    wanted: dict[tuple[int, ...], dict[str, None]] = {}
    for arms in [*((arm,) for arm in material.arms), *((a.arm, a.baseline) for a in asked)]:
        wanted.setdefault(material.folds_of(*arms), {}).update(dict.fromkeys(arms))
    found, settings = {}, material.settings
    for folds, arms_there in wanted.items():

        def told(done: int, total: int = len(folds)) -> None:
            progress("patients resampled, folds", done, total)

        predicted = [material.predicted(fold, [*arms_there]) for fold in folds]
        how = {"resamples": settings.resamples, "fewest": settings.fewest}
        how["seed"] = seeds.derive(settings.seed, "folds", *folds)
        by_fold = bootstrap(predicted, material.task, **how, progress=told)
        found[folds] = by_fold, pooled(predicted, material.task, **how)
    return found


def _arm(material: Material, arm: str, measured: Values, resampled: Resampled, ranked: Resampled) -> ArmFound:
    folds, verdicts = material.folds_of(arm), {f: material.folds[f].averaged[arm] for f in material.folds_of(arm)}
    scores = {}
    for name in resampled.value.get(arm, {}):
        interval = resampled.interval(arm, name, material.settings.level)
        if not np.isfinite(interval.value):
            continue
        by_fold = [[v for (f, _), v in measured.get(name, {}).items() if f == fold] for fold in folds]
        by_fold = [values for values in by_fold if values]
        means, spreads = [fmean(values) for values in by_fold], [stdev(v) for v in by_fold if len(v) > 1]
        scores[name] = ArmScore(
            interval.value, interval.low, interval.high, fmean(means) if means else None,
            stdev(means) if len(means) > 1 else None, fmean(spreads) if spreads else None,
        )  # fmt: skip
    return ArmFound(
        arm, folds, max(len(material.folds[fold].single[arm]) for fold in folds), scores,
        _calibration(material, arm), {str(f): v.pooling for f, v in verdicts.items()},
        {str(f): tuple(v.thresholds.tolist()) for f, v in verdicts.items() if v.thresholds is not None},
        {
            name: ArmScore(of.value, of.low, of.high, None, None, None)
            for name in ranked.value.get(arm, {})
            if np.isfinite((of := ranked.interval(arm, name, material.settings.level)).value)
        },
    )  # fmt: skip


def _calibration(material: Material, arm: str) -> Calibration:
    rated = [material.folds[fold].averaged[arm].rated for fold in material.folds_of(arm)]
    truth, said = (np.concatenate([getattr(r, name) for r in rated]) for name in ("truth", "probability"))
    if material.task.one_class:
        decided = said.argmax(axis=1)
        truth, said = (np.take_along_axis(of, decided[:, None], axis=1) for of in (truth, said))
    errors = [calibration_error(reliability(t, p)) for t, p in zip(truth.T, said.T, strict=True) if len(t)]
    curve = reliability(truth.ravel(), said.ravel())
    points = (tuple(of.tolist()) for of in (curve.said, curve.true, curve.count))
    return Calibration(fmean(errors), *points)


def _comparison(
    material: Material, asked: Asked, drawn_twice: tuple[Resampled, Resampled], measured: tuple[Values, Values]
) -> Comparison:
    resampled, ranked = drawn_twice
    pair, settings = (asked.arm, asked.baseline), material.settings
    folds = material.folds_of(*pair)
    predicted = [material.predicted(fold, pair) for fold in folds]
    by_chance = permuted(
        predicted, pair, material.task, seed=seeds.derive(settings.seed, "swapped", *pair),
        permutations=settings.permutations, fewest=settings.fewest,
    )  # fmt: skip
    changes = {}
    for name in resampled.value.get(asked.arm, {}):
        drawn = resampled.difference(*pair, name, settings.level)
        if not np.isfinite(drawn.value):
            continue
        ours, theirs = (of.get(name, {}) for of in measured)
        trained = sorted(ours.keys() & theirs.keys())
        differences = [ours[key] - theirs[key] for key in trained]
        several = len({fold for fold, _ in trained}) > 1  # repeats of one fold say nothing of how folds differ
        t = corrected_t(differences, settings.test_share, settings.level) if several else None
        change = Change(
            drawn.value, drawn.low, drawn.high, drawn.p, by_chance.get(name), differences=tuple(differences)
        )
        changes[name] = (
            replace(change, corrected_t_p=t.p, corrected_t_low=t.low, corrected_t_high=t.high) if t else change
        )
    together = {
        name: Change(of.value, of.low, of.high, of.p)
        for name in ranked.value.get(asked.arm, {})
        if np.isfinite((of := ranked.difference(*pair, name, settings.level)).value)
    }
    return Comparison(
        *pair, asked.declared, folds, changes, _areas(predicted, pair, material), pooled=together,
        mcnemar=decisions(predicted, pair, material.task.labels),
    )  # fmt: skip


def _areas(predicted: Sequence[Predicted], pair: tuple[str, str], material: Material) -> dict[str, AreaTest]:
    """DeLong's test of every label, over the folds in which it has patients enough."""
    found: dict[str, list[delong.Difference]] = {}
    for fold in predicted:
        enough = fold.scorable(max(2, material.settings.fewest))
        for column in np.flatnonzero(enough):
            scores = np.stack([fold.said[arm].probability[:, column] for arm in pair], axis=1)
            of_label = delong.compared(delong.areas(fold.truth[:, column], scores, fold.owners))
            found.setdefault(material.task.labels[column], []).append(of_label)
    tests = {label: delong.over_folds(of) for label, of in found.items()}
    return {label: AreaTest(test.difference, test.z, test.p) for label, test in tests.items()}


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """With Holm's adjustment of the primary score's p over the declared comparisons."""
    family = [c for c in found if c.declared and PRIMARY in c.changes]
    raised = dict(zip(map(id, family), holm([c.changes[PRIMARY].p for c in family]), strict=True))
    return [replace(c, holm_p=raised.get(id(c))) for c in found]


def _unscored(material: Material, fold: int) -> dict[str, str]:
    verdict = next(iter(material.folds[fold].averaged.values()))
    return reasons(verdict.rated, material.task, material.settings.fewest)
