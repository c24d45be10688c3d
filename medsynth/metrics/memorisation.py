"""All that is measured in one space of features about synthetic images and the training images: name -> number."""

from dataclasses import dataclass

import numpy as np

from medsynth.metrics.authenticity import authentic_percentage
from medsynth.metrics.calibrated import closer_share, closer_share_of_class
from medsynth.metrics.closeness import USUAL, unusual
from medsynth.metrics.copying import copies_beyond, copy_share, times_copied
from medsynth.metrics.data_copying import data_copying
from medsynth.metrics.identifiability import identifiability
from medsynth.metrics.measured import Bootstrap, Measured, PerImage
from medsynth.metrics.nearest import Known, Nearest, among, nearest

RARE = 0.01


@dataclass(frozen=True)
class Space:
    """Embeddings of training images, of synthetic ones and of new patients' ones, in one space."""

    known: Known
    made: np.ndarray  # (image, dimension)
    new: np.ndarray  # (image, dimension)
    new_patients: np.ndarray  # (image,)


@dataclass(frozen=True)
class Compared:
    """A space in which every image has been set beside its nearest training image."""

    space: Space
    among: Nearest  # of the training images
    made: Nearest
    new: Nearest

    def made_values(self, values: np.ndarray) -> PerImage:
        return PerImage(values, self.made.patients(self.space.known))

    def new_values(self, values: np.ndarray) -> PerImage:
        return PerImage(values, self.space.new_patients)

    def times_copied(self) -> np.ndarray:
        """How many synthetic images have each training image as their nearest, unusually close, (known,)."""
        return times_copied(self.made, unusual(self.new.distance, USUAL), len(self.space.known.patients))


def compare(space: Space) -> Compared:
    """Raises ValueError where there are no training images, no synthetic ones or no new ones."""
    if not len(space.made) or not len(space.new):
        raise ValueError(f"{len(space.made)} synthetic and {len(space.new)} new images cannot be compared")
    known = space.known
    return Compared(space, among(known), nearest(space.made, known), nearest(space.new, known))


def measure(found: Compared, bootstrap: Bootstrap) -> dict[str, Measured]:
    """Every number, by its name.

    c05, c01             share closer than all but 5 % or 1 % of new images (calibrated.closer_share)
    patient_ratio        the same by the ratio of distances to two patients; unlike c05 it does not say that an image is
                         close where all are
    copy_ratio           share with a copy ratio below 1/3; copy_excess: how much more than of new images, with an
                         interval over both (copying.copies_beyond)
    auth_pct             authentic images, percent; auth_pct_patient: by the nearest image of another patient
    identifiability      of as many synthetic images as training ones; identifiability_as_few: of as many as new ones,
                         which can be compared with the new ones' value
    c_t, c_t_p           the statistic of Meehan et al. and its one-sided p
    n_mem                share of training images that are the nearest of an unusually close synthetic one;
                         most_copied: how many of these the one with most has
    """
    made, new, space = found.made, found.new, found.space
    distances = found.made_values(made.distance), found.new_values(new.distance)
    by_patient = found.made_values(made.patient_ratios), found.new_values(new.patient_ratios)
    by_image = found.made_values(made.ratios), found.new_values(new.ratios)
    patients, count = space.known.patients, len(space.known.patients)
    copying = data_copying(space.made, (space.new, space.new_patients), space.known, bootstrap)
    times = found.times_copied()
    measured = {
        "c05": closer_share(*distances, bootstrap, USUAL),
        "c01": closer_share(*distances, bootstrap, RARE),
        "patient_ratio": closer_share(*by_patient, bootstrap, USUAL),
        "copy_ratio": copy_share(*by_image, bootstrap),
        "copy_excess": copies_beyond(*by_image, bootstrap),
        "auth_pct": authentic_percentage(made, new, found.among.next_distance, patients, bootstrap),
        "auth_pct_patient": authentic_percentage(made, new, found.among.other_distance, patients, bootstrap),
        **_identified(found, bootstrap),
        "c_t": copying.statistic,
        "n_mem": Measured(float((times > 0).mean()), count),
        "most_copied": Measured(float(times.max()), count),
    }
    return measured | ({} if copying.p is None else {"c_t_p": Measured(copying.p, len(space.made))})


def measure_classes(
    found: Compared, of_made: np.ndarray, of_new: np.ndarray, bootstrap: Bootstrap
) -> list[Measured | None]:
    """c05 of the images that have each label; labels are 0 or 1, (image, label). None of one that no image has."""
    made, new = found.made_values(found.made.distance), found.new_values(found.new.distance)
    columns = range(of_made.shape[1])
    return [
        closer_share_of_class(made, new, (of_made[:, label] == 1, of_new[:, label] == 1), bootstrap)
        for label in columns
    ]


def _identified(found: Compared, bootstrap: Bootstrap) -> dict[str, Measured]:
    space, reach = found.space, found.among.next_distance
    few = min(len(space.new), len(space.made), len(space.known.patients))
    theirs = identifiability(space.new, space.known, reach, bootstrap, few)
    ours = identifiability(space.made, space.known, reach, bootstrap, few)
    return {
        "identifiability": identifiability(space.made, space.known, reach, bootstrap),
        "identifiability_as_few": Measured(ours.value, ours.n, ours.ci_low, ours.ci_high, theirs.value),
    }
