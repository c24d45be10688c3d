"""Attention of cells to the 3x3 cells around them.

Why it is written this way: only some cells ask (in a cellular automaton, those that fire), but every cell may be asked.
The textbook form convolves keys and values with nine one-hot filters, which moves nine times the memory for all cells.
On a CPU even a gather of the nine neighbours is dearer than the products that follow it, so nothing is gathered there:
a weighted sum of nine rows of a table is what `embedding_bag` does in one pass, and its gradient by the weights is nine
dot products with rows of a table. Attention and its gradient consist of these two. On a GPU the gather is what is fast.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS = 9


@dataclass(frozen=True)
class Asking:
    """Which cells of a batch of grids ask, and whom. Cells and askers are numbered through the batch.

    Each image has as many askers as the one that has most: what is missing is filled up with cells that do not fire.
    So all tensors of askers have the form (image, asker, ...), and what an image has in common needs no index.
    """

    cells: Tensor  # (image, asker): which cell it is
    fires: Tensor  # (image, asker, 1), bool: false for those that fill up
    near: Tensor  # (image * asker, 9): the cells around it; any where there is none
    inside: Tensor  # (image * asker, 9), bool: whether there is one, or the border
    asked_by: Tensor  # (cells, 9): the asker at each of nine places, or -1 where none asks


def asking(fires: Tensor, grid: tuple[int, int]) -> Asking:
    """The cells that fire as askers. fires (image, cell), bool."""
    images, cells = fires.shape
    most = max(1, int(fires.sum(1).max()))
    order = fires.byte().sort(dim=1, descending=True, stable=True).indices  # those that fire come first
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(cells, device=fires.device).expand_as(order))
    at, around = order[:, :most], table(*grid).to(fires.device)
    image = torch.arange(images, device=fires.device)[:, None, None]
    near, there = around[at], rank[:, around.clamp(min=0)]  # (image, asker, 9), (image, cell, 9)
    asked_by = torch.where((around >= 0) & (there < most), there + image * most, -1)
    return Asking(
        at + image[..., 0] * cells, fires.gather(1, at)[..., None], (near.clamp(min=0) + image * cells).flatten(0, 1),
        (near >= 0).flatten(0, 1), asked_by.flatten(0, 1),
    )  # fmt: skip


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


@lru_cache(maxsize=16)
def bias(rows: int, columns: int) -> Tensor:
    """What to add to the scores of all cells with all cells of a small grid for the same attention, (cell, cell + 1).

    The last column is for one zero key: it stands for all neighbours beyond the border, each of weight exp(0).
    """
    near = table(rows, columns)
    reached = torch.zeros(len(near), len(near) + 1).scatter_add_(1, near % (len(near) + 1), torch.ones(near.shape))
    return reached.log()


def attend(query: Tensor, keys_values: Tensor, scale: Tensor, shift: Tensor, who: Asking) -> tuple[Tensor, Tensor]:
    """Local attention of askers, (asker, width), and how much of it went to cells inside the grid, (asker, head).

    query (asker, width); keys_values (cells, 2 * width). A neighbour's key and value count `scale` (asker, 9) times;
    `shift` (asker, head) is added to its score. A neighbour beyond the border has zero key and value and takes part in
    the softmax with weight exp(0). Small tensors are float32 or better, whatever the query is.
    """
    if query.device.type == "cpu":
        return _Bags.apply(query, keys_values, scale, shift, who)
    return gathered(query, keys_values, scale, shift, who)


def gathered(query: Tensor, keys_values: Tensor, scale: Tensor, shift: Tensor, who: Asking) -> tuple[Tensor, Tensor]:
    """`attend`, with every asker's neighbours side by side in memory."""
    (askers, width), heads = query.shape, shift.shape[1]
    near = keys_values.index_select(0, who.near.flatten()).view(askers, NEIGHBOURS, 2, heads, width // heads)
    keys, values = near.unbind(2)  # (asker, 9, head, part)
    inside = who.inside[..., None].to(scale)
    scores = (query.view(askers, 1, heads, width // heads) * keys).sum(-1).to(scale.dtype)
    scores = (scores * scale[..., None] + shift[:, None]) * inside * (width // heads) ** -0.5
    weights = scores.softmax(dim=1) * inside  # (asker, 9, head)
    heard = ((weights * scale[..., None])[..., None].to(values.dtype) * values).sum(1)
    return heard.view(askers, width), weights.sum(1)


class _Bags(torch.autograd.Function):
    """`attend` by dot products with rows of a table and by weighted sums of them.

    A row is one head of one cell's key or value. Tensors of scores are (asker, head, 9).
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, keys_values: Tensor, scale: Tensor, shift: Tensor, who: Asking
    ) -> tuple[Tensor, Tensor]:
        (askers, width), heads = query.shape, shift.shape[1]
        part = width // heads
        head = torch.arange(heads, dtype=torch.int32)[:, None]
        rows = (who.near.int()[:, None] * (2 * heads) + head).flatten(0, 1)  # of keys; of values `heads` further on
        table, inside = keys_values.view(-1, part), who.inside[:, None].to(scale)
        size = scale[:, None] * inside  # (asker, 1, 9)
        dots = _dots(query.view(-1, part), table, rows).view(askers, heads, NEIGHBOURS).to(scale.dtype)
        weights = torch.addcmul(shift[..., None] * inside, dots, size).mul_(part**-0.5).softmax(2)
        heard = _sums(weights * size, table, rows + heads).view(askers, width)
        ctx.save_for_backward(query, keys_values, scale, dots, weights, rows)
        ctx.who = who
        return heard, (weights * inside).sum(2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, keys_values, scale, dots, weights, rows = ctx.saved_tensors
        (askers, heads, _), part = weights.shape, query.shape[1] // weights.shape[1]
        table, inside = keys_values.view(-1, part), ctx.who.inside[:, None].to(scale)
        size, d_heard = scale[:, None] * inside, gradients[0].contiguous()
        d_sums = _dots(d_heard.view(-1, part), table, rows + heads).view(askers, heads, NEIGHBOURS).to(scale.dtype)
        d_weights = torch.addcmul(gradients[1][..., None] * inside, d_sums, size)
        d_scores = weights * (d_weights - (d_weights * weights).sum(2, keepdim=True)) * inside * part**-0.5
        d_scale = ((d_sums * weights + d_scores * dots) * inside).sum(1)
        d_query = _sums(d_scores * size, table, rows).view(query.shape)
        # A cell's key and value are asked for by the same askers: one sum over queries and over gradients of what was
        # heard. Seen from the cell, an asker is where the cell is not seen from there: place 8 - i for i.
        by = ctx.who.asked_by.int()[:, None, None]
        of = torch.arange(2, dtype=torch.int32)[:, None, None] * (askers * heads)
        sources = by.clamp(min=0) * heads + torch.arange(heads, dtype=torch.int32)[:, None] + of  # (cell, 2, head, 9)
        places = sources * NEIGHBOURS + torch.arange(NEIGHBOURS - 1, -1, -1, dtype=torch.int32)
        both = torch.stack([d_scores * size, weights * size]).flatten()
        shares = both.index_select(0, places.flatten()).view(places.shape).mul_(by >= 0)
        asked = torch.cat([query, d_heard]).view(-1, part)
        d_keys_values = _sums(shares, asked, sources.view(-1, NEIGHBOURS)).view(keys_values.shape)
        return d_query, d_keys_values, d_scale, d_scores.sum(2), None


def _sums(weights: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """Weighted sums of nine rows each, (number, part). weights: any shape of as many elements as rows (number, 9)."""
    weights = weights.to(table.dtype).reshape(-1, NEIGHBOURS)
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)


def _dots(vectors: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """The dot products of each vector with nine rows of a table: what such a sum's gradient by its weights is."""
    bags = torch.arange(len(rows), dtype=rows.dtype)[:, None].expand_as(rows).reshape(-1)
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(vectors, table, rows.flatten(), bags, bags, 0)
