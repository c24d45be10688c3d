"""A picture -> where in it the round field of a camera lies, and the square inscribed in that."""

import math

import numpy as np

DARK = 20  # of 255: beyond the field a photograph is black, give or take its compression
FEW = 0.02  # share of a row or column: fewer lit pixels are dust
CORNER = 16  # a corner is this part of the field's sides


def inscribed(pixels: np.ndarray) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the square with side diameter / sqrt 2 about the centre of the field.

    `pixels` is uint8, (row, column) or (row, column, channel). The diameter is the longer side of all that is not
    black: many photographs are cut off above and below. None where nothing is lit, or where the corners are, so
    that there is no round field.
    """
    lit = (pixels.max(axis=-1) if pixels.ndim == 3 else pixels) > DARK
    rows, columns = (np.flatnonzero(lit.mean(axis=axis) > FEW) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    field = lit[top:bottom, left:right]
    height, width = field.shape
    down, along = math.ceil(height / CORNER), math.ceil(width / CORNER)
    corners = [field[y, x] for y in (slice(down), slice(-down, None)) for x in (slice(along), slice(-along, None))]
    if np.mean([corner.mean() for corner in corners]) > 0.5:
        return None
    side = min(int(max(height, width) / math.sqrt(2)), height, width)
    x, y = int(left + right - side) // 2, int(top + bottom - side) // 2
    return x, y, x + side, y + side
