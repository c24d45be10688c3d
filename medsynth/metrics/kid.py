"""Features of two sets of images -> the kernel distance between them (KID, Bińkowski et al. 2018), and its error."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medsynth.metrics.interval import REPLICATES, Interval, drawn_again
from medsynth.metrics.owned import Owned
from medsynth.seeds import derive

BLOCK = 1024  # images compared at once with a whole set
PARTS = 100  # of the published protocol


@dataclass(frozen=True)
class Parts:
    """What random parts of two sets gave: their mean and population deviation, and how large a part was."""

    mean: float
    deviation: float
    images: int


@dataclass(frozen=True)
class Drawn:
    """KID of two sets as they are, first, and of every draw of their owners, (1 + replicate,)."""

    plain: np.ndarray
    across: np.ndarray  # without pairs of one owner

    def intervals(self) -> tuple[Interval, Interval]:
        """Of `plain` and of `across`."""
        return _interval(self.plain), _interval(self.across)

    def above(self, other: "Drawn") -> tuple[Interval, Interval]:
        """By how much it exceeds another one, draw by draw: both with the same draws of the set they have in common."""
        return _interval(self.plain - other.plain), _interval(self.across - other.across)


def kid(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy of two sets of features, each (image, feature), in float64.

    With the kernel k(x, y) = (x·y / D + 1)^3 over D features. The whole sets are compared once, not random parts of
    them, so nothing is drawn; sizes may differ. 0 is expected of two sets of one kind, and a value below 0 is no error.
    Raises ValueError for fewer than two images in a set.
    """
    _two_each(len(ours), len(theirs))
    return float(_parts(ours, theirs, np.ones((1, len(ours))), np.ones((1, len(theirs))))[0])


def kid_interval(ours: Owned, theirs: Owned, seed: int, replicates: int = REPLICATES, across: bool = False) -> Interval:
    """One of `kid_intervals`, the second one where `across` is asked for."""
    return kid_intervals(ours, theirs, seed, replicates)[across]


def kid_intervals(ours: Owned, theirs: Owned, seed: int, replicates: int = REPLICATES) -> tuple[Interval, Interval]:
    """`kid` of two sets and that across owners, with the intervals of `kid_drawn`."""
    return kid_drawn(ours, theirs, seed, replicates).intervals()


def kid_drawn(ours: Owned, theirs: Owned, seed: int, replicates: int = REPLICATES, name: str = "ours") -> Drawn:
    """`kid` of two sets, and of bootstrap replicates: on both sides owners are drawn with replacement, not images.

    Two draws of one owner are not compared with each other, nor is an image with itself. Such pairs, which no new
    sample of patients would hold, would pass for agreement within a set, and every replicate would be too large.
    With one seed several sets, each by its `name`, meet the same draws of `theirs` and draws of their own.

    `across` is across owners: it leaves out all pairs of one owner, in the value too. It is then the discrepancy
    of images of different owners, and has no bias where a patient has several images. The published value has one,
    upwards: in a small set two images of one patient are compared more often than in all the world. Where two sets are
    of one kind the intervals are wider than they need be, because KID has no linear part there. Memory grows with the
    square of the number of owners, not of images. Raises ValueError for fewer than two images or owners in a set.
    """
    mine, others = ours.of_owner(), theirs.of_owner()
    _two_each(len(mine), len(others))
    _two_each(len(np.unique(mine)), len(np.unique(others)), "owners")
    w = _as_it_is_and_drawn_again(mine, replicates, derive(seed, "kid", name))
    v = _as_it_is_and_drawn_again(others, replicates, derive(seed, "kid", "theirs"))
    between = _owner_sums(ours.features, mine, theirs.features, others)
    twice = 2 * _form(w, between, v) / ((w @ np.bincount(mine)) * (v @ np.bincount(others)))
    within = zip(_within(ours.features, mine, w), _within(theirs.features, others, v), strict=True)
    return Drawn(*(a + b - twice for a, b in within))


