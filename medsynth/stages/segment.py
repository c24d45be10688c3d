"""cohort with masks -> a segmenter, its masks of the fold's test patients, and how well they fit.

One run is one variant. It learns from the fold's training patients; the threshold between what is looked for and the
rest is chosen on the selection patients, and nothing is chosen on test patients.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsynth import cost, seeds, segmenters
from medsynth.artifacts import checkpoint, cohort, scores, segmentations
from medsynth.artifacts.cohort import Cohort, Sample, evenly
from medsynth.artifacts.scores import Score
from medsynth.artifacts.segmentations import MASKS, Found
from medsynth.cost import Lap
from medsynth.data import augment, images
from medsynth.data.loading import ImageSet, MaskSet
from medsynth.draws import Draws
from medsynth.errors import BadData
from medsynth.job import Job, Result
from medsynth.masking import Masker
from medsynth.metrics import ensembles, masks, segmentation
from medsynth.metrics.measured import Bootstrap
from medsynth.metrics.segmentation import Judged
from medsynth.shapes import Loss
from medsynth.training import Fitted, LossOf, Place, fit, foretell

THRESHOLDS = np.linspace(0.05, 0.95, 19)
THRESHOLD = 0.5  # where nobody was set aside to choose it on


@dataclass(frozen=True)
class Parts:
    """The images with masks of a fold."""

    training: Cohort
    selection: Cohort  # as many of them as the threshold is chosen on
    testing: Cohort  # as many of them as are tested


def run(job: Job) -> Result:
    """Train one variant, choose its threshold, segment the fold's test images, score the masks.

    Raises BadData for a cohort or a fold without masks.
    """
    cost.forget_peak(job.device)
    parts = parts_of(job)
    model = build(job, parts)
    items, trained_on = len(parts.training.samples), parts.training.patients_hash()
    fitted = fit(model, loss_of(job, model, parts), items=items, settings=job.settings, place=place_of(job))
    summary = _training_cost(job, fitted)
    if job.world.is_first:
        masker = Masker(model.eval(), job.device)
        threshold = choose(job, masker, parts.selection)
        tested = test(job, masker, parts.testing, threshold)
        segmentations.save(job.out, tested.rows)
        scores.save(job.out, tested.scores(seeds.derive(job.recipe.seed, "segment", job.fold, "bootstrap")))
        facts = {"variant": job.kind, "combine": job.settings.combine, "threshold": threshold}
        segmenters.save(job.out, model, job.settings, channels=parts.training.facts.channels, facts=facts)
        checkpoint.remove(job.out)
        summary = {"variant": job.kind, "images": items, "tested": len(tested.rows), "threshold": threshold,
                   **tested.summary(), **tested.cost, **summary}  # fmt: skip
    job.world.wait()
    return Result(summary, trained_on, (*fitted.notes(), *_notes(job, parts)))


def forecast(job: Job) -> dict[str, Any]:
    """What training one variant would take."""
    parts = parts_of(job)
    model = build(job, parts)
    loss, items = loss_of(job, model, parts), len(parts.training.samples)
    return foretell(model, loss, items=items, settings=job.settings, place=place_of(job))


def parts_of(job: Job) -> Parts:
    """What the job learns from, chooses on and is tested on. Raises BadData where there are no masks."""
    assert job.fold is not None
    everyone = cohort.load(job.input("ingest"))
    if not any(s.mask for s in everyone.samples):
        raise BadData(
            "the images of this run have no masks, and masks are what is learned here",
            hint="medsynth ingest SOURCE --mask COLUMN --run ANOTHER-DIRECTORY",
        )
    training, selection, testing = (
        _with_masks(part(job.fold)) for part in (everyone.training, everyone.selection, everyone.testing)
    )
    if not training.samples or not testing.samples:
        missing = "test" if training.samples else "train"
        raise BadData(f"fold {job.fold} has no masks to {missing} on", hint="fewer folds: medsynth ingest --folds N")
    asked = job.settings.tested_images or len(testing.samples)
    return Parts(training, _at_most(selection, job.settings.selection_images), _at_most(testing, asked))


def _with_masks(part: Cohort) -> Cohort:
    return replace(part, samples=tuple(s for s in part.samples if s.mask))


def _at_most(part: Cohort, images: int) -> Cohort:
    return replace(part, samples=evenly(part.samples, images)) if part.samples else part


def build(job: Job, parts: Parts) -> Any:
    """The segmenter before its first step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(job.recipe.seed, "segment", job.kind, job.fold, "init"))
        return segmenters.build(job.settings, channels=parts.training.facts.channels).to(job.device)


def loss_of(job: Job, model: Any, parts: Parts) -> LossOf:
    """An image and its mask are moved together."""
    pictures, truths = ImageSet(parts.training.samples), MaskSet(parts.training.samples)
    mirror = parts.training.facts.mirror

    def loss(rows: Tensor, draws: Draws) -> Loss:
        seen, truth = pictures.tensor(rows).to(job.device), truths.tensor(rows).to(job.device)
        if job.settings.augment:
            moves = augment.draw_moves(draws, mirror=mirror)
            seen, truth = augment.apply(seen, moves), (augment.apply(truth, moves) >= 0.5).float()
        value: Loss = model.loss(seen, truth, draws)
        return value

    return loss


def place_of(job: Job) -> Place:
    """All variants of a fold see the same images in the same order."""
    seed = seeds.derive(job.recipe.seed, "segment", job.fold, "fit")
    return Place(job.out, seed, f"segment {job.kind}, fold {job.fold}", job.device, job.world, job.progress)


