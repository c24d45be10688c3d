"""A training that takes a moment: a small network on eleven points. As a program: trains into a folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medsynth.draws import Draws
from medsynth.settings import Fitting
from medsynth.shapes import Loss
from medsynth.training import Fitted, Hooks, LossOf, Place, fit

ITEMS, STEPS = 11, 12
POINTS = torch.linspace(-1, 1, 3 * ITEMS).view(ITEMS, 3).sin()
TARGETS = POINTS.square().sum(1, keepdim=True)
QUICK = Fitting(
    steps=STEPS, batch_size=4, learning_rate=1e-2, warmup_steps=3, schedule="cosine", ema=0.9, weight_decay=0.1,
    log_every=1, checkpoint_seconds=0,
)  # fmt: skip


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Linear(8, 1))


def error_of(model: nn.Module) -> LossOf:
    """The squared error at the rows' points, which are shaken by the rows' random numbers."""

    def loss(rows: Tensor, draws: Draws) -> Loss:
        return (model(POINTS[rows] + 0.1 * draws.normal(3)).float() - TARGETS[rows]).square().mean()

    return loss


def train(
    folder: Path, change: Callable[[LossOf], LossOf] = lambda loss: loss, hooks: Hooks | None = None, **changes: Any
) -> tuple[nn.Module, Fitted]:
    """Train the network into `folder`, as often as it takes; `change` may spoil its loss."""
    folder.mkdir(parents=True, exist_ok=True)
    model, progress = network(), changes.pop("progress", lambda _name, _done, _total: None)
    place = Place(folder, seed=5, name="toy", progress=progress)
    settings = QUICK.model_copy(update=changes)
    return model, fit(model, change(error_of(model)), items=ITEMS, settings=settings, place=place, hooks=hooks)


def bits(model: nn.Module) -> dict[str, bytes]:
    """Every weight and buffer, byte for byte."""
    return {name: value.detach().numpy().tobytes() for name, value in model.state_dict().items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), progress=lambda _name, done, _total: print(done, flush=True))