def kid_of_parts(made: np.ndarray, real: np.ndarray, seed: int, parts: int = PARTS) -> Parts:
    """`kid` over random parts of two sets, as the papers print it: a quarter of the synthetic images at a time.

    Each of `parts` parts holds len(made) // 4 images of either set (all of `real` if there are fewer), without
    replacement inside a part; the deviation is that of the population, as torchmetrics has it. It says how much parts
    differ, and is no error of the mean. Raises ValueError for parts of fewer than two images.
    """
    images = min(len(made) // 4, len(real))
    _two_each(images, images)
    random = np.random.default_rng(derive(seed, "kid", "parts"))
    taken = []
    for count in (len(made), len(real)):
        weights = np.zeros((parts, count))
        for row in weights:
            row[random.choice(count, images, replace=False)] = 1
        taken.append(weights)
    found = _parts(made, real, *taken)
    return Parts(float(found.mean()), float(found.std()), images)


def _interval(drawn: np.ndarray) -> Interval:
    return Interval.of(float(drawn[0]), drawn[1:])


def _two_each(ours: int, theirs: int, what: str = "images") -> None:
    if min(ours, theirs) < 2:
        raise ValueError(f"sets of {ours} and {theirs} {what}, but a spread within each needs two")


def _kernel(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The kernel's rows, a block at a time: which images of x, and k between them and all of y."""
    exact = np.asarray(y, dtype=np.float64).T
    for first in range(0, len(x), BLOCK):
        rows = slice(first, first + BLOCK)
        k = np.asarray(x[rows], dtype=np.float64) @ exact
        k /= x.shape[1]
        k += 1
        yield rows, k * k * k


def _itself(x: np.ndarray) -> np.ndarray:
    """The kernel of every image with itself, (image,)."""
    return np.asarray((np.square(x, dtype=np.float64).sum(axis=1) / x.shape[1] + 1) ** 3)


def _form(w: np.ndarray, sums: np.ndarray, v: np.ndarray) -> np.ndarray:
    """w' sums v, for each row of w and v."""
    return np.asarray(((w @ sums) * v).sum(axis=1))


def _parts(x: np.ndarray, y: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The discrepancy of parts: w and v are 1 where an image belongs to a part, (part, image)."""

    def weighed(a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
        return np.sum([_form(of_a[:, rows], k, of_b) for rows, k in _kernel(a, b)], axis=0)

    n, m = w.sum(axis=1), v.sum(axis=1)
    within_x = (weighed(x, x, w, w) - w @ _itself(x)) / (n * (n - 1))
    within_y = (weighed(y, y, v, v) - v @ _itself(y)) / (m * (m - 1))
    return np.asarray(within_x + within_y - 2 * weighed(x, y, w, v) / (n * m))


def _as_it_is_and_drawn_again(owners: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """How often each owner is in a set: once in the first row, as drawn in the others, (1 + replicate, owner)."""
    count = int(owners.max()) + 1
    return np.vstack([np.ones(count), drawn_again(count, replicates, seed)])


def _within(x: np.ndarray, owners: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the kernel over pairs of different images, and over pairs of different owners' images.

    For each row of how often owners are drawn, (row,) twice.
    """
    sums = _owner_sums(x, owners, x, owners)
    own_sums = sums.diagonal() - np.bincount(owners, _itself(x))
    images = np.bincount(owners).astype(np.float64)
    np.fill_diagonal(sums, 0)
    whole, pairs = _form(drawn, sums, drawn), np.square(drawn @ images) - np.square(drawn) @ np.square(images)
    # An owner's own pairs count once a draw.
    with_own, own_pairs = whole + drawn @ own_sums, pairs + drawn @ (images * (images - 1))
    both = ((with_own, own_pairs), (whole, pairs))
    plain, across = (np.asarray(total / np.where(count > 0, count, np.nan)) for total, count in both)
    return plain, across


def _owner_sums(x: np.ndarray, mine: np.ndarray, y: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The kernel summed over the images of two owners, (owner, owner): no more is needed where owners are drawn."""
    by_mine, by_theirs = np.argsort(mine, kind="stable"), np.argsort(theirs, kind="stable")
    starts = np.searchsorted(theirs[by_theirs], np.arange(theirs.max() + 1))
    sums = np.zeros((mine.max() + 1, theirs.max() + 1))
    for rows, k in _kernel(x[by_mine], y[by_theirs]):
        np.add.at(sums, mine[by_mine][rows], np.add.reduceat(k, starts, axis=1))
    return sums
