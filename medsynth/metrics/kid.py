"""Features of two sets of images -> the kernel distance between them (KID, Bińkowski et al. 2018), and its error."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medsynth.metrics.interval import REPLICATES, Interval, drawn_again
from medsynth.metrics.owned import Owned, Unmeasurable
from medsynth.seeds import derive

BLOCK = 1024  # images compared at once with a whole set
PARTS = 100  # of the published protocol
NOTHING = 1e-6  # a KID that differs by less is the same in all digits that are shown


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
    without: tuple[np.ndarray, np.ndarray]  # `plain` and `across` with one owner of theirs left out, (owner,) each

    def intervals(self) -> tuple[Interval, Interval]:
        """Of `plain` and of `across`."""
        return _interval(self.plain), _interval(self.across)

    def above(self, other: "Drawn") -> tuple[Interval, Interval]:
        """By how much it exceeds another one, draw by draw: both with the same draws of the set they have in common."""
        return _interval(self.plain - other.plain), _interval(self.across - other.across)

    def without_the_one(self) -> tuple[float, float] | None:
        """KID with and without the one owner of theirs on whom it hangs, None where it hangs on nobody.

        It does where leaving that owner out moves KID by more than half of it, and weighs more than leaving out all
        others, one at a time, does together: by squares, as a jackknife has it. Without the second, any KID near 0
        would hang on somebody. Of the two kinds of KID the one that moves farther is told.
        """
        hung = []
        for value, without in zip((self.plain[0], self.across[0]), self.without, strict=True):
            moves = np.nan_to_num(np.abs(without - value))
            one = int(moves.argmax())
            if moves[one] > max(abs(value) / 2, NOTHING) and 2 * moves[one] ** 2 > np.square(moves).sum():
                hung.append((float(moves[one]), float(value), float(without[one])))
        return max(hung)[1:] if hung else None


def kid(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy of two sets of features, each (image, feature), in float64.

    With the kernel k(x, y) = (x·y / D + 1)^3 over D features. The whole sets are compared once, not random parts of
    them, so nothing is drawn; sizes may differ. 0 is expected of two sets of one kind, and a value below 0 is no error.
    Raises Unmeasurable for fewer than two images in a set.
    """
    _two_each(len(ours), len(theirs))
    return float(_parts(ours, theirs, np.ones((1, len(ours))), np.ones((1, len(theirs))))[0])


def kid_interval(ours: Owned, theirs: Owned, seed: int, replicates: int = REPLICATES, across: bool = False) -> Interval:
    """`kid` of two sets, or that across owners, with the interval of `kid_drawn`."""
    return kid_drawn(ours, theirs, seed, replicates).intervals()[across]


def kid_drawn(
    ours: Owned,
    theirs: Owned,
    seed: int,
    replicates: int = REPLICATES,
    name: str = "ours",
    paired: bool = False,
) -> Drawn:
    """`kid` of two sets, and of bootstrap replicates: on both sides owners are drawn with replacement, not images.

    Two draws of one owner are not compared with each other, nor is an image with itself. Such pairs, which no new
    sample of patients would hold, would pass for agreement within a set, and every replicate would be too large.
    With one seed several sets, each by its `name`, meet the same draws of `theirs` and draws of their own.

    `paired`: image i of one set is made of image i of the other, as a reconstruction is. Then pairs i = i are left out
    between the sets, too (Gretton et al. 2012, equation 4), across owners all pairs of one owner, and one draw of
    owners is that of both sets: a perfect copy has KID 0 in every draw.

    `across` is across owners: it leaves out all pairs of one owner, in the value too. It is then the discrepancy
    of images of different owners, and has no bias where a patient has several images. The published value has one,
    upwards: in a small set two images of one patient are compared more often than in all the world. Where two sets are
    of one kind the intervals are wider than they need be, because KID has no linear part there. Memory grows with the
    square of the number of owners, not of images. Raises Unmeasurable for fewer than two images or owners in a set,
    ValueError for paired sets that do not fit each other.
    """
    mine, others = ours.of_owner(), theirs.of_owner()
    _two_each(len(mine), len(others))
    _two_each(len(np.unique(mine)), len(np.unique(others)), "owners")
    if paired and not np.array_equal(ours.owners, theirs.owners):
        raise ValueError(f"{len(mine)} and {len(others)} images are no pairs: their owners are not the same")
    v = _as_it_is_and_drawn_again(others, replicates, derive(seed, "kid", "theirs"))
    w = v if paired else _as_it_is_and_drawn_again(mine, replicates, derive(seed, "kid", name))
    own, their = _Pairs.of(ours.features, ours.features, mine), _Pairs.of(theirs.features, theirs.features, others)
    if paired:
        between = _Pairs.of(ours.features, theirs.features, mine)
        twice, twice_without = between.means(v), between.means_without()
        left = own.means_without()
    else:
        sums, counts = _owner_sums(ours.features, mine, theirs.features, others), np.bincount(others)
        means = _form(w, sums, v) / ((w @ np.bincount(mine)) * (v @ counts))
        means_without = (sums.sum() - sums.sum(axis=0)) / (len(mine) * (len(others) - counts))
        twice, twice_without = (means, means), (means_without, means_without)
        left = own.means(w[:1])
    found = zip(own.means(w), their.means(v), twice, strict=True)
    without = zip(left, their.means_without(), twice_without, strict=True)
    plain, across = (a + b - 2 * c for a, b, c in found)
    plain_without, across_without = (a + b - 2 * c for a, b, c in without)
    return Drawn(plain, across, (plain_without, across_without))


