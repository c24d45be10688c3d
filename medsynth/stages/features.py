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
from medsynth.artifacts.cohort import Sample
from medsynth.artifacts.features import SIDE, Features
from medsynth.artifacts.scores import Score
from medsynth.chain import REAL, THROUGH
from medsynth.data import images
from medsynth.data.loading import ImageSet, labels_of
from medsynth.job import Job, Result
from medsynth.metrics import reconstruction
from medsynth.metrics.classification import Rated, macro_auc
from medsynth.shapes import Images


def forecast(job: Job) -> dict[str, Any]:
    """How many images are to be seen."""
    return {"images": len(_samples(job))}


@torch.no_grad()
def run(job: Job) -> Result:
    """Extract the features of one set. Raises MissingWeights where the extractor's file is missing or another one."""
    assert job.fold is not None
    everyone, samples = cohort.load(job.input("ingest")), _samples(job)
    extractor = extractors.load(job.settings, fold=job.fold, classifier=job.input("classify")).to(job.device)
    # Only real images are known to a generator, and known as their mirror images, too, where it learns from these.
    mirror = everyone.facts.mirror and job.kind == REAL
    toll = Toll(job) if _through(job) else None
    values, mirrored, small = [], [], []
    for batch in _batches(job, samples, masks=toll is not None and toll.codec.picture.masks):
        seen = batch if toll is None else toll.back(batch)
        values.append(extractor.features(seen).float().cpu().numpy())
        if mirror:
            mirrored.append(extractor.features(seen.flip(3)).float().cpu().numpy())
        small.append(images.to_pixels(_small(seen)))
    found = Features(
        samples=tuple(s.sample for s in samples), values=np.concatenate(values),
        mirrored=np.concatenate(mirrored) if mirror else None, pixels=np.concatenate(small), extractor=extractor.name,
    )  # fmt: skip
    features.save(job.out, found)
    summary = {"images": len(samples), "extractor": extractor.name, "features": found.values.shape[1]}
    if toll is not None:
        tested = {s.sample for s in everyone.testing(job.fold).samples}
        lost = toll.scores(samples, np.array([s.sample in tested for s in samples]))
        scores.save(job.out, lost)
        summary |= {name: round(score.value, 4) for name, score in lost.items()}
    return Result(summary, everyone.training(job.fold).patients_hash(), _remarks(job, extractor))


def _through(job: Job) -> bool:
    return str(job.kind).startswith(THROUGH)


def _samples(job: Job) -> tuple[Sample, ...]:
    everyone = cohort.load(job.input("ingest"))
    if job.kind == REAL:
        return everyone.samples
    if _through(job):
        assert job.fold is not None
        return everyone.selection(job.fold).samples + everyone.testing(job.fold).samples
    return cohort.load(job.input("expand")).samples


def _batches(job: Job, samples: Sequence[Sample], *, masks: bool) -> Iterator[Images]:
    """The pictures of the set, on the job's device."""
    pixels = ImageSet(samples, masks=masks)
    for rows in torch.arange(len(samples)).split(job.settings.batch_size):
        yield pixels.tensor(rows).to(job.device)
        job.progress(f"features {job.kind}, fold {job.fold}", int(rows[-1]) + 1, len(samples))
        interrupt.check()


def _small(batch: Images) -> Images:
    side = min(SIDE, batch.shape[2])
    return torch.nn.functional.interpolate(batch, size=(side, side), mode="area")


class Toll:
    """What a codec loses of images: to the eye, and to the fold's classifier of real images."""

    def __init__(self, job: Job) -> None:
        self.codec = codecs.load(job.input("codec"), job.device)
        self.judge = classifier.load(job.input("classify")).to(job.device).eval()
        self.psnr: list[np.ndarray] = []
        self.ssim: list[np.ndarray] = []
        self.dice: list[np.ndarray] = []
        self.said: dict[str, list[np.ndarray]] = {"auc": [], "auc_reconstructed": []}

    def back(self, batch: Images) -> Images:
        """Images as the codec gives them back, rounded as stored images are; what they lost is taken down."""
        pair = batch, codecs.reconstruct(self.codec, batch)
        true, made = (images.to_pixels(codecs.colours(self.codec, each)) for each in pair)
        if self.codec.picture.masks:
            masks = (images.to_masks(codecs.lesions(self.codec, each)) for each in pair)
            self.dice.append(reconstruction.lesion_dice(*masks))
        batch, back = codecs.colours(self.codec, batch), images.to_images(made).to(batch.device)
        self.psnr.append(reconstruction.peak_signal_to_noise(true, made))
        self.ssim.append(reconstruction.structural_similarity(true, made))
        for name, seen in (("auc", batch), ("auc_reconstructed", back)):
            self.said[name].append(self.judge.probabilities(self.judge(seen)).cpu().numpy())
        return back

    def scores(self, samples: Sequence[Sample], tested: np.ndarray) -> dict[str, Score]:
        """Of those of all images, in their order, that are tested, (image,)."""
        means = {"psnr": np.concatenate(self.psnr)[tested].mean(), "ssim": np.concatenate(self.ssim)[tested].mean()}
        truth = labels_of(samples).long().numpy()[tested]
        for name, parts in self.said.items():
            area = macro_auc(Rated("image", truth, np.concatenate(parts)[tested]))
            means |= {} if area is None else {name: area}
        found = {f"test.{name}": Score(float(value), n=len(truth), unit="image") for name, value in means.items()}
        overlap = np.concatenate(self.dice)[tested] if self.dice else np.empty(0)
        overlap = overlap[np.isfinite(overlap)]
        if len(overlap):
            found["test.mask_dice"] = Score(float(overlap.mean()), n=len(overlap), unit="image with a lesion")
        return found


def _remarks(job: Job, extractor: Any) -> tuple[str, ...]:
    if job.settings.extractor != extractors.OWN:
        return ()
    return (
        f"Images are compared as {extractor.name} sees them, the fold's own classifier of real images: numbers by it "
        "can be compared within this fold of this run, and with nothing else.",
    )
