"""Who was compared with whom -> the rows that people look at: the closest pairs, who was copied, and doubles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medsynth.artifacts.audit import Copied, Duplicate, Pair
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.artifacts.features import Features
from medsynth.metrics import duplicates
from medsynth.metrics.closeness import unit
from medsynth.metrics.memorisation import Compared
from medsynth.metrics.nearest import Nearest

OF_LABEL = 3  # closest pairs of each label, beside the closest of all


@dataclass(frozen=True)
class Material:
    """Everybody whose images are compared."""

    cohort: Cohort
    training: tuple[Sample, ...]
    new: tuple[Sample, ...]  # of patients whom the generator has not seen
    made: tuple[Sample, ...]
    real: Features  # of the whole cohort
    synthetic: Features  # of all synthetic images; `made` may be a part of them

    @property
    def mirror(self) -> bool:
        """Whether a mirror image of a training image is that training image."""
        return self.cohort.facts.mirror


def twins(cohort: Cohort, real: Features) -> tuple[Duplicate, ...]:
    """The same picture under two patients of the cohort."""
    names, patients = [s.sample for s in cohort.samples], np.array([s.patient for s in cohort.samples])
    found = duplicates.across_patients(real.of(names).pixels, patients, mirror=cohort.facts.mirror)
    return tuple(_rows("real", found, names, names))


def training_images_among(found: Sequence[Duplicate], training: Sequence[Sample]) -> set[str]:
    """The samples that are no training images but show the picture of one."""
    seen = {s.sample for s in training}
    both = [(d.sample, d.other_sample) for d in found]
    return {other for pair in both for one, other in (pair, pair[::-1]) if one in seen and other not in seen}


def copies(material: Material) -> tuple[Duplicate, ...]:
    """Synthetic pictures that are training pictures: equal ones among all of them, near ones among those compared."""
    ours, theirs, every = [s.sample for s in material.made], [s.sample for s in material.training], material.synthetic
    known = material.real.of(theirs).pixels
    patients = np.array([s.patient for s in material.training])
    limit = duplicates.nearness(known, patients)
    near = duplicates.same(every.of(ours).pixels, known, mirror=material.mirror, near=limit)
    equal = duplicates.equal(every.pixels, known, mirror=material.mirror)
    return (
        *(
            Duplicate(
                "synthetic", every.samples[i], theirs[j], True, not np.array_equal(every.pixels[i], known[j]), 0.0
            )
            for i, j in equal
        ),
        *(row for row in _rows("synthetic", near, ours, theirs) if not row.exact),
    )


def counts(found: Sequence[Duplicate]) -> dict[str, int]:
    """Pairs of real images, and synthetic images however many training images they equal; exact ones and near ones."""
    real = [d for d in found if d.origin == "real"]
    exact, near = ({d.sample for d in found if d.origin == "synthetic" and d.exact == kind} for kind in (True, False))
    return {
        "real.exact_duplicates": sum(d.exact for d in real),
        "real.near_duplicates": sum(not d.exact for d in real),
        "synthetic.exact_duplicates": len(exact),
        "synthetic.near_duplicates": len(near - exact),
    }


def pairs(space: str, compared: Compared, material: Material, count: int) -> tuple[Pair, ...]:
    """The closest `count` pairs of synthetic images and of new patients' images, and OF_LABEL more of each label."""
    sides = (
        ("synthetic", material.made, compared.made, compared.space.made),
        ("real", material.new, compared.new, compared.space.new),
    )
    return tuple(
        _pair(space, origin, label, samples[row], _nearest(material, compared, found, embeddings, row))
        for origin, samples, found, embeddings in sides
        for label, rows in _closest(samples, found, material.cohort.facts.labels, count)
        for row in rows
    )


def copied(space: str, compared: Compared, material: Material) -> tuple[Copied, ...]:
    """The training images that are the nearest of unusually close synthetic ones, the most copied first."""
    times = compared.times_copied()
    order = np.argsort(-times, kind="stable")[: int((times > 0).sum())]
    return tuple(Copied(space, material.training[row].sample, int(times[row])) for row in order)


def _closest(
    samples: Sequence[Sample], found: Nearest, labels: Sequence[str], count: int
) -> Iterator[tuple[str, np.ndarray]]:
    order = np.argsort(found.distance, kind="stable")
    yield "", order[:count]
    for column, label in enumerate(labels):
        yield label, np.array([row for row in order if samples[row].labels[column]], dtype=int)[:OF_LABEL]


def _nearest(
    material: Material, compared: Compared, found: Nearest, embeddings: np.ndarray, row: int
) -> tuple[Sample, float, bool]:
    """The training image nearest to an image, their distance, and whether it is so as its mirror image."""
    image = int(found.image[row])
    versions = unit(compared.space.known.embeddings[image])
    apart = np.linalg.norm(versions - unit(embeddings[row : row + 1]), axis=1)
    return material.training[image], float(found.distance[row]), bool(apart.argmin() == 1)


def _pair(space: str, origin: str, label: str, sample: Sample, nearest: tuple[Sample, float, bool]) -> Pair:
    training, distance, mirrored = nearest
    return Pair(space, origin, label, sample.sample, training.sample, distance, mirrored)


def _rows(origin: str, found: duplicates.Pairs, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Duplicate]:
    for (i, j), exact, mirrored, distance in zip(
        found.images, found.exact, found.mirrored, found.distance, strict=True
    ):
        yield Duplicate(origin, ours[i], theirs[j], bool(exact), bool(mirrored), float(distance))
