"""Features of patients who do not exist: latent factors that a patient's images share, so that the truth is known.

An image's features are 40 factors of decaying scale, of which the images of a patient share 80 % of the variance, mixed
into more dimensions, and noise.
"""

from dataclasses import dataclass

import numpy as np

from medsynth.metrics.memorisation import Compared, Space, compare
from medsynth.metrics.nearest import Known

FACTORS, SHARED, NOISE = 40, 0.8, 0.25
NEAR_COPY = 0.1  # noise of a copy that is not exact, as a share of the features' length


@dataclass(frozen=True)
class Toy:
    """A population, and what was drawn from it."""

    dice: np.random.Generator
    mixing: np.ndarray  # (factor, dimension)

    def patients(self, count: int) -> np.ndarray:
        return self.dice.standard_normal((count, FACTORS))

    def images(self, patients: np.ndarray, each: int = 1) -> np.ndarray:
        """Features, (patient x each, dimension), the images of a patient one after the other."""
        of_image = np.repeat(patients, each, axis=0)
        own = self.dice.standard_normal(of_image.shape)
        factors = np.sqrt(SHARED) * of_image + np.sqrt(1 - SHARED) * own
        scaled = factors / np.sqrt(np.arange(1, FACTORS + 1))
        mixed = scaled @ self.mixing
        return mixed + NOISE * self.dice.standard_normal(mixed.shape) / np.sqrt(mixed.shape[1])


@dataclass(frozen=True)
class Case:
    """Training images, images of new patients, and what a generator made."""

    training: np.ndarray
    patients: np.ndarray
    new: np.ndarray
    new_patients: np.ndarray
    made: np.ndarray


def case(
    seed: int, planted: str = "none", share: float = 0.0, *, patients: int = 60, new: int = 40, times: int = 1
) -> Case:
    """Four images each of training and of new patients; `times` as many synthetic ones as there are training images.

    All are images of other new patients, as a perfect generator's are, except a planted share: "copies", "near copies",
    or "siblings", further images of training patients.
    """
    dice = np.random.default_rng(seed)
    toy = Toy(dice, dice.standard_normal((FACTORS, 48)) / np.sqrt(48))
    people = toy.patients(patients)
    training = toy.images(people, 4)
    held_out = toy.images(toy.patients(new), 4)
    made = toy.images(toy.patients(4 * patients * times))
    count = round(share * len(made))
    if planted == "siblings":
        made[:count] = toy.images(people[dice.permutation(np.arange(count) % patients)])
    elif planted != "none":
        made[:count] = training[dice.permutation(len(training))[:count]]
    if planted == "near copies":
        length = np.linalg.norm(made[:count], axis=1, keepdims=True)
        made[:count] += NEAR_COPY * length * dice.standard_normal((count, 48)) / np.sqrt(48)
    return Case(training, np.repeat(np.arange(patients), 4), held_out, np.repeat(np.arange(new), 4), made)


def compared(of: Case) -> Compared:
    return compare(Space(Known(of.training[:, None], of.patients), of.made, of.new, of.new_patients))
