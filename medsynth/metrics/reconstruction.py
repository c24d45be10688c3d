"""How far a reconstruction is from its picture."""

import numpy as np

from medsynth.metrics.masks import dice

REACH = 5  # pixels to either side in the window of structural similarity


def mean_absolute_error(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of uint8 pictures (image, row, column, channel), in grey levels of 255; one number a picture."""
    return np.abs(one.astype(np.float64) - other).mean(axis=(1, 2, 3))


def peak_signal_to_noise(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """PSNR in dB of uint8 pictures (image, row, column, channel); one number a picture, at most 100 for equal ones."""
    squared = ((one.astype(np.float64) - other) ** 2).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(squared, 255**2 / 1e10))


def lesion_dice(true: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Dice of uint8 masks (image, row, column, 1), 0 or 255; one number an image, nan where `true` has no lesion: there
    is nothing to be given back."""
    return np.array([dice(b > 0, a > 0) if a.any() else np.nan for a, b in zip(true, made, strict=True)])


def structural_similarity(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """SSIM of uint8 pictures (image, row, column, channel), the mean over channels (Wang et al. 2004, equation 13).

    A Gaussian window of 11 x 11 pixels with a deviation of 1.5, at every pixel; the picture is mirrored at its edges.
    One number a picture, 1 for equal ones. Raises ValueError for pictures of fewer than 6 pixels a side.
    """
    if min(one.shape[1:3]) <= REACH:
        raise ValueError(f"pictures of {one.shape[1]} x {one.shape[2]} pixels are too small for a window of 11 pixels")
    down, across = (_window(side) for side in one.shape[1:3])
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = np.empty(len(one))
    for place in range(len(one)):
        x, y = (pictures[place].transpose(2, 0, 1).astype(np.float64) for pictures in (one, other))
        mean_x, mean_y, xx, yy, xy = (down @ values @ across.T for values in (x, y, x * x, y * y, x * y))
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        structure = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
        found[place] = (luminance * structure).mean()
    return found


def _window(side: int) -> np.ndarray:
    """The Gaussian window as a matrix: row i holds the weights of the pixels around pixel i, (side, side)."""
    offsets = np.arange(-REACH, REACH + 1)
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    mirrored = np.pad(np.arange(side), REACH, mode="reflect")
    matrix = np.zeros((side, side))
    for offset, weight in enumerate(weights / weights.sum()):
        np.add.at(matrix, (np.arange(side), mirrored[offset : offset + side]), weight)
    return matrix
