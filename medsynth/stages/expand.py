"""training labels + generator + codec -> a synthetic cohort, `factor` times the training one.

For every label vector y: Count_synthetic(y) = factor x Count_train(y), exactly (Elbatel et al. 2024, eq. 8), because
each training image gives its labels to `factor` synthetic ones. The real images come on top.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medsynth import codecs, generators, interrupt, seeds
from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import IMAGES, Cohort, Sample
from medsynth.data import images, png
from medsynth.data.loading import labels_of
from medsynth.draws import row_draws
from medsynth.job import Job, Result
from medsynth.sampling import Sampling

WRITERS = 2  # threads that write PNG files while the next batch is drawn


@dataclass(frozen=True)
class Wanted:
    """One synthetic image that is to be there."""

    sample: Sample
    seed: int


def run(job: Job) -> Result:
    """Draw what is not there yet. Batches are cut the same way in every attempt and in any number of processes."""
    assert job.fold is not None
    training = cohort.load(job.input("ingest")).training(job.fold)
    wanted = plan(job, training)
    (job.out / IMAGES).mkdir(exist_ok=True)
    batches = [
        wanted[first : first + job.settings.batch_size] for first in range(0, len(wanted), job.settings.batch_size)
    ]
    seconds = _draw(job, batches[job.world.rank :: job.world.size])
    job.world.wait()
    if job.world.is_first:
        facts = replace(training.facts, selection={}, notes=())
        cohort.save(job.out, Cohort(facts, tuple(w.sample for w in wanted)))
    summary = {
        "generator": job.kind,
        "factor": job.settings.factor,
        "synthetic": len(wanted),
        "real": len(training.samples),
        "together": len(wanted) + len(training.samples),
        **({"seconds_per_image": round(seconds, 4)} if seconds else {}),
    }
    return Result(summary, training.patients_hash())


def forecast(job: Job) -> dict[str, Any]:
    """How many images of each label, and how long they would take: measured on one batch that is thrown away."""
    assert job.fold is not None
    training = cohort.load(job.input("ingest")).training(job.fold)
    wanted = plan(job, training)
    batch = wanted[: job.settings.batch_size]
    started = time.monotonic()
    pictures = list(_pictures(job, batch, *_models(job)))
    seconds = (time.monotonic() - started) / len(batch)
    return {
        "real": len(training.samples),
        "synthetic": len(wanted),
        "labels": {name: count * job.settings.factor for name, count in training.counts().items()},
        "seconds_per_image": round(seconds, 3),
        "minutes": round(seconds * len(wanted) / 60, 1),
        "megabytes": round(len(wanted) * pictures[0][1].nbytes * png.SHARE / 1e6, 1),
    }


def plan(job: Job, training: Cohort) -> list[Wanted]:
    """Every synthetic image, `factor` for each training image, each with a seed of its own."""
    wanted = []
    for copy in range(job.settings.factor):
        for source in training.samples:
            name = f"{source.sample}-{job.kind}-{copy}"
            made = Sample(
                sample=name, patient="", image=Path(job.out) / IMAGES / f"{name}.png", labels=source.labels,
                origin="synthetic", label_source=source.sample,
            )  # fmt: skip
            wanted.append(
                Wanted(made, seeds.derive(job.recipe.seed, "expand", job.kind, job.fold, source.sample, copy))
            )
    return wanted


@torch.no_grad()
def _draw(job: Job, batches: list[list[Wanted]]) -> float | None:
    """Draw and write; seconds an image, None when everything was there. A batch that is not whole is drawn again."""
    missing = [batch for batch in batches if not all(w.sample.image.is_file() for w in batch)]
    if not missing:
        return None
    generator, codec = _models(job)
    total = sum(map(len, batches))
    done = total - sum(map(len, missing))
    started, drawn = time.monotonic(), 0
    with ThreadPoolExecutor(WRITERS) as pool:
        writing: list[Future[None]] = []
        for batch in missing:
            for future in writing:
                future.result()  # an error of the disk stops the work
            writing = [
                pool.submit(images.write_png, w.sample.image, pixels)
                for w, pixels in _pictures(job, batch, generator, codec)
            ]
            done, drawn = done + len(batch), drawn + len(batch)
            job.progress(f"expand {job.kind}, fold {job.fold}", done, total)
            interrupt.check()
        for future in writing:
            future.result()
    return (time.monotonic() - started) / drawn


def _models(job: Job) -> tuple[Any, Any]:
    return generators.load(job.input("generator"), job.device), codecs.load(job.input("codec"), job.device)


@torch.no_grad()
def _pictures(job: Job, batch: list[Wanted], generator: Any, codec: Any) -> Iterator[tuple[Wanted, np.ndarray]]:
    labels, draws = labels_of([w.sample for w in batch]), row_draws([w.seed for w in batch])
    latents = generator.sample(labels, draws, Sampling.of(job.settings))
    return zip(batch, images.to_pixels(codec.decode(latents)), strict=True)
