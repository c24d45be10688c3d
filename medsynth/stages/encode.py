"""images + codec -> the raw posterior of every image that the fold may learn from or choose on, or its tokens."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from medsynth import codecs, interrupt, room, seeds
from medsynth.artifacts import cohort, latents
from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.latents import Copies
from medsynth.data import augment
from medsynth.data.augment import Moves
from medsynth.data.loading import ImageSet
from medsynth.draws import row_draws
from medsynth.job import Job, Result
from medsynth.shapes import Images

BATCH = 32


def forecast(job: Job) -> dict[str, Any]:
    """How many images, and how much room their latents take."""
    trained, chosen_on = _parts(job)
    return {"images": len(trained) + len(chosen_on), "megabytes": round(_room(job) / 1e6, 1)}


def _room(job: Job) -> float:
    """Bytes of disk that the latents will take."""
    (trained, chosen_on), mirror = _parts(job), cohort.load(job.input("ingest")).facts.mirror
    stored = (len(trained) + len(chosen_on)) * (1 + mirror) + len(trained) * job.settings.augmented
    code = codecs.load(job.input("codec")).code
    bytes_each = 2 if code.vocabulary else 2 * 4  # a token; a mean and a log-variance
    return float(stored * bytes_each * math.prod(code.shape))


def _parts(job: Job) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """What is learnt from, and what choices are made on."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    return everyone.training(job.fold).samples, everyone.selection(job.fold).samples


@torch.no_grad()
def run(job: Job) -> Result:
    """Encode each image, its mirror image where the cohort allows it, and of those that are learnt from as many moved
    copies as were asked for.

    How a copy is moved depends on the fold, the sample and the copy's number. Nothing is drawn from the posteriors:
    that is for loading.
    """
    everyone, parts = cohort.load(job.input("ingest")), _parts(job)
    assert job.fold is not None
    room.require(job.out, _room(job), f"encode {job.kind}, fold {job.fold}", job.world)
    codec = codecs.load(job.input("codec"), job.device)
    count, done = sum(map(len, parts)), 0
    plain: list[Copies] = []
    moved: list[Copies] = []
    for samples, augmented in zip(parts, (job.settings.augmented, 0), strict=True):
        pixels = ImageSet(samples, masks=codec.picture.masks)
        for first in range(0, len(samples), BATCH):
            some = samples[first : first + BATCH]
            batch = pixels.tensor(range(first, first + len(some))).to(job.device)
            plain.append(_encoded(codec, _plain(batch, mirror=everyone.facts.mirror)))
            if augmented:
                moved.append(_encoded(codec, _moved(job, batch, some, augmented, mirror=everyone.facts.mirror)))
            done += len(batch)
            job.progress(f"encode, fold {job.fold}", done, count)
            interrupt.check()
    names = [s.sample for part in parts for s in part]
    latents.save(job.out, _joined(plain), _joined(moved) if moved else None, names)
    summary = {
        "codec": job.kind,
        "images": count,
        "copies": 1 + everyone.facts.mirror,
        **({"moved_copies_of_training_images": job.settings.augmented} if moved else {}),
        "tokens" if codec.code.vocabulary else "latent": "x".join(map(str, codec.code.shape)),
    }
    return Result(summary, everyone.training(job.fold).patients_hash())


def _plain(images: Images, *, mirror: bool) -> Iterator[tuple[Images, Moves]]:
    """The images and, where it is plausible, their mirror images, each with how they were moved."""
    stay = augment.stay(len(images))
    yield images, stay
    if mirror:
        yield images.flip(3), replace(stay, mirrored=~stay.mirrored)


def _moved(
    job: Job, images: Images, samples: Sequence[Sample], augmented: int, *, mirror: bool
) -> Iterator[tuple[Images, Moves]]:
    """Moved copies of the images, each with how they were moved."""
    for copy in range(augmented):
        named = [seeds.derive(job.recipe.seed, "augment", job.fold, s.sample, copy) for s in samples]
        moves = augment.draw_moves(row_draws(named), mirror=mirror)
        yield augment.apply(images, moves), moves


def _encoded(codec: Any, copies: Iterator[tuple[Images, Moves]]) -> Copies:
    pairs = [(codec.encode(images).cpu(), augment.parameters(moves)) for images, moves in copies]
    posteriors, parameters = (torch.stack(part, dim=1).numpy() for part in zip(*pairs, strict=True))
    return Copies(posteriors.astype(np.uint16 if codec.code.vocabulary else np.float32), parameters)


def _joined(parts: Sequence[Copies]) -> Copies:
    return Copies(np.concatenate([p.posteriors for p in parts]), np.concatenate([p.parameters for p in parts]))
