"""Synthetic images, training images, those of new patients -> how much of the training images is in the synthetic ones.

Two spaces are looked at: features, as the extractor sees the images, and appearance, the pattern of lines and spots of
the small pictures. New patients are those of selection and test: a generator that has learned nobody by heart comes no
closer to the training images than they do.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medsynth import evidence, interrupt, seeds
from medsynth.artifacts import audit, cohort, features, scores
from medsynth.artifacts.audit import Evidence
from medsynth.artifacts.cohort import Cohort
from medsynth.artifacts.scores import Score
from medsynth.chain import REAL
from medsynth.errors import BadData
from medsynth.evidence import Material
from medsynth.job import Job, Result
from medsynth.membership import Asked, Attack, Knower, attack, draw_seeds
from medsynth.metrics import memorisation
from medsynth.metrics.appearance import appearance
from medsynth.metrics.closeness import USUAL
from medsynth.metrics.measured import Bootstrap, Measured
from medsynth.metrics.membership import membership_auc, true_positive_rate
from medsynth.metrics.memorisation import Compared, Space
from medsynth.metrics.nearest import Known
from medsynth.rundir import LEAK, Artifact

FEATURES, APPEARANCE = "features", "appearance"
MOST = 5000  # synthetic images that are compared, evenly spaced; for copies equal in every pixel all are looked at
SHOWN = ("features.c05", "appearance.c05", "features.copy_ratio", "membership.auc", "membership.auc_uncalibrated")


def run(job: Job) -> Result:
    """Measure, keep the closest pairs, and judge. Raises BadData where there is nothing to compare with."""
    assert job.fold is not None
    material, doubles, notes = gather(job)
    bootstrap = Bootstrap(_seed(job), job.settings.bootstrap)
    found: dict[str, Score] = {}
    gate: dict[str, Mapping[str, Measured]] = {}
    pairs: list[audit.Pair] = []
    copied: list[audit.Copied] = []
    for turn, (name, extractor, space) in enumerate(spaces(material), 1):
        compared = memorisation.compare(space)
        measured = _numbers(compared, material, bootstrap)
        found |= {f"{name}.{key}": score for key, score in _scored(measured, extractor)}
        gate[name] = measured
        pairs += evidence.pairs(name, compared, material, job.settings.gallery)
        copied += evidence.copied(name, compared, material)
        job.progress(f"audit {job.kind}, fold {job.fold}: compared", turn, 2)
        interrupt.check()
    counts = evidence.counts(doubles)
    units = {name: "pair" if name.startswith("real") else "image" for name in counts}
    found |= {name: Score(float(count), unit=units[name]) for name, count in counts.items()}
    attacks = _attacks(job, material)
    found |= {name: score for each in attacks for name, score in _knowledge(each, bootstrap)}
    scores.save(job.out, found)
    audit.save(job.out, Evidence(tuple(pairs), tuple(copied), doubles))
    reasons = verdict(gate, counts["synthetic.exact_duplicates"], job.settings.threshold)
    summary = {
        "passed": not reasons,
        "reasons": reasons or [_passing(job.settings.threshold)],
        "synthetic": len(material.made),
        "of_new_patients": len(material.new),
        **{name: round(found[name].value, 4) for name in SHOWN if name in found},
    }
    notes = [*reasons, *notes, *_of_spaces(found), *_of_cohort(counts), *_of_references(job, material.cohort)]
    notes += _of_membership(job, attacks, found)
    return Result(summary, material.cohort.training(job.fold).patients_hash(), tuple(notes))


def forecast(job: Job) -> dict[str, Any]:
    """How many images are to be compared with each other."""
    assert job.fold is not None
    everyone, made = cohort.load(job.input("ingest")), cohort.load(job.input("expand"))
    new = (*everyone.selection(job.fold).samples, *everyone.testing(job.fold).samples)
    training = len(everyone.training(job.fold).samples)
    return {"training": training, "of_new_patients": len(new), "synthetic": min(len(made.samples), MOST)}


def gather(job: Job) -> tuple[Material, tuple[audit.Duplicate, ...], list[str]]:
    """What is compared, the doubles in it, and what is to be said of it.

    Images of new patients that show a training image are left out: they would make every copy look usual.
    """
    assert job.fold is not None
    everyone, made = cohort.load(job.input("ingest")), cohort.load(job.input("expand")).samples
    folders = {artifact.kind: artifact.folder for artifact in job.all("features")}
    real, synthetic = features.load(folders[REAL]), features.load(folders[job.kind])
    training = everyone.training(job.fold).samples
    new = everyone.selection(job.fold).samples + everyone.testing(job.fold).samples
    twins = evidence.twins(everyone, real)
    known = evidence.training_images_among(twins, training)
    kept = tuple(s for s in new if s.sample not in known)
    for samples, name in ((training, "training images"), (made, "synthetic images"), (kept, "images of new patients")):
        if not samples:
            raise BadData(f"fold {job.fold} has no {name}", hint="fewer folds: medsynth ingest SOURCE --folds N")
    notes = [] if not known else [f"{len(known)} images of new patients show a training image and were left out."]
    if len(made) > MOST:
        notes.append(f"{MOST} of {len(made)} synthetic images were compared, evenly spaced.")
        made = cohort.evenly(made, MOST)
    material = Material(everyone, training, kept, made, real, synthetic)
    return material, (*twins, *evidence.copies(material)), notes


def spaces(material: Material) -> Iterator[tuple[str, str, Space]]:
    """Name, extractor and embeddings of each space; a mirror image of a training image is that training image."""
    known, new = (material.real.of([s.sample for s in part]) for part in (material.training, material.new))
    made = material.synthetic.of([s.sample for s in material.made])
    patients, new_patients = (np.array([s.patient for s in part]) for part in (material.training, material.new))

    def space(versions: list[np.ndarray], ours: np.ndarray, theirs: np.ndarray) -> Space:
        return Space(Known(np.stack(versions, axis=1), patients), ours, theirs, new_patients)

    mirrored = [known.mirrored] if material.mirror and known.mirrored is not None else []
    yield FEATURES, known.extractor, space([known.values, *mirrored], made.values, new.values)
    pictures = [known.pixels, known.pixels[:, :, ::-1]][: 1 + material.mirror]
    embedded = [appearance(version) for version in pictures]
    yield APPEARANCE, APPEARANCE, space(embedded, appearance(made.pixels), appearance(new.pixels))


def verdict(gate: Mapping[str, Mapping[str, Measured]], exact: int, threshold: float) -> list[str]:
    """Why the audit is not passed, in sentences; none: it is. `gate` holds c05, copy_ratio and copy_excess of each
    space, `exact` counts copies."""
    reasons = []
    for name, of in gate.items():
        close, copies, beyond = of["c05"], of["copy_ratio"], of["copy_excess"]
        if close.ci_low is None or beyond.ci_low is None:
            reasons.append(
                f"By {name}, it cannot be told how close synthetic images may come: there are too few images of new "
                "patients to compare with, or no interval was asked for (audit.bootstrap = 0)."
            )
            continue
        if close.ci_low > threshold:
            reasons.append(
                f"By {name}, {close.value:.1%} of the synthetic images are closer to a training image than all but "
                f"5 % of new patients' images are (95 % interval: {close.ci_low:.1%} to {close.ci_high:.1%}); "
                f"{threshold:.1%} are allowed."
            )
        if beyond.ci_low > 0:
            reasons.append(
                f"By {name}, {copies.value:.1%} of the synthetic images are copies of a training image, altered or "
                "not: three times nearer to it than to the next, which "
                f"{f'{copies.expected:.1%}' if copies.expected else 'none'} of new patients' images are (at least "
                f"{beyond.ci_low:.1%} more, by the 95 % interval of the difference)."
            )
    if exact:
        reasons.append(f"{exact} synthetic image(s) are a training image in every pixel, as small pictures.")
    return reasons


def _passing(threshold: float) -> str:
    return (
        "Neither by features nor by appearance is the share of synthetic images that are closer to a training image "
        f"than all but 5 % of new patients' images are above {threshold:.1%} beyond doubt (95 % interval), nor are "
        "more of them three times nearer to one training image than to the next than new patients' images are, and "
        "none is an exact copy. That is evidence for a decision, and no proof that nobody can be recognised."
    )


def _numbers(compared: Compared, material: Material, bootstrap: Bootstrap) -> dict[str, Measured]:
    names = material.cohort.facts.labels
    ours, theirs = (np.array([s.labels for s in part]) for part in (material.made, material.new))
    of_labels = zip(names, memorisation.measure_classes(compared, ours, theirs, bootstrap), strict=True)
    found = memorisation.measure(compared, bootstrap)
    return found | {f"c05.label.{name}": measured for name, measured in of_labels if measured}


def _scored(measured: Mapping[str, Measured], extractor: str | None) -> Iterator[tuple[str, Score]]:
    """Every number as it is stored, and beside it what is expected of a perfect generator."""
    for name, one in measured.items():
        yield name, Score(one.value, one.n, "image", one.ci_low, one.ci_high, extractor=extractor)
        if one.expected is not None:
            yield f"{name}.expected", Score(one.expected, unit="image", extractor=extractor)


def _attacks(job: Job, material: Material) -> list[Attack]:
    """Members are training images, others those of selection patients. None without these, or where none is asked."""
    assert job.fold is not None
    others = material.cohort.selection(job.fold).samples
    if not others or not job.settings.membership_images:
        return []
    references = {
        fold: Knower.load(of["generator"], of["codec"], job.device)
        for fold, of in trusted(job.references, material.cohort).items()
    }
    own = Knower.load(job.input("generator"), job.input("codec"), job.device)

    def progress(done: int, count: int) -> None:
        job.progress(f"audit {job.kind}, fold {job.fold}: what the generator knows", done, count)
        interrupt.check()

    asked = Asked(draw_seeds(_seed(job)), job.settings.membership_images, progress)
    return attack(own, references, (material.training, others), asked)


def trusted(references: Iterable[Artifact], everyone: Cohort) -> dict[int, dict[str, Path]]:
    """fold -> stage -> folder, of the generators that have seen nobody whom their fold tests: they and their codecs
    learned from just those that it trains on now, and no leak was forced."""
    folds: dict[int, list[Artifact]] = {}
    for artifact in references:
        folds.setdefault(artifact.fold or 0, []).append(artifact)
    marks = {fold: everyone.training(fold).patients_hash() for fold in folds}
    return {
        fold: {artifact.stage: artifact.folder for artifact in both}
        for fold, both in folds.items()
        if all(LEAK not in (known := a.record()) and known.get("trained_on") == marks[fold] for a in both)
    }


def _knowledge(found: Attack, bootstrap: Bootstrap) -> Iterator[tuple[str, Score]]:
    after = "" if found.calibrated else "_uncalibrated"
    measured = {
        f"membership.auc{after}": membership_auc(found.members, found.others, bootstrap),
        f"membership.tpr_at_1fpr{after}": true_positive_rate(found.members, found.others, bootstrap),
    }
    return _scored(measured, None)


def _of_spaces(found: Mapping[str, Score]) -> list[str]:
    """What the gate does not judge by, but somebody has to know."""
    notes = []
    for name in (FEATURES, APPEARANCE):
        ratio, away = found[f"{name}.patient_ratio"], found[f"{name}.c_t"]
        if ratio.ci_low is not None and ratio.ci_low > USUAL:
            notes.append(
                f"By {name}, {ratio.value:.1%} of the synthetic images are nearer to one training patient, beside all "
                "others, than all but 5 % of new patients' images are."
            )
        if away.ci_low is not None and away.ci_low > 0:
            notes.append(
                f"By {name}, the synthetic images lie farther from the training images than new patients' images do: "
                "that may come of their faults, and whoever is in them can be hidden by these."
            )
    return notes


def _of_cohort(counts: Mapping[str, int]) -> list[str]:
    exact, near = counts["real.exact_duplicates"], counts["real.near_duplicates"]
    if not exact + near:
        return []
    return [
        f"The cohort shows the same picture under two patients {exact + near} time(s), {exact} of them in every pixel "
        "(duplicates.csv): check the patient column, for such a person may be trained on and tested."
    ]


def _of_references(job: Job, everyone: Cohort) -> list[str]:
    folds = {a.fold for a in job.references} - trusted(job.references, everyone).keys()
    if not folds or not job.settings.membership_images:
        return []
    return [
        f"{len(folds)} generator(s) of other folds were not asked about membership (fold "
        f"{', '.join(sorted(map(str, folds)))}): they or their codecs did not learn from just those whom their fold "
        f"trains on, and may know the images: medsynth train-generator --model {job.kind}"
    ]


def _of_membership(job: Job, attacks: list[Attack], found: Mapping[str, Score]) -> list[str]:
    notes = []
    if attacks and not any(each.calibrated for each in attacks):
        notes.append(
            "Whether the generator's loss gives its training images away was measured without a generator of another "
            "fold to compare with, though images differ in how easy they are; where there are more folds: medsynth "
            f"train-generator --model {job.kind}"
        )
    best = found.get("membership.auc", found.get("membership.auc_uncalibrated"))
    if best and best.ci_low is not None and best.ci_low > 0.5:
        notes.append(
            "Who holds the generator's weights can tell training images from others better than by chance (AUC "
            f"{best.value:.2f}, 95 % interval from {best.ci_low:.2f}): the weights are as confidential as the images."
        )
    return notes


def _seed(job: Job) -> int:
    return seeds.derive(job.recipe.seed, "audit", job.kind, job.fold)
