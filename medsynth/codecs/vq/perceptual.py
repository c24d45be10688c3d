"""Two sets of images to how differently a network sees them: LPIPS, or a ResNet of the fold's own in its place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.errors import MissingWeights
from medsynth.shapes import Images, Labels, Loss

# Convolutions of VGG16 as torchvision counts them; features are taken after the last one of each row.
VGG16 = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
SHIFT, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of ImageNet's pixels in [-1, 1]
STAGES = (16, 32, 64)  # channels of the fold's ResNet
FROM_WHERE = (
    "one safetensors file of torchvision's vgg16 (features.0.weight ...) and of the linear weights of LPIPS v0.1 "
    "(lin0.model.1.weight ...), by --set codec.vq.lpips_weights=FILE; or none: then the fold's own features are used"
)


class Sight(Protocol):
    """A network whose features images are compared by."""

    def maps(self, images: Images) -> list[Tensor]: ...

    def weigh(self, level: int, difference: Tensor) -> Tensor:
        """Squared differences (batch, channel, row, column) of a level -> one number a place."""
        ...


def distance(sight: Sight, one: Images, other: Images) -> Loss:
    """How differently two sets of images are seen (Zhang et al. 2018, eq. 1), the mean over the batch."""
    pairs = zip(sight.maps(one), sight.maps(other), strict=True)
    differences = [(_unit(a) - _unit(b)).square() for a, b in pairs]
    return sum((sight.weigh(i, d).mean() for i, d in enumerate(differences)), one.new_zeros(()))


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(dim=1, keepdim=True) + 1e-10).sqrt()


class Lpips(nn.Module):
    """VGG16 with the linear weights of Zhang et al. 2018, from a local file; nothing of it learns or drops out."""

    shift: Tensor
    deviation: Tensor

    def __init__(self, path: Path) -> None:
        """Raises MissingWeights for a file that is not there, not whole or of something else."""
        super().__init__()
        tensors = _checked(path)
        for name, value in tensors.items():
            self.register_buffer(name.replace(".", "_"), value)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def maps(self, images: Images) -> list[Tensor]:
        h, found = (images.expand(-1, 3, -1, -1) - self.shift) / self.deviation, []
        for level, convolutions in enumerate(VGG16):
            h = F.max_pool2d(h, 2) if level else h
            for i in convolutions:
                weight, bias = (self.get_buffer(f"features_{i}_{part}") for part in ("weight", "bias"))
                h = F.relu(F.conv2d(h, weight, bias, padding=1))
            found.append(h)
        return found

    def weigh(self, level: int, difference: Tensor) -> Tensor:
        return F.conv2d(difference, self.get_buffer(f"lin{level}_model_1_weight"))


def _checked(path: Path) -> dict[str, Tensor]:
    """What of the file LPIPS needs, every shape as it must be."""
    try:
        found = load_file(path)
    except Exception as error:  # the file is anybody's: whatever goes wrong with it, it is the reason
        raise MissingWeights(f"{path} holds no weights of LPIPS: {error}", hint=FROM_WHERE) from error
    before = 3
    for name, convolution in _names():
        value = found.get(name)
        # The file says how wide its layers are; what is checked is that each fits the one before.
        if value is None or not value.isfinite().all() or not _fits(value, before, convolution):
            shape = "missing" if value is None else f"{list(value.shape)}, or not all numbers"
            raise MissingWeights(f"{path} holds no weights of LPIPS: {name} is {shape}", hint=FROM_WHERE)
        before = len(value) if convolution == "weight" else before
    return {name: found[name] for name, _ in _names()}


def _names() -> Iterator[tuple[str, str]]:
    for level, convolutions in enumerate(VGG16):
        for i in convolutions:
            yield f"features.{i}.weight", "weight"
            yield f"features.{i}.bias", "bias"
        yield f"lin{level}.model.1.weight", "linear"


def _fits(value: Tensor, before: int, what: str) -> bool:
    if what == "weight":
        return value.ndim == 4 and value.shape[1:] == (before, 3, 3)
    return value.shape == ((before,) if what == "bias" else (1, before, 1, 1))


class FoldFeatures(nn.Module):
    """A small ResNet that learns the labels of the fold's training images: what LPIPS is not to be mistaken for."""

    def __init__(self, channels: int, labels: int, *, one_class: bool) -> None:
        super().__init__()
        self.one_class = one_class
        before = [channels, *STAGES[:-1]]
        self.stages = nn.ModuleList(_Stage(a, b) for a, b in zip(before, STAGES, strict=True))
        self.head = nn.Linear(STAGES[-1], labels)

    def maps(self, images: Images) -> list[Tensor]:
        h, found = images, []
        for stage in self.stages:
            h = stage(h)
            found.append(h)
        return found

    def weigh(self, level: int, difference: Tensor) -> Tensor:
        return difference.sum(dim=1)

    def loss(self, images: Images, labels: Labels) -> Loss:
        logits = self.head(self.maps(images)[-1].mean(dim=(2, 3))).float()
        if self.one_class:
            return F.cross_entropy(logits, labels.argmax(dim=1))
        return F.binary_cross_entropy_with_logits(logits, labels)


class _Stage(nn.Module):
    """Half the rows and columns, then one residual block."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(before, width, 3, stride=2, padding=1)
        self.norm1, self.conv1 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.down(x)
        inner = self.conv1(F.relu(self.norm1(h)))
        return h + self.conv2(F.relu(self.norm2(inner)))
