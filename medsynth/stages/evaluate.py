"""Features of real and synthetic images -> how well the synthetic ones resemble those of new patients, and how
different they are from each other.

Every number is against the real images of the fold's test patients. `floor.` is the same of the real training images,
which the fold's own classifier has learned from where it is the extractor; `unseen.` of the selection patients' images,
as near as new patients of one clinic come; `ceiling.` of the test images themselves after they went through the codec.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
import torch

from medsynth import extractors, interrupt, seeds
from medsynth.artifacts import cohort, features, qualities, scores
from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.scores import Score
from medsynth.compared import Sets, gathered
from medsynth.data.loading import ImageSet
from medsynth.data.png import read
from medsynth.job import Job, Result
from medsynth.metrics import diversity, fld, histograms, kid
from medsynth.metrics.frechet import DRAWS, frechet, frechet_of_equal
from medsynth.metrics.interval import Interval
from medsynth.metrics.neighbours import neighbourhoods
from medsynth.metrics.owned import Unmeasurable, some

AT_ONCE = 64  # pairs or pictures looked at at once
MEASURED = ("synthetic", "floor", "ceiling")  # sets that FID and neighbourhoods are measured of
EQUAL = "KID and FID are of features of equal length."
LEARNED = "The extractor has learned from the images that the floor is measured on"
NOT_LEARNED = "not from those of the selection patients, which `unseen` is measured on"
Kids = dict[str, kid.Drawn]  # of each set that was compared, by its name


def run(job: Job) -> Result:
    """Measure one generator's images in one fold."""
    assert job.fold is not None
    everyone = cohort.load(job.input("ingest"))
    made = cohort.load(job.input("expand")).samples
    seen = {str(a.kind): features.load(a.folder) for a in job.all("features")}
    sets, found = gathered(everyone, job.fold, made, str(job.kind), seen), dict[str, Score]()
    own = extractors.is_own(sets.extractor)
    level = sets.of_equal_length() if own else sets  # for KID and FID
    notes, kids = [_of_own(sets)] if own else list[str](), Kids()
    steps: list[Callable[[], dict[str, Score]]] = [
        *(lambda name=name: _kid(job, level, name, kids) for name in level.named()),
        lambda: _excess(job, level, kids),
        *(lambda i=i, label=label: _of_label(job, level, i, label) for i, label in enumerate(everyone.facts.labels)),
        *(lambda name=name: _frechet(job, level, name) for name in MEASURED if name in level.named()),
        *(lambda name=name: _neighbourhoods(job, sets, name) for name in MEASURED if name in sets.named()),
        lambda: _parts(job, level),
        lambda: _likelihood(job, sets),
        lambda: _band(job, sets),
        lambda: _qualities(job, sets),
        lambda: _diversity(job, sets, notes),
        *(lambda name=name: _vendi(job, sets, name) for name in MEASURED[:2]),
        lambda: _looks(sets),
    ]
    for done, step in enumerate(steps, 1):
        try:
            found |= step()
        except Unmeasurable as reason:  # the reason stands in the number's place
            notes.append(f"A number of the evaluation of {job.kind} is missing: {reason}.")
        job.progress(f"evaluate {job.kind}, fold {job.fold}", done, len(steps))
        interrupt.check()
    notes += _hung(level, kids)
    found = {name: score for name, score in found.items() if isfinite(score.value)}
    scores.save(job.out, found)
    shown = [name for name in found if name.startswith("excess.") or _in_summary(name)]
    summary = {"extractor": sets.extractor} | {name: float(f"{found[name].value:.4g}") for name in shown}
    return Result(summary, everyone.training(job.fold).patients_hash(), tuple(dict.fromkeys(notes)))


def _in_summary(name: str) -> bool:
    return name.count(".") == 1 and not name.endswith(("_across", "_full")) and "_of_parts" not in name


def _of_own(sets: Sets) -> str:
    """What has to be known where the extractor is the fold's own classifier."""
    return f"{EQUAL} {LEARNED}{f', {NOT_LEARNED}' if sets.selection else ''}."


def _kid(job: Job, sets: Sets, name: str, kids: Kids) -> dict[str, Score]:
    """KID x 1000 of one set; what it is with other draws of patients is kept in `kids`."""
    part, replicates = sets.named()[name], job.settings.bootstrap or 1
    paired = name == "ceiling"
    kids[name] = kid.kid_drawn(part.owned, sets.tested.owned, _seed(job, "kid"), replicates, name, paired)
    plain, across = kids[name].intervals()
    found = {"kid": _scaled(job, plain, 1000), "kid_across": _scaled(job, across, 1000)}
    return _named(name, found, len(part), sets.extractor)


