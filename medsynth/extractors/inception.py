"""InceptionV3 as FID has used it from the start (Heusel et al. 2017): TensorFlow's network of 2015-12-05.

The network of Szegedy et al. 2016, but with 1008 outputs, means that leave the padding out, and a maximum instead of a
mean in the branch of pooling of the last block. Names of tensors are those of its published conversion for torch.
"""

from collections.abc import Sequence

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.byhand.store import Seen
from medsynth.errors import MissingWeights
from medsynth.extractors.view import exactly, resized
from medsynth.shapes import Images

SIDE = 299  # pixels
OUTPUTS = 1008
Kernel = int | tuple[int, int]
Layer = tuple[str, int, Kernel]  # name, channels, kernel; it keeps rows and columns
Step = Layer | tuple[Layer, Layer]  # two layers see the same thing, and what they make of it lies side by side


class Convolution(nn.Module):
    """Convolution, batch-norm, ReLU."""

    def __init__(self, before: int, after: int, kernel: Kernel, stride: int = 1, *, padded: bool = True) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(before, after, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches side by side: chains of convolutions, and a pooling."""

    def __init__(self, before: int, chains: Sequence[Sequence[Step]], *, pool: str, pooled: int = 0) -> None:
        """`pool` is "mean" or "max", which keep rows and columns and are projected to `pooled` channels, or "halve":
        a maximum without a projection, and the last layer of every chain has a stride of 2, too."""
        super().__init__()
        self.chains, self.pool, self.after = chains, pool, 0
        for chain in chains:
            width = before
            for step in chain:
                last = pool == "halve" and step is chain[-1]
                layers = _layers(step)
                for name, after, kernel in layers:
                    self.add_module(name, Convolution(width, after, kernel, 2 if last else 1, padded=not last))
                width = sum(after for _, after, _ in layers)
            self.after += width
        if pooled:
            self.branch_pool = Convolution(before, pooled, 1)
        self.after += pooled or before

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for chain in self.chains:
            h = x
            for step in chain:
                h = torch.cat([self.get_submodule(name)(h) for name, _, _ in _layers(step)], dim=1)
            found.append(h)
        return torch.cat([*found, self._pooled(x)], dim=1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "halve":
            return F.max_pool2d(x, 3, stride=2)
        if self.pool == "max":
            return self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))
        return self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False))


def _layers(step: Step) -> tuple[Layer, ...]:
    return (step,) if isinstance(step[0], str) else step


def _fine(before: int, pooled: int) -> Block:
    """35 x 35."""
    chains: tuple[list[Step], ...] = (
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
    )
    return Block(before, chains, pool="mean", pooled=pooled)


def _middle(width: int) -> Block:
    """17 x 17, with kernels of seven in a row or column."""
    row, column = (1, 7), (7, 1)
    chains: tuple[list[Step], ...] = (
        [("branch1x1", 192, 1)],
        [("branch7x7_1", width, 1), ("branch7x7_2", width, row), ("branch7x7_3", 192, column)],
        [
            ("branch7x7dbl_1", width, 1), ("branch7x7dbl_2", width, column), ("branch7x7dbl_3", width, row),
            ("branch7x7dbl_4", width, column), ("branch7x7dbl_5", 192, row),
        ],
    )  # fmt: skip
    return Block(768, chains, pool="mean", pooled=192)


def _coarse(before: int, pool: str) -> Block:
    """8 x 8, with kernels of three in a row and in a column side by side."""

    def both(name: str) -> tuple[Layer, Layer]:
        return (f"{name}a", 384, (1, 3)), (f"{name}b", 384, (3, 1))

    chains: tuple[list[Step], ...] = (
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), both("branch3x3_2")],
        [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3), both("branch3x3dbl_3")],
    )
    return Block(before, chains, pool=pool, pooled=192)


class Network(nn.Module):
    """Pixels as x / 128 - 1, x from 0 to 255 -> the mean of the last block, (image, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2, padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _fine(192, 32), _fine(256, 64), _fine(288, 64)
        self.Mixed_6a = Block(
            288,
            [
                [("branch3x3", 384, 3)],
                [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
            ],
            pool="halve",
        )
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_middle, (128, 160, 160, 192))
        self.Mixed_7a = Block(
            768,
            [
                [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)],
                [
                    ("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1)),
                    ("branch7x7x3_4", 192, 3),
                ],
            ],
            pool="halve",
        )  # fmt: skip
        self.Mixed_7b, self.Mixed_7c = _coarse(1280, "mean"), _coarse(2048, "max")
        self.fc = nn.Linear(2048, OUTPUTS)  # of no use here, but in the file

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, stride=2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean(dim=(2, 3))


class Model(nn.Module):
    """FID's InceptionV3 behind a resizing of its images."""

    def __init__(self, network: Network, name: str) -> None:
        super().__init__()
        self.network, self.name = network.eval().requires_grad_(False), name

    def features(self, images: Images) -> Tensor:
        with exactly(images.device):
            pixels = (resized(images, SIDE) + 1) * 127.5  # 0 to 255
            return self.network((pixels - 128) / 128)


def load(file: Seen) -> Model:
    """From a file of weights. Raises MissingWeights for one that does not fit."""
    assert file.path is not None
    with torch.device("meta"):  # nothing is drawn that would be overwritten at once
        network = Network()
    try:
        found = load_file(file.path)
        counts = {name: torch.zeros((), dtype=torch.long) for name in network.state_dict() if name.endswith("_tracked")}
        network.load_state_dict(counts | {name: value.float() for name, value in found.items()}, assign=True)
        if not all(value.isfinite().all() for value in found.values()):
            raise ValueError("it has values that are not numbers")
    except Exception as error:  # the file is anybody's: whatever goes wrong with it, it is the reason
        raise MissingWeights(
            f"{file.path} is not FID's InceptionV3: {' '.join(str(error).split())[:300]}",
            hint="medsynth weights check inception",
        ) from error
    return Model(network, f"inception:{file.mark}")
