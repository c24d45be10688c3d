"""cohort (+ an expansion) -> a classifier, what it says of the fold's test patients, and how well that fits the truth.

One run is one arm: one choice of what is learned from. All arms of a fold start from the same weights and take the same
number of optimiser steps. Which step's weights are kept is decided on the selection patients, never on test patients.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medsynth import arms, classifier, codecs, seeds
from medsynth.arms import Arm
from medsynth.artifacts import cohort, files, latents, predictions, scores
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.artifacts.scores import Score
from medsynth.classifier import Classifier, Plan
from medsynth.data.loading import ImageSet, labels_of
from medsynth.draws import Draws, step_draws
from medsynth.errors import BadData, BadUsage, MissingStep, Refused
from medsynth.job import Job, Result
from medsynth.material import Material, Reconstructions, gathered
from medsynth.metrics.classification import Rated, Task, left_out, macro_auc, measure
from medsynth.metrics.verdicts import Part, Training, verdict
from medsynth.order import batch_rows
from medsynth.rundir import RECORD
from medsynth.shapes import Images, Loss
from medsynth.training import Fitted, Hooks, Look, LossOf, Place, Verdict, fit, foretell

CALIBRATION_IMAGES = 256  # so many are enough to measure the means and deviations of the batch-norm layers
PIXELS_AT_ONCE = 1 << 20  # in one pass of prediction


def run(job: Job) -> Result:
    """Train one arm of one fold, predict its test patients, score the predictions.

    Raises Refused for an expansion that would leak, BadUsage for settings under which arms cannot be compared, BadData
    for a fold without images, and what importing weights raises.
    """
    assert job.kind is not None
    assert job.fold is not None
    _check_comparable(job)
    everyone = cohort.load(job.input("ingest"))
    training, selection, testing = (getattr(everyone, part)(job.fold) for part in ("training", "selection", "testing"))
    if not training.samples or not testing.samples:
        missing = "test" if training.samples else "train"
        raise BadData(f"fold {job.fold} has no images to {missing} on", hint="fewer folds: medsynth ingest --folds N")
    material = gather(job, training)
    model, start = prepare(job, training, material)
    fitted = train(job, model, material, selection)
    said = model.probabilities(logits_of(model, ImageSet(testing.samples), job.device))
    predictions.save(job.out, testing, job.fold, said.numpy())
    if selection.samples:
        chosen_on = model.probabilities(logits_of(model, ImageSet(selection.samples), job.device))
        predictions.save(job.out, selection, job.fold, chosen_on.numpy(), predictions.SELECTION)
    found, notes = evaluate(job.out, everyone, job.settings.fewest_patients)
    scores.save(job.out, found)
    facts = {"arm": job.kind, "fold": job.fold, "labels": everyone.facts.labels, "weights_at_start": start}
    classifier.save(job.out, model, facts)
    if job.settings.weights is not None:
        notes.append("The classifier started from imported weights: which patients these have seen is not known here.")
    if not selection.samples:
        notes.append(f"Fold {job.fold} has no selection patients: the weights after the last step were kept.")
    return Result(_summary(job, material, fitted, start, found), training.patients_hash(), (*fitted.notes(), *notes))


def forecast(job: Job) -> dict[str, Any]:
    """What training one arm would take."""
    _check_comparable(job)
    assert job.fold is not None
    training = cohort.load(job.input("ingest")).training(job.fold)
    material = gather(job, training)
    model, _start = prepare(job, training, material)
    loss = loss_of(job, model, material)
    return foretell(model, loss, items=len(material), settings=job.settings, place=place_of(job))


def _check_comparable(job: Job) -> None:
    for name in ("minutes", "epochs"):
        if (value := getattr(job.settings, name)) is not None:
            raise BadUsage(
                f"classify.{name} = {value}, but arms can only be compared after equally many steps",
                hint="--set classify.steps=600",
            )
    if job.settings.batch_size < 2:
        raise BadUsage("classify.batch_size = 1, but batch-norm needs 2", hint="--set classify.batch_size=32")


def gather(job: Job, training: Cohort) -> Material:
    """What the job's arm learns from. Raises Refused for an expansion that would leak."""
    arm = arm_of(job)
    return gathered(
        arm, training.samples, synthetic_samples(job, training) if arm.generator else (),
        seed=seed_of(job, "shuffle"), mirror=training.facts.mirror, device=job.device, copies=job.recipe.expand.factor,
        reconstructions=reconstructions(job, training) if arm.reconstructed else None,
    )  # fmt: skip


