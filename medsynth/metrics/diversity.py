"""How much images of one class differ from each other: which pairs to compare, and what their distances say.

The distances themselves (LPIPS, say) are the caller's. Compare with the value of the real training images: more than
that is noise, not diversity.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from medsynth.metrics.interval import REPLICATES, Interval, drawn_again
from medsynth.metrics.owned import Unmeasurable
from medsynth.seeds import derive

PAIRS = 100  # of a class


@dataclass(frozen=True)
class Pairs:
    """Images to compare, (pair, 2), and how much a pair counts, (pair,): as its class does among all images."""

    images: np.ndarray
    weights: np.ndarray
    classes: np.ndarray  # the labels that both images of a pair have, (pair, label)


def pairs_within_classes(labels: np.ndarray, seed: int, most: int = PAIRS, owners: np.ndarray | None = None) -> Pairs:
    """Random pairs of images of one class; no image is in two. A class is a combination of labels, (image, label).

    A class has `most` pairs, or as many as its images give; one of a single image has none. Where an image's `owners`
    are given, (image,), the two of a pair belong to different ones: two photographs of one eye say nothing about the
    class. A pair weighs as much as its class has images, over its pairs, so that sets of different sizes with the same
    mixture of classes can be compared. The weights add up to one.
    """
    of_class = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    whose = np.arange(len(labels)) if owners is None else np.unique(owners, return_inverse=True)[1].reshape(-1)
    images, weights, classes = [np.empty((0, 2), dtype=int)], [np.empty(0)], [labels[:0]]
    for number in range(of_class.max(initial=-1) + 1):
        members = np.flatnonzero(of_class == number)
        # Seeded by the class, not by its number: a class that another set lacks moves no pair.
        random = np.random.default_rng(derive(seed, "diversity", *map(int, labels[members[0]])))
        pairs = _apart(members, whose, random)[:most]
        images.append(pairs)
        classes.append(labels[np.full(len(pairs), members[0])])
        weights.append(np.full(len(pairs), len(members) / max(1, len(pairs))))
    weight = np.concatenate(weights)
    share = weight / weight.sum() if len(weight) else weight
    return Pairs(np.concatenate(images), share, np.concatenate(classes))


def of_common_classes(ours: Pairs, reference: Pairs) -> tuple[Pairs, Pairs]:
    """Both without the classes that only one has pairs of, every class weighing in both what it does in `reference`.

    Their `spread` then differs by how different the images of a class are, not by which classes there are how often.
    """
    heavy: dict[bytes, float] = {}
    for name, weight in zip(_names(reference), reference.weights, strict=True):
        heavy[name] = heavy.get(name, 0.0) + float(weight)
    ours_too = set(_names(ours))
    common = {name: weight for name, weight in heavy.items() if name in ours_too}
    return _weighing(ours, common), _weighing(reference, common)


def _names(pairs: Pairs) -> list[bytes]:
    """The class of each pair, as something to look up."""
    return [row.astype(np.int64).tobytes() for row in pairs.classes]


def _weighing(pairs: Pairs, heavy: dict[bytes, float]) -> Pairs:
    """The pairs of these classes; the weight of a class is shared among its pairs, and all add up to one."""
    names = _names(pairs)
    kept = np.array([name in heavy for name in names], dtype=bool)
    count = Counter(names)
    weights = np.array([heavy[name] / count[name] for name in names if name in heavy])
    return Pairs(pairs.images[kept], weights / weights.sum() if len(weights) else weights, pairs.classes[kept])


def spread(distances: np.ndarray, pairs: Pairs, seed: int, replicates: int = REPLICATES) -> Interval:
    """The weighted mean of the distances of pairs, (pair,), and its bootstrap interval.

    Pairs are drawn with replacement; as no image is in two of them, that draws the images. Unmeasurable for none.
    """
    if not len(distances):
        raise Unmeasurable("no class has two images that can be compared")
    drawn = drawn_again(len(distances), replicates, derive(seed, "spread")) * pairs.weights
    return Interval.of(float(distances @ pairs.weights), drawn @ distances / drawn.sum(axis=1))


def neighbours_in_line(images: int, seed: int) -> np.ndarray:
    """All images in a random order, each with the next, (images - 1, 2): the published protocol, classes mixed."""
    line = np.random.default_rng(derive(seed, "line")).permutation(images)
    return np.stack([line[:-1], line[1:]], axis=1)


def vendi(features: np.ndarray) -> float:
    """How many different images there seem to be, from 1 to their number (Vendi score, Friedman and Dieng 2022).

    exp of the entropy of the eigenvalues of K / n, with K the cosines of features (image, feature). It rises with the
    number of images, so compare sets of one size. Raises Unmeasurable for no images.
    """
    if not len(features):
        raise Unmeasurable("no images, so none that differ")
    exact = features.astype(np.float64)
    length = np.sqrt(np.square(exact).sum(axis=1, keepdims=True))
    unit = exact / np.where(length > 0, length, 1)
    # X X' and X' X have the same eigenvalues but zeros: the smaller of the two is taken.
    product = unit @ unit.T if len(unit) < unit.shape[1] else unit.T @ unit
    values = np.linalg.eigvalsh(product / len(unit))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def _apart(members: np.ndarray, whose: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Random pairs of members that belong to different owners, in a random order, (pair, 2)."""
    order = random.permutation(members)
    place = random.permutation(whose.max() + 1)
    line = order[np.argsort(place[whose[order]], kind="stable")]  # owner after owner
    half = len(line) // 2
    pairs = np.stack(
        [line[:half], line[half : 2 * half]], axis=1
    )  # half a line apart: only one who has more meets himself
    pairs = pairs[whose[pairs[:, 0]] != whose[pairs[:, 1]]]
    return np.asarray(random.permutation(pairs))
