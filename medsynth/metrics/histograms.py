"""Pictures -> their colours and their sharpness, in grey levels: what anybody can see, as numbers.

Pictures are uint8, (image, row, column, channel). A set may be looked at in parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVELS = 256


@dataclass(frozen=True)
class Looks:
    """How synthetic pictures look beside real ones; per channel, (channel,), in grey levels of 255.

    `shift`: how much brighter their mean is. `distance`: how far a pixel's level has to be moved on the average to make
    their histogram the real one (Wasserstein-1); at least the size of the shift. `sharpness`: the median of theirs
    over that of real pictures; below 1 is blurred, above 1 is noise or edges that real pictures lack.
    """

    shift: np.ndarray
    distance: np.ndarray
    sharpness: float


@dataclass(frozen=True)
class Seen:
    """What there is to see in a set: how many pixels have a level, (channel, level), and each picture's sharpness."""

    histogram: np.ndarray
    sharpness: np.ndarray


def look(pictures: np.ndarray) -> Seen:
    """The histograms and the sharpness of pictures. Raises ValueError for pictures smaller than 3 x 3."""
    return Seen(histogram(pictures), sharpness(pictures))


def together(parts: Sequence[Seen]) -> Seen:
    """What there is to see in a set that was looked at in parts."""
    return Seen(np.sum([part.histogram for part in parts], axis=0), np.concatenate([part.sharpness for part in parts]))


def histogram(pictures: np.ndarray) -> np.ndarray:
    """How many pixels of all pictures have each level, (channel, level). Those of parts of a set can be added."""
    counts = np.zeros((pictures.shape[-1], LEVELS), dtype=np.int64)
    for picture in pictures:
        for channel, count in enumerate(counts):
            count += np.bincount(picture[..., channel].reshape(-1), minlength=LEVELS)
    return counts


def sharpness(pictures: np.ndarray) -> np.ndarray:
    """The variance of the Laplacian of the grey picture, in squared grey levels, (image,): 0 for a flat one.

    Grey is the mean over channels; the Laplacian is the sum of the four neighbours less four times the pixel, at
    pixels that have four.
    """
    if min(pictures.shape[1:3]) < 3:
        raise ValueError(f"pictures of {pictures.shape[1]} x {pictures.shape[2]} pixels have no pixel with neighbours")
    found = np.empty(len(pictures))
    for place, picture in enumerate(pictures):
        grey = picture.mean(axis=-1, dtype=np.float64)
        sides = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        found[place] = (sides - 4 * grey[1:-1, 1:-1]).var()
    return found


def compared(made: Seen, real: Seen) -> Looks:
    """How the synthetic set looks beside the real one. `sharpness` is not a number where real pictures have none."""
    ours, theirs = (seen.histogram / seen.histogram.sum(axis=1, keepdims=True) for seen in (made, real))
    known = float(np.median(real.sharpness))
    return Looks(
        shift=(ours - theirs) @ np.arange(LEVELS),
        distance=distance(made.histogram, real.histogram),
        sharpness=float(np.median(made.sharpness)) / known if known > 0 else float("nan"),
    )


def distance(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The Wasserstein-1 distance of histograms (channel, level), in levels, (channel,): the area between the sums."""
    one, other = (counts / counts.sum(axis=1, keepdims=True) for counts in (ours, theirs))
    return np.asarray(np.abs(np.cumsum(one - other, axis=1)).sum(axis=1))
