"""cohort with masks -> a segmenter, its masks of the fold's test patients, and how well they fit.

One run is one variant. It learns from the fold's training patients; the threshold between what is looked for and the
rest is chosen on the selection patients, and nothing is chosen on test patients.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsynth import cost, seeds, segmenters
from medsynth.artifacts import cohort, scores, segmentations
from medsynth.artifacts.cohort import Cohort, Sample, evenly
from medsynth.data import augment
from medsynth.data.loading import ImageSet, MaskSet
from medsynth.draws import Draws
from medsynth.errors import BadData
from medsynth.job import Job, Result
from medsynth.judged import Judgement, Rule
from medsynth.masking import Masker
from medsynth.metrics import ensembles, masks
from medsynth.shapes import Loss
from medsynth.training import Fitted, LossOf, Place, fit, foretell
from medsynth.variants import parted

THRESHOLDS = np.linspace(0.05, 0.95, 19)
THRESHOLD = 0.5  # where nobody was set aside to choose it on


@dataclass(frozen=True)
class Parts:
    """The images with masks of a fold."""

    training: Cohort
    selection: Cohort  # as many of them as the threshold is chosen on
    testing: Cohort  # as many of them as are tested
    trained_on: str  # the mark of the fold's training patients: of all, as every stage of the fold carries it
    bare: int  # images of the cohort without a mask, which are left out
    synthetic: tuple[Sample, ...] = ()  # images and masks that a generator of the fold drew

    @property
    def learned(self) -> tuple[Sample, ...]:
        """What is learned from."""
        return self.training.samples + self.synthetic


def run(job: Job) -> Result:
    """Train one variant, choose its threshold, segment the fold's test images, score the masks.

    Raises BadData for a cohort or a fold without masks.
    """
    cost.forget_peak(job.device)
    parts = parts_of(job)
    model = build(job, parts)
    loss, items = loss_of(job, model, parts), len(parts.learned)
    fitted = fit(model, loss, items=items, settings=_lasting(job, parts), place=place_of(job))
    summary = {"variant": job.kind, "images": len(parts.training.samples), **_training_cost(job, fitted)}
    summary |= {"synthetic_images": len(parts.synthetic)} if parts.synthetic else {}
    if job.world.is_first:
        summary |= _judge(job, Masker(model.eval(), job.device), parts)
    job.world.wait()
    return Result(summary, parts.trained_on, (*fitted.notes(), *_notes(job, parts)))


def _lasting(job: Job, parts: Parts) -> Any:
    """Epochs are of the real images: with synthetic ones beside them a segmenter takes as many steps as without."""
    epochs = job.settings.epochs
    if epochs is None:
        return job.settings
    share = len(parts.training.samples) / len(parts.learned)
    return job.settings.model_copy(update={"epochs": epochs * share})


def _judge(job: Job, masker: Masker, parts: Parts) -> dict[str, Any]:
    """Choose the threshold, test, write all of it; a few facts for people."""
    chosen = choose(job, masker, parts.selection)
    cost.forget_peak(job.device)
    masker.images, masker.seconds = 0, 0.0
    tested = test(job, masker, parts.testing, chosen)
    found = tested.scores(seeds.derive(job.recipe.seed, "segment", job.fold, "bootstrap"))
    segmentations.save(job.out, tested.rows)
    scores.save(job.out, found)
    training = parts.training.facts
    facts = {
        "variant": job.kind, "image_size": training.image_size, "crop": _crop(job), "combine": job.settings.combine,
        **asdict(chosen), "chosen_on": len(parts.selection.samples),
    }  # fmt: skip
    segmenters.save(job.out, masker.model, job.settings, channels=training.channels, facts=facts)
    return {
        "tested": len(tested.rows),
        "threshold": chosen.threshold,
        **{name: round(found[f"image.{name}"].value, 4) for name in ("dice", "iou", "hd95")},
        "runs": tested.runs,
        **masker.cost((training.image_size, training.image_size), tested.runs),
        "peak_megabytes_of_one": round(masker.megabytes(ImageSet(parts.testing.samples[:1]).tensor([0])), 1),
        **cost.peak_memory(job.device),
    }


def _crop(job: Job) -> str:
    """How pictures became squares: a segmenter is shown others in the same way."""
    (ingest,) = job.all("ingest")
    return str(ingest.record()["settings"]["crop"])


def forecast(job: Job) -> dict[str, Any]:
    """What training one variant would take."""
    parts = parts_of(job)
    model = build(job, parts)
    loss, items = loss_of(job, model, parts), len(parts.learned)
    return foretell(model, loss, items=items, settings=_lasting(job, parts), place=place_of(job))


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
    return Parts(
        training, _at_most(selection, job.settings.selection_images), _at_most(testing, asked),
        trained_on=everyone.training(job.fold).patients_hash(), bare=sum(s.mask is None for s in everyone.samples),
        synthetic=_synthetic(job),
    )  # fmt: skip


def _synthetic(job: Job) -> tuple[Sample, ...]:
    """The synthetic images that are learned from beside the real ones. Raises BadData where they have no masks."""
    generator = parted(str(job.kind))[1]
    if not generator:
        return ()
    made = cohort.load(job.input("expand")).samples
    if not all(s.mask for s in made):
        raise BadData(
            f"the synthetic images of {generator} have no masks",
            hint=f"medsynth train-generator --model {generator} --with-masks; then medsynth expand --model {generator}",
        )
    return made


def _with_masks(part: Cohort) -> Cohort:
    return replace(part, samples=tuple(s for s in part.samples if s.mask))


def _at_most(part: Cohort, images: int) -> Cohort:
    return replace(part, samples=evenly(part.samples, images)) if part.samples else part


def build(job: Job, parts: Parts) -> Any:
    """The segmenter before its first step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(job.recipe.seed, "segment", parted(str(job.kind))[0], job.fold, "init"))
        return segmenters.build(job.settings, channels=parts.training.facts.channels).to(job.device)


