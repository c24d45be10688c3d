"""Features of real and synthetic images -> how well the synthetic ones resemble those of new patients, and how
different they are from each other.

Every number is against the real images of the fold's test patients. `floor.` is the same of the real training images,
as near as new patients of one clinic come; `ceiling.` of the test images themselves after they went through the codec.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import torch

from medsynth import extractors, interrupt, seeds
from medsynth.artifacts import cohort, features, qualities, scores
from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.features import Features
from medsynth.artifacts.scores import Score
from medsynth.chain import REAL, THROUGH
from medsynth.data.loading import ImageSet
from medsynth.data.png import read
from medsynth.errors import Refused
from medsynth.job import Job, Result
from medsynth.metrics import diversity, fld, histograms, kid
from medsynth.metrics.frechet import frechet
from medsynth.metrics.interval import Interval
from medsynth.metrics.neighbours import neighbourhoods
from medsynth.metrics.owned import Owned, some

AT_ONCE = 64  # pairs or pictures looked at at once


@dataclass(frozen=True)
class Part:
    """Some images as the extractor sees them, with the patients they are of or were given the labels of."""

    samples: tuple[Sample, ...]
    owned: Owned
    labels: np.ndarray  # 0 or 1, (image, label)

    def with_label(self, label: int) -> "Part":
        rows = np.flatnonzero(self.labels[:, label])
        return Part(tuple(self.samples[row] for row in rows), self.owned.chosen(rows), self.labels[rows])

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Sets:
    """What is compared."""

    made: Part
    training: Part
    unseen: Part
    ceiling: Part | None
    extractor: str

    def named(self) -> dict[str, Part]:
        """Each set that is compared with the unseen patients' images."""
        found = {"synthetic": self.made, "floor": self.training}
        return found | ({"ceiling": self.ceiling} if self.ceiling else {})


def run(job: Job) -> Result:
    """Measure one generator's images in one fold."""
    assert job.fold is not None
    everyone = cohort.load(job.input("ingest"))
    sets, found = _gathered(job), dict[str, Score]()
    notes: list[str] = []
    drawn: dict[str, kid.Drawn] = {}
    steps: list[Callable[[], dict[str, Score]]] = [
        *(lambda name=name: _distances(job, sets, name, drawn) for name in sets.named()),
        lambda: _excess(job, sets, drawn),
        *(lambda i=i, label=label: _of_label(job, sets, i, label) for i, label in enumerate(everyone.facts.labels)),
        lambda: _likelihood(job, sets),
        lambda: _qualities(job, sets),
        lambda: _diversity(job, sets, notes),
        lambda: _looks(sets),
    ]
    for done, step in enumerate(steps, 1):
        try:
            found |= step()
        except ValueError as reason:  # too few images or patients for that number: the reason stands in its place
            notes.append(f"A number of the evaluation of {job.kind} is missing: {reason}.")
        job.progress(f"evaluate {job.kind}, fold {job.fold}", done, len(steps))
        interrupt.check()
    found = {name: score for name, score in found.items() if isfinite(score.value)}
    scores.save(job.out, found)
    shown = [name for name in found if name.startswith("excess.") or _in_summary(name)]
    summary = {"extractor": sets.extractor} | {name: float(f"{found[name].value:.4g}") for name in shown}
    return Result(summary, everyone.training(job.fold).patients_hash(), tuple(dict.fromkeys(notes)))


def _in_summary(name: str) -> bool:
    return name.count(".") == 1 and not name.endswith(("_across", "_of_parts"))


def _gathered(job: Job) -> Sets:
    """The sets of one fold. Raises Refused where different extractors saw them: such numbers mean nothing."""
    assert job.fold is not None
    everyone = cohort.load(job.input("ingest"))
    loaded = {str(a.kind): features.load(a.folder) for a in job.all("features")}
    seen_by = {each.extractor for each in loaded.values()}
    if len(seen_by) > 1:
        problem = f"features of different extractors cannot be compared: {', '.join(sorted(seen_by))}"
        raise Refused(problem, hint=f"medsynth features --fold {job.fold} --force")
    owner_of = {s.sample: s.patient for s in everyone.samples}
    made = cohort.load(job.input("expand")).samples
    testing, training = everyone.testing(job.fold).samples, everyone.training(job.fold).samples
    through = next((kind for kind in loaded if kind.startswith(THROUGH)), None)
    return Sets(
        _part(made, loaded[str(job.kind)], [owner_of[s.label_source] for s in made]),
        _part(training, loaded[REAL], [s.patient for s in training]),
        _part(testing, loaded[REAL], [s.patient for s in testing]),
        _part(testing, loaded[through], [s.patient for s in testing]) if through else None,
        seen_by.pop(),
    )


def _part(samples: Sequence[Sample], found: Features, owners: Sequence[str]) -> Part:
    values = found.of([s.sample for s in samples]).values.astype(np.float64)
    labels = np.array([s.labels for s in samples], dtype=int).reshape(len(samples), -1)
    return Part(tuple(samples), Owned(values, np.array(owners)), labels)


