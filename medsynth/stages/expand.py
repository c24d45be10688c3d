"""training labels + generator + codec -> a synthetic cohort, `factor` times the training one.

For every label vector y: Count_synthetic(y) = factor x Count_train(y), exactly (Elbatel et al. 2024, eq. 8), because
each training image gives its labels to `factor` synthetic ones. The real images come on top.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medsynth import codecs, cost, generators, interrupt, room, seeds
from medsynth.artifacts import cohort, files
from medsynth.artifacts.cohort import IMAGES, MASKS, Cohort, Sample
from medsynth.cost import Lap, Spent
from medsynth.data import images, png
from medsynth.data.loading import labels_of
from medsynth.draws import row_draws
from medsynth.job import Job, Result
from medsynth.sampling import Sampling
from medsynth.shapes import Latents

WRITERS = 4  # threads that write PNG files while the next batch is drawn
DECODED = 16  # latents decoded at once


@dataclass(frozen=True)
class Wanted:
    """One synthetic image that is to be there."""

    sample: Sample
    seed: int

    @property
    def files(self) -> list[Path]:
        """Its picture, and its mask if it has one."""
        return [path for path in (self.sample.image, self.sample.mask) if path]


def run(job: Job) -> Result:
    """Draw what is not there yet. Batches are cut the same way in every attempt and in any number of processes."""
    assert job.fold is not None
    training = cohort.load(job.input("ingest")).training(job.fold)
    generator, codec = _models(job)
    wanted = plan(job, training, masks=codec.picture.masks)
    name = f"expand {job.kind}, fold {job.fold}"
    room.require(job.out, _room(training, len(wanted), masks=codec.picture.masks), name, job.world)
    for name in (IMAGES, *([MASKS] if codec.picture.masks else [])):
        (job.out / name).mkdir(exist_ok=True)
    cost.forget_peak(job.device)
    _draw(job, _share(job, wanted), generator, codec)
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
        **cost.of_network(generator),
        "evaluations_per_image": round(generator.evaluations(Sampling.of(job.settings)), 2),
        **Spent.together(job.out).facts(),
    }
    return Result(summary, training.patients_hash())


def forecast(job: Job) -> dict[str, Any]:
    """How many images of each label, and how long they would take: measured on one batch that is thrown away."""
    assert job.fold is not None
    training = cohort.load(job.input("ingest")).training(job.fold)
    wanted = plan(job, training)
    batch = wanted[: job.settings.batch_size]
    generator, codec = _models(job)
    started = time.perf_counter()
    _decoded(codec, _sampled(job, generator, batch))
    seconds = (time.perf_counter() - started) / len(batch)
    return {
        "real": len(training.samples),
        "synthetic": len(wanted),
        "labels": {name: count * job.settings.factor for name, count in training.counts().items()},
        "seconds_per_image": round(seconds, 3),
        "minutes": round(seconds * len(wanted) / 60, 1),
        "megabytes": round(_room(training, len(wanted), masks=codec.picture.masks) / 1e6, 1),
    }


def _room(training: Cohort, count: int, *, masks: bool) -> float:
    """Bytes of disk that so many images will take, with their masks if they have some."""
    pixels, channels = training.facts.image_size**2, training.facts.channels
    return room.of_files(count, pixels * channels * png.SHARE) + room.of_files(count * masks, pixels * png.SHARE)


def plan(job: Job, training: Cohort, *, masks: bool = False) -> list[Wanted]:
    """Every synthetic image, `factor` for each training image, each with a seed of its own; with its mask if asked."""
    wanted = []
    for copy in range(job.settings.factor):
        for source in training.samples:
            name = f"{source.sample}-{job.kind}-{copy}"
            made = Sample(
                sample=name, patient="", image=Path(job.out) / IMAGES / f"{name}.png", labels=source.labels,
                origin="synthetic", label_source=source.sample,
                mask=Path(job.out) / MASKS / f"{name}.png" if masks else None,
            )  # fmt: skip
            wanted.append(
                Wanted(made, seeds.derive(job.recipe.seed, "expand", job.kind, job.fold, source.sample, copy))
            )
    return wanted


def _share(job: Job, wanted: list[Wanted]) -> list[list[Wanted]]:
    """The batches of this process."""
    batches = [
        wanted[first : first + job.settings.batch_size] for first in range(0, len(wanted), job.settings.batch_size)
    ]
    return batches[job.world.rank :: job.world.size]


def _draw(job: Job, batches: list[list[Wanted]], generator: Any, codec: Any) -> None:
    """Draw and write what is not there whole; a batch that is not whole is drawn again.

    While the network draws a batch, the one before is decoded and written: no more than two are in memory.
    """
    missing = [batch for batch in batches if not all(png.is_whole(path) for w in batch for path in w.files)]
    spent, since = Spent.load(job.out, job.world.rank), time.perf_counter()
    total = sum(map(len, batches))
    done = total - sum(map(len, missing))

    def store(batch: list[Wanted], latents: Latents, lap: Lap) -> int:
        nonlocal since
        with lap.beside():
            decoded = _decoded(codec, latents)
        for _ in writers.map(_write, batch, *decoded):
            pass  # an error of the disk comes up here
        since, before = time.perf_counter(), since
        spent.add(len(batch), lap.seconds(), since - before)
        spent.save(job.out, job.world.rank)
        return len(batch)

    def stored(count: int) -> None:
        nonlocal done
        done += count
        job.progress(f"expand {job.kind}, fold {job.fold}", done, total)

    with ThreadPoolExecutor(WRITERS) as writers, ThreadPoolExecutor(1) as aside:
        storing: Future[int] | None = None
        for batch in missing:
            lap = Lap(job.device)
            latents = _sampled(job, generator, batch)
            lap.mark()
            spent.rise(cost.peak_memory(job.device))
            if storing:
                stored(storing.result())
            storing = aside.submit(store, batch, latents, lap)
            interrupt.check()
        if storing:
            stored(storing.result())
        list(writers.map(files.sync, (path for batch in batches for w in batch for path in w.files)))
    for folder in {path.parent for batch in batches for w in batch for path in w.files}:
        files.sync_folder(folder)
    if missing:
        spent.add(0, 0.0, time.perf_counter() - since)
        spent.save(job.out, job.world.rank)


def _models(job: Job) -> tuple[Any, Any]:
    return generators.load(job.input("generator"), job.device), codecs.load(job.input("codec"), job.device)


@torch.no_grad()
def _sampled(job: Job, generator: Any, batch: list[Wanted]) -> Latents:
    labels, draws = labels_of([w.sample for w in batch]), row_draws([w.seed for w in batch])
    return generator.sample(labels, draws, Sampling.of(job.settings))


@torch.no_grad()
def _decoded(codec: Any, latents: Latents) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and masks as they are stored, uint8 (image, row, column, channel); no channels of masks where there are
    none. Decoded some at a time: what a decoder holds on the way is far larger than an image."""
    made = [codec.decode(part) for part in latents.split(DECODED)]
    pixels = [images.to_pixels(codecs.colours(codec, part)) for part in made]
    return np.concatenate(pixels), np.concatenate([images.to_masks(codecs.lesions(codec, part)) for part in made])


def _write(wanted: Wanted, pixels: np.ndarray, mask: np.ndarray) -> None:
    images.write_png(wanted.sample.image, pixels, synced=False)
    if wanted.sample.mask:
        images.write_png(wanted.sample.mask, mask, synced=False)
