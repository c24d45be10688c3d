"""The training loop. There is one.

A step's images and random numbers depend on (seed, step) alone: not on the number of processes, not on where an earlier
attempt was killed. So a resumed training is the training that was never stopped, to the bit on a CPU.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medsynth import interrupt, seeds
from medsynth.artifacts import checkpoint, log
from medsynth.distributed import World
from medsynth.draws import Draws, step_draws
from medsynth.errors import MedsynthError
from medsynth.settings import Fitting
from medsynth.shapes import Loss

MAX_ROLLBACKS = 3

LossOf = Callable[[Tensor, Draws], Loss]


@dataclass(frozen=True)
class Place:
    """Where a training runs and who is told of it."""

    folder: Path  # gets log.jsonl, and a checkpoint while it is unfinished
    seed: int
    name: str  # for the progress bar
    device: str = "cpu"
    world: World = field(default_factory=World)
    progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None


@dataclass(frozen=True)
class Hooks:
    """What is done on the way, with the running mean of the weights in place."""

    preview: Callable[[nn.Module, int], None] | None = None  # model, step; every settings.preview_every steps
    score: Callable[[nn.Module], float] | None = None  # higher is better: the weights of the best score are kept
    score_every: int = 0


@dataclass(frozen=True)
class Fitted:
    """How a training went."""

    steps: int
    seconds: float
    rollbacks: int
    score: float | None = None
    best_step: int | None = None

    def notes(self) -> tuple[str, ...]:
        if not self.rollbacks:
            return ()
        times = "once" if self.rollbacks == 1 else f"{self.rollbacks} times"
        return (
            f"Training met a loss that was not a number {times}; it went back to the last good state "
            "and went on with half the learning rate.",
        )


def fit(
    model: nn.Module, loss: LossOf, *, items: int, settings: Fitting, place: Place, hooks: Hooks | None = None
) -> Fitted:
    """Minimise `loss(rows, draws)` over `items` items; leave the running mean of the weights in `model`.

    `rows` are the indices of the items that this process works on in this step, `draws` their random numbers. With
    `hooks.score` the best-scored weights are left instead. Raises MedsynthError when the loss keeps being not a number,
    and Interrupted, after saving, when a signal asked to stop.
    """
    return _Run(model, loss, items, settings, place, hooks or Hooks()).to_the_end()


def foretell(model: nn.Module, loss: LossOf, *, items: int, settings: Fitting, place: Place) -> dict[str, Any]:
    """What a training would take, from three steps on a copy that is thrown away. Writes nothing."""
    run = _Run(model, loss, items, settings, place, Hooks())
    run.model.train()
    run._step()  # the first one is slower than the others will be
    started = time.monotonic()
    for _ in range(2):
        run._step()
    seconds = (time.monotonic() - started) / 2
    parameters = sum(p.numel() for p in model.parameters())
    return {
        "images": items,
        "parameters": parameters,
        "steps": settings.steps if settings.minutes is None else round(60 * settings.minutes / seconds),
        "seconds_per_step": round(seconds, 3),
        "minutes": round(seconds * settings.steps / 60, 1) if settings.minutes is None else settings.minutes,
        # Two checkpoints of weights, running mean and two moments, and the result.
        "megabytes": round((2 * 4 + 1) * 4 * parameters / 1e6, 1),
    }


class _Run:
    """One training: what changes from step to step."""

    def __init__(
        self, model: nn.Module, loss: LossOf, items: int, settings: Fitting, place: Place, hooks: Hooks
    ) -> None:
        self.model, self.items, self.settings, self.place, self.hooks = (
            model.to(place.device),
            items,
            settings,
            place,
            hooks,
        )
        self.objective = _parallel(_Objective(model, loss), place)
        self.optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True,
        )  # fmt: skip
        self.precision = precision(settings.precision, place.device)
        self.scaler = torch.amp.GradScaler(place.device, enabled=self.precision == torch.float16)
        self.mean = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.best: dict[str, Tensor] = {}
        self.facts: dict[str, Any] = {"step": 0, "seconds": 0.0, "rollbacks": 0, "score": None, "best_step": None}
        self.losses: list[Tensor] = []
        self.progress = 0.0  # from 0 to 1, the same in every process

    # ---- the loop

    def to_the_end(self) -> Fitted:
        self._resume()
        saved = started = time.monotonic()
        before = self.facts["seconds"]
        self.model.train()
        self.progress = self._progress()
        while self.progress < 1:
            good = self._step()
            self.facts["seconds"] = before + time.monotonic() - started
            self.progress = self._progress()
            if not good:
                self._roll_back()
                before, started = self.facts["seconds"], time.monotonic()
                continue
            self._look()
            stop = (
                self.place.world.size > 1 and self.place.world.agree(interrupt.requested())
            ) or interrupt.requested()
            if stop or time.monotonic() - saved >= self.settings.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
            if stop:
                interrupt.check()
        # What was trained since the last save is not saved once more: for a large network that takes longer than it is
        # worth, and whoever is killed between here and the end of the stage loses checkpoint_seconds, as anywhere.
        self.model.load_state_dict(self.best or (self.mean if self.settings.ema else self.model.state_dict()))
        self.model.eval()
        return Fitted(
            self.facts["step"],
            self.facts["seconds"],
            self.facts["rollbacks"],
            self.facts["score"],
            self.facts["best_step"],
        )

    def _progress(self) -> float:
        if self.settings.minutes is None:
            return self.facts["step"] / self.settings.steps
        return float(self.place.world.agree(self.facts["seconds"])) / (60 * self.settings.minutes)

    def _step(self) -> bool:
        """One optimiser step. False when it led to something that is not a number."""
        step, batch_size, attempt = self.facts["step"], self.settings.batch_size, self.facts["rollbacks"]
        mine = self.place.world.share(batch_size)
        rows = batch_rows(self.place.seed, self.items, step * batch_size, batch_size)[mine.start : mine.stop]
        draws = step_draws(
            seeds.derive(self.place.seed, "step", step, attempt), batch_size, first=mine.start, rows=len(mine)
        )
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.place.device, self.precision, enabled=self.precision != torch.float32):
            # Gradients are averaged over processes; the factor makes that the mean over the global batch.
            value = self.objective(rows, draws) * (len(mine) * self.place.world.size / batch_size)
        self.scaler.scale(value).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        if not math.isfinite(norm) and self.scaler.get_scale() <= 1:  # fp16 first lowers its scale
            return False
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.losses.append(value.detach())
        self._average()
        self.facts["step"] = step + 1
        return True

    def _learning_rate(self) -> float:
        warmup = min(1.0, (self.facts["step"] + 1) / max(1, self.settings.warmup_steps))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress))) if self.settings.schedule == "cosine" else 1.0
        return self.settings.learning_rate * warmup * fall * 0.5 ** self.facts["rollbacks"]

    @torch.no_grad()
    def _average(self) -> None:
        """Running mean of parameters and buffers, with a warm-up, so that the first weights do not count for long."""
        step = self.facts["step"]
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        live = self.model.state_dict()
        floating = [name for name, value in live.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.mean[n] for n in floating], [live[n] for n in floating], 1 - decay)
        for name in live.keys() - set(floating):
            self.mean[name].copy_(live[name])

    def _look(self) -> None:
        """Log, draw a preview, score: each when its turn has come."""
        step, last = self.facts["step"], self.progress >= 1
        total = self.settings.steps if self.settings.minutes is None else round(step / max(self.progress, 1e-9))
        self.place.progress(self.place.name, step, max(total, step))
        entry: dict[str, Any] = {}
        if self.hooks.score and (step % self.hooks.score_every == 0 or last):
            with self._averaged():
                score = self.place.world.agree(float(self.hooks.score(self.model)))
            entry["score"] = score
            if self.facts["score"] is None or score > self.facts["score"]:
                self.facts |= {"score": score, "best_step": step}
                source = self.mean if self.settings.ema else self.model.state_dict()
                self.best = {name: value.detach().clone() for name, value in source.items()}
        if not self.place.world.is_first:
            return
        if self.hooks.preview and self.settings.preview_every and (step % self.settings.preview_every == 0 or last):
            with self._averaged():
                self.hooks.preview(self.model, step)
        if step % self.settings.log_every == 0 or last or entry:
            mean = torch.stack(self.losses).mean().item() if self.losses else None
            self.losses.clear()
            entry |= {
                "step": step,
                "seconds": round(self.facts["seconds"], 2),
                "loss": mean,
                "learning_rate": self._learning_rate(),
            }
            log.append(self.place.folder, entry)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The running mean in place of the live weights, evaluation mode, no gradients."""
        live = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if self.settings.ema:
            self.model.load_state_dict(self.mean)
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.load_state_dict(live)
            self.model.train()

    # ---- the state on disk

    def _save(self) -> None:
        if not self.place.world.is_first:
            return
        tensors = {f"model/{n}": v for n, v in self.model.state_dict().items()} | {
            f"mean/{n}": v for n, v in self.mean.items()
        }
        tensors |= {f"best/{n}": v for n, v in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
        checkpoint.save(self.place.folder, checkpoint.State(tensors, self.facts | {"scale": self.scaler.get_scale()}))

    def _resume(self) -> None:
        state = checkpoint.load(self.place.folder)
        self.place.world.wait()  # nobody writes before everybody has read
        if state is None:
            self._save()
            self.place.world.wait()
            return
        self._restore(state)
        if self.place.world.is_first:
            log.rewind(self.place.folder, self.facts["step"])

    def _restore(self, state: checkpoint.State) -> None:
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "mean": {}, "best": {}, "optimizer": {}}
        for name, value in state.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = value.to(self.place.device)
        self.model.load_state_dict(parts["model"])
        self.mean, self.best = parts["mean"], parts["best"]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            index, _, which = name.partition("/")
            moments.setdefault(int(index), {})[which] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        scale = state.facts.pop("scale", 1.0)
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": scale})
        self.facts = state.facts
        self.losses.clear()

    def _roll_back(self) -> None:
        """Back to the last good state, and on from there with other random numbers and half the learning rate."""
        rollbacks = self.facts["rollbacks"] + 1
        if rollbacks > MAX_ROLLBACKS:
            raise MedsynthError(
                f"{self.place.name}: the loss is not a number again and again (step {self.facts['step']})",
                hint=f"a lower learning rate ({self.settings.learning_rate / 4:g}), or precision=fp32, by --set",
            )
        state = checkpoint.load(self.place.folder)
        assert state is not None, "a state is saved before the first step"
        self._restore(state)
        self.facts["rollbacks"] = rollbacks
        if self.place.world.is_first:
            log.rewind(self.place.folder, self.facts["step"])
            log.append(self.place.folder, {"step": self.facts["step"], "event": "went back: the loss was not a number"})


class _Objective(nn.Module):
    """The loss as a module's forward, which is what DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, loss: LossOf) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, rows: Tensor, draws: Draws) -> Loss:
        return self.loss(rows, draws)


def _parallel(objective: nn.Module, place: Place) -> nn.Module:
    if place.world.size == 1:
        return objective
    return nn.parallel.DistributedDataParallel(objective, broadcast_buffers=False)


def precision(asked: str, device: str) -> torch.dtype:
    """The dtype of products. auto: bf16 on a GPU that has it; fp32 on a CPU, where few have fast bf16."""
    if asked == "auto":
        return torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[asked]


def batch_rows(seed: int, items: int, first: int, count: int) -> Tensor:
    """Items `first` to `first + count` of an endless row of shuffled epochs. Depends on (seed, position) only."""
    parts, position = [], first
    while position < first + count:
        epoch, offset = divmod(position, items)
        taken = _epoch(seed, items, epoch)[offset : offset + first + count - position]
        parts.append(taken)
        position += len(taken)
    return torch.cat(parts)


@lru_cache(maxsize=4)
def _epoch(seed: int, items: int, epoch: int) -> Tensor:
    return torch.randperm(items, generator=torch.Generator().manual_seed(seeds.derive(seed, "epoch", epoch)))
