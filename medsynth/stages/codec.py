"""training images -> codec, with its scale of latents and its error on patients it has not seen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medsynth import codecs, kinds, seeds
from medsynth.artifacts import checkpoint, cohort, scores, weights
from medsynth.artifacts.cohort import Cohort
from medsynth.artifacts.scores import Score
from medsynth.codecs import Picture
from medsynth.data import images
from medsynth.data.loading import ImageSet, labels_of, refuse_without_masks
from medsynth.draws import Draws
from medsynth.job import Job, Result
from medsynth.metrics import reconstruction
from medsynth.player import Player
from medsynth.settings import Fitting
from medsynth.shapes import Images, Loss
from medsynth.stages.classify import refuse_foreign
from medsynth.training import Fitted, Hooks, Place, Played, fit, foretell

BATCH = 32
FEATURES = "features"  # folder of what a codec had learn the labels before itself
BEGINNING = 1000  # images that a codec may look at before its first step
SHOWN = 8  # pictures in a preview
LEARNING_LABELS: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 1e-3,
    "warmup_steps": 20,
    "schedule": "cosine",
    "ema": 0.95,
}


def run(job: Job) -> Result:
    """Train, import or just scale the codec; print what it loses on the selection patients."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    training, held_out = everyone.training(job.fold), everyone.selection(job.fold)
    picture = _picture(job, everyone)
    pixels = ImageSet(training.samples, masks=picture.masks)
    model, learns = _build(job, picture, pixels, training)
    fitted = None
    if learns:
        _prepare(job, model, pixels, training)
        hooks = Hooks(preview=lambda trained, step: _preview(job, f"step-{step:07d}", trained, held_out))
        played = _played(job, model, pixels, everyone.facts.mirror)
        fitted = fit(model, played, items=len(pixels), settings=job.settings, place=_place(job), hooks=hooks)
    if job.world.is_first:
        _measure(model, pixels, job)
        codecs.save(job.out, model, job.settings, picture)
        scores.save(job.out, _errors(model, held_out, job))
        _preview(job, "held-out", model, held_out)
    job.world.wait()
    return _result(job, model, training, fitted)


def forecast(job: Job) -> dict[str, Any]:
    """What training would take."""
    everyone = cohort.load(job.input("ingest"))
    assert job.fold is not None
    training, picture = everyone.training(job.fold), _picture(job, everyone)
    pixels = ImageSet(training.samples, masks=picture.masks)
    model, learns = _build(job, picture, pixels, training)
    if not learns:
        return {"images": len(pixels), "steps": 0}
    played = _played(job, model, pixels, everyone.facts.mirror)
    return foretell(model, played, items=len(pixels), settings=job.settings, place=_place(job))


def _picture(job: Job, everyone: Cohort) -> Picture:
    """What the codec is made for. Raises BadData where masks are asked for and an image of any patient has none."""
    masks = getattr(job.settings, "with_masks", False)
    if masks:
        refuse_without_masks(everyone.samples)
    return Picture(everyone.facts.channels, everyone.facts.image_size, masks)


