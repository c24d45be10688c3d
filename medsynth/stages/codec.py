"""training images -> codec, with its scale of latents and its error on patients it has not seen."""

from pathlib import Path

import numpy as np
import torch

from medsynth import codecs, seeds
from medsynth.artifacts import checkpoint, cohort, scores
from medsynth.artifacts.cohort import Cohort
from medsynth.artifacts.scores import Score
from medsynth.codecs import Picture
from medsynth.data import images
from medsynth.data.loading import ImageSet
from medsynth.draws import Draws
from medsynth.job import Job, Result
from medsynth.metrics import reconstruction
from medsynth.shapes import Loss
from medsynth.training import Fitted, Hooks, Place, fit

BATCH = 32
BEGINNING = 1000  # images that a codec may look at before its first step
SHOWN = 8  # pictures in a preview


def run(job: Job) -> Result:
    """Train, import or just scale the codec; print what it loses on the selection patients."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    training, held_out = everyone.training(job.fold), everyone.selection(job.fold)
    picture = Picture(everyone.facts.channels, everyone.facts.image_size)
    seed = seeds.derive(job.recipe.seed, "codec", job.kind, job.fold)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        imported = getattr(job.settings, "weights", None)
        model = _imported(job, picture) if imported else codecs.build(job.settings, picture)
    pixels = ImageSet(training.samples)

    fitted = None
    if model.trains and not imported:
        model.begin(pixels.tensor(range(len(pixels))[:: len(pixels) // BEGINNING + 1]))
    model.to(job.device)
    if model.trains and not imported:
        fitted = _train(job, model, pixels, held_out, seed)
    if job.world.is_first:
        checkpoint.remove(job.out)
        _measure(model, pixels, job)
        codecs.save(job.out, model, job.settings, picture)
        errors = _errors(model, held_out, job)
        scores.save(job.out, errors)
        _preview(job.out / "previews" / "held-out.png", model, held_out, job.device)
    job.world.wait()
    return _result(job, model, training, fitted, bool(imported))


def _imported(job: Job, picture: Picture) -> torch.nn.Module:
    from medsynth.codecs.kl.model import Model

    return Model.imported(job.settings, picture, Path(job.settings.weights))


def _train(job: Job, model: torch.nn.Module, pixels: ImageSet, held_out: Cohort, seed: int) -> Fitted:
    mirror = cohort.load(job.input("ingest")).facts.mirror

    def loss(rows: torch.Tensor, draws: Draws) -> Loss:
        batch = pixels.tensor(rows)
        flipped = (draws.uniform() < 0.5) & mirror
        batch = torch.where(flipped[:, None, None, None], batch.flip(3), batch)
        return model.loss(batch.to(job.device), draws)

    def preview(trained: torch.nn.Module, step: int) -> None:
        _preview(job.out / "previews" / f"step-{step:07d}.png", trained, held_out, job.device)

    place = Place(job.out, seed, f"train-codec {job.kind}, fold {job.fold}", job.device, job.world, job.progress)
    return fit(model, loss, items=len(pixels), settings=job.settings, place=place, hooks=Hooks(preview=preview))


@torch.no_grad()
def _measure(model: torch.nn.Module, pixels: ImageSet, job: Job) -> None:
    """Give the latents their scale, from training images only."""
    posteriors = [model.encode(pixels.tensor(rows).to(job.device)).cpu() for rows in _batches(len(pixels))]
    model.cpu().measure(torch.cat(posteriors))
    model.to(job.device)


@torch.no_grad()
def _errors(model: torch.nn.Module, held_out: Cohort, job: Job) -> dict[str, Score]:
    """The codec's loss on patients it has not seen: no generator that stands on it can be better."""
    pixels = ImageSet(held_out.samples)
    psnr, mae = [], []
    for rows in _batches(len(pixels)):
        batch = pixels.tensor(rows)
        true, made = images.to_pixels(batch), images.to_pixels(_reconstruct(model, batch.to(job.device)))
        psnr.append(reconstruction.peak_signal_to_noise(true, made))
        mae.append(reconstruction.mean_absolute_error(true, made))
    n = len(pixels)
    return {
        "selection.psnr": Score(float(np.concatenate(psnr).mean()), n=n, unit="image"),
        "selection.mae": Score(float(np.concatenate(mae).mean()), n=n, unit="image"),
    }


def _reconstruct(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    posterior = model.encode(batch)
    return model.decode(model.latents(posterior, torch.zeros_like(posterior.chunk(2, dim=1)[0])))


@torch.no_grad()
def _preview(path: Path, model: torch.nn.Module, held_out: Cohort, device: str) -> None:
    """Above the pictures, below their reconstructions. The scale cancels out, so it need not be measured yet."""
    path.parent.mkdir(exist_ok=True)
    batch = ImageSet(held_out.samples[:SHOWN]).tensor(range(min(SHOWN, len(held_out.samples))))
    made = _reconstruct(model, batch.to(device))
    images.write_png(path, images.grid([images.to_pixels(batch), images.to_pixels(made)]))


def _batches(count: int) -> list[range]:
    return [range(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]


def _result(job: Job, model: torch.nn.Module, training: Cohort, fitted: Fitted | None, imported: bool) -> Result:
    found = scores.load(job.out)
    summary = {
        "kind": job.kind,
        "latent": "x".join(str(side) for side in model.code.shape),
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": fitted.steps if fitted else 0,
        "held_out_psnr_db": round(found["selection.psnr"].value, 2),
        "held_out_error_of_255": round(found["selection.mae"].value, 2),
        "held_out_images": found["selection.psnr"].n,
    }
    notes = list(fitted.notes() if fitted else ())
    if imported:
        notes.append(f"The autoencoder was imported from {Path(job.settings.weights).name}: what it was trained on is not known here.")
    return Result(summary, training.patients_hash(), tuple(notes))