def _distances(job: Job, sets: Sets, name: str, drawn: dict[str, kid.Drawn]) -> dict[str, Score]:
    """KID x 1000 and FID, precision, recall, density and coverage of one set against the unseen patients' images."""
    seed, unseen, part = _seed(job, name), sets.unseen, sets.named()[name]
    drawn[name] = kid.kid_drawn(part.owned, unseen.owned, _seed(job, "kid"), job.settings.bootstrap or 1, name)
    plain, across = drawn[name].intervals()
    near = neighbourhoods(unseen.owned.features, some(part.owned.features, len(unseen), seed), job.settings.neighbours)
    found = {
        "kid": _scaled(job, plain, 1000), "kid_across": _scaled(job, across, 1000),
        "fid": Score(frechet(part.owned.features, unseen.owned.features)),
        "precision": Score(near.precision), "recall": Score(near.recall), "density": Score(near.density),
        "coverage": Score(near.coverage),
    }  # fmt: skip
    if name == "synthetic":
        parts = kid.kid_of_parts(part.owned.features, unseen.owned.features, seed)
        found["kid_of_parts"] = Score(1000 * parts.mean)
    return _named(name, found, len(part), sets.extractor)


def _excess(job: Job, sets: Sets, drawn: dict[str, kid.Drawn]) -> dict[str, Score]:
    """By how much KID x 1000 of the synthetic images exceeds that of the real training images.

    The same unseen patients are drawn for both, so that what these have in common cancels.
    """
    if not {"synthetic", "floor"} <= drawn.keys():
        return {}
    plain, across = drawn["synthetic"].above(drawn["floor"])
    found = {"excess.kid": _scaled(job, plain, 1000), "excess.kid_across": _scaled(job, across, 1000)}
    patients = len(np.unique(sets.unseen.owned.owners))
    return {n: replace(score, n=patients, unit="patient", extractor=sets.extractor) for n, score in found.items()}


def _of_label(job: Job, sets: Sets, label: int, called: str) -> dict[str, Score]:
    """KID x 1000 of the images with one label, and of as many kinds of real ones."""
    found: dict[str, Score] = {}
    for name, part in (("synthetic", sets.made), ("floor", sets.training)):
        ours, theirs = part.with_label(label), sets.unseen.with_label(label)
        across = kid.kid_interval(
            ours.owned, theirs.owned, _seed(job, name, called), job.settings.bootstrap or 1, across=True
        )
        value = {f"kid_across.{called}": _scaled(job, across, 1000)}
        found |= _named(name, value, len(ours), sets.extractor)
    return found


def _likelihood(job: Job, sets: Sets) -> dict[str, Score]:
    """FLD and the generalisation gap, with the band in which real images of unseen patients lie."""
    seed, made = _seed(job, "likelihood"), sets.made.owned.features
    whole = fld.likelihood(sets.training.owned, sets.unseen.owned, made, seed)
    found = {"fld": Score(whole.fld), "gap": Score(whole.gap)}
    if job.settings.reference_draws > 1:
        band = fld.band(sets.training.owned, sets.unseen.owned, made, seed, job.settings.reference_draws)
        found |= {
            "gap_z": Score(band.z),
            "gap_of_real": Score(band.mean),
            "gap_of_real_deviation": Score(band.deviation),
        }
    return _named("synthetic", found, whole.centres, sets.extractor)


def _qualities(job: Job, sets: Sets) -> dict[str, Score]:
    """How likely images are beside those of new patients, on the average; of every synthetic one in a file."""
    made, real = fld.qualities(sets.training.owned, sets.unseen.owned, sets.made.owned.features, _seed(job, "quality"))
    qualities.save(job.out, [s.sample for s in sets.made.samples], made.tolist())
    of_made = _named("synthetic", {"quality": Score(float(made.mean()))}, len(sets.made), sets.extractor)
    return of_made | _named("floor", {"quality": Score(real)}, len(sets.training), sets.extractor)


@torch.no_grad()
def _diversity(job: Job, sets: Sets, notes: list[str]) -> dict[str, Score]:
    """How different two images of one class are, on the average; of the real training images beside it."""
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
    found: dict[str, Score] = {}
    for name, part in (("synthetic", sets.made), ("floor", sets.training)):
        seed = _seed(job, "pairs", name)
        owners = part.owned.owners if name == "floor" else None
        pairs = diversity.pairs_within_classes(part.labels, seed, job.settings.pairs, owners)
        pictures, apart = ImageSet(part.samples), []
        for rows in torch.from_numpy(pairs.images).split(AT_ONCE):
            one, other = (pictures.tensor(rows[:, side]).to(job.device) for side in (0, 1))
            apart.append(ruler.distances(one, other).cpu().numpy())
        spread = diversity.spread(np.concatenate(apart), pairs, seed)
        found[f"{name}.diversity"] = Score(
            spread.value, n=len(pairs.images), unit="pair", ci_low=spread.low, ci_high=spread.high, extractor=ruler.name
        )
        vendi = diversity.vendi(some(part.owned.features, len(sets.training), seed))
        found |= _named(name, {"vendi": Score(vendi)}, min(len(part), len(sets.training)), sets.extractor)
    return found


def _looks(sets: Sets) -> dict[str, Score]:
    """What anybody can see: colours and sharpness against the unseen patients' images."""
    real, found = _seen(sets.unseen.samples), dict[str, Score]()
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
