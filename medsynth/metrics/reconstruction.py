"""How far a reconstruction is from its picture."""

import numpy as np


def mean_absolute_error(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of uint8 pictures (image, row, column, channel), in grey levels of 255; one number a picture."""
    return np.abs(one.astype(np.float64) - other).mean(axis=(1, 2, 3))


def peak_signal_to_noise(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """PSNR in dB of uint8 pictures (image, row, column, channel); one number a picture, at most 100 for equal ones."""
    squared = ((one.astype(np.float64) - other) ** 2).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(squared, 255**2 / 1e10))