def kid_of_parts(made: np.ndarray, real: np.ndarray, seed: int, parts: int = PARTS) -> Parts:
    """`kid` over random parts of two sets, as the papers print it: a quarter of the synthetic images at a time.

    Each of `parts` parts holds len(made) // 4 images of either set (all of `real` if there are fewer), without
    replacement inside a part; the deviation is that of the population, as torchmetrics has it. It says how much parts
    differ, and is no error of the mean. Raises Unmeasurable for parts of fewer than two images.
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
        raise Unmeasurable(f"sets of {ours} and {theirs} {what}, but a spread within each needs two")


def _kernel(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The kernel's rows, a block at a time: which images of x, and k between them and all of y."""
    exact = np.asarray(y, dtype=np.float64).T
    for first in range(0, len(x), BLOCK):
        rows = slice(first, first + BLOCK)
        k = np.asarray(x[rows], dtype=np.float64) @ exact
        k /= x.shape[1]
        k += 1
        yield rows, k * k * k


def _itself(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The kernel of every image of x with the one of y in its place, (image,)."""
    product = np.einsum("if,if->i", np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    return np.asarray((product / x.shape[1] + 1) ** 3)


def _form(w: np.ndarray, sums: np.ndarray, v: np.ndarray) -> np.ndarray:
    """w' sums v, for each row of w and v."""
    return np.asarray(((w @ sums) * v).sum(axis=1))


def _parts(x: np.ndarray, y: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The discrepancy of parts: w and v are 1 where an image belongs to a part, (part, image)."""

    def weighed(a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
        return np.sum([_form(of_a[:, rows], k, of_b) for rows, k in _kernel(a, b)], axis=0)

    n, m = w.sum(axis=1), v.sum(axis=1)
    within_x = (weighed(x, x, w, w) - w @ _itself(x, x)) / (n * (n - 1))
    within_y = (weighed(y, y, v, v) - v @ _itself(y, y)) / (m * (m - 1))
    return np.asarray(within_x + within_y - 2 * weighed(x, y, w, v) / (n * m))


def _as_it_is_and_drawn_again(owners: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """How often each owner is in a set: once in the first row, as drawn in the others, (1 + replicate, owner)."""
    count = int(owners.max()) + 1
    return np.vstack([np.ones(count), drawn_again(count, replicates, seed)])


@dataclass(frozen=True)
class _Pairs:
    """The kernel of two sets whose images are one to one, often the same set twice, summed by owners. Pairs of an
    image with the one it belongs to are left out."""

    apart: np.ndarray  # over pairs of different owners, (owner, owner), with nothing in the diagonal
    together: np.ndarray  # over pairs of one owner's images, (owner,)
    images: np.ndarray  # how many each owner has, (owner,)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, owners: np.ndarray) -> "_Pairs":
        sums = _owner_sums(x, owners, y, owners)
        together = sums.diagonal() - np.bincount(owners, _itself(x, y))
        np.fill_diagonal(sums, 0)
        return cls(sums, together, np.bincount(owners).astype(np.float64))

    def means(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean over pairs of images, and over pairs of different owners' images.

        For each row of how often owners are drawn, (row,) twice. An owner's own pairs count once a draw.
        """
        n = self.images
        pairs = np.square(drawn @ n) - np.square(drawn) @ np.square(n)
        return _both(_form(drawn, self.apart, drawn), pairs, drawn @ self.together, drawn @ (n * (n - 1)))

    def means_without(self) -> tuple[np.ndarray, np.ndarray]:
        """The same with one owner left out, (owner,) twice."""
        n, apart = self.images, self.apart
        own, squares = n * (n - 1), np.square(n)
        rest = apart.sum() - apart.sum(axis=0) - apart.sum(axis=1)
        pairs = np.square(n.sum() - n) - (squares.sum() - squares)
        return _both(rest, pairs, self.together.sum() - self.together, own.sum() - own)


def _both(
    apart: np.ndarray, pairs: np.ndarray, together: np.ndarray, own_pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means with an owner's own pairs and without, NaN where there are none."""
    with_own, without = (
        np.asarray(total / np.where(count > 0, count, np.nan))
        for total, count in ((apart + together, pairs + own_pairs), (apart, pairs))
    )
    return with_own, without


def _owner_sums(x: np.ndarray, mine: np.ndarray, y: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The kernel summed over the images of two owners, (owner, owner): no more is needed where owners are drawn."""
    by_mine, by_theirs = np.argsort(mine, kind="stable"), np.argsort(theirs, kind="stable")
    starts = np.searchsorted(theirs[by_theirs], np.arange(theirs.max() + 1))
    sums = np.zeros((mine.max() + 1, theirs.max() + 1))
    for rows, k in _kernel(x[by_mine], y[by_theirs]):
        np.add.at(sums, mine[by_mine][rows], np.add.reduceat(k, starts, axis=1))
    return sums
