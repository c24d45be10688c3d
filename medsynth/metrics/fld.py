"""Features of training, unseen and synthetic images -> FLD and its generalisation gap (Jiralerspong et al. 2023)."""

from dataclasses import dataclass, replace

import numpy as np

from medsynth.metrics import mixture
from medsynth.metrics.owned import Owned, Unmeasurable, some
from medsynth.seeds import derive

HALVES = 5  # ways to halve the training patients for FLD's zero
DRAWS = 20  # ways to halve the unseen patients for the band
MOST = 4000  # images of a set; more are drawn from, whole patients first
CONSTANT = 1e-6  # a dimension that spreads less than this share of the widest one says nothing


@dataclass(frozen=True)
class Likelihood:
    """What the mixture around synthetic images says, both in hundredths of a nat per dimension.

    `fld` is how much less likely unseen images are than with training images in the place of synthetic ones: 0 is as
    good as real, lower is better. `gap` is how much less likely training images are than unseen ones: below 0 the
    synthetic images are nearer to those that were trained on; the band says how far below 0 is still nothing.
    """

    fld: float
    gap: float
    centres: int  # synthetic images that were used
    training: int
    unseen: int
    dimensions: int  # that were used; constant ones are left out


@dataclass(frozen=True)
class Band:
    """The gap of real images of unseen patients, in the place of synthetic ones: what no memory at all looks like.

    Half of the unseen patients stand for a generator, the other half for the unseen images, again and again. `gap` is
    that of as many synthetic images against the same halves, so that it can be compared, and `z` says by how many
    deviations it lies above `mean`; far below 0 is memory.
    """

    mean: float
    deviation: float
    gap: float
    z: float
    draws: int
    centres: int  # images in the place of the generator, on the average


def likelihood(training: Owned, unseen: Owned, made: np.ndarray, seed: int, centres: int | None = None) -> Likelihood:
    """FLD and the generalisation gap of synthetic features (image, feature).

    Both depend on how many synthetic images there are. As many as half of the training images are drawn, because FLD's
    zero has no more; `centres` asks for another number, such as all of them, and FLD then comes out lower. The zero
    is a random half of the training patients in their place, fitted to the other half; the mean over `HALVES` ways to
    halve them, of patients and not of images. Variances are fitted to training images, never to unseen ones.
    Raises Unmeasurable for a set of fewer than two images, or fewer than two training patients.
    """
    space = _Space.of(training, unseen, seed)
    count = len(space.training) // 2 if centres is None else centres
    generated = space.placed(some(made, count, derive(seed, "fld", "made")))
    at_training, at_unseen = _losses(space, generated)
    zero = np.mean([_zero(space, len(generated), derive(seed, "fld", "half", i)) for i in range(HALVES)])
    return Likelihood(
        fld=100 * (at_unseen - float(zero)),
        gap=100 * (at_training - at_unseen),
        centres=len(generated),
        training=len(space.training),
        unseen=len(space.unseen),
        dimensions=space.training.shape[1],
    )


