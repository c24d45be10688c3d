"""Features of two sets of images -> the Fréchet distance between them (FID where the features are Inception's, Heusel
et al. 2017)."""

import numpy as np

from medsynth.metrics.owned import Unmeasurable
from medsynth.seeds import derive

DRAWS = 5  # of equally many images of two sets


def frechet(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The squared Fréchet distance of the two Gaussians that have the sets' means and covariances, in float64.

    d² = |m - n|² + tr C + tr D - 2 tr (C D)^(1/2) of features (image, feature), with the unbiased covariances C = X'X
    and D = Y'Y of the centred features X and Y, each over the root of its number of images less one (Heusel et al.
    2017, section 3; Dowson and Landau 1982). No root of a matrix is taken: the eigenvalues of C D are those of the
    symmetric (X Y')(X Y')', so their roots are the singular values of X Y'. That holds, and loses no digits, for
    fewer images than features, too.

    The smaller the sets the larger the distance, also between sets of one kind: only distances of equally many images
    can be compared: `frechet_of_equal` takes so many. Raises Unmeasurable for fewer than two images in a set.
    """
    if min(len(ours), len(theirs)) < 2:
        raise Unmeasurable(f"sets of {len(ours)} and {len(theirs)} images, but a spread within each needs two")
    (m, x), (n, y) = _spread(ours), _spread(theirs)
    if min(len(x), len(y)) > x.shape[1]:  # with R of X = QR in the place of X, the product is a small matrix
        x, y = _root(x), _root(y)
    together = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    squared = np.square(m - n).sum() + np.square(x).sum() + np.square(y).sum() - 2 * together
    return max(0.0, float(squared))  # of equal sets it may come out below zero, by rounding


def frechet_of_equal(
    ours: np.ndarray, theirs: np.ndarray, images: int, seed: int, draws: int = DRAWS, *, paired: bool = False
) -> float:
    """The mean of `frechet` over draws of so many images of either set, without replacement in a draw.

    Where no set holds more, nothing is drawn. `paired`: row i of one set is the picture of row i of the other, and the
    same rows are drawn. Raises Unmeasurable for fewer than two images.
    """
    if max(len(ours), len(theirs)) <= images:
        return frechet(ours, theirs)
    found = []
    for draw in range(max(1, draws)):
        rows = [
            np.random.default_rng(derive(seed, "frechet", side, draw)).permutation(len(features))[:images]
            for side, features in (("theirs" if paired else "ours", ours), ("theirs", theirs))
        ]
        found.append(frechet(ours[rows[0]], theirs[rows[1]]))
    return float(np.mean(found))


def _spread(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, (feature,), and a matrix X, (image, feature), with X'X the covariance."""
    exact = np.asarray(features, dtype=np.float64)
    mean = exact.mean(axis=0)
    return mean, np.asarray((exact - mean) / np.sqrt(len(exact) - 1))


def _root(x: np.ndarray) -> np.ndarray:
    """R of X = QR: R'R is X'X."""
    return np.asarray(np.linalg.qr(x, mode="r"))
