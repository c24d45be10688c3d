"""images + codec -> the raw posterior of every image that the fold may learn from or choose on."""

import math
from typing import Any

import numpy as np
import torch

from medsynth import codecs, interrupt
from medsynth.artifacts import cohort, latents
from medsynth.data.loading import ImageSet
from medsynth.job import Job, Result

BATCH = 32


def forecast(job: Job) -> dict[str, Any]:
    """How many images, and how much room their latents take."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    count = len(everyone.training(job.fold).samples) + len(everyone.selection(job.fold).samples)
    copies, shape = 1 + everyone.facts.mirror, codecs.load(job.input("codec")).code.shape
    return {"images": count, "megabytes": round(count * copies * 2 * 4 * math.prod(shape) / 1e6, 1)}


@torch.no_grad()
def run(job: Job) -> Result:
    """Encode each image, and its mirror image where the cohort allows it. Nothing is drawn: that is for loading."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    samples = [*everyone.training(job.fold).samples, *everyone.selection(job.fold).samples]
    codec = codecs.load(job.input("codec"), job.device)
    pixels = ImageSet(samples)
    copies = 2 if everyone.facts.mirror else 1
    rows = []
    for first in range(0, len(samples), BATCH):
        batch = pixels.tensor(range(first, min(first + BATCH, len(samples)))).to(job.device)
        both = [codec.encode(batch.flip(3) if mirrored else batch).float().cpu() for mirrored in range(copies)]
        rows.append(torch.stack(both, dim=1).numpy())  # (image, copy, channel, row, column)
        job.progress(f"encode, fold {job.fold}", first + len(batch), len(samples))
        interrupt.check()
    latents.save(job.out, np.concatenate(rows), [s.sample for s in samples])
    summary = {
        "codec": job.kind,
        "images": len(samples),
        "copies": copies,
        "latent": "x".join(map(str, codec.code.shape)),
    }
    return Result(summary, everyone.training(job.fold).patients_hash())
