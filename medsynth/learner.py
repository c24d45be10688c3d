"""A model while it learns: weights, their running mean, those kept so far, the optimiser; to a checkpoint and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medsynth.artifacts import checkpoint
from medsynth.settings import Fitting


class Learner:
    """What changes from step to step. `facts` is what of it JSON can hold: step, seconds, rollbacks, looks."""

    mean: dict[str, Tensor]
    kept: dict[str, Tensor]  # empty until there is something to keep
    facts: dict[str, Any]

    def __init__(self, model: nn.Module, settings: Fitting, device: str) -> None:
        self.model, self.decay, self.device = model.to(device), settings.ema, device
        trainable = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.precision = precision(settings.precision, device)
        self.scaler = torch.amp.GradScaler(device, enabled=self.precision == torch.float16)
        self.first = _copied(model.state_dict())
        self.restart()

    def restart(self) -> None:
        """Be as before the first step."""
        self.model.load_state_dict(self.first)
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": {}})
        self.mean, self.kept = _copied(self.first), {}
        self.facts = {
            "step": 0, "seconds": 0.0, "rollbacks": 0, "looks": [], "kept_step": None, "stopped": False,
        }  # fmt: skip

    @property
    def shown(self) -> dict[str, Tensor]:
        """The weights that others get to see: the running mean, or the last ones where no mean was asked for."""
        return self.mean if self.decay else self.model.state_dict()

    @torch.no_grad()
    def average(self) -> None:
        """Running mean of parameters and buffers, with a warm-up, so that the first weights do not count for long."""
        step = self.facts["step"]
        decay = min(self.decay, (1 + step) / (10 + step))
        live = self.model.state_dict()
        floating = [name for name, value in live.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.mean[n] for n in floating], [live[n] for n in floating], 1 - decay)
        for name in live.keys() - set(floating):
            self.mean[name].copy_(live[name])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The running mean in place of the live weights, evaluation mode, no gradients."""
        live = _copied(self.model.state_dict())
        self.model.load_state_dict(self.shown)
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.load_state_dict(live)
            self.model.train()

    def keep(self) -> None:
        """Keep the weights that others see now for the end, in place of what was kept before."""
        self.facts["kept_step"] = self.facts["step"]
        self.kept = _copied(self.shown)

    def finish(self) -> None:
        """Leave in the model what was learned, in evaluation mode."""
        self.model.load_state_dict(self.kept or self.shown)
        self.model.eval()

    def save(self, folder: Path) -> None:
        """Write a checkpoint."""
        parts = {"model": self.model.state_dict(), "mean": self.mean, "kept": self.kept}
        tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
        checkpoint.save(folder, checkpoint.State(tensors, self.facts | {"scaler": self.scaler.state_dict()}))

    def load(self, folder: Path) -> bool:
        """Go back to the newest whole checkpoint. False where there is none."""
        state = checkpoint.load(folder)
        if state is None:
            return False
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "mean": {}, "kept": {}, "optimizer": {}}
        for name, value in state.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = value.to(self.device)
        self.model.load_state_dict(parts["model"])
        self.mean, self.kept = parts["mean"], parts["kept"]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            index, _, which = name.partition("/")
            moments.setdefault(int(index), {})[which] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        scaler = state.facts.pop("scaler")
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        self.facts |= state.facts
        return True


def precision(asked: str, device: str) -> torch.dtype:
    """The dtype of products. auto: bf16 on a GPU that has it; fp32 on a CPU, where few have fast bf16."""
    if asked == "auto":
        return torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[asked]


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}