def arm_of(job: Job) -> Arm:
    return arms.named(str(job.kind), job.recipe.generator.kind)


def seed_of(job: Job, purpose: str) -> int:
    """Of one training: the same for every arm of a fold, another one for every repeat."""
    repeat = arm_of(job).repeat
    return seeds.derive(job.recipe.seed, "classify", job.fold, purpose, *([repeat] if repeat else []))


def reconstructions(job: Job, training: Cohort) -> Reconstructions:
    """The training images as the fold's codec stored them, to be decoded again."""
    posteriors, _ = latents.load(job.input("encode")).rows([s.sample for s in training.samples], most=1)
    return Reconstructions(codecs.load(job.input("codec"), job.device), posteriors[:, 0], job.device)


def synthetic_samples(job: Job, training: Cohort) -> tuple[Sample, ...]:
    """The samples of the job's expansion. Raises Refused unless each has the labels of a sample the fold trains on."""
    if len(job.all("expand")) != 1:
        raise MissingStep(f"{job.kind} needs the images of one generator", hint=f"medsynth expand --fold {job.fold}")
    (expansion,) = job.all("expand")
    made, whose = cohort.load(expansion.folder), {s.sample: s for s in training.samples}

    def refusal(problem: str) -> Refused:
        again = f"medsynth expand --model {expansion.kind} --fold {job.fold} --force"
        return Refused(f"{expansion.name}: {problem}", hint=again)

    if not made.samples:
        raise refusal("it holds no images")
    for name in ("labels", "one_class", "channels", "image_size"):
        ours, theirs = getattr(training.facts, name), getattr(made.facts, name)
        if ours != theirs:
            raise refusal(f"{name} is {theirs} there, {ours} in the real images")
    for s in made.samples:
        source = whose.get(s.label_source)
        if s.origin != "synthetic" or source is None:
            raise refusal(f"{s.sample} has the labels of {s.label_source or 'none'}, which the fold does not train on")
        if s.labels != source.labels:
            raise refusal(f"{s.sample} has other labels than {source.sample}, whose labels it should have")
    return made.samples


def prepare(job: Job, training: Cohort, material: Material) -> tuple[Classifier, str]:
    """The classifier before its first step, the same for every arm of a fold, and where its weights are from."""
    # Of the real images where there are some; a control that may not see any takes the synthetic ones.
    mean, deviation = pixel_statistics(material.pictures, material.real or len(material.pictures))
    facts = training.facts
    plan = Plan(facts.channels, len(facts.labels), facts.one_class, mean, deviation)
    model = classifier.build(plan, seed_of(job, "init"))
    if job.settings.weights is None:
        return model, "from scratch"
    path = Path(job.settings.weights).expanduser()
    refuse_foreign(path, training)
    classifier.import_weights(model, path)
    return model, f"{path.name}, sha256 {files.sha256(path)[:12]}"


def refuse_foreign(path: Path, training: Cohort) -> None:
    """Raise Refused for weights of a run that say they have seen other patients than the fold's training patients."""
    record = path.parent / RECORD
    if record.is_file() and files.read_json(record).get("trained_on") != training.patients_hash():
        raise Refused(
            f"{path} was trained on other patients than this fold's training patients: "
            "it may have seen those that it would be tested on",
            hint="weights of this very fold, or of images that are not in this run, by --weights; or none",
        )


