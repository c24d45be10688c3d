"""Two sets of images to how differently a network sees them: LPIPS (Zhang et al. 2018), its weights from local files.

A trunk, AlexNet or VGG16, is torchvision's; the linear weights on top of it come with the package lpips, unless the
trunk's file holds them, too. Nothing of either learns or drops out.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.artifacts import files
from medsynth.byhand.convert import convert
from medsynth.errors import MissingWeights
from medsynth.shapes import Images, Loss

SHIFT, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of ImageNet's pixels in [-1, 1]
HEADS = {"alex": "df73285e", "vgg": "a78928a0"}  # SHA-256 of the linear weights of LPIPS v0.1


@dataclass(frozen=True)
class Convolution:
    """One layer, by the number that torchvision gives it."""

    number: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Trunk:
    """Convolutions level by level: features are taken after the last one of each, and pooled between some."""

    key: str  # of its file of weights
    levels: tuple[tuple[Convolution, ...], ...]
    pooled: tuple[int, ...]  # the levels that begin with a pooling
    window: int  # of the pooling, with a stride of 2
    smallest: int  # pixels a side that an image needs


VGG16 = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
TRUNKS = {
    "alex": Trunk(
        "alexnet",
        (
            (Convolution(0, 11, 4, 2),), (Convolution(3, 5, 1, 2),), (Convolution(6),), (Convolution(8),),
            (Convolution(10),),
        ),
        pooled=(1, 2), window=3, smallest=31,
    ),
    "vgg": Trunk(
        "vgg16", tuple(tuple(map(Convolution, level)) for level in VGG16), pooled=(1, 2, 3, 4), window=2, smallest=16
    ),
}  # fmt: skip


class Sight(Protocol):
    """A network whose features images are compared by."""

    def maps(self, images: Images) -> list[Tensor]: ...

    def weigh(self, level: int, difference: Tensor) -> Tensor:
        """Squared differences (batch, channel, row, column) of a level -> one number a place."""
        ...


def distances(sight: Sight, one: Images, other: Images) -> Tensor:
    """How differently two images are seen (Zhang et al. 2018, eq. 1), a number for every pair."""
    pairs = zip(sight.maps(one), sight.maps(other), strict=True)
    differences = [(_unit(a) - _unit(b)).square() for a, b in pairs]
    levels = [sight.weigh(i, difference).flatten(1).mean(dim=1) for i, difference in enumerate(differences)]
    return torch.stack(levels).sum(dim=0)


def distance(sight: Sight, one: Images, other: Images) -> Loss:
    """The mean of `distances` over the batch."""
    return distances(sight, one, other).mean()


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(dim=1, keepdim=True) + 1e-10).sqrt()


class Lpips(nn.Module):
    """A trunk and its linear weights; images with one channel are taken for grey ones."""

    shift: Tensor
    deviation: Tensor

    def __init__(self, path: Path, net: str = "vgg") -> None:
        """Raises MissingWeights for a file that is not there, not whole or of something else."""
        super().__init__()
        self.trunk = TRUNKS[net]
        for name, value in _checked(path, net).items():
            self.register_buffer(name.replace(".", "_"), value)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def maps(self, images: Images) -> list[Tensor]:
        h, found = (images.expand(-1, 3, -1, -1) - self.shift) / self.deviation, []
        for level, convolutions in enumerate(self.trunk.levels):
            h = F.max_pool2d(h, self.trunk.window, stride=2) if level in self.trunk.pooled else h
            for layer in convolutions:
                weight, bias = (self.get_buffer(f"features_{layer.number}_{part}") for part in ("weight", "bias"))
                h = F.relu(F.conv2d(h, weight, bias, stride=layer.stride, padding=layer.padding))
            found.append(h)
        return found

    def weigh(self, level: int, difference: Tensor) -> Tensor:
        return F.conv2d(difference, self.get_buffer(f"lin{level}_model_1_weight"))


def _checked(path: Path, net: str) -> dict[str, Tensor]:
    """What of the files LPIPS needs, every shape as it must be."""
    hint = (
        f"a safetensors file with torchvision's names of {TRUNKS[net].key} (features.0.weight ...): "
        f"medsynth weights check {TRUNKS[net].key}"
    )
    wanted = [name for name, *_ in _shapes(net)]
    try:
        found = _read(path, wanted)
    except Exception as error:  # the file is anybody's: whatever goes wrong with it, it is the reason
        raise MissingWeights(f"{path} holds no weights of LPIPS: {error}", hint=hint) from error
    if not any(name.startswith("lin") for name in found):
        found |= heads(net)
    before = 3
    for name, part, kernel in _shapes(net):
        value = found.get(name)
        # The file says how wide its layers are; what is checked is that each fits the one before.
        if value is None or not value.isfinite().all() or not _fits(value, before, part, kernel):
            shape = "missing" if value is None else f"{list(value.shape)}, or not all numbers"
            raise MissingWeights(f"{path} holds no weights of LPIPS: {name} is {shape}", hint=hint)
        before = len(value) if part == "weight" else before
    return {name: found[name].float() for name in wanted}


def _read(path: Path, wanted: list[str]) -> dict[str, Tensor]:
    """Those of the tensors that are there: of VGG16, most of the file is not needed."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in wanted if name in file.keys()}  # noqa: SIM118


def heads(net: str) -> dict[str, Tensor]:
    """The linear weights of LPIPS v0.1 from the package lpips, which is not imported. Raises MissingWeights."""
    again = "pip install lpips"
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise MissingWeights(
            "the package lpips, which brings the linear weights of LPIPS, is not installed", hint=again
        )
    source = Path(spec.origin).parent / "weights" / "v0.1" / f"{net}.pth"
    if not source.is_file() or not files.sha256(source).startswith(HEADS[net]):
        raise MissingWeights(f"{source} does not hold the linear weights of LPIPS v0.1", hint=again)
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / f"{net}.safetensors"
        convert(source, converted)
        return _read(converted, [f"lin{level}.model.1.weight" for level in range(len(TRUNKS[net].levels))])


def _shapes(net: str) -> Iterator[tuple[str, str, int]]:
    """Name, part and kernel of every tensor, in the order in which layers follow each other."""
    for level, convolutions in enumerate(TRUNKS[net].levels):
        for layer in convolutions:
            yield f"features.{layer.number}.weight", "weight", layer.kernel
            yield f"features.{layer.number}.bias", "bias", layer.kernel
        yield f"lin{level}.model.1.weight", "linear", 1


def _fits(value: Tensor, before: int, part: str, kernel: int) -> bool:
    if part == "weight":
        return value.ndim == 4 and value.shape[1:] == (before, kernel, kernel)
    return value.shape == ((before,) if part == "bias" else (1, before, 1, 1))
