"""What a cell sees of itself and of the cells around it.

A perception is a module: cells (batch, row, column, channel) -> a list of maps, each (batch, row, column, part). Put
side by side they are what the update is given, `outputs` numbers a cell; they are handed over apart, because only the
rows of cells that fire are ever put together. All keep the grid. Formulas and parameter counts are those of the NCA
review's Table 1; `Filters` is Med-NCA's (Kalkhof et al. 2023).
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nca.border import Border, padded
from medsynth.nca.linear import linear

SLOPE = 0.2


class Perception(Protocol):
    """What all of them have."""

    @property
    def outputs(self) -> int: ...

    def __call__(self, cells: Tensor) -> list[Tensor]: ...


class Identity(nn.Module):
    """A cell sees itself."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.outputs = inputs

    def forward(self, cells: Tensor) -> list[Tensor]:
        return [cells]


class Convolution(nn.Module):
    """A convolution and a leaky ReLU."""

    def __init__(
        self, inputs: int, outputs: int = 80, *, size: int = 3, dilation: int = 1, border: Border = "circular"
    ) -> None:
        super().__init__()
        self.outputs, self.border, self.reach = outputs, border, dilation * (size // 2)
        self.convolution = nn.Conv2d(inputs, outputs, size, dilation=dilation)

    def forward(self, cells: Tensor) -> list[Tensor]:
        seen = _convolved(self.convolution, padded(cells, self.reach, self.border))
        return [F.leaky_relu(seen, SLOPE)]


class Filters(nn.Module):
    """A cell itself, and what some learned 3 x 3 filters see around it, without a nonlinearity.

    `depthwise`: a filter looks at one channel each, instead of mixing all. Filters that mix are worth leaving out where
    cells do not fire: `gathers`.
    """

    def __init__(self, inputs: int, *, filters: int = 2, depthwise: bool = True, border: Border = "reflect") -> None:
        super().__init__()
        self.outputs, self.border = (1 + filters) * inputs, border
        groups = inputs if depthwise else 1
        self.filters = nn.ModuleList(nn.Conv2d(inputs, inputs, 3, groups=groups) for _ in range(filters))
        self.gathers = not depthwise

    def forward(self, cells: Tensor, places: Sequence[Tensor] | None = None) -> Iterable[Tensor]:
        """With `places`, numbers of cells through the batch, what these see alone: rows (place, outputs) for each."""
        around = padded(cells, 1, self.border)
        if places is None:
            return [cells, *(_convolved(each, around) for each in self.filters)]
        own = [dict(each.named_parameters()) for each in self.filters]
        weight = torch.cat([each["weight"] for each in own]).permute(0, 2, 3, 1).flatten(1)  # (out, 9 in)
        bias = torch.cat([each["bias"] for each in own])
        return (_seen_from(around.contiguous(), piece, weight, bias) for piece in places)


def _seen_from(around: Tensor, places: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Filters as a product of matrices: the 3 x 3 cells around each place, side by side, times the filters.

    `around` is padded by one. Three cells that lie side by side in a row are one piece of memory.
    """
    _, rows, columns, channels = around.shape
    strips = around.as_strided((around[..., 0].numel() - 2, 3 * channels), (channels, 1))
    down, across = places // (columns - 2), places % (columns - 2)
    first = (down // (rows - 2) * rows + down % (rows - 2)) * columns + across  # above and to the left
    three = first[:, None] + columns * torch.arange(3, device=first.device)
    seen = strips.index_select(0, three.flatten()).view(len(places), -1)
    return torch.cat([seen[:, 4 * channels : 5 * channels], linear(seen, weight, bias)], dim=1)


class Sobel(nn.Module):
    """A cell itself, both derivatives by Sobel's filters and the Laplacian, channel by channel; nothing is learned.

    The Laplacian is [1 2 1; 2 -12 2; 1 2 1] / 8, which of a constant is zero. The reference has -6 in the middle, which
    makes it a blur by 0.75; `centre` -6 is that.
    """

    bank: Tensor

    def __init__(self, inputs: int, *, centre: float = -12.0, border: Border = "circular") -> None:
        super().__init__()
        self.outputs, self.border = 4 * inputs, border
        smooth, slope = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0])
        down, across = slope[:, None] * smooth, smooth[:, None] * slope
        laplacian = torch.tensor([[1.0, 2.0, 1.0], [2.0, centre, 2.0], [1.0, 2.0, 1.0]])
        self.register_buffer("bank", torch.stack([down, across, laplacian]) / 8, persistent=False)

    def forward(self, cells: Tensor) -> list[Tensor]:
        grids, channels = padded(cells, 1, self.border).permute(0, 3, 1, 2), cells.shape[3]
        banks = (each.to(cells).expand(channels, 1, 3, 3) for each in self.bank)
        return [cells, *(F.conv2d(grids, bank, groups=channels).permute(0, 2, 3, 1) for bank in banks)]


class Residual(nn.Module):
    """relu( B relu(A x) + x ), A and B convolutions; x goes through a 1 x 1 convolution where it has other channels."""

    def __init__(self, inputs: int, outputs: int = 80, *, size: int = 3, border: Border = "circular") -> None:
        super().__init__()
        self.outputs, self.border, self.reach = outputs, border, size // 2
        self.first, self.second = nn.Conv2d(inputs, outputs, size), nn.Conv2d(outputs, outputs, size)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, cells: Tensor) -> list[Tensor]:
        seen = F.relu(_convolved(self.first, padded(cells, self.reach, self.border)))
        seen = _convolved(self.second, padded(seen, self.reach, self.border))
        return [F.relu(seen + (cells if self.skip is None else _convolved(self.skip, cells)))]


class Parallel(nn.Module):
    """Several perceptions side by side. The review's "Combined": a 3 x 3 and a dilated 5 x 5 convolution."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.outputs = sum(outputs(branch) for branch in branches)

    def forward(self, cells: Tensor) -> list[Tensor]:
        return [part for branch in self.branches for part in branch(cells)]


def outputs(perception: nn.Module) -> int:
    """How many numbers a cell is given to see."""
    found = perception.outputs
    assert isinstance(found, int)
    return found


def _convolved(convolution: nn.Module, cells: Tensor) -> Tensor:
    """A convolution of what is padded already."""
    grids: Tensor = convolution(cells.permute(0, 3, 1, 2))
    return grids.permute(0, 2, 3, 1)
