"""C_T of Meehan et al. 2020: are synthetic images nearer to the training images than new ones, cell by cell?"""

from dataclasses import dataclass

import numpy as np

from medsynth.metrics.closeness import unit
from medsynth.metrics.measured import Bootstrap, Measured
from medsynth.metrics.nearest import Known, nearest

CELLS = 3
COMPONENTS = 64  # in which cells are found


@dataclass(frozen=True)
class Placed:
    """Of some images, (image,): the cell of training images that each lies in, and the nearest training image there."""

    cell: np.ndarray
    distance: np.ndarray
    patient: np.ndarray

    def again(self, weights: np.ndarray) -> "Placed":
        """Each image as often as its weight, a whole number, says."""
        rows = np.repeat(np.arange(len(weights)), weights.astype(int))
        return Placed(self.cell[rows], self.distance[rows], self.patient[rows])


@dataclass(frozen=True)
class DataCopying:
    """C_T: below 0 where images are copied; `p` is how likely as low a value is of a generator that copies nothing."""

    statistic: Measured
    p: float | None


def data_copying(
    made: np.ndarray, new: tuple[np.ndarray, np.ndarray], known: Known, bootstrap: Bootstrap
) -> DataCopying:
    """C_T (Meehan et al. 2020, section 4): the Mann-Whitney z of the distances of synthetic and new images to the
    training images, in k-means cells of these, averaged over cells by their share of new images.

    `made` is (image, dimension), `new` the new images' embeddings and patients. As a mean of z over cells it has a
    deviation below 1, and as new patients' images are not independent, another one than in theory: so the interval
    and p, one-sided, are those of resamples of new patients and of nearest training patients. p is None without any.
    The z is NaN where no cell holds images of both sets.
    """
    embeddings, patients = new
    ours, theirs = placed((made, embeddings), known, bootstrap.seed)

    def z(of_made: np.ndarray, of_new: np.ndarray) -> float:
        return averaged_z(ours.again(of_made), theirs.again(of_new))

    groups = (ours.patient, patients)
    resampled = bootstrap.replicates_of(z, groups)
    value = z(*(np.ones(len(group)) for group in groups))
    p = (1 + int((~(resampled < 0)).sum())) / (1 + len(resampled)) if len(resampled) else None
    return DataCopying(Measured.of(value, resampled, n=len(made), expected=0.0), p)


def averaged_z(made: Placed, new: Placed) -> float:
    """The Mann-Whitney z of a cell, averaged over cells by their share of new images."""
    from scipy.stats import rankdata

    total, weight = 0.0, 0
    for cell in np.unique(new.cell):
        ours, theirs = (images.distance[images.cell == cell] for images in (made, new))
        m, n = len(ours), len(theirs)
        if not m:
            continue
        farther = rankdata(np.concatenate([ours, theirs]))[:m].sum() - m * (m + 1) / 2  # pairs, the synthetic one is
        total += n * (farther - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12)
        weight += n
    return float(total / weight) if weight else float("nan")


def placed(sets: tuple[np.ndarray, ...], known: Known, seed: int) -> list[Placed]:
    """Where the images of some sets, (image, dimension) each, lie among the training images."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    training = unit(known.embeddings[:, 0])
    axes = PCA(min(COMPONENTS, *training.shape), random_state=seed % 2**32).fit(training)
    means = KMeans(min(CELLS, len(training)), n_init=10, random_state=seed % 2**32).fit(axes.transform(training))
    found = []
    for asked in sets:
        cell = means.predict(axes.transform(unit(asked)))
        distance, patient = np.zeros(len(asked)), np.zeros(len(asked), known.patients.dtype)
        for number in np.unique(cell):
            inside, there = cell == number, known.part(means.labels_ == number)
            within = nearest(asked[inside], there)
            distance[inside], patient[inside] = within.distance, within.patients(there)
        found.append(Placed(cell, distance, patient))
    return found
