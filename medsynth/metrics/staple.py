"""Several masks of one image -> the true one as it is most likely (STAPLE: Warfield, Zou and Wells 2004, binary)."""

import numpy as np

STEPS = 100
CLOSE = 1e-6  # the largest change of a sensitivity or specificity at which the estimate stands
CERTAIN = 1e-6  # no rater is taken to be surer than all but this
MANY = 1 << 12  # patterns: beyond that, those that no pixel has are forgotten


def staple(masks: np.ndarray) -> np.ndarray:
    """The probability of each pixel to belong, (row, column), from bool masks (rater, row, column).

    Expectation: W = f prod p^D (1 - p)^(1 - D) / (that + (1 - f) prod (1 - q)^D q^(1 - D)), eq. 14 to 17, where f is
    the share of pixels that a rater marks on average, and D what a rater says. Maximisation: sensitivity p = sum W D /
    sum W, specificity q = sum (1 - W)(1 - D) / sum (1 - W), eq. 18 and 19.
    """
    patterns, of_pixel, count = _patterns(masks.reshape(len(masks), -1))
    share = float((patterns.mean(axis=1) * count).sum() / count.sum())
    if share in (0.0, 1.0):
        return np.full(masks.shape[1:], share)
    sensitivity = specificity = np.full(len(masks), 0.99)
    for _ in range(STEPS):
        belief = _belief(patterns, share, sensitivity, specificity)
        inside, outside = belief * count, (1 - belief) * count
        before = np.concatenate([sensitivity, specificity])
        sensitivity = _within(patterns.T @ inside / max(inside.sum(), CERTAIN))
        specificity = _within((1 - patterns).T @ outside / max(outside.sum(), CERTAIN))
        if np.abs(np.concatenate([sensitivity, specificity]) - before).max() < CLOSE:
            break
    return _belief(patterns, share, sensitivity, specificity)[of_pixel].reshape(masks.shape[1:])


def _patterns(said: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What raters say together, (pattern, rater), of bool votes (rater, pixel); which pattern each pixel has; how many
    pixels have it. There are few patterns and many pixels, and those of one pattern cannot be told apart.

    A pattern is a number with a binary digit a rater, so that pixels are counted and never sorted.
    """
    patterns, of_pixel = np.zeros((1, 0), bool), np.zeros(said.shape[1], np.uint32)
    for marked in said:
        of_pixel <<= 1
        of_pixel |= marked
        patterns = np.column_stack([patterns.repeat(2, axis=0), np.tile([False, True], len(patterns))])
        if len(patterns) > MANY:
            patterns, of_pixel, _ = _there(patterns, of_pixel)
    patterns, of_pixel, count = _there(patterns, of_pixel)
    return patterns.astype(np.float64), of_pixel, count.astype(np.float64)


def _there(patterns: np.ndarray, of_pixel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The patterns that any pixel has, which of those it is, and how many pixels have each."""
    count = np.bincount(of_pixel, minlength=len(patterns))
    kept = count > 0
    number = np.cumsum(kept, dtype=np.uint32) - np.uint32(1)
    return patterns[kept], number[of_pixel], count[kept]


def _belief(patterns: np.ndarray, share: float, sensitivity: np.ndarray, specificity: np.ndarray) -> np.ndarray:
    """W of each pattern, by logarithms: products of many raters' shares would come to nothing."""
    inside = patterns @ np.log(sensitivity) + (1 - patterns) @ np.log(1 - sensitivity) + np.log(share)
    outside = patterns @ np.log(1 - specificity) + (1 - patterns) @ np.log(specificity) + np.log(1 - share)
    return 1 / (1 + np.exp(np.clip(outside - inside, -700, 700)))


def _within(shares: np.ndarray) -> np.ndarray:
    return np.clip(shares, CERTAIN, 1 - CERTAIN)
