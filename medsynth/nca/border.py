"""What cells at the border see beyond it."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Border = Literal["circular", "reflect", "zeros"]
"""The other side of the grid, the grid mirrored at its outermost cells, or nothing."""


def padded(cells: Tensor, reach: int, border: Border) -> Tensor:
    """Cells with `reach` more on every side, (batch, row, column, channel). The grid has to be larger than that."""
    if border == "circular":  # torch's own padding takes three times as long
        for axis in (1, 2):
            first, last = cells.narrow(axis, 0, reach), cells.narrow(axis, cells.shape[axis] - reach, reach)
            cells = torch.cat([last, cells, first], dim=axis)
        return cells
    grids = cells.permute(0, 3, 1, 2)
    grids = F.pad(grids, (reach,) * 4, mode="reflect" if border == "reflect" else "constant")
    return grids.permute(0, 2, 3, 1)
