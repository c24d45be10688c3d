"""latents + labels -> generator."""

import numpy as np
import torch

from medsynth import codecs, generators, seeds
from medsynth.artifacts import checkpoint, cohort, latents
from medsynth.data import images
from medsynth.data.loading import labels_of
from medsynth.draws import Draws, row_draws
from medsynth.generators import Sampling
from medsynth.job import Job, Result
from medsynth.shapes import Labels, Loss
from medsynth.training import Fitted, Hooks, Place, fit

COLUMNS, ROWS = 8, 4  # pictures in a preview


def run(job: Job) -> Result:
    """Train on the latents of the fold's training patients."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    training = everyone.training(job.fold)
    codec = codecs.load(job.input("codec"), job.device)
    labels = labels_of(training.samples)
    seed = seeds.derive(job.recipe.seed, "generator", job.kind, job.fold)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = generators.build(job.settings, code=codec.code, labels=labels.shape[1])
    fitted = _train(job, model, codec, labels, [s.sample for s in training.samples], seed)
    if job.world.is_first:
        checkpoint.remove(job.out)
        generators.save(job.out, model, job.settings, code=codec.code, labels=labels.shape[1])
    job.world.wait()
    summary = {
        "kind": job.kind,
        "size": getattr(job.settings, "size", ""),
        "parameters": sum(p.numel() for p in model.parameters()),
        "images": len(training.samples),
        "patients": len(training.patients()),
        "steps": fitted.steps,
        "seconds_per_step": round(fitted.seconds / max(1, fitted.steps), 3),
    }
    return Result(summary, training.patients_hash(), fitted.notes())


def _train(job: Job, model: torch.nn.Module, codec: torch.nn.Module, labels: Labels, names: list[str], seed: int) -> Fitted:
    posterior = latents.load(job.input("encode")).rows(names)
    copies = posterior.shape[1]

    def loss(rows: torch.Tensor, draws: Draws) -> Loss:
        copy = (draws.uniform() * copies).long()  # the image or its mirror image
        raw = torch.from_numpy(posterior[rows.numpy(), copy.numpy()])
        noise = draws.normal(*codec.code.shape)
        return model.loss(codec.latents(raw.to(job.device), noise.to(job.device)), labels[rows].to(job.device), draws)

    def preview(trained: torch.nn.Module, step: int) -> None:
        _preview(job, trained, codec, labels, step)

    place = Place(job.out, seed, f"train-generator {job.kind}, fold {job.fold}", job.device, job.world, job.progress)
    return fit(model, loss, items=len(names), settings=job.settings, place=place, hooks=Hooks(preview=preview))


def _preview(job: Job, model: torch.nn.Module, codec: torch.nn.Module, labels: Labels, step: int) -> None:
    """The same seeds at every step; a row for each of the commonest label vectors, the commonest first."""
    vectors, counts = np.unique(labels.numpy(), axis=0, return_counts=True)
    chosen = vectors[np.argsort(-counts, kind="stable")[:ROWS]]
    wanted = torch.from_numpy(chosen).repeat_interleave(COLUMNS, dim=0)
    seed = [seeds.derive(job.recipe.seed, "preview", i) for i in range(len(wanted))]
    expand = job.recipe.expand
    made = codec.decode(model.sample(wanted, row_draws(seed), Sampling(expand.guidance, expand.sampler, expand.sampling_steps)))
    (job.out / "previews").mkdir(exist_ok=True)
    pixels = images.to_pixels(made)
    rows = [pixels[first : first + COLUMNS] for first in range(0, len(pixels), COLUMNS)]
    images.write_png(job.out / "previews" / f"step-{step:07d}.png", images.grid(rows))
