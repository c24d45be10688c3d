"""Rotary positions of a grid: queries and keys are turned by angles that grow with row and column (Su et al. 2021)."""

import torch
from torch import Tensor

BASE = 10_000.0


def rotations_2d(rows: int, columns: int, width: int) -> Tensor:
    """One turn for each pair of a head's `width` values, (1 + rows * columns, width // 2), complex64.

    Cells come row after row. The first half of the pairs is turned by the row, the second by the column, each at the
    rates BASE^(-2 i / (width / 2)). Before the cells stands the image's label, which has no place in the grid: its
    factors are zero, so that its query and its key vanish and others hear its value alone. LlamaGen's published weights
    were trained so.
    """
    half = width // 2
    rates = BASE ** (-torch.arange(0, half, 2, dtype=torch.float64) / half)
    down, across = (torch.arange(count, dtype=torch.float64)[:, None] * rates for count in (rows, columns))
    angles = torch.cat([down.repeat_interleave(columns, dim=0), across.repeat(rows, 1)], dim=1)
    turns = torch.polar(torch.ones_like(angles), angles)
    return torch.cat([torch.zeros_like(turns[:1]), turns]).to(torch.complex64)


def rotated(x: Tensor, turns: Tensor) -> Tensor:
    """Neighbouring values turned in pairs, in float32. x (..., width); turns (..., width // 2) fits it."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)