def pixel_statistics(images: ImageSet, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel over the first `count` images."""
    sums, pixels = torch.zeros(2, 1, dtype=torch.float64), 0
    for rows in torch.arange(count).split(256):
        some = images.tensor(rows).double()
        sums = sums + torch.stack([some.sum(dim=(0, 2, 3)), some.square().sum(dim=(0, 2, 3))])
        pixels += some[:, 0].numel()
    mean, square = sums / pixels
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    # A channel that never changes is left at its size.
    return tuple(mean.tolist()), tuple(torch.where(deviation > 1e-3, deviation, 1.0).tolist())


def train(job: Job, model: Classifier, material: Material, selection: Cohort) -> Fitted:
    """Fit, keep the weights that do best on the selection patients, and leave the model ready to predict."""
    held_out, truth = ImageSet(selection.samples), labels_of(selection.samples)

    def look(_: nn.Module) -> Look:
        calibrate(job, model, material)
        logits = logits_of(model, held_out, job.device)
        area = macro_auc(Rated("image", truth.long().numpy(), model.probabilities(logits).numpy()))
        lost = model.loss(logits, truth).item()
        # few patients often tie: then the lower loss decides
        return {"score": -lost if area is None else area - 1e-6 * lost}

    hooks = Hooks(look=look, judge=best, look_every=job.settings.evaluate_every) if selection.samples else None
    loss = loss_of(job, model, material)
    fitted = fit(model, loss, items=len(material), settings=job.settings, place=place_of(job), hooks=hooks)
    calibrate(job, model, material)
    return fitted


def best(looks: list[Look]) -> Verdict:
    """Keep the weights of the highest score, the first among equals."""
    *earlier, now = (look["score"] for look in looks)
    return Verdict(keep=all(now > score for score in earlier))


def loss_of(job: Job, model: Classifier, material: Material) -> LossOf:
    def loss(rows: Tensor, draws: Draws) -> Loss:
        return model.loss(model(material.batch(rows, draws)), material.truth(rows))

    return loss


def place_of(job: Job) -> Place:
    """The same random numbers for every arm of a fold."""
    seed = seed_of(job, "fit")
    name = f"classify {job.kind}, fold {job.fold}"
    return Place(job.out, seed, name, job.device, job.world, job.progress, job.say)


def calibrate(job: Job, model: Classifier, material: Material) -> None:
    """Measure batch-norm anew, on some full batches of what is trained on: always the same ones."""
    items, size = len(material), job.settings.batch_size
    seed = seed_of(job, "calibration")

    def batch(part: int) -> Images:
        return material.batch(batch_rows(seed, items, part * size, size), step_draws(seeds.derive(seed, part), size))

    classifier.recalibrate(model, map(batch, range(math.ceil(min(items, CALIBRATION_IMAGES) / size))))


def logits_of(model: Classifier, images: ImageSet, device: str) -> Tensor:
    """What the classifier says of every image: logits, (image, label), float32 on the CPU."""
    model.eval()
    at_once = max(1, PIXELS_AT_ONCE // images.tensor([0])[0, 0].numel())
    parts = torch.arange(len(images)).split(at_once)
    with torch.no_grad():
        return torch.cat([model(images.tensor(rows).to(device)).float().cpu() for rows in parts])


def evaluate(folder: Path, everyone: Cohort, fewest: int) -> tuple[dict[str, Score], list[str]]:
    """Scores of the predictions in a folder, and sentences that name the labels which could not be scored.

    Of every unit that the cohort knows. Mean or maximum of an eye's images, and thresholds beside 0.5, are chosen on
    the selection patients, if there are any.
    """
    said, facts = predictions.load(folder), everyone.facts
    held_out = (folder / predictions.SELECTION).is_file()
    chosen_on = predictions.load(folder, predictions.SELECTION) if held_out else None
    training = Training(said.probability, chosen_on.probability if chosen_on else None)
    task = Task(facts.labels, facts.one_class, facts.ordinal)
    found: dict[str, Score] = {}
    notes = []
    for unit in everyone.units:
        test, selection = (Part.of(unit, p.truth, p.patients, p.eyes) if p else None for p in (said, chosen_on))
        assert test is not None
        tested = verdict(test, selection, training, unit, task)
        found |= measure(tested.rated, task, tested.thresholds, fewest)
        notes += [sentence] if (sentence := left_out(tested.rated, task, fewest)) else []
    return found, notes


def _summary(job: Job, material: Material, fitted: Fitted, start: str, found: dict[str, Score]) -> dict[str, Any]:
    return {
        "arm": job.kind,
        "real_images": material.real,
        "synthetic_images": material.synthetic,
        "weights_at_start": start,
        "steps": fitted.steps,
        "best_step": fitted.kept_step,
        **{name: round(score.value, 4) for name, score in found.items() if name.endswith(".auc")},
    }
