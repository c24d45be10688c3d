"""Features of images, and whose they are."""

from dataclasses import dataclass

import numpy as np


class Unmeasurable(ValueError):
    """Images that a number cannot be had of: they are too few, of too few patients, or all alike."""


@dataclass(frozen=True)
class Owned:
    """Features, (image, feature), and an owner for each: the patient, or the patient whose labels an image was given.

    Owners may be whole numbers or text, (image,).
    """

    features: np.ndarray
    owners: np.ndarray

    def of_owner(self) -> np.ndarray:
        """The owners as whole numbers from 0 on, in the order of their names, (image,)."""
        return np.unique(self.owners, return_inverse=True)[1].reshape(-1)

    def chosen(self, images: np.ndarray) -> "Owned":
        """Some of the images: places or a mask."""
        return Owned(self.features[images], self.owners[images])

    def halves(self, seed: int) -> tuple["Owned", "Owned"]:
        """Two parts without an owner in common, each with half of the owners. Unmeasurable where there is but one."""
        place = self._shuffled(seed)
        owners = place.max(initial=-1) + 1
        if owners < 2:
            raise Unmeasurable(f"images of {owners} owner(s) cannot be halved by owner; two or more are needed")
        first = place < owners // 2
        return self.chosen(first), self.chosen(~first)

    def at_most(self, images: int, seed: int) -> "Owned":
        """All of it, or as many images of as few random owners as `images` allows."""
        if len(self.features) <= images:
            return self
        return self.chosen(np.sort(np.argsort(self._shuffled(seed), kind="stable")[:images]))

    def _shuffled(self, seed: int) -> np.ndarray:
        """The place of each image's owner in a random order of owners, (image,)."""
        of_owner = self.of_owner()
        return np.random.default_rng(seed).permutation(of_owner.max(initial=-1) + 1)[of_owner]


def some(features: np.ndarray, images: int, seed: int) -> np.ndarray:
    """All rows, or `images` random ones in their order."""
    if len(features) <= images:
        return features
    return features[np.sort(np.random.default_rng(seed).choice(len(features), images, replace=False))]
