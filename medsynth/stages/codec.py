"""training images -> codec, with its scale of latents and its error on patients it has not seen."""

from pathlib import Path
from typing import Any

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
from medsynth.training import Fitted, Hooks, LossOf, Place, fit, foretell

BATCH = 32
BEGINNING = 1000  # images that a codec may look at before its first step
SHOWN = 8  # pictures in a preview


def run(job: Job) -> Result:
    """Train, import or just scale the codec; print what it loses on the selection patients."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    training, held_out = everyone.training(job.fold), everyone.selection(job.fold)
    pixels = ImageSet(training.samples)
    picture = Picture(everyone.facts.channels, everyone.facts.image_size)
    model, learns = _build(job, picture, pixels)
    fitted = None
    if learns:
        hooks = Hooks(preview=lambda trained, step: _preview(job, f"step-{step:07d}", trained, held_out))
        loss = _loss(job, model, pixels, everyone.facts.mirror)
        fitted = fit(model, loss, items=len(pixels), settings=job.settings, place=_place(job), hooks=hooks)
    if job.world.is_first:
        _measure(model, pixels, job)
        codecs.save(job.out, model, job.settings, picture)
        scores.save(job.out, _errors(model, held_out, job))
        _preview(job, "held-out", model, held_out)
        checkpoint.remove(job.out)  # last: until here a killed process may go on from it
    job.world.wait()
    return _result(job, model, training, fitted)


def forecast(job: Job) -> dict[str, Any]:
    """What training would take."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    pixels = ImageSet(everyone.training(job.fold).samples)
    model, learns = _build(job, Picture(everyone.facts.channels, everyone.facts.image_size), pixels)
    if not learns:
        return {"images": len(pixels), "steps": 0}
    loss = _loss(job, model, pixels, everyone.facts.mirror)
    return foretell(model, loss, items=len(pixels), settings=job.settings, place=_place(job))


def _build(job: Job, picture: Picture, pixels: ImageSet) -> tuple[Any, bool]:
    """The codec before its first step, and whether it takes any."""
    if _imported_from(job):
        from medsynth.codecs.kl.model import Model

        return Model.imported(job.settings, picture, Path(job.settings.weights)).to(job.device), False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(job))
        model = codecs.build(job.settings, picture)
    model.begin(pixels.tensor(range(len(pixels))[:: len(pixels) // BEGINNING + 1]))
    return model.to(job.device), model.trains


def _loss(job: Job, model: Any, pixels: ImageSet, mirror: bool) -> LossOf:
    def loss(rows: torch.Tensor, draws: Draws) -> Loss:
        batch = pixels.tensor(rows)
        flipped = (draws.uniform() < 0.5) & mirror
        batch = torch.where(flipped[:, None, None, None], batch.flip(3), batch)
        return model.loss(batch.to(job.device), draws)

    return loss


def _place(job: Job) -> Place:
    return Place(job.out, _seed(job), f"train-codec {job.kind}, fold {job.fold}", job.device, job.world, job.progress)


def _seed(job: Job) -> int:
    return seeds.derive(job.recipe.seed, "codec", job.kind, job.fold)


def _imported_from(job: Job) -> str | None:
    return getattr(job.settings, "weights", None)


@torch.no_grad()
def _measure(model: Any, pixels: ImageSet, job: Job) -> None:
    """Give the latents their scale, from training images only."""
    posteriors = [model.encode(pixels.tensor(rows).to(job.device)).cpu() for rows in _batches(len(pixels))]
    model.cpu().measure(torch.cat(posteriors))
    model.to(job.device)


@torch.no_grad()
def _errors(model: Any, held_out: Cohort, job: Job) -> dict[str, Score]:
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


def _reconstruct(model: Any, batch: torch.Tensor) -> torch.Tensor:
    posterior = model.encode(batch)
    return model.decode(model.latents(posterior, torch.zeros(len(batch), *model.code.shape, device=batch.device)))


@torch.no_grad()
def _preview(job: Job, name: str, model: Any, held_out: Cohort) -> None:
    """Above the pictures, below their reconstructions. The scale cancels out, so it need not be measured yet."""
    (job.out / "previews").mkdir(exist_ok=True)
    batch = ImageSet(held_out.samples[:SHOWN]).tensor(range(min(SHOWN, len(held_out.samples))))
    made = _reconstruct(model, batch.to(job.device))
    images.write_png(
        job.out / "previews" / f"{name}.png", images.grid([images.to_pixels(batch), images.to_pixels(made)])
    )


def _batches(count: int) -> list[range]:
    return [range(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]


def _result(job: Job, model: Any, training: Cohort, fitted: Fitted | None) -> Result:
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
    if _imported_from(job):
        notes.append(
            f"The autoencoder was imported from {Path(job.settings.weights).name}: what it has seen is not known here."
        )
    return Result(summary, training.patients_hash(), tuple(notes))
