"""images -> how a network sees them, extracted once for everything that is measured on them.

Three kinds of sets: `real`, every image of the cohort; a generator's, every synthetic image; `through-CODEC`, images of
the selection and test patients after they went through a codec and back, the ceiling of every generator on it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from medsynth import classifier, codecs, extractors, interrupt
from medsynth.artifacts import cohort, features, scores
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.artifacts.features import SIDE, Features
from medsynth.artifacts.scores import Score
from medsynth.chain import REAL, THROUGH
from medsynth.classifier import Classifier
from medsynth.data import images
from medsynth.data.loading import ImageSet, labels_of
from medsynth.job import Job, Result
from medsynth.metrics import reconstruction
from medsynth.metrics.classification import Rated, label_aucs
from medsynth.shapes import Images


def forecast(job: Job) -> dict[str, Any]:
    """How many images are to be seen."""
    return {"images": len(_samples(job))}


@torch.no_grad()
def run(job: Job) -> Result:
    """Extract the features of one set. Raises MissingWeights where the extractor's file is missing or another one."""
    everyone, samples = cohort.load(job.input("ingest")), _samples(job)
    extractor = extractors.load(job.settings, fold=job.fold, classifier=job.input("classify")).to(job.device)
    # Only real images are known to a generator, and known as their mirror images, too, where it learns from these.
    mirror = everyone.facts.mirror and job.kind == REAL
    values, mirrored, small = [], [], []
    for batch in _batches(job, samples):
        values.append(extractor.features(batch).float().cpu().numpy())
        if mirror:
            mirrored.append(extractor.features(batch.flip(3)).float().cpu().numpy())
        small.append(images.to_pixels(_small(batch)))
    found = Features(
        samples=tuple(s.sample for s in samples), values=np.concatenate(values),
        mirrored=np.concatenate(mirrored) if mirror else None, pixels=np.concatenate(small), extractor=extractor.name,
    )  # fmt: skip
    features.save(job.out, found)
    summary = {
        "images": len(samples),
        "extractor": extractor.name,
        "features": found.values.shape[1],
    }
    if str(job.kind).startswith(THROUGH):
        lost = _lost(job, everyone.testing(int(job.fold or 0)))
        scores.save(job.out, lost)
        summary |= {name: round(score.value, 4) for name, score in lost.items() if name.count(".") == 1}
    return Result(summary, everyone.training(int(job.fold or 0)).patients_hash(), _remarks(job, extractor))


def _samples(job: Job) -> tuple[Sample, ...]:
    everyone = cohort.load(job.input("ingest"))
    if job.kind == REAL:
        return everyone.samples
    if str(job.kind).startswith(THROUGH):
        assert job.fold is not None
        return everyone.selection(job.fold).samples + everyone.testing(job.fold).samples
    return cohort.load(job.input("expand")).samples


def _batches(job: Job, samples: Sequence[Sample]) -> Iterator[Images]:
    """The pictures of the set, on the job's device, after the codec where it is that kind of set."""
    codec = codecs.load(job.input("codec"), job.device) if str(job.kind).startswith(THROUGH) else None
    pixels = ImageSet(samples)
    for rows in torch.arange(len(samples)).split(job.settings.batch_size):
        batch = pixels.tensor(rows).to(job.device)
        yield batch if codec is None else through(codec, batch)
        job.progress(f"features {job.kind}, fold {job.fold}", int(rows[-1]) + 1, len(samples))
        interrupt.check()


def through(codec: Any, batch: Images) -> Images:
    """Images as a codec gives them back, rounded as images are when they are stored."""
    posterior = codec.encode(batch)
    back = codec.decode(codec.latents(posterior, torch.zeros(len(batch), *codec.code.shape, device=batch.device)))
    return images.to_images(images.to_pixels(back)).to(batch.device)


def _small(batch: Images) -> Images:
    side = min(SIDE, batch.shape[2])
    return torch.nn.functional.interpolate(batch, size=(side, side), mode="area")


def _lost(job: Job, testing: Cohort) -> dict[str, Score]:
    """What the codec loses of the test patients' images: to the eye, and to the fold's classifier of real images."""
    codec, judge = codecs.load(job.input("codec"), job.device), classifier.load(job.input("classify")).to(job.device)
    pixels, psnr, ssim, said = ImageSet(testing.samples), [], [], []
    for rows in torch.arange(len(pixels)).split(job.settings.batch_size):
        batch = pixels.tensor(rows).to(job.device)
        back = through(codec, batch)
        true, made = images.to_pixels(batch), images.to_pixels(back)
        psnr.append(reconstruction.peak_signal_to_noise(true, made))
        ssim.append(reconstruction.structural_similarity(true, made))
        said.append([_probabilities(judge, part) for part in (batch, back)])
    found = {
        "test.psnr": Score(float(np.concatenate(psnr).mean()), n=len(pixels), unit="image"),
        "test.ssim": Score(float(np.concatenate(ssim).mean()), n=len(pixels), unit="image"),
    }
    truth = labels_of(testing.samples).long().numpy()
    for name, parts in zip(("auc", "auc_reconstructed"), zip(*said, strict=True), strict=True):
        rated = Rated("image", truth, np.concatenate(parts))
        if rated.scorable().any():
            found[f"test.{name}"] = Score(float(label_aucs(rated).mean()), n=len(pixels), unit="image")
    return found


def _probabilities(judge: Classifier, batch: Images) -> np.ndarray:
    return judge.eval().probabilities(judge(batch)).cpu().numpy()


def _remarks(job: Job, extractor: Any) -> tuple[str, ...]:
    if job.settings.extractor != "resnet34":
        return ()
    return (
        f"Images are compared as {extractor.name} sees them, the fold's own classifier of real images: numbers by it "
        "can be compared within this fold of this run, and with nothing else.",
    )
