"""images + codec -> the raw posterior of every image that the fold may learn from or choose on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from medsynth import codecs, interrupt, seeds
from medsynth.artifacts import cohort, latents
from medsynth.artifacts.cohort import Sample
from medsynth.data import augment
from medsynth.data.augment import Moves
from medsynth.data.loading import ImageSet
from medsynth.draws import row_draws
from medsynth.job import Job, Result
from medsynth.shapes import Images

BATCH = 32


def forecast(job: Job) -> dict[str, Any]:
    """How many images, and how much room their latents take."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    count = len(everyone.training(job.fold).samples) + len(everyone.selection(job.fold).samples)
    copies, shape = 1 + everyone.facts.mirror + job.settings.augmented, codecs.load(job.input("codec")).code.shape
    return {"images": count, "megabytes": round(count * copies * 2 * 4 * math.prod(shape) / 1e6, 1)}


@torch.no_grad()
def run(job: Job) -> Result:
    """Encode each image, its mirror image where the cohort allows it, and as many moved copies as were asked for.

    How a copy is moved depends on the fold, the sample and the copy's number. Nothing is drawn from the posteriors:
    that is for loading.
    """
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    samples = [*everyone.training(job.fold).samples, *everyone.selection(job.fold).samples]
    codec = codecs.load(job.input("codec"), job.device)
    pixels = ImageSet(samples)
    rows, parameters = [], []
    for first in range(0, len(samples), BATCH):
        some = samples[first : first + BATCH]
        batch = pixels.tensor(range(first, first + len(some))).to(job.device)
        copies = [*_copies(job, batch, some, mirror=everyone.facts.mirror)]
        encoded = [codec.encode(images).float().cpu() for images, _ in copies]
        rows.append(torch.stack(encoded, dim=1).numpy())  # (image, copy, channel, row, column)
        parameters.append(torch.stack([augment.parameters(moves) for _, moves in copies], dim=1).numpy())
        job.progress(f"encode, fold {job.fold}", first + len(batch), len(samples))
        interrupt.check()
    latents.save(job.out, np.concatenate(rows), np.concatenate(parameters), [s.sample for s in samples])
    summary = {
        "codec": job.kind,
        "images": len(samples),
        "copies": rows[0].shape[1],
        "latent": "x".join(map(str, codec.code.shape)),
    }
    return Result(summary, everyone.training(job.fold).patients_hash())


def _copies(job: Job, images: Images, samples: Sequence[Sample], *, mirror: bool) -> Iterator[tuple[Images, Moves]]:
    """The images, their mirror images and moved copies, each with how they were moved."""
    stay = augment.stay(len(samples))
    yield images, stay
    if mirror:
        yield images.flip(3), replace(stay, mirrored=~stay.mirrored)
    for copy in range(job.settings.augmented):
        named = [seeds.derive(job.recipe.seed, "augment", job.fold, s.sample, copy) for s in samples]
        moves = augment.draw_moves(row_draws(named), mirror=mirror)
        yield augment.apply(images, moves), moves