def _build(job: Job, picture: Picture, pixels: ImageSet, training: Cohort) -> tuple[Any, bool]:
    """The codec before its first step, and whether it takes any."""
    if _imported_from(job):
        path = Path(job.settings.weights).expanduser()
        refuse_foreign(path, training)
        model = kinds.model("codecs", job.settings.kind).imported(job.settings, picture, path)
        return model.to(job.device), getattr(job.settings, "fine_tune", False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(job))
        model = codecs.build(job.settings, picture)
    model.begin(pixels.tensor(range(len(pixels))[:: len(pixels) // BEGINNING + 1]))
    return model.to(job.device), model.trains


def _prepare(job: Job, model: Any, pixels: ImageSet, training: Cohort) -> None:
    """Have the labels of the training images learnt by what the codec wants to see pictures with, if it wants that."""
    if not hasattr(model, "preparation"):
        return
    seed, facts = seeds.derive(_seed(job), FEATURES), training.facts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wanted = model.preparation(len(facts.labels), one_class=facts.one_class)
    if wanted is None:
        return model.prepare(None)
    network, steps = wanted
    folder, labels = job.out / FEATURES, labels_of(training.samples)
    folder.mkdir(exist_ok=True)
    if job.world.agree((folder / weights.WEIGHTS).is_file()):
        weights.load_into(folder, network)
    else:
        place = replace(_place(job), folder=folder, seed=seed, name=f"{_place(job).name}, features")

        def loss(rows: torch.Tensor, draws: Draws) -> Loss:
            return network.loss(_images(job, pixels, facts.mirror, rows, draws), labels[rows].to(job.device))

        fit(network, loss, items=len(pixels), settings=Fitting(steps=steps, **LEARNING_LABELS), place=place)
        if job.world.is_first:
            weights.save_module(folder, network, {"labels": facts.labels, "trained_on": training.patients_hash()})
            checkpoint.remove(folder)
        job.world.wait()
    return model.prepare(network.to(job.device))


def _played(job: Job, model: Any, pixels: ImageSet, mirror: bool) -> Played:
    """The codec's loss, or those of its players where it has opponents."""
    if not hasattr(model, "players"):
        return lambda rows, draws: model.loss(_images(job, pixels, mirror, rows, draws), draws)

    def shown(player: Player) -> Player:
        def loss(rows: torch.Tensor, draws: Draws, step: int) -> Loss:
            return player.loss(_images(job, pixels, mirror, rows, draws), draws, step)

        return replace(player, loss=loss)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(_seed(job), "players"))
        return [shown(player) for player in model.players()]


def _images(job: Job, pixels: ImageSet, mirror: bool, rows: torch.Tensor, draws: Draws) -> Images:
    """The pictures of these rows, some as their mirror images where that is plausible."""
    batch = pixels.tensor(rows)
    flipped = (draws.uniform() < 0.5) & mirror
    return torch.where(flipped[:, None, None, None], batch.flip(3), batch).to(job.device)


def _place(job: Job) -> Place:
    name = f"train-codec {job.kind}, fold {job.fold}"
    return Place(job.out, _seed(job), name, job.device, job.world, job.progress, job.say)


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
    pixels = ImageSet(held_out.samples, masks=model.picture.masks)
    lost: dict[str, list[np.ndarray]] = {"psnr": [], "mae": [], "mask_dice": []}
    for rows in _batches(len(pixels)):
        pair = pixels.tensor(rows), codecs.reconstruct(model, pixels.tensor(rows).to(job.device))
        true, made = (images.to_pixels(codecs.colours(model, each)) for each in pair)
        lost["psnr"].append(reconstruction.peak_signal_to_noise(true, made))
        lost["mae"].append(reconstruction.mean_absolute_error(true, made))
        if model.picture.masks:
            overlap = reconstruction.lesion_dice(*(images.to_masks(codecs.lesions(model, each)) for each in pair))
            lost["mask_dice"].append(overlap[np.isfinite(overlap)])
    found = {name: np.concatenate(parts) for name, parts in lost.items() if parts}
    return {
        f"selection.{name}": Score(float(each.mean()), n=len(each), unit="image")
        for name, each in found.items()
        if len(each)
    }


@torch.no_grad()
def _preview(job: Job, name: str, model: Any, held_out: Cohort) -> None:
    """Above the pictures, below their reconstructions, then masks in the same way. The scale cancels out, so it need
    not be measured yet."""
    (job.out / "previews").mkdir(exist_ok=True)
    shown = held_out.samples[:SHOWN]
    batch = ImageSet(shown, masks=model.picture.masks).tensor(range(len(shown)))
    made = codecs.reconstruct(model, batch.to(job.device))
    pair = batch, made
    rows = [images.to_pixels(codecs.colours(model, each)) for each in pair]
    if model.picture.masks:
        rows += [images.to_masks(codecs.lesions(model, each)).repeat(model.picture.channels, axis=3) for each in pair]
    images.write_png(job.out / "previews" / f"{name}.png", images.grid(rows))


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
        **({"held_out_mask_dice": round(dice.value, 3)} if (dice := found.get("selection.mask_dice")) else {}),
        "held_out_images": found["selection.psnr"].n,
    }
    notes = list(fitted.notes() if fitted else ())
    if hasattr(model, "findings"):
        numbers, sentences = model.findings()
        summary |= numbers
        notes += sentences
    if _imported_from(job):
        notes.append(
            f"The autoencoder was imported from {Path(job.settings.weights).name}: what it has seen is not known here."
        )
    return Result(summary, training.patients_hash(), tuple(notes))
