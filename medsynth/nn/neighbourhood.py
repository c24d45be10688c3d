"""Attention of cells to the 3x3 cells around them.

Why it is written this way: only some cells ask (in a cellular automaton, those that fire), but every cell may be asked.
So keys and values are made for all cells, and each asking cell fetches its nine neighbours by an index table; the
textbook form convolves keys and values with nine one-hot filters, which moves nine times the memory for all cells.
"""

from functools import lru_cache

import torch
from torch import Tensor

NEIGHBOURS = 9


@lru_cache(maxsize=16)
def table(rows: int, columns: int) -> Tensor:
    """For each cell of a grid its 3x3 neighbours, itself included, row by row; (rows * columns, 9).

    A neighbour beyond the border is -1.
    """
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    found = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = row + down, column + right
            inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
            found.append(torch.where(inside, r * columns + c, torch.full_like(r, -1)).flatten())
    return torch.stack(found, dim=1)


def of_cells(cells: Tensor, grid: tuple[int, int], beyond: int) -> Tensor:
    """The neighbours of cells that are numbered through a whole batch of grids, (asking, 9).

    `cells` (asking,) are image * rows * columns + position. Neighbours beyond the border get the number `beyond`.
    """
    near = table(*grid).to(cells.device)[cells % (grid[0] * grid[1])]
    first = (cells - cells % (grid[0] * grid[1]))[:, None]
    return torch.where(near < 0, beyond, near + first)


def attend(query: Tensor, keys_values: Tensor, neighbours: Tensor, heads: int) -> Tensor:
    """Local attention of asking cells, (asking, width).

    query (asking, width); keys_values (cells + 1, 2 * width), the last row zero: a neighbour beyond the border has zero
    key and value and takes part in the softmax with weight exp(0); neighbours (asking, 9) are rows of keys_values.
    """
    asking, width = query.shape
    near = keys_values.index_select(0, neighbours.flatten())
    near = near.view(asking, NEIGHBOURS, 2, heads, width // heads)  # (asking, 9, 2, head, part)
    keys, values = near.unbind(2)
    scores = (query.view(asking, 1, heads, width // heads) * keys).sum(-1)  # (asking, 9, head)
    weights = (scores * (width // heads) ** -0.5).softmax(dim=1)
    return (weights[..., None] * values).sum(1).view(asking, width)
