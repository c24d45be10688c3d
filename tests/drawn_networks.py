"""Networks with random weights under which no layer falls silent, and images to show them."""

from pathlib import Path

import torch
from torch import Tensor, nn

from medsynth import classifier
from medsynth.classifier import Plan


def drawn(network: nn.Module) -> nn.Module:
    """Random weights under which no layer falls silent."""
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
            part.running_mean = 0.1 * torch.randn(part.num_features)
            part.running_var = 0.5 + torch.rand(part.num_features)
    return network


def own(folder: Path, channels: int = 3, arm: str = "real", fold: int = 0) -> Path:
    """The folder of a fold's classifier."""
    folder.mkdir(exist_ok=True)
    model = classifier.build(Plan(channels, 2, False, (0.1,) * channels, (0.5,) * channels), seed=1)
    classifier.save(folder, drawn(model), {"arm": arm, "fold": fold, "labels": ["a", "b"]})  # type: ignore[arg-type]
    return folder


def images(count: int, channels: int = 3, size: int = 32) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(2)) * 2 - 1
