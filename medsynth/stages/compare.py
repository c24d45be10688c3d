"""What all classifiers of a run said of their test patients -> the statistics of the arms. Needs no torch.

Declared beforehand: every arm that adds a generator's images to the real ones, against every arm that does without a
generator. They are one family. What is trained on synthetic images alone, or with shuffled labels, is set against
`real` as a control, outside the family.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from medsynth import arms, interrupt, seeds
from medsynth.artifacts import cohort, comparisons, predictions, scores
from medsynth.artifacts.cohort import Cohort
from medsynth.artifacts.comparisons import Change, Comparison, Comparisons
from medsynth.artifacts.scores import Score
from medsynth.errors import MissingStep
from medsynth.job import Job, Result
from medsynth.metrics.classification import Task
from medsynth.metrics.comparison import Asked, Material, Settings, compare
from medsynth.metrics.verdicts import FoldVerdicts, Part, Training, verdicts
from medsynth.rundir import Artifact

FEWEST_FOLDS = 3  # a t-test over fewer says nothing


def run(job: Job) -> Result:
    """Compare what is there. Raises MissingStep where no classifier has tested the patients that the run holds now."""
    everyone = cohort.load(job.input("ingest"))
    folds, notes = gather(job.all("classify"), everyone)
    if not folds:
        raise MissingStep("no classifier has been tested on this run's patients yet", hint="medsynth classify")
    facts, asked_for = everyone.facts, job.settings
    settings = Settings(
        seeds.derive(job.recipe.seed, "compare"), share_tested(everyone, folds), asked_for.bootstrap,
        asked_for.permutations, asked_for.confidence, job.recipe.classify.fewest_patients,
    )  # fmt: skip
    material = Material(folds, Task(facts.labels, facts.one_class, facts.ordinal), settings)
    asked = declared(material.arms, job.recipe.generator.kind)
    found = compare(material, asked, progress=interrupt.checking(job.progress))
    comparisons.save(job.out, found)
    scores.save(job.out, flat(found, _tested(folds)))
    return Result(_summary(found), notes=(*notes, *_cautions(found)))


def declared(present: Iterable[str], main_generator: str) -> list[Asked]:
    """What is set against what, of the arms that are there, controls last."""
    known = {name: arms.named(name, main_generator) for name in present}
    family, controls = [], []
    for name, arm in known.items():
        if arm.generator is None:
            continue
        if arm.shuffled or not arm.real:
            controls += [Asked(name, "real", declared=False)] if "real" in known else []
        else:
            family += [Asked(name, plain, declared=True) for plain in arms.PLAIN if plain in known]
    return family + controls


def gather(classified: Iterable[Artifact], everyone: Cohort) -> tuple[dict[int, FoldVerdicts], list[str]]:
    """The verdicts of every fold, and sentences about classifiers that cannot take part."""
    facts, unit = everyone.facts, everyone.units[-1]
    task = Task(facts.labels, facts.one_class, facts.ordinal)
    trained: dict[int, dict[str, dict[int, Training]]] = {}
    present = sorted(classified, key=lambda a: (a.fold or 0, a.kind or ""))
    known = [artifact for artifact in present if _learned_here(artifact, everyone)]
    notes = [
        f"{a.name} learned from other patients than the fold's: it is left out." for a in present if a not in known
    ]
    unlike = _unlike(known)
    for artifact in known:
        assert artifact.fold is not None
        if why := unlike.get(artifact.name):
            notes.append(f"{artifact.name} was trained otherwise than the fold's other arms ({why}): it is left out.")
            continue
        training = _read(artifact.folder, everyone, artifact.fold)
        if training is None:
            notes.append(f"{artifact.name} was tested on other images than the run holds now: it is left out.")
            continue
        arm, repeat = arms.split(str(artifact.kind))
        trained.setdefault(artifact.fold, {}).setdefault(arm, {})[repeat] = training
    found = {}
    notes += _even_out(trained)
    for fold, of in trained.items():
        test, selection = (_part(some, unit) for some in (everyone.testing(fold), everyone.selection(fold)))
        found[fold] = verdicts(test, selection, of, unit, task)
    return found, notes


def _even_out(trained: Mapping[int, dict[str, dict[int, Training]]]) -> list[str]:
    """Leave out the trainings that not all arms of their fold have, and say so with the command that completes them."""
    told: dict[tuple[str, str], list[int]] = {}
    for fold, of in trained.items():
        names = [arms.again(arm, repeat) for arm, repeats in of.items() for repeat in repeats]
        left = arms.uneven(names)
        for arm, repeat in map(arms.split, left):
            del of[arm][repeat]
        for arm in [arm for arm, repeats in of.items() if not repeats]:
            del of[arm]
        if left:
            lacking, seeds = arms.completing(names)
            command = f"medsynth classify --arms {','.join(lacking)} --seeds {seeds}"
            told.setdefault((", ".join(left), command), []).append(fold)
    return [
        f"Arms are compared after the same repeats: of fold {', '.join(map(str, folds))} is left out {left}, which not "
        f"all arms have. They get it by {command}{''.join(f' --fold {fold}' for fold in folds)}."
        for (left, command), folds in told.items()
    ]


def _unlike(classified: Iterable[Artifact]) -> dict[str, str]:
    """Classifiers that were trained otherwise than the others of their fold, by name, and in what."""
    folds: dict[int | None, dict[str, Artifact]] = {}
    for artifact in classified:
        folds.setdefault(artifact.fold, {})[str(artifact.kind)] = artifact
    return {
        of[arm].name: why
        for of in folds.values()
        for arm, why in arms.unlike({arm: each.record() for arm, each in of.items() if each.exists()}).items()
    }


def _learned_here(artifact: Artifact, everyone: Cohort) -> bool:
    """Whether a classifier learned from the patients that its fold trains on now.

    Where a leak was forced, none are recorded: it takes part, and the mark of the leak goes on from it.
    """
    mark = artifact.record().get("trained_on") if artifact.exists() else None
    return mark is None or mark == everyone.training(artifact.fold or 0).patients_hash()


def _part(some: Cohort, unit: str) -> Part:
    truth = np.array([s.labels for s in some.samples], dtype=int).reshape(-1, len(some.facts.labels))
    return Part.of(unit, truth, [s.patient for s in some.samples], [s.eye for s in some.samples])


def _read(folder: Path, everyone: Cohort, fold: int) -> Training | None:
    """What a classifier said of the fold's patients, in the cohort's order; None where it was tested on others."""
    test = _in_order(predictions.load(folder), everyone.testing(fold))
    if test is None:
        return None
    selected = None
    if (folder / predictions.SELECTION).is_file():
        selected = _in_order(predictions.load(folder, predictions.SELECTION), everyone.selection(fold))
    return Training(test, selected)


def _in_order(said: predictions.Predictions, of: Cohort) -> np.ndarray | None:
    """Probabilities of a cohort's samples, joined by name, (image, label); None unless they are just these."""
    place = {name: row for row, name in enumerate(said.samples)}
    names = [s.sample for s in of.samples]
    if place.keys() != set(names) or tuple(said.labels) != of.facts.labels:
        return None
    return said.probability[[place[name] for name in names]]


