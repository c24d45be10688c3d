"""A small network that learns a fold's labels: errors are weighed by its features where LPIPS has no weights."""

from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.shapes import Images, Labels, Loss

STAGES = (16, 32, 64)  # channels


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