def loss_of(job: Job, model: Any, parts: Parts) -> LossOf:
    """An image and its mask are moved together."""
    pictures, truths = ImageSet(parts.learned), MaskSet(parts.learned)
    mirror = parts.training.facts.mirror

    def loss(rows: Tensor, draws: Draws) -> Loss:
        seen, truth = pictures.tensor(rows).to(job.device), truths.tensor(rows).to(job.device)
        if job.settings.augment:
            moves = augment.draw_moves(draws, mirror=mirror)
            with torch.autocast(seen.device.type, enabled=False):  # half a pixel is too much to be rounded away
                seen, truth = augment.apply(seen, moves), (augment.apply(truth, moves) >= 0.5).float()
        value: Loss = model.loss(seen, truth, draws)
        return value

    return loss


def place_of(job: Job) -> Place:
    """All variants of a fold see the same images in the same order."""
    seed = seeds.derive(job.recipe.seed, "segment", job.fold, "fit")
    name = f"segment {job.kind}, fold {job.fold}"
    return Place(job.out, seed, name, job.device, job.world, job.progress, job.say)


def _runs(job: Job, masker: Masker, samples: tuple[Sample, ...], doing: str) -> Iterator[np.ndarray]:
    """Of each sample in turn, probabilities (run, row, column)."""
    seeded = [seeds.derive(job.recipe.seed, "segment", job.fold, s.sample) for s in samples]
    name = f"segment {job.kind}, fold {job.fold}: {doing}"
    return masker.runs(ImageSet(samples).tensor, seeded, lambda done: job.progress(name, done, len(samples)))


def _truth(truths: MaskSet, row: int) -> np.ndarray:
    """(row, column), bool"""
    return (truths.tensor([row])[0, 0] > 0).numpy()


@dataclass(frozen=True)
class Chosen:
    """What the selection patients decide."""

    threshold: float = THRESHOLD
    nqm_limit: float | None = None  # of the quality score: above it a mask is doubtful; None: nothing is random


def choose(job: Job, masker: Masker, selection: Cohort) -> Chosen:
    """The threshold under which the selection patients' masks fit best, for the way in which runs are combined."""
    if not selection.samples:
        return Chosen()
    truths, fits, quality = MaskSet(selection.samples), [], []
    for row, runs in enumerate(_runs(job, masker, selection.samples, "threshold")):
        truth = _truth(truths, row)
        fits.append([masks.dice(ensembles.combined(runs, job.settings.combine, float(t)), truth) for t in THRESHOLDS])
        quality.append(ensembles.nqm(runs) if len(runs) > 1 else None)
    threshold = masks.nearest_to_even(THRESHOLDS, np.sum(fits, axis=0))
    failed = np.array(fits)[:, int(np.argmin(np.abs(THRESHOLDS - threshold)))] < job.settings.failure
    known = np.array([score for score in quality if score is not None])
    limit = ensembles.failure_limit(known, failed) if len(known) == len(failed) else None
    return Chosen(float(round(threshold, 2)), limit)


def test(job: Job, masker: Masker, testing: Cohort, chosen: Chosen) -> Judgement:
    """Segment the test images, and compare what is found with their true masks."""
    assert job.fold is not None
    rule = Rule(job.settings.combine, chosen.threshold, job.settings.failure)
    judgement, truths = Judgement(job.out, job.fold, rule), MaskSet(testing.samples)
    for row, runs in enumerate(_runs(job, masker, testing.samples, "masks")):
        judgement.add(testing.samples[row], runs, _truth(truths, row))
    return judgement


def _training_cost(job: Job, fitted: Fitted) -> dict[str, Any]:
    peak = {f"training_{name}": value for name, value in cost.peak_memory(job.device).items()}
    return {"steps": fitted.steps, "seconds_per_step": float(f"{fitted.seconds / max(1, fitted.steps):.4g}"), **peak}


def _notes(job: Job, parts: Parts) -> tuple[str, ...]:
    said = []
    if parts.bare:
        of = len(cohort.load(job.input("ingest")).samples)
        bare = f"{parts.bare} of {of} images {'has' if parts.bare == 1 else 'have'} no mask"
        said.append(
            f"{bare} and {'is' if parts.bare == 1 else 'are'} left out; name a black one where there is no lesion."
        )
    if not parts.selection.samples:
        said.append(f"Fold {job.fold} has no selection patients with masks: the threshold is {THRESHOLD}.")
    return tuple(said)
