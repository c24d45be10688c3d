"""A mixture of isotropic Gaussians, one around every generated image, that is fitted to training images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medsynth.metrics import euclidean
from medsynth.metrics.owned import Unmeasurable

RATE, EPOCHS = 0.5, 50
WINDOW, SETTLED = 5, 5e-4  # training ends when the loss changes less than this over so many epochs
SHRUNK = 0.9**2  # of the background's squared distances
START = 1e-3  # added to a squared distance, so that a copy has a logarithm to start from
WIDEST = 40.0  # the largest logarithm of a variance, and less its sign the smallest


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians: their centres, (centre, dimension), and the logarithms of their variances, (centre,)."""

    centres: np.ndarray
    log_variances: np.ndarray

    def losses(self, points: np.ndarray) -> np.ndarray:
        """-log p(x) / D of points (point, dimension), in nats per dimension, (point,)."""
        dimensions, found = points.shape[1], np.empty(len(points))
        for rows, squared in euclidean.blocks(points, self.centres):
            found[rows] = -_log_sum(log_densities(squared, self.log_variances, dimensions))
        return (found + np.log(len(self.centres))) / dimensions

    def memorised(self, points: np.ndarray) -> np.ndarray:
        """max_i log N(t_i; g_j, s_j) / D over training points t_i: large for a centre that copies one, (centre,)."""
        found = np.full(len(self.centres), -np.inf)
        for _, squared in euclidean.blocks(points, self.centres):
            best = log_densities(squared, self.log_variances, points.shape[1]).max(axis=0)
            found = np.maximum(found, best / points.shape[1])
        return found


def fit(centres: np.ndarray, points: np.ndarray, finest: float = 0.0) -> Mixture:
    """The mixture around `centres` whose variances make `points` likeliest (Jiralerspong et al. 2023, FLD).

    p(x) = 1/m sum_j N(x; g_j, s_j I). While the variances are fitted there is one Gaussian more, at the mean of the
    points, of weight 1, with squared distances times 0.81 and a variance of its own: points far from every centre then
    do not widen the nearest one without end. `finest` is the smallest variance that the digits of the features bear
    out. Both are (image, dimension). Adam, at most 50 epochs of all points. Raises Unmeasurable where either is empty.
    """
    if not len(centres) or not len(points):
        raise Unmeasurable(f"a mixture of {len(centres)} centres cannot be fitted to {len(points)} images")
    dimensions = points.shape[1]
    squared = euclidean.squared_distances(points, centres)
    background = SHRUNK * np.square(points - points.mean(axis=0)).sum(axis=1)
    least = np.append(squared.min(axis=0), background.min())
    lowest = max(-WIDEST, float(np.log(finest)) if finest > 0 else -WIDEST)

    def slope(log_variances: np.ndarray) -> tuple[float, np.ndarray]:
        return _loss(squared, background, log_variances, dimensions)

    start = np.log((least + START) / dimensions).clip(lowest, WIDEST)
    return Mixture(centres, _adam(slope, start, lowest)[:-1])


def log_densities(squared: np.ndarray, log_variances: np.ndarray, dimensions: int) -> np.ndarray:
    """log N = -d^2 / (2 s) - D/2 log s - D/2 log 2 pi, of squared distances (point, centre)."""
    found = squared * (-0.5 * np.exp(-log_variances))
    found -= dimensions / 2 * (log_variances + np.log(2 * np.pi))
    return np.asarray(found)


def _loss(
    squared: np.ndarray, background: np.ndarray, log_variances: np.ndarray, dimensions: int
) -> tuple[float, np.ndarray]:
    """The mean of -log p / D with the background, and its slope by the log-variances, the background's last."""
    points, centres = squared.shape
    total, slope = 0.0, np.zeros(centres + 1)
    narrow = 0.5 * np.exp(-log_variances)
    for first in range(0, points, euclidean.BLOCK):
        rows = slice(first, first + euclidean.BLOCK)
        of_centres = log_densities(squared[rows], log_variances[:-1], dimensions) - np.log(centres)
        of_background = log_densities(background[rows, None], log_variances[-1:], dimensions)
        top = np.maximum(of_centres.max(axis=1, keepdims=True), of_background)
        of_centres -= top
        share, rest = np.exp(of_centres, out=of_centres), np.exp(of_background - top)
        whole = share.sum(axis=1, keepdims=True) + rest
        total -= float((np.log(whole) + top).sum())
        share /= whole
        rest /= whole
        # d log N / d log s = d^2 / (2 s) - D/2
        slope[:-1] -= np.einsum("ij,ij->j", share, squared[rows]) * narrow[:-1] - dimensions / 2 * share.sum(axis=0)
        slope[-1] -= (rest[:, 0] * (background[rows] * narrow[-1] - dimensions / 2)).sum()
    return total / (points * dimensions), slope / (points * dimensions)


def _adam(slope: Callable[[np.ndarray], tuple[float, np.ndarray]], at: np.ndarray, lowest: float) -> np.ndarray:
    """Kingma and Ba 2015, algorithm 1, kept within bounds."""
    first, second, losses = np.zeros_like(at), np.zeros_like(at), list[float]()
    for epoch in range(1, EPOCHS + 1):
        loss, gradient = slope(at)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        step = first / (1 - 0.9**epoch) / (np.sqrt(second / (1 - 0.999**epoch)) + 1e-8)
        at = (at - RATE * step).clip(lowest, WIDEST)
        losses.append(loss)
        if epoch > WINDOW and abs(losses[-1] - losses[-1 - WINDOW]) < SETTLED:
            break
    return at


def _log_sum(logs: np.ndarray) -> np.ndarray:
    """log sum exp over the last axis."""
    top = logs.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(logs - top).sum(axis=1)) + top[:, 0])
