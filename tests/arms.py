"""A run directory with 24 tiny drawn images, in which arms of the classifier can be trained within a second or two."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import Cohort, Facts, Sample
from medsynth.data import images
from medsynth.job import Job, Result
from medsynth.recipe import Classify, Recipe
from medsynth.rundir import Artifact, RunDirectory
from medsynth.stages import classify

SIZE = 16
LABELS = ("spots", "bars")
QUICK = Classify(steps=3, batch_size=8, warmup_steps=0, learning_rate=1e-3, evaluate_every=1, log_every=1)
HELD_OUT = {"0": ("P05",), "1": ("P04",)}  # of the patients that the other fold tests
FACTS = Facts(labels=LABELS, one_class=False, image_size=SIZE, folds=2, selection=HELD_OUT, mirror=True)


def picture(labels: tuple[int, ...], seed: int, channels: int = 3) -> np.ndarray:
    """Dark noise; white spots for the first label, a white bar for the second."""
    dice = np.random.default_rng(seed)
    pixels = dice.integers(20, 90, (SIZE, SIZE, channels), dtype=np.uint8)
    if labels[0]:
        pixels[dice.integers(0, SIZE, 6), dice.integers(0, SIZE, 6)] = 255
    if labels[1]:
        pixels[dice.integers(2, SIZE - 3) :][:2] = 200
    return pixels


def write_cohort(folder: Path, facts: Facts = FACTS, *, eyes: bool = True) -> Cohort:
    """24 images: 6 patients, of whom 3 are tested in each fold, 2 eyes a patient, 2 images an eye."""
    (folder / "images").mkdir(parents=True)
    samples = []
    for i in range(24):
        patient, eye = i // 4, i // 2
        labels = (eye % 2, int(eye in (0, 3, 8, 11)))
        if facts.one_class:
            labels = tuple(np.eye(len(facts.labels), dtype=int)[(eye + patient) % len(facts.labels)].tolist())
        path = folder / "images" / f"s{i:02d}.png"
        images.write_png(path, picture(labels, i, facts.channels))
        whose = {"patient": f"P{patient:02d}", "eye": ("left", "right")[eye % 2] if eyes else "", "fold": patient % 2}
        samples.append(Sample(sample=f"s{i:02d}", image=path, labels=labels, **whose))
    whole = Cohort(facts, tuple(samples))
    cohort.save(folder, whole)
    return whole


def expand(folder: Path, training: Cohort, change: Callable[[Sample], Sample] = lambda s: s) -> None:
    """One synthetic image for every sample, as the expand stage writes them."""
    (folder / "images").mkdir(parents=True)
    made = []
    for i, source in enumerate(training.samples):
        name = f"{source.sample}-geca-0"
        path = folder / "images" / f"{name}.png"
        images.write_png(path, picture(source.labels, 100 + i, training.facts.channels))
        sample = Sample(sample=name, patient="", image=path, labels=source.labels, origin="synthetic")
        made.append(change(replace(sample, label_source=source.sample)))
    cohort.save(folder, Cohort(replace(training.facts, selection={}, notes=()), tuple(made)))


class Runs:
    """A run directory with a cohort, in which arms are trained."""

    def __init__(self, root: Path, facts: Facts = FACTS, *, eyes: bool = True) -> None:
        self.directory = RunDirectory(root)
        self.cohort = write_cohort(root / "ingest", facts, eyes=eyes)

    def expand(self, change: Callable[[Sample], Sample] = lambda s: s) -> "Runs":
        expand(self.directory.artifact("expand", 0, "geca").folder, self.cohort.training(0), change)
        return self

    def job(self, arm: str, settings: Classify = QUICK, *, place: str = "out") -> Job:
        inputs: list[Artifact] = [self.directory.artifact("ingest")]
        if arm not in ("real", "real+geometric"):
            inputs.append(self.directory.artifact("expand", 0, "geca"))
        out = self.directory.root / place / arm
        out.mkdir(parents=True, exist_ok=True)
        return Job(Recipe(), tuple(inputs), out, 0, arm, lambda _name, _done, _total: None, settings=settings)

    def train(self, arm: str, settings: Classify = QUICK, *, place: str = "out") -> tuple[Path, Result]:
        job = self.job(arm, settings, place=place)
        return job.out, classify.run(job)
