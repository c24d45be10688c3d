"""Small pictures -> which of them are the same picture, even where one was mirrored, brightened or compressed.

Copies across patients leak from training to test; within a training set they make a generator learn by heart.
"""

from dataclasses import dataclass

import numpy as np

from medsynth.metrics.appearance import appearance

BITS = 8  # a side of the hash
UNLIKE = 10  # bits of 64: beyond, pictures are not compared any further
NEAR = 0.7  # distance of appearances of length one; photographs of different drawn eyes are never below 0.8
HALF = 0.5  # of how far the nearest of another patient usually is
ASKED = 512  # pictures, evenly spaced, for what is usual
BLOCK = 1024  # pictures, or pairs, compared at once


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures that are the same, the nearest first."""

    images: np.ndarray  # (pair, 2): places
    distance: np.ndarray  # of their appearances, (pair,): 0 to what counts as near
    exact: np.ndarray  # equal in every pixel, (pair,)
    mirrored: np.ndarray  # the second one as its mirror image, (pair,)


def across_patients(pictures: np.ndarray, patients: np.ndarray, *, mirror: bool = False) -> Pairs:
    """The same picture under two patients, (image,); pictures are uint8 (image, row, column, channel), about 32 a side.

    In a pair the first place is the smaller one. `mirror`: mirror images count as the same.
    """
    found = same(pictures, pictures, mirror=mirror, near=nearness(pictures, patients))
    first, second = found.images.T
    return _chosen(found, (first < second) & (patients[first] != patients[second]))


def nearness(pictures: np.ndarray, patients: np.ndarray) -> float:
    """The distance below which a picture is another one: half of what it usually is to the nearest of another patient.

    In some cohorts everybody looks alike: photographs of different eyes with little to see in them come as near as
    0.4 where there are thousands, and a limit for drawn eyes would call thousands of pairs the same. At most NEAR.
    """
    found = Looked.at(pictures).appearances
    nearest = []
    for place in np.linspace(0, len(found) - 1, min(len(found), ASKED)).astype(int):
        others = patients != patients[place]
        if others.any():
            closest = (found[others] @ found[place]).max()  # of length one, so the distance is that of their cosine
            nearest.append(np.sqrt(max(2 - 2 * closest, 0)))
    return float(min(NEAR, HALF * np.median(nearest))) if nearest else NEAR


def same(ours: np.ndarray, theirs: np.ndarray, *, mirror: bool = False, near: float = NEAR) -> Pairs:
    """Pairs of one of `ours` and one of `theirs` that are nearer than `near`.

    A perceptual hash (the signs of the 8 x 8 lowest DCT coefficients against their median) finds candidates, the
    distance of appearances decides. A picture that was compressed, brightened, tinted or blurred is found; another
    photograph of the same eye is found where camera and light hardly moved.
    """
    a = Looked.at(ours)
    parts = [_compared(a, a if theirs is ours else Looked.at(theirs), False, near)]
    if mirror:
        parts.append(_compared(a, Looked.at(theirs[:, :, ::-1]), True, near))
    fields = ("images", "distance", "exact", "mirrored")
    found = Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
    return _chosen(found, np.argsort(found.distance, kind="stable"))


def equal(ours: np.ndarray, theirs: np.ndarray, *, mirror: bool = False) -> np.ndarray:
    """Pairs of one of `ours` and one of `theirs` that are equal in every pixel, (pair, 2)."""
    places: dict[bytes, list[int]] = {}
    for pictures in (theirs, theirs[:, :, ::-1])[: 1 + mirror]:
        for place, picture in enumerate(pictures):
            places.setdefault(picture.tobytes(), []).append(place)
    pairs = {(place, other) for place, picture in enumerate(ours) for other in places.get(picture.tobytes(), ())}
    return np.array(sorted(pairs), dtype=int).reshape(-1, 2)


def hashes(pictures: np.ndarray) -> np.ndarray:
    """The perceptual hash, (image, 64), as float32 of -1 and 1: the product of two counts the bits that differ."""
    from scipy.fft import dctn

    grey = pictures.mean(axis=3, dtype=np.float64)
    low = dctn(grey, axes=(1, 2))[:, :BITS, :BITS].reshape(len(grey), BITS * BITS)
    middle = np.median(low[:, 1:], axis=1, keepdims=True)  # the first is the mean brightness
    return np.where(low > middle, 1, -1).astype(np.float32)


@dataclass(frozen=True)
class Looked:
    """Pictures, their appearances of length one, in the float32 that a whole cohort has room in, and their hashes."""

    pictures: np.ndarray
    appearances: np.ndarray
    codes: np.ndarray

    @classmethod
    def at(cls, pictures: np.ndarray) -> "Looked":
        found = appearance(pictures)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return cls(pictures, np.asarray(found / np.where(length > 0, length, 1)), hashes(pictures))


def _compared(a: Looked, b: Looked, mirrored: bool, near: float) -> Pairs:
    limit = BITS * BITS - 2 * UNLIKE  # of the product
    images, distance, exact = [np.empty((0, 2), int)], [np.empty(0)], [np.empty(0, bool)]
    for start in range(0, len(a.codes), BLOCK):
        candidates = np.argwhere(a.codes[start : start + BLOCK] @ b.codes.T >= limit) + np.array([start, 0])
        for first in range(0, len(candidates), BLOCK):
            pairs = candidates[first : first + BLOCK]
            one, other = pairs.T
            apart = np.linalg.norm(a.appearances[one] - b.appearances[other], axis=1)
            kept = apart < near
            images.append(pairs[kept])
            distance.append(apart[kept])
            exact.append((a.pictures[one[kept]] == b.pictures[other[kept]]).all(axis=(1, 2, 3)))
    count = sum(map(len, images))
    return Pairs(np.concatenate(images), np.concatenate(distance), np.concatenate(exact), np.full(count, mirrored))


def _chosen(found: Pairs, which: np.ndarray) -> Pairs:
    return Pairs(found.images[which], found.distance[which], found.exact[which], found.mirrored[which])