def share_tested(everyone: Cohort, folds: Iterable[int]) -> float:
    """Patients that are tested on for every patient that is learned from or chosen by, averaged over folds."""
    return fmean(
        len(everyone.testing(fold).patients())
        / max(1, len(everyone.training(fold).patients()) + len(everyone.selection(fold).patients()))
        for fold in folds
    )


def flat(found: Comparisons, tested: Mapping[int, int]) -> dict[str, Score]:
    """`ARM.UNIT.SCORE` for an arm, `ARM - BASELINE.UNIT.SCORE` for a difference, with their intervals."""

    def score(value: float, low: float | None, high: float | None, folds: Iterable[int]) -> Score:
        low, high = (limit if limit is not None and isfinite(limit) else None for limit in (low, high))
        return Score(value, sum(tested[fold] for fold in folds), found.unit, low, high)

    table = {
        f"{arm.arm}.{found.unit}.{name}": score(of.value, of.low, of.high, arm.folds)
        for arm in found.arms
        for name, of in arm.scores.items()
    }
    return table | {
        f"{c.arm} - {c.baseline}.{found.unit}.{name}": score(of.difference, of.low, of.high, c.folds)
        for c in found.comparisons
        for name, of in c.changes.items()
    }


def _tested(folds: Mapping[int, FoldVerdicts]) -> dict[int, int]:
    """How many things every fold tests."""
    return {fold: len(next(iter(of.averaged.values())).rated.truth) for fold, of in folds.items()}


def _summary(found: Comparisons) -> dict[str, Any]:
    said = {
        f"{c.arm} - {c.baseline}": f"{found.primary} {_said(c, c.changes[found.primary])}"
        for c in found.comparisons
        if c.declared and found.primary in c.changes
    }
    return {"unit": found.unit, "arms": len(found.arms), "comparisons": len(found.comparisons), **said}


def _said(comparison: Comparison, change: Change) -> str:
    """`+0.031 (-0.004 to 0.066), bootstrap p 0.081, by Holm 0.24, permuted 0.09`."""
    between = f" ({change.low:.3f} to {change.high:.3f})" if change.low is not None else ""
    permuted = f", permuted {change.permutation_p:.2g}" if change.permutation_p is not None else ""
    return f"{change.difference:+.3f}{between}, bootstrap p {change.p:.2g}, by Holm {comparison.holm_p:.2g}{permuted}"


def _cautions(found: Comparisons) -> list[str]:
    """What a reader of the numbers has to know, in sentences."""
    said = []
    if not found.comparisons:
        said.append("No arm with synthetic images was trained on a fold that a plain arm was trained on, too.")
    if all(arm.repeats == 1 for arm in found.arms):
        said.append(
            "Every arm was trained once in a fold, so no number says how far two trainings of one arm differ: "
            "medsynth classify --seeds 3."
        )
    else:
        said.append(
            "Probabilities of an arm's repeats in a fold are averaged before patients are resampled; "
            "the corrected t-test keeps repeats apart."
        )
    if len({fold for arm in found.arms for fold in arm.folds}) < FEWEST_FOLDS:
        said.append("Fewer than three folds: the corrected t-test over folds says little.")
    return said
