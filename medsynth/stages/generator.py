"""latents + labels -> generator."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medsynth import codecs, generators, seeds
from medsynth.artifacts import checkpoint, cohort, latents
from medsynth.artifacts.cohort import Cohort
from medsynth.data import images
from medsynth.data.loading import labels_of
from medsynth.draws import Draws, row_draws
from medsynth.job import Job, Result
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Loss
from medsynth.training import Hooks, LossOf, Place, fit, foretell

COLUMNS, ROWS = 8, 4  # pictures in a preview


def run(job: Job) -> Result:
    """Train on the latents of the fold's training patients."""
    material = _gather(job)
    model = _build(job, material)
    hooks = Hooks(preview=lambda trained, step: _preview(job, trained, material, step))
    fitted = fit(
        model,
        _loss(job, model, material),
        items=len(material.labels),
        settings=job.settings,
        place=_place(job),
        hooks=hooks,
    )
    if job.world.is_first:
        generators.save(job.out, model, job.settings, code=material.codec.code, labels=material.labels.shape[1])
        checkpoint.remove(job.out)
    job.world.wait()
    summary = {
        "kind": job.kind,
        "size": getattr(job.settings, "size", ""),
        "parameters": sum(p.numel() for p in model.parameters()),
        "mega_macs_per_forward": round(model.macs() / 1e6, 1),
        "images": len(material.labels),
        "patients": len(material.training.patients()),
        "steps": fitted.steps,
        "seconds_per_step": round(fitted.seconds / max(1, fitted.steps), 3),
    }
    return Result(summary, material.training.patients_hash(), fitted.notes())


def forecast(job: Job) -> dict[str, Any]:
    """What training would take."""
    material = _gather(job)
    model = _build(job, material)
    return foretell(
        model, _loss(job, model, material), items=len(material.labels), settings=job.settings, place=_place(job)
    )


@dataclass(frozen=True)
class Material:
    """What a generator learns from."""

    training: Cohort
    labels: Labels  # of the training images
    posteriors: np.ndarray  # raw, (image, copy, channel, row, column)
    codec: Any


def _gather(job: Job) -> Material:
    assert job.fold is not None
    training = cohort.load(job.input("ingest")).training(job.fold)
    posteriors = latents.load(job.input("encode")).rows([s.sample for s in training.samples])
    return Material(training, labels_of(training.samples), posteriors, codecs.load(job.input("codec"), job.device))


def _build(job: Job, material: Material) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(job))
        return generators.build(job.settings, code=material.codec.code, labels=material.labels.shape[1]).to(job.device)


def _loss(job: Job, model: Any, material: Material) -> LossOf:
    """Posteriors are sampled, and mirrored where the cohort allows it, anew each time an image comes by."""
    posteriors, codec = material.posteriors, material.codec

    def loss(rows: torch.Tensor, draws: Draws) -> Loss:
        copy = (draws.uniform() * posteriors.shape[1]).long()  # the image or its mirror image
        raw = torch.from_numpy(posteriors[rows.numpy(), copy.numpy()]).to(job.device)
        clean = codec.latents(raw, draws.normal(*codec.code.shape).to(job.device))
        return model.loss(clean, material.labels[rows].to(job.device), draws)

    return loss


def _place(job: Job) -> Place:
    return Place(
        job.out, _seed(job), f"train-generator {job.kind}, fold {job.fold}", job.device, job.world, job.progress
    )


def _seed(job: Job) -> int:
    return seeds.derive(job.recipe.seed, "generator", job.kind, job.fold)


def _preview(job: Job, model: Any, material: Material, step: int) -> None:
    """The same seeds at every step; a row for each of the commonest label vectors, the commonest first."""
    vectors, counts = np.unique(material.labels.numpy(), axis=0, return_counts=True)
    chosen = vectors[np.argsort(-counts, kind="stable")[:ROWS]]
    wanted = torch.from_numpy(chosen).repeat_interleave(COLUMNS, dim=0)
    draws = row_draws([seeds.derive(job.recipe.seed, "preview", i) for i in range(len(wanted))])
    pixels = images.to_pixels(material.codec.decode(model.sample(wanted, draws, Sampling.of(job.recipe.expand))))
    rows = [pixels[first : first + COLUMNS] for first in range(0, len(pixels), COLUMNS)]
    (job.out / "previews").mkdir(exist_ok=True)
    images.write_png(job.out / "previews" / f"step-{step:07d}.png", images.grid(rows))
