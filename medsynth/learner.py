"""Players while they learn: weights, their running mean, those kept so far, optimisers; to a checkpoint and back."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medsynth import sharding
from medsynth.artifacts import checkpoint
from medsynth.distributed import World
from medsynth.draws import Draws
from medsynth.player import Player
from medsynth.settings import Fitting
from medsynth.shapes import Loss


@dataclass(frozen=True)
class Turn:
    """What a process is given in one step."""

    rows: Tensor  # which items
    draws: Draws  # their random numbers
    share: float  # of the step's loss: gradients are averaged over processes, this makes it the mean over the batch


class Learner:
    """What changes from step to step. `facts` is what of it JSON can hold: step, seconds, rollbacks, looks."""

    mean: dict[str, Tensor]
    kept: dict[str, Tensor]  # empty until there is something to keep
    facts: dict[str, Any]

    def __init__(self, players: Sequence[Player], settings: Fitting, device: str, world: World) -> None:
        self.players, self.settings, self.device, self.world = players, settings, device, world
        self.sharded = sharding.wanted(settings, world)
        self.model = nn.ModuleDict({player.name: player.module for player in players}).to(device)
        # Before the optimisers: sharding puts other parameters in place of those that were there.
        self.objectives = {player.name: self._parallel(_Objective(player)) for player in players}
        self.trainable = {p.name: [w for w in p.module.parameters() if w.requires_grad] for p in players}
        self.optimizers = {p.name: _optimizer(self.trainable[p.name], p, settings) for p in players}
        self.precision = precision(settings.precision, device)
        self.first = _copied(self.model.state_dict())
        self.restart()

    def restart(self) -> None:
        """Be as before the first step."""
        self.model.load_state_dict(self.first)
        for optimizer in self.optimizers.values():
            optimizer.load_state_dict(optimizer.state_dict() | {"state": {}})
        self.scaler = self._scaler()
        self.mean, self.kept = _copied(self.first), {}
        self.facts = {
            "step": 0, "seconds": 0.0, "rollbacks": 0, "looks": [], "kept_step": None, "stopped": False,
        }  # fmt: skip

    @property
    def shown(self) -> dict[str, Tensor]:
        """The weights that others get to see: the running mean, or the last ones where no mean was asked for."""
        return self.mean if self.settings.ema else self.model.state_dict()

    def play(self, player: Player, turn: Turn, learning_rate: float) -> Tensor | None:
        """One optimiser step of one player: its loss. None, and the weights as they were, where it is not a number."""
        with self._only(player):
            optimizer, objective = self.optimizers[player.name], self.objectives[player.name]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.device, self.precision, enabled=self.precision != torch.float32):
                value: Tensor = objective(turn.rows, turn.draws, self.facts["step"]) * turn.share
            self.scaler.scale(value).backward()
            self.scaler.unscale_(optimizer)
            norm = nn.utils.clip_grad_norm_(player.module.parameters(), self.settings.clip_norm or math.inf)
            norm = sharding.whole({"norm": norm})["norm"]
            if not math.isfinite(norm) and self.scaler.get_scale() <= 1:  # fp16 first lowers its scale
                return None
            self.scaler.step(optimizer)
        return value.detach()

    @contextmanager
    def _only(self, player: Player) -> Iterator[None]:
        """The parameters of the other players are constants."""
        others = [p for name, weights in self.trainable.items() if name != player.name for p in weights]
        for parameter in others:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in others:
                parameter.requires_grad_(True)

    def _scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device, enabled=self.precision == torch.float16)

    def _parallel(self, objective: nn.Module) -> nn.Module:
        """As DistributedDataParallel or FSDP2 has it, which take the mean of the processes' gradients."""
        if self.world.size == 1:
            return objective
        if self.sharded:
            return sharding.shard(objective, self.world, self.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch is about to rename the argument
            return nn.parallel.DistributedDataParallel(objective, broadcast_buffers=False)

    @torch.no_grad()
    def average(self) -> None:
        """Running mean of parameters and buffers, with a warm-up, so that the first weights do not count for long."""
        step = self.facts["step"]
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        live = self.model.state_dict()
        floating = [name for name, value in live.items() if value.is_floating_point()]
        means, weights = (sharding.local([tensors[n] for n in floating]) for tensors in (self.mean, live))
        torch._foreach_lerp_(means, weights, 1 - decay)
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

    def room(self) -> float:
        """Bytes of disk that a training takes: two checkpoints, and a third one while it is written.

        Each has weights, running mean, two moments and what is kept where looks are taken. The result is smaller.
        """
        return 3 * (4 + self.settings.keeps) * 4.0 * sum(p.numel() for p in self.model.parameters())

    def save(self, folder: Path) -> None:
        """Write a checkpoint: the first process does, and it is whole, so that any number of processes can go on.

        All processes have to ask for it: what lies in parts is put together first.
        """
        parts = {"model": self.model.state_dict(), "mean": self.mean, "kept": self.kept}
        tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        for player, optimizer in self.optimizers.items():
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{player}/{index}/{name}": value for name, value in moments.items()}
        tensors = sharding.whole(tensors)
        if self.world.is_first:
            checkpoint.save(folder, checkpoint.State(tensors, self.facts | {"scaler": self.scaler.state_dict()}))

    def _moved_by(self, moment: str) -> Tensor:
        """The parameter that a moment in a checkpoint belongs to."""
        player, index, _ = moment.split("/")
        groups = self.optimizers[player].param_groups
        return [parameter for group in groups for parameter in group["params"]][int(index)]

    def load(self, folder: Path, say: Callable[[str], None]) -> bool:
        """Go back to the newest whole checkpoint, and say which were damaged. False where there is none."""
        state = checkpoint.load(folder, say)
        if state is None:
            return False
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "mean": {}, "kept": {}, "optimizer": {}}
        for name, value in state.tensors.items():
            part, _, rest = name.partition("/")
            like = self.first[rest] if part != "optimizer" else self._moved_by(rest)
            parts[part][rest] = sharding.parted(value.to(self.device), like) if value.ndim else value.to(self.device)
        self.model.load_state_dict(parts["model"])
        self.mean, self.kept = parts["mean"], parts["kept"]
        moments: dict[str, dict[int, dict[str, Tensor]]] = {player: {} for player in self.optimizers}
        for name, value in parts["optimizer"].items():
            player, index, which = name.split("/")
            moments[player].setdefault(int(index), {})[which] = value
        for player, optimizer in self.optimizers.items():
            optimizer.load_state_dict(optimizer.state_dict() | {"state": moments[player]})
        self.scaler, scaler = self._scaler(), state.facts.pop("scaler")
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        self.facts |= state.facts
        return True


def precision(asked: str, device: str) -> torch.dtype:
    """The dtype of products. auto: bf16 on a GPU that has it; fp32 on a CPU, where few have fast bf16."""
    if asked == "auto":
        return torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[asked]


class _Objective(nn.Module):
    """A player's loss as a module's forward, which is what DistributedDataParallel wraps."""

    def __init__(self, player: Player) -> None:
        super().__init__()
        self.module, self.loss = player.module, player.loss

    def forward(self, rows: Tensor, draws: Draws, step: int) -> Loss:
        return self.loss(rows, draws, step)


def _optimizer(trainable: Sequence[nn.Parameter], player: Player, settings: Fitting) -> torch.optim.AdamW:
    """AdamW. Biases, gains and other vectors are spared the decay: to be small is not what they are for."""
    rate, betas = player.learning_rate or settings.learning_rate, player.betas or settings.betas
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, betas=betas, fused=True)


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}