def band(training: Owned, unseen: Owned, made: np.ndarray, seed: int, draws: int = DRAWS) -> Band:
    """Where the gap of real images lies, and where that of synthetic ones lies beside it.

    Unseen patients have to come from the same source as the training patients. Otherwise they are like each other and
    unlike what was trained on, and a synthetic image that is like the training images passes for memory. The draws
    share their patients, so the deviation holds the luck of the halves, not that of the whole unseen set.
    Raises Unmeasurable for fewer than two unseen patients, or fewer than two images on a side.
    """
    real, synthetic, counts = [], [], []
    for draw in range(draws):
        of_draw = derive(seed, "fld", "band", draw)
        as_made, rest = unseen.halves(of_draw)
        space = _Space.of(training, rest, seed)
        count = min(len(as_made.features), len(made), len(space.training) // 2)
        real.append(_gap(space, space.placed(some(as_made.features, count, of_draw))))
        synthetic.append(_gap(space, space.placed(some(made, count, of_draw))))
        counts.append(count)
    mean, deviation, gap = float(np.mean(real)), float(np.std(real, ddof=1)), float(np.mean(synthetic))
    z = (gap - mean) / deviation if deviation > 0 else float("nan")
    return Band(mean, deviation, gap, z, draws, round(float(np.mean(counts))))


def qualities(training: Owned, unseen: Owned, made: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """The quality of each synthetic image, (image,), and that of real ones on the average.

    log p / D in hundredths of a nat per dimension, under the mixture around the unseen images whose variances are
    fitted to the training images (Jiralerspong et al. 2023, sample quality): low for an image that lies far from all
    that is real. It says nothing about memory. The average of real ones is that of one half of the training patients,
    with the variances fitted to the other half, over `HALVES` ways to halve them. Raises Unmeasurable as `likelihood`.
    """
    space = _Space.of(training, unseen, seed)
    fitted = mixture.fit(space.unseen, space.training, space.finest)
    found = -100 * fitted.losses(space.placed(made))
    real = []
    for half in range(HALVES):
        some_patients, others = Owned(space.training, space.owners).halves(derive(seed, "fld", "quality", half))
        fitted = mixture.fit(space.unseen, some_patients.features, space.finest)
        real.append(-100 * float(fitted.losses(others.features).mean()))
    return found, float(np.mean(real))


@dataclass(frozen=True)
class _Space:
    """Features in the units of the unseen set: each dimension less its mean there, over its deviation there."""

    mean: np.ndarray
    deviation: np.ndarray
    kept: np.ndarray  # dimensions that are not constant there
    owners: np.ndarray  # of the training images
    training: np.ndarray  # in these units, (image, kept dimension), as is `unseen`
    unseen: np.ndarray
    finest: float  # the smallest variance that the digits of the features bear out

    @classmethod
    def of(cls, training: Owned, unseen: Owned, seed: int) -> "_Space":
        if min(len(training.features), len(unseen.features)) < 2:
            few = f"{len(training.features)} training and {len(unseen.features)} unseen images"
            raise Unmeasurable(f"{few}: two each")
        training = training.at_most(MOST, derive(seed, "fld", "training"))
        unseen = unseen.at_most(MOST, derive(seed, "fld", "unseen"))
        exact = unseen.features.astype(np.float64)
        mean, deviation = exact.mean(axis=0), exact.std(axis=0, ddof=1)
        kept = deviation > CONSTANT * deviation.max()
        if not kept.any():
            raise Unmeasurable(f"all {len(exact)} unseen images have the same features, so nothing can be compared")
        digits = np.finfo(np.result_type(training.features, np.float16)).eps
        empty = cls(mean, deviation, kept, training.owners, exact, exact, float(digits) ** 2)
        return replace(empty, training=empty.placed(training.features), unseen=empty.placed(unseen.features))

    def placed(self, features: np.ndarray) -> np.ndarray:
        """Features as they came -> in these units."""
        kept = self.kept
        return np.asarray((features[:, kept].astype(np.float64) - self.mean[kept]) / self.deviation[kept])


def _losses(space: _Space, centres: np.ndarray) -> tuple[float, float]:
    """-log p / D of the training and of the unseen images, under the mixture that is fitted to the training ones."""
    fitted = mixture.fit(centres, space.training, space.finest)
    return float(fitted.losses(space.training).mean()), float(fitted.losses(space.unseen).mean())


def _gap(space: _Space, centres: np.ndarray) -> float:
    at_training, at_unseen = _losses(space, centres)
    return 100 * (at_training - at_unseen)


def _zero(space: _Space, centres: int, seed: int) -> float:
    """-log p / D of the unseen images with one half of the training patients for centres, fitted to the other."""
    half, other = Owned(space.training, space.owners).halves(seed)
    fitted = mixture.fit(some(half.features, centres, seed), other.features, space.finest)
    return float(fitted.losses(space.unseen).mean())