def _hung(sets: Sets, kids: Kids) -> list[str]:
    """A sentence for each KID that is one test patient's."""
    told = {name: drawn.without_the_one() for name, drawn in kids.items()}
    return [
        f"One of {sets.tested.patients()} test patients makes up most of {name}.kid in this fold: x 1000 it is "
        f"{1000 * found[0]:.3g}, and {1000 * found[1]:.3g} without that patient."
        for name, found in told.items()
        if found is not None
    ]


def _frechet(job: Job, sets: Sets, name: str) -> dict[str, Score]:
    """FID of equally many images, so many for every set, as it falls with their number; and of the whole sets."""
    parts = sets.named()
    part, images = parts[name], min(len(sets.tested), *(len(parts[each]) for each in MEASURED if each in parts))
    ours, theirs = part.owned.features, sets.tested.owned.features
    draws = min(DRAWS, job.settings.reference_draws)
    fid = frechet_of_equal(ours, theirs, images, _seed(job, "frechet"), draws, paired=name == "ceiling")
    whole = _named(name, {"fid_full": Score(frechet(ours, theirs))}, len(part), sets.extractor)
    return _named(name, {"fid": Score(fid)}, images, sets.extractor) | whole


def _neighbourhoods(job: Job, sets: Sets, name: str) -> dict[str, Score]:
    """Precision, recall, density and coverage of one set, of at most as many images as there are test images."""
    part, tested = sets.named()[name], sets.tested
    some_images = some(part.owned.features, len(tested), _seed(job, name))
    near = neighbourhoods(tested.owned.features, some_images, job.settings.neighbours)
    found = {"precision": near.precision, "recall": near.recall, "density": near.density, "coverage": near.coverage}
    return _named(name, {key: Score(value) for key, value in found.items()}, len(some_images), sets.extractor)


def _parts(job: Job, sets: Sets) -> dict[str, Score]:
    """KID x 1000 as papers print it: mean and deviation over parts, measured on so many images each."""
    parts = kid.kid_of_parts(sets.made.owned.features, sets.tested.owned.features, _seed(job, "synthetic"))
    found = {"kid_of_parts": Score(1000 * parts.mean), "kid_of_parts_deviation": Score(1000 * parts.deviation)}
    return _named("synthetic", found, parts.images, sets.extractor)


def _excess(job: Job, sets: Sets, kids: Kids) -> dict[str, Score]:
    """By how much KID x 1000 of the synthetic images exceeds that of the real training images.

    The same unseen patients are drawn for both, so that what these have in common cancels.
    """
    if not {"synthetic", "floor"} <= kids.keys():
        return {}
    plain, across = kids["synthetic"].above(kids["floor"])
    found = {"excess.kid": _scaled(job, plain, 1000), "excess.kid_across": _scaled(job, across, 1000)}
    return {
        name: replace(score, n=sets.tested.patients(), unit="patient", extractor=sets.extractor)
        for name, score in found.items()
    }


def _of_label(job: Job, sets: Sets, label: int, called: str) -> dict[str, Score]:
    """KID x 1000 of the images with one label, and of as many kinds of real ones."""
    found: dict[str, Score] = {}
    for name, part in (("synthetic", sets.made), ("floor", sets.training)):
        ours, theirs = part.with_label(label), sets.tested.with_label(label)
        across = kid.kid_interval(
            ours.owned, theirs.owned, _seed(job, name, called), job.settings.bootstrap or 1, across=True
        )
        value = {f"kid_across.{called}": _scaled(job, across, 1000)}
        found |= _named(name, value, len(ours), sets.extractor)
    return found


def _likelihood(job: Job, sets: Sets) -> dict[str, Score]:
    """FLD and the generalisation gap."""
    seed, made = _seed(job, "likelihood"), sets.made.owned.features
    whole = fld.likelihood(sets.training.owned, sets.tested.owned, made, seed)
    return _named("synthetic", {"fld": Score(whole.fld), "gap": Score(whole.gap)}, whole.centres, sets.extractor)


def _band(job: Job, sets: Sets) -> dict[str, Score]:
    """The band in which the gap of real images of unseen patients lies: half of them take the synthetic ones' place."""
    draws = job.settings.reference_draws
    if draws < 2:
        return {}
    seed, made = _seed(job, "likelihood"), sets.made.owned.features
    try:
        band = fld.band(sets.training.owned, sets.tested.owned, made, seed, draws)
    except Unmeasurable as reason:
        raise Unmeasurable(f"of the gap between halves of the test patients, {reason}") from reason
    found = {"gap_z": band.z, "gap_of_real": band.mean, "gap_of_real_deviation": band.deviation}
    return _named("synthetic", {key: Score(value) for key, value in found.items()}, band.centres, sets.extractor)