def _runs(job: Job, masker: Masker, samples: tuple[Sample, ...], doing: str) -> Any:
    """Of each sample in turn, probabilities (run, row, column)."""
    seeded = [seeds.derive(job.recipe.seed, "segment", job.fold, s.sample) for s in samples]
    name = f"segment {job.kind}, fold {job.fold}: {doing}"
    return masker.runs(ImageSet(samples).tensor, seeded, lambda done: job.progress(name, done, len(samples)))


def _truths(samples: tuple[Sample, ...]) -> np.ndarray:
    """(sample, row, column), bool"""
    return (MaskSet(samples).tensor(range(len(samples)))[:, 0] > 0).numpy()


def choose(job: Job, masker: Masker, selection: Cohort) -> float:
    """The threshold under which the selection patients' masks fit best, for the way in which runs are combined."""
    if not selection.samples:
        return THRESHOLD
    truths, fits = _truths(selection.samples), np.zeros(len(THRESHOLDS))
    for runs, truth in zip(_runs(job, masker, selection.samples, "threshold"), truths, strict=True):
        fits += [masks.dice(ensembles.combined(runs, job.settings.combine, float(t)), truth) for t in THRESHOLDS]
    return float(round(masks.nearest_to_even(THRESHOLDS, fits), 2))


@dataclass(frozen=True)
class Tested:
    """What was found in the test images."""

    rows: list[Found]
    ways: dict[str, list[float]]  # way to combine runs -> Dice of each image
    common: np.ndarray  # pixels that are in both masks, (image,)
    sizes: np.ndarray  # pixels of the one mask and of the other, added up, (image,)
    failure: float
    cost: dict[str, float]

    def scores(self, seed: int) -> dict[str, Score]:
        """Names as they are in scores.json, with intervals over patients."""
        column = {name: np.array([getattr(row, name) for row in self.rows]) for name in ("dice", "iou", "hd95")}
        patients, n = np.array([row.patient for row in self.rows]), len(self.rows)
        judged = Judged(patients, **column, common=self.common, sizes=self.sizes)
        measured = segmentation.scores(judged, Bootstrap(seed))
        found = {
            f"image.{name}": Score(of.value, n, "image", of.ci_low, of.ci_high, seed) for name, of in measured.items()
        }
        found |= {f"image.dice.{way}": Score(float(np.mean(dice)), n, "image") for way, dice in self.ways.items()}
        failed = column["dice"] < self.failure
        found["image.failed"] = Score(float(failed.mean()), n, "image")
        quality = [row.nqm for row in self.rows if row.nqm is not None]
        if quality:
            found["image.nqm"] = Score(float(np.mean(quality)), n, "image")
            found["image.nqm_auc"] = Score(ensembles.failure_auc(np.array(quality), failed), n, "image")
        return found

    def summary(self) -> dict[str, float]:
        return {name: round(float(np.mean([getattr(row, name) for row in self.rows])), 4) for name in ("dice", "iou")}


def test(job: Job, masker: Masker, testing: Cohort, threshold: float) -> Tested:
    """Segment the test images, write their masks, and compare these with the true ones."""
    cost.forget_peak(job.device)
    (job.out / MASKS).mkdir(exist_ok=True)
    rows, pixels, count = [], [], 1
    ways: dict[str, list[float]] = {way: [] for way in ensembles.WAYS}
    truths, lap = _truths(testing.samples), Lap(job.device)
    everything = list(_runs(job, masker, testing.samples, "masks"))
    lap.mark()
    for sample, runs, truth in zip(testing.samples, everything, truths, strict=True):
        count = len(runs)
        found = {way: ensembles.combined(runs, way, threshold) for way in ensembles.WAYS}
        for way, mask in found.items():
            ways[way].append(masks.dice(mask, truth))
        mask = found[job.settings.combine]
        images.write_png(job.out / MASKS / f"{sample.sample}.png", mask[..., None].astype(np.uint8) * 255, synced=False)
        rows.append(_row(job, sample, mask, truth, runs))
        pixels.append(((mask & truth).sum(), mask.sum() + truth.sum()))
    common, sizes = np.array(pixels, dtype=np.float64).T
    spent = masker.cost(truths.shape[1:], count) | {
        "seconds_per_image": float(f"{lap.seconds() / len(rows):.4g}"), **cost.peak_memory(job.device),
    }  # fmt: skip
    return Tested(rows, ways, common, sizes, job.settings.failure, spent)


def _row(job: Job, sample: Sample, mask: np.ndarray, truth: np.ndarray, runs: np.ndarray) -> Found:
    assert job.fold is not None
    return Found(
        sample=sample.sample, patient=sample.patient, eye=sample.eye, fold=job.fold,
        true_area=float(truth.mean()), area=float(mask.mean()), dice=masks.dice(mask, truth),
        iou=masks.iou(mask, truth), hd95=masks.hd95(mask, truth), nqm=ensembles.nqm(runs) if len(runs) > 1 else None,
    )  # fmt: skip


def _training_cost(job: Job, fitted: Fitted) -> dict[str, Any]:
    peak = {f"training_{name}": value for name, value in cost.peak_memory(job.device).items()}
    return {"steps": fitted.steps, "seconds_per_step": float(f"{fitted.seconds / max(1, fitted.steps):.4g}"), **peak}


def _notes(job: Job, parts: Parts) -> tuple[str, ...]:
    if parts.selection.samples:
        return ()
    return (f"Fold {job.fold} has no selection patients with masks: the threshold is {THRESHOLD}.",)
