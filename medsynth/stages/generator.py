"""latents + labels -> generator."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from medsynth import codecs, cost, generators, seeds
from medsynth.artifacts import cohort, latents
from medsynth.artifacts.cohort import Cohort
from medsynth.data import images
from medsynth.data.loading import labels_of
from medsynth.draws import Draws, row_draws
from medsynth.errors import BadUsage
from medsynth.job import Job, Result
from medsynth.sampling import Sampling
from medsynth.shapes import Loss
from medsynth.training import Fitted, Hooks, LossOf, Place, fit, foretell
from medsynth.watch import Part, Watch, judge, remarks

COLUMNS, ROWS = 8, 4  # pictures in a preview


def run(job: Job) -> Result:
    """Train on the latents of the fold's training patients, watched on those of the selection patients."""
    cost.forget_peak(job.device)
    material = _gather(job)
    model = _build(job, material)
    items, labels = material.training.labels.shape
    loss = _loss(job, model, material)
    # Before training: if model and sampler do not go together, that is said now.
    evaluations = model.evaluations(Sampling.of(job.recipe.expand))
    fitted = fit(model, loss, items=items, settings=job.settings, place=_place(job), hooks=_hooks(job, material))
    if job.world.is_first:
        generators.save(job.out, model, job.settings, code=material.codec.code, labels=labels)
    job.world.wait()
    summary = {
        "kind": job.kind,
        "size": getattr(job.settings, "size", ""),
        **cost.of_network(model),
        "evaluations_per_synthetic_image": round(evaluations, 2),
        "images": items,
        "patients": len(material.training.cohort.patients()),
        "steps": fitted.steps,
        **({"kept_step": fitted.kept_step, "stopped_early": fitted.stopped} if fitted.looks else {}),
        "seconds_per_step": float(f"{fitted.seconds / max(1, fitted.steps):.4g}"),
        "seconds_per_training_image": float(f"{fitted.seconds / max(1, fitted.steps) / job.settings.batch_size:.4g}"),
        **cost.peak_memory(job.device),
    }
    own = model.notes(items) if hasattr(model, "notes") else ()
    notes = (*fitted.notes(), *_notes(job, material, fitted), *own)
    return Result(summary, material.training.cohort.patients_hash(), notes)


def forecast(job: Job) -> dict[str, Any]:
    """What training would take."""
    material = _gather(job)
    model = _build(job, material)
    items = len(material.training.labels)
    return foretell(model, _loss(job, model, material), items=items, settings=job.settings, place=_place(job))


@dataclass(frozen=True)
class Material:
    """What a generator learns from."""

    training: Part
    held_out: Part  # of the selection patients: it is watched on them, and learns nothing from them
    copies: np.ndarray  # what it learns from, raw, (image, copy, channel, row, column)
    parameters: np.ndarray  # how each copy was moved, (image, copy, 5)
    codec: Any


def _gather(job: Job) -> Material:
    assert job.fold is not None
    everyone, encoded = cohort.load(job.input("ingest")), latents.load(job.input("encode"))

    plain = 1 + everyone.facts.mirror  # the image, and its mirror image

    def part(of: Cohort) -> Part:
        return Part(of, labels_of(of.samples), encoded.rows([s.sample for s in of.samples], plain)[0])

    training, held_out = everyone.training(job.fold), everyone.selection(job.fold)
    copies, parameters = encoded.rows([s.sample for s in training.samples], None if _augments(job) else plain)
    if _augments(job) and copies.shape[1] == plain:
        raise BadUsage(
            f"{job.kind} is to learn from moved images (augment = true), but none are stored (encode.augmented = 0)",
            hint="--set encode.augmented=7",
        )
    codec = codecs.load(job.input("codec"), job.device)
    return Material(part(training), part(held_out), copies, parameters, codec)


def _augments(job: Job) -> bool:
    """Whether the generator learns from moved images and is told how they were moved."""
    return bool(getattr(job.settings, "augment", False))


def _build(job: Job, material: Material) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(job))
        labels = material.training.labels.shape[1]
        return generators.build(job.settings, code=material.codec.code, labels=labels).to(job.device)


def _loss(job: Job, model: Any, material: Material) -> LossOf:
    """Posteriors are sampled, and a copy of the image is chosen, anew each time it comes by.

    Who learns from moved copies is told how they were moved, so that what it draws is not (Karras et al. 2022, F.2).
    """
    copies, labels, codec = material.copies, material.training.labels, material.codec
    parameters = torch.from_numpy(material.parameters)

    def loss(rows: torch.Tensor, draws: Draws) -> Loss:
        copy = (draws.uniform() * copies.shape[1]).long()
        raw = torch.from_numpy(copies[rows.numpy(), copy.numpy()]).to(job.device)
        clean = codec.latents(raw, draws.normal(*codec.code.shape).to(job.device))
        moved = parameters[rows, copy].to(job.device) if _augments(job) else None
        return model.loss(clean, labels[rows].to(job.device), draws, moved)

    return loss


def _hooks(job: Job, material: Material) -> Hooks:
    def preview(model: Any, step: int) -> None:
        _preview(job, model, material, step)

    if not job.settings.watch_every or not material.held_out.cohort.samples:
        return Hooks(preview)
    watch = Watch(
        material.training, material.held_out, material.codec, job.settings.watch_images, _seed(job), job.device
    )
    return Hooks(preview, watch.look, partial(judge, settings=job.settings), job.settings.watch_every)


def _notes(job: Job, material: Material, fitted: Fitted) -> tuple[str, ...]:
    if fitted.looks:
        return remarks(fitted, job.settings)
    if job.settings.watch_every and not material.held_out.cohort.samples:
        return (f"Fold {job.fold} has no selection patients: nobody watched whether the generator copies images.",)
    return ()


def _place(job: Job) -> Place:
    name = f"train-generator {job.kind}, fold {job.fold}"
    return Place(job.out, _seed(job), name, job.device, job.world, job.progress, job.say)


def _seed(job: Job) -> int:
    return seeds.derive(job.recipe.seed, "generator", job.kind, job.fold)


def _rows(pictures: np.ndarray) -> list[np.ndarray]:
    return [pictures[first : first + COLUMNS] for first in range(0, len(pictures), COLUMNS)]


def _preview(job: Job, model: Any, material: Material, step: int) -> None:
    """The same seeds at every step; a row for each of the commonest label vectors, the commonest first.

    Where masks are drawn, too, they stand below their images.
    """
    vectors, counts = np.unique(material.training.labels.numpy(), axis=0, return_counts=True)
    chosen = vectors[np.argsort(-counts, kind="stable")[:ROWS]]
    wanted = torch.from_numpy(chosen).repeat_interleave(COLUMNS, dim=0)
    draws = row_draws([seeds.derive(job.recipe.seed, "preview", i) for i in range(len(wanted))])
    made = material.codec.decode(model.sample(wanted, draws, Sampling.of(job.recipe.expand)))
    rows = _rows(images.to_pixels(codecs.colours(material.codec, made)))
    if material.codec.picture.masks:
        masks = _rows(images.to_masks(codecs.lesions(material.codec, made)).repeat(rows[0].shape[3], axis=3))
        rows = [row for pair in zip(rows, masks, strict=True) for row in pair]
    (job.out / "previews").mkdir(exist_ok=True)
    images.write_png(job.out / "previews" / f"step-{step:07d}.png", images.grid(rows))
