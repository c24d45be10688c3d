"""A generator while it learns -> how it does on patients it does not learn from, how much it copies, and when to stop.

Everything is drawn with the same seeds at every look, so that looks differ by the weights alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsynth import seeds
from medsynth.artifacts.cohort import Cohort
from medsynth.draws import RowDraws, row_draws
from medsynth.metrics import closeness
from medsynth.sampling import Sampling
from medsynth.settings import Watched
from medsynth.shapes import Labels, Latents
from medsynth.training import Fitted, Look, Verdict

# Coarser than what is expanded with, and its own: what a training keeps must not hang on the section [expand].
SAMPLING = Sampling(steps=12)
ROWS = 256  # of a loss: images, or the same images with other noise where there are fewer
BATCH = 64


@dataclass(frozen=True)
class Part:
    """Images of some patients as a codec stored them."""

    cohort: Cohort
    labels: Labels
    posteriors: np.ndarray  # raw, (image, version, channel, row, column); version 0 is the image as it is


@dataclass(frozen=True)
class Watch:
    """Looks at a generator. An image's embedding is what this fold's codec says of its latent."""

    training: Part
    held_out: Part
    codec: Any
    images: int  # synthetic images drawn at a look
    seed: int
    device: str = "cpu"

    def look(self, model: Any) -> Look:
        """The model's own loss on both parts, and how close what it draws comes to the training images.

        copy_share   share of the synthetic images whose copy ratio is below 1/3
        closeness    share closer to a training image than all but 5 % of the held-out patients' images; 0.05 is as far
                     away as new patients are

        What is not a finite number is left out, and such a look does not pass.
        """
        found = {
            "validation_loss": self._loss(model, self.held_out),
            "training_loss_fixed": self._loss(model, self.training),
        }
        drawn = self._drawn(model)
        if np.isfinite(drawn).all():
            distances = closeness.distances(drawn, self._known)
            ratios = closeness.copy_ratios(distances, np.arange(len(self._known)))
            found["copy_share"] = closeness.share_below(ratios, closeness.COPY)
            found["closeness"] = closeness.closer_than_new(distances.min(axis=1), self._new)
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _loss(self, model: Any, part: Part) -> float:
        total = 0.0
        for rows, draws in self._turns(part, ROWS, "loss"):
            loss = model.loss(self._latents(part, rows, draws), part.labels[rows].to(self.device), draws)
            total += len(rows) * float(loss)
        return total / ROWS

    def _drawn(self, model: Any) -> np.ndarray:
        turns = self._turns(self.training, self.images, "image")
        made = [model.sample(self.training.labels[rows], draws, SAMPLING) for rows, draws in turns]
        return self._flat(torch.cat(made))

    def _turns(self, part: Part, count: int, purpose: str) -> Iterator[tuple[Tensor, RowDraws]]:
        """Rows of a part, evenly spaced, each as often as it takes, and random numbers that all parts share."""
        images = len(part.labels)
        for turn in torch.arange(count).split(BATCH):
            rows = turn * images // count if images > count else turn % images
            yield rows, row_draws([seeds.derive(self.seed, "watch", purpose, i) for i in turn.tolist()])

    def _latents(self, part: Part, rows: Tensor, draws: RowDraws) -> Latents:
        raw = torch.from_numpy(part.posteriors[rows.numpy(), 0]).to(self.device)
        return self.codec.latents(raw, draws.normal(*self.codec.code.shape).to(self.device))

    @cached_property
    def _known(self) -> np.ndarray:
        """Of the training images, (image, version, dimension): the means of their posteriors."""
        raw = torch.from_numpy(self.training.posteriors)
        versions = [self._means(raw[:, version]) for version in range(raw.shape[1])]
        return np.stack(versions, axis=1)

    def _means(self, raw: Tensor) -> np.ndarray:
        parts = (part.to(self.device) for part in raw.split(BATCH))
        silent = torch.zeros(BATCH, *self.codec.code.shape, device=self.device)
        return self._flat(torch.cat([self.codec.latents(part, silent[: len(part)]) for part in parts]))

    @cached_property
    def _new(self) -> np.ndarray:
        """How near each held-out image, drawn from its posterior as what a generator makes is, comes to the known."""
        turns = self._turns(self.held_out, len(self.held_out.labels), "new")
        drawn = self._flat(torch.cat([self._latents(self.held_out, rows, draws) for rows, draws in turns]))
        return closeness.distances(drawn, self._known).min(axis=1)

    def _flat(self, latents: Latents) -> np.ndarray:
        return self.codec.embed(latents).float().cpu().numpy()


def passes(looks: list[Look], settings: Watched) -> list[bool]:
    """Whether each look found a generator that learns: hardly a copy, and no worse on new patients than before."""
    found, lowest = [], math.inf
    for look in looks:
        copies, loss = _measured(look)
        lowest = min(lowest, loss)
        learns = loss <= lowest + settings.loss_tolerance * abs(lowest)
        found.append(math.isfinite(loss) and learns and copies <= settings.copy_limit)
    return found


def _measured(look: Look) -> tuple[float, float]:
    """Share of copies and loss on the selection patients; infinite where a look found no finite number."""
    return look.get("copy_share", math.inf), look.get("validation_loss", math.inf)


def judge(looks: list[Look], settings: Watched) -> Verdict:
    """Keep the last look that passes; while none does, the one with the fewest copies. Stop when it goes on failing."""
    good = passes(looks, settings)
    *earlier, last = map(_measured, looks)
    least_bad = not any(good) and all(last < other for other in earlier)
    failing = next((count for count, passed in enumerate(reversed(good)) if passed), len(good))
    return Verdict(keep=good[-1] or least_bad, stop=0 < settings.patience <= failing)


def remarks(fitted: Fitted, settings: Watched) -> tuple[str, ...]:
    """What somebody has to read who uses a watched generator: that it failed, or that earlier weights were kept."""
    looks, last = list(fitted.looks), fitted.looks[-1]
    kept = next(look for look in looks if look["step"] == fitted.kept_step)
    if not any(passes(looks, settings)):
        copies = f", which drew {kept['copy_share']:.0%} copies" if "copy_share" in kept else ""
        return (
            f"{_failed(looks, settings)} The weights of step {fitted.kept_step} were kept{copies}. "
            "More images, fewer steps or a smaller size help.",
        )
    if kept is last:
        return ()
    why = _why(looks, settings)
    return (f"At step {fitted.steps}, {why}: the weights of step {fitted.kept_step} were kept.",)


def _failed(looks: list[Look], settings: Watched) -> str:
    """Why no look at all passed."""
    limit = f"more than {settings.copy_limit:.0%} of what it drew were copies of training images"
    measured = [_measured(look) for look in looks]
    broken = sum(not math.isfinite(sum(numbers)) for numbers in measured)
    copied = sum(math.isfinite(loss) and settings.copy_limit < copies < math.inf for copies, loss in measured)
    if copied == len(looks):
        return f"The generator learned images by heart: at every look {limit}."
    reasons = {
        limit: copied,
        "its loss on the selection patients had risen": len(looks) - copied - broken,
        "its loss or what it drew was not a finite number": broken,
    }
    listed = ", ".join(f"at {count} of {len(looks)} {reason}" for reason, count in reasons.items() if count)
    return f"The generator passed at no look: {listed}."


def _why(looks: list[Look], settings: Watched) -> str:
    """Why the last look did not pass."""
    copies, loss = _measured(looks[-1])
    if not math.isfinite(copies + loss):
        return "the loss on the selection patients or what the generator drew was not a finite number"
    if copies > settings.copy_limit:
        return f"{copies:.0%} of what the generator drew were copies of training images"
    lowest = min(_measured(look)[1] for look in looks)
    return f"the loss on the selection patients had risen from {lowest:.4g} to {loss:.4g}"
