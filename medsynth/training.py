"""The training loop. There is one.

A step's images and random numbers depend on (seed, step) alone: not on the number of processes, not on where an earlier
attempt was killed. So a resumed training is the training that was never stopped, to the bit on a CPU.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medsynth import interrupt, room, seeds, sharding
from medsynth.artifacts import log
from medsynth.distributed import World
from medsynth.draws import Draws, step_draws
from medsynth.errors import BadUsage, MedsynthError
from medsynth.interrupt import Interrupted
from medsynth.learner import Learner, Turn
from medsynth.order import batch_rows
from medsynth.player import Player
from medsynth.settings import Fitting
from medsynth.shapes import Loss

MAX_ROLLBACKS = 3

LossOf = Callable[[Tensor, Draws], Loss]
Played = LossOf | Sequence[Player]
Look = dict[str, float]  # the numbers that a look at the weights gives, and the step


@dataclass(frozen=True)
class Place:
    """Where a training runs and who is told of it."""

    folder: Path  # gets log.jsonl, and a checkpoint while it is unfinished
    seed: int
    name: str  # for the progress bar
    device: str = "cpu"
    world: World = field(default_factory=World)
    progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None
    say: Callable[[str], None] = lambda _sentence: None


@dataclass(frozen=True)
class Verdict:
    """What follows from a look at the weights."""

    keep: bool  # these weights instead of those that were kept before
    stop: bool = False  # train no further


@dataclass(frozen=True)
class Hooks:
    """What is done on the way, with the running mean of the weights in place."""

    preview: Callable[[nn.Module, int], None] | None = None  # model, step; every settings.preview_every steps
    look: Callable[[nn.Module], Look] | None = None  # what it finds is logged, and judged
    judge: Callable[[list[Look]], Verdict] = lambda _looks: Verdict(keep=True)  # all looks so far, in their order
    look_every: int = 0


@dataclass(frozen=True)
class Fitted:
    """How a training went."""

    steps: int
    seconds: float
    rollbacks: int
    looks: tuple[Look, ...] = ()
    kept_step: int | None = None  # whose weights a verdict kept
    stopped: bool = False  # by a verdict, before its time

    def notes(self) -> tuple[str, ...]:
        if not self.rollbacks:
            return ()
        times = "once" if self.rollbacks == 1 else f"{self.rollbacks} times"
        return (
            f"Training met a loss that was not a number {times}; it went back to the last good state "
            "and went on with half the learning rate.",
        )


def fit(
    model: nn.Module, loss: Played, *, items: int, settings: Fitting, place: Place, hooks: Hooks | None = None
) -> Fitted:
    """Minimise `loss(rows, draws)` over `items` items; leave the running mean of the weights in `model`.

    `rows` are the indices of the items that this process works on in this step, `draws` their random numbers. Where
    several learn from each other, `loss` is the players, in the order in which they play within a step; the running
    mean is left in all of them, and the hooks are shown `model`. With `hooks.look` the weights that `hooks.judge` kept
    last are left instead. Raises BadUsage for a batch that is smaller than the number of processes, Refused where
    there is no room for checkpoints, MedsynthError when the loss keeps being not a number, and Interrupted, after
    saving, when a signal asked to stop.
    """
    if settings.batch_size < place.world.size:
        raise BadUsage(
            f"{settings.batch_size} images cannot be shared by {place.world.size} processes",
            hint=f"a batch_size of {place.world.size} or more by --set, or fewer processes",
        )
    return _Run(model, loss, items, settings, place, hooks or Hooks()).to_the_end()


def foretell(model: nn.Module, loss: Played, *, items: int, settings: Fitting, place: Place) -> dict[str, Any]:
    """What a training would take, from three steps on a copy that is thrown away. Writes nothing."""
    run = _Run(model, loss, items, settings, place, Hooks())
    run.step()  # the first one is slower than the others will be
    started = time.monotonic()
    for _ in range(2):
        run.step()
    seconds = (time.monotonic() - started) / 2
    parameters, steps = sum(p.numel() for p in run.learner.model.parameters()), settings.steps_over(items)
    return {
        "images": items,
        "parameters": parameters,
        "steps": steps if settings.minutes is None else round(60 * settings.minutes / seconds),
        "seconds_per_step": round(seconds, 3),
        "minutes": round(seconds * steps / 60, 1) if settings.minutes is None else settings.minutes,
        "megabytes": round(run.learner.room() / 1e6, 1),
    }


class _Run:
    """One training: a learner, and what it learns from."""

    def __init__(
        self, model: nn.Module, loss: Played, items: int, settings: Fitting, place: Place, hooks: Hooks
    ) -> None:
        self.model, self.items, self.settings, self.place, self.hooks = model, items, settings, place, hooks
        players = [_alone(model, loss)] if callable(loss) else loss
        mirrored = place.world.is_first and sharding.wanted(settings, place.world)
        self.mirror = sharding.Mirror(model) if mirrored else None  # made before there are parts
        self.learner = Learner(players, settings, place.device, place.world)
        self.losses: defaultdict[str, list[Tensor]] = defaultdict(list)  # of each player since the last line of the log
        self.progress = 0.0  # from 0 to 1, the same in every process
        self.learning_rate = 0.0  # of the first player's last step
        self.learner.model.train()

    @property
    def facts(self) -> dict[str, Any]:
        return self.learner.facts

    def to_the_end(self) -> Fitted:
        room.require(self.place.folder, self.learner.room(), self.place.name, self.place.world)
        self._begin()
        saved = started = time.monotonic()
        before = self.facts["seconds"]
        while not self._is_over():
            good = self.step()
            self.facts["seconds"] = before + time.monotonic() - started
            if not good:
                self._go_back()
                before, started = self.facts["seconds"], time.monotonic()
                continue
            self.progress = self._progress()
            self._look()
            # All processes stop after the same step, though a signal may reach them at different ones.
            signal = self.place.world.largest(interrupt.asked())
            if signal or time.monotonic() - saved >= self.settings.checkpoint_seconds:
                self.learner.save(self.place.folder)
                saved = time.monotonic()
            if signal:
                raise Interrupted(signal)
        # What was trained since the last save is not saved once more: for a large network that takes longer than it is
        # worth, and whoever is killed between here and the end of the stage loses checkpoint_seconds, as anywhere.
        self.learner.finish()
        if self.learner.sharded:
            sharding.gather(self.model)
        facts = self.facts
        return Fitted(
            facts["step"], facts["seconds"], facts["rollbacks"], tuple(facts["looks"]), facts["kept_step"],
            facts["stopped"],
        )  # fmt: skip

    def step(self) -> bool:
        """One optimiser step of every player. False when one led to something that is not a number."""
        learner, world, batch_size = self.learner, self.place.world, self.settings.batch_size
        step, attempt, mine = self.facts["step"], self.facts["rollbacks"], world.share(batch_size)
        rows = batch_rows(self.place.seed, self.items, step * batch_size, batch_size)[mine.start : mine.stop]
        seed = seeds.derive(self.place.seed, "step", step, attempt)
        self.learning_rate = self._learning_rate(learner.players[0])
        for player in learner.players:
            if step < player.start:
                continue
            draws = step_draws(seed, batch_size, first=mine.start, rows=len(mine))
            turn = Turn(rows, draws, len(mine) * world.size / batch_size)
            value = learner.play(player, turn, self._learning_rate(player))
            if value is None:
                return False
            self.losses[player.name].append(value)
        learner.scaler.update()
        learner.average()
        self.facts["step"] = step + 1
        return True

    def _learning_rate(self, player: Player) -> float:
        full = player.learning_rate or self.settings.learning_rate
        played = self.facts["step"] - player.start
        warmup = min(1.0, (played + 1) / max(1, self.settings.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress)))
        falls = {"constant": 1.0, "cosine": cosine, "exponential": self.settings.rate_decay**played}
        return full * warmup * falls[self.settings.schedule] * 0.5 ** self.facts["rollbacks"]

    def _progress(self) -> float:
        if self.settings.minutes is None:
            return self.facts["step"] / self.settings.steps_over(self.items)
        return float(self.place.world.agree(self.facts["seconds"])) / (60 * self.settings.minutes)

    def _is_over(self) -> bool:
        return self.progress >= 1 or self.facts["stopped"]

    def _look(self) -> None:
        """Look at the weights, draw a preview, log: each when its turn has come."""
        step = self.facts["step"]
        total = round(step / max(self.progress, 1e-9))
        self.place.progress(self.place.name, step, max(total, step))
        entry: dict[str, Any] = {}
        if self.hooks.look and (step % self.hooks.look_every == 0 or self._is_over()):
            entry = self._judged(self.hooks.look)
        last = self._is_over()
        if self.hooks.preview and self.settings.preview_every and (step % self.settings.preview_every == 0 or last):
            with self._shown() as model:
                if model:
                    self.hooks.preview(model, step)
        if step % self.settings.log_every == 0 or last or entry:
            entry |= {"step": step, "seconds": round(self.facts["seconds"], 2), "learning_rate": self.learning_rate}
            entry |= self._mean_losses()
            if self.place.world.is_first:
                log.append(self.place.folder, {key: value for key, value in entry.items() if math.isfinite(value)})

    def _mean_losses(self) -> dict[str, float]:
        """Since they were asked for last, over all processes: the first player's as "loss", the others' by name."""
        world = self.place.world
        found = {name: world.mean(torch.stack(seen).mean().item()) for name, seen in self.losses.items()}
        self.losses.clear()
        first = self.learner.players[0].name
        return {"loss" if name == first else f"{name}_loss": mean for name, mean in found.items()}

    def _judged(self, look: Callable[[nn.Module], Look]) -> Look:
        """What a look found, after its verdict. The first process looks for all, so that all come to the same."""
        found: Look = {}
        with self._shown() as model:
            if model:
                found = look(model)
        found = self.place.world.agree(found | {"step": self.facts["step"]})
        self.facts["looks"] = [*self.facts["looks"], found]
        verdict = self.hooks.judge(self.facts["looks"])
        if verdict.keep:
            self.learner.keep()
        self.facts["stopped"] = verdict.stop
        return dict(found)

    @contextmanager
    def _shown(self) -> Iterator[nn.Module | None]:
        """For the first process, the model with the weights that others get to see; of a sharded one, its copy."""
        if not self.learner.sharded and not self.place.world.is_first:
            yield None
            return
        with self.learner.averaged():
            if self.learner.sharded:
                weights = sharding.whole(self.model.state_dict())
                yield self.mirror.showing(weights) if self.mirror else None
            else:
                yield self.model

    def _begin(self) -> None:
        """From where an earlier attempt stood, if there was one."""
        self.learner.load(self.place.folder, self.place.say)
        self.place.world.wait()  # nobody writes before everybody has read
        if self.place.world.is_first:
            log.rewind(self.place.folder, self.facts["step"])
        self.progress = self._progress()

    def _go_back(self) -> None:
        """Back to the last good state, and on from there with other random numbers and half the learning rate."""
        step, rollbacks = self.facts["step"], self.facts["rollbacks"] + 1
        if rollbacks > MAX_ROLLBACKS:
            raise MedsynthError(
                f"{self.place.name}: the loss is not a number again and again (step {step})",
                hint=f"a lower learning rate ({self.settings.learning_rate / 4:g}), or precision=fp32, by --set",
            )
        if not self.learner.load(self.place.folder, self.place.say):
            self.learner.restart()
        self.facts["rollbacks"] = rollbacks
        self.losses.clear()
        self.progress = self._progress()
        if self.place.world.is_first:
            log.rewind(self.place.folder, self.facts["step"])
            log.append(self.place.folder, {"step": self.facts["step"], "event": "went back: the loss was not a number"})


def _alone(model: nn.Module, loss: LossOf) -> Player:
    return Player("model", model, lambda rows, draws, _step: loss(rows, draws))