def _qualities(job: Job, sets: Sets) -> dict[str, Score]:
    """How likely images are beside those of new patients, on the average; of every synthetic one in a file."""
    made, real = fld.qualities(sets.training.owned, sets.tested.owned, sets.made.owned.features, _seed(job, "quality"))
    qualities.save(job.out, [s.sample for s in sets.made.samples], made.tolist())
    of_made = _named("synthetic", {"quality": Score(float(made.mean()))}, len(sets.made), sets.extractor)
    return of_made | _named("floor", {"quality": Score(real)}, len(sets.training), sets.extractor)


@torch.no_grad()
def _diversity(job: Job, sets: Sets, notes: list[str]) -> dict[str, Score]:
    """How different two images of one class are, on the average; of the real training images beside it.

    Only classes count that both have pairs of, with the weights they have among the real ones.
    """
    size = read(sets.made.samples[0].image).shape[0]
    ruler: Any = extractors.load_distance(
        job.settings.perceptual,
        size,
        fold=job.fold,
        classifier=job.input("classify"),
        weights=job.settings.weights,
        unverified=job.settings.unverified,
    ).to(job.device)
    if ruler.remark:
        notes.append(f"Diversity is measured as {ruler.name}. {ruler.remark}")
    parts, most = {"synthetic": sets.made, "floor": sets.training}, job.settings.pairs
    ours = diversity.pairs_within_classes(sets.made.labels, _seed(job, "pairs", "synthetic"), most)
    real = diversity.pairs_within_classes(
        sets.training.labels, _seed(job, "pairs", "floor"), most, sets.training.owned.owners
    )
    found: dict[str, Score] = {}
    for name, pairs in zip(parts, diversity.of_common_classes(ours, real), strict=True):
        pictures, apart = ImageSet(parts[name].samples), [np.empty(0)]
        for rows in torch.from_numpy(pairs.images).split(AT_ONCE):
            one, other = (pictures.tensor(rows[:, side]).to(job.device) for side in (0, 1))
            apart.append(ruler.distances(one, other).cpu().numpy())
        spread = diversity.spread(np.concatenate(apart), pairs, _seed(job, "pairs", name))
        found[f"{name}.diversity"] = Score(
            spread.value, n=len(pairs.images), unit="pair", ci_low=spread.low, ci_high=spread.high, extractor=ruler.name
        )
    return found


def _vendi(job: Job, sets: Sets, name: str) -> dict[str, Score]:
    """The Vendi score of one set, of at most as many images as there are training images."""
    features_of_some = some(sets.named()[name].owned.features, len(sets.training), _seed(job, "pairs", name))
    found = {"vendi": Score(diversity.vendi(features_of_some))}
    return _named(name, found, len(features_of_some), sets.extractor)


def _looks(sets: Sets) -> dict[str, Score]:
    """What anybody can see: colours and sharpness against the unseen patients' images."""
    real, found = _seen(sets.tested.samples), dict[str, Score]()
    for name, part in (("synthetic", sets.made), ("floor", sets.training)):
        looks = histograms.compared(_seen(part.samples), real)
        values = {
            "colour_shift": float(np.abs(looks.shift).max()), "colour_distance": float(np.max(looks.distance)),
            "sharpness": looks.sharpness,
        }  # fmt: skip
        found |= {f"{name}.{key}": Score(value, n=len(part), unit="image") for key, value in values.items()}
    return found


def _seen(samples: Sequence[Sample]) -> histograms.Seen:
    return histograms.together([histograms.look(batch) for batch in _pictures(samples)])


def _pictures(samples: Sequence[Sample]) -> Iterator[np.ndarray]:
    for first in range(0, len(samples), AT_ONCE):
        yield np.stack([read(s.image) for s in samples[first : first + AT_ONCE]])


def _scaled(job: Job, found: Interval, factor: float) -> Score:
    if not job.settings.bootstrap:
        return Score(factor * found.value)
    low, high = (factor * limit if isfinite(limit) else None for limit in (found.low, found.high))
    return Score(factor * found.value, ci_low=low, ci_high=high)


def _named(name: str, found: dict[str, Score], images: int, extractor: str) -> dict[str, Score]:
    return {
        f"{name}.{key}": replace(score, n=images, unit="image", extractor=extractor) for key, score in found.items()
    }


def _seed(job: Job, *purpose: str) -> int:
    return seeds.derive(job.recipe.seed, "evaluate", job.kind, job.fold, *purpose)
