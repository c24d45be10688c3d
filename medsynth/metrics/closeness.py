"""Embeddings of images, real and synthetic -> how close the synthetic ones come to those that were trained on.

Distances are Euclidean between embeddings of length one, in float64, (asked, known). A copy has the distance 0.
"""

import numpy as np

from medsynth.metrics.euclidean import squared_distances

COPY = 1 / 3  # a ratio below this is a copy
USUAL = 0.05  # share of new patients' images that count as unusually close
BLOCK = 4096  # known images compared at once


def distances(asked: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Distances between asked (asked, dimension) and known (known, version, dimension): to the nearest version each.

    The versions of a known image are the image and, where it is as plausible, its mirror image.
    """
    found = np.empty((len(asked), len(known)))
    ours = unit(asked)
    for first in range(0, len(known), BLOCK):
        block = known[first : first + BLOCK]
        versions = [squared_distances(ours, unit(block[:, version])) for version in range(block.shape[1])]
        found[:, first : first + BLOCK] = np.minimum.reduce(versions)
    return np.sqrt(found)


def copy_ratios(found: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """How much nearer the nearest known image is than the next one of another owner, (asked,), 0 for a copy, at most 1.

    r(g) = d(g, t1) / d(g, t2), with t1 and t2 the training images nearest to g. With every image an owner of its own,
    r < 1/3 is a copy (Favero et al. 2025). With the patients as owners t2 is the nearest image of another patient than
    t1's, and copies of a person are seen, too; what is unusual for this ratio has to be measured on new patients.
    1 where nobody else owns an image. `owners` are whole numbers, (known,).
    """
    nearest = found.argmin(axis=1)
    first = found[np.arange(len(found)), nearest]
    others = np.where(owners[None] == owners[nearest][:, None], np.inf, found)
    return ratios(first, others.min(axis=1))


def ratios(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How much nearer the nearest image is than the next, at distances `first` and `second`: 0 where both are 0, and 1
    where there is no next, at an infinite distance."""
    return np.where(np.isfinite(second), first / np.where(second > 0, second, 1), 1)


def share_below(values: np.ndarray, limit: float) -> float:
    """Share of the values that are smaller than a limit."""
    return float(np.mean(values < limit))


def closer_than_new(made: np.ndarray, new: np.ndarray, usual: float = USUAL) -> float:
    """Share of synthetic images that are closer than all but the share `usual` of new patients' images.

    c_a = mean of 1[d(g, NN(g)) < q_a] over synthetic images g, with q_a the a-quantile of d(v, NN(v)) over images v of
    patients that were not trained on (as in Dar et al. 2024). A generator that keeps as far from the training
    images as new patients do has c_a = a. `made` and `new` are values of one kind, small for what is close: distances
    to the nearest training image, or copy ratios.
    """
    return share_below(made, unusual(new, usual))


def unusual(new: np.ndarray, usual: float = USUAL) -> float:
    """The value that one more new patient's image falls below with the probability `usual`.

    The quantile at the rank (n + 1) a of n values (Weibull's), between neighbours linear: of n values and one more, all
    alike, that one is as likely at any rank. Below a = 1 / (n + 1) it is the smallest value.
    """
    return float(np.quantile(new, usual, method="weibull"))


def unit(embeddings: np.ndarray) -> np.ndarray:
    """In float64, of length one; one that is nothing but zeros stays so."""
    exact = embeddings.astype(np.float64)
    length = np.sqrt(np.square(exact).sum(axis=1, keepdims=True))
    return np.asarray(exact / np.where(length > 0, length, 1))
