"""Labels -> PNG files: how much of the time the network runs, and what decoding and writing beside it gain.

    python benchmarks/expansion.py [--threads N] [--rounds N]

Compared with the plain form, which is kept here only: draw a batch, decode it, write and sync file after file, then the
next batch. The generators are barely trained: what they draw is noise, and takes as long as anything else.
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import measure
import torch

from medsynth import codecs, generators, pipeline, recipe
from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import IMAGES
from medsynth.cost import Spent
from medsynth.data import images
from medsynth.data.drawn import draw_cohort
from medsynth.data.loading import labels_of
from medsynth.draws import row_draws
from medsynth.job import Job
from medsynth.rundir import RunDirectory
from medsynth.sampling import Sampling
from medsynth.stages import expand

CASES = [("geca", 32), ("dit", 32)]  # kind of generator, pixels a side
BATCH, BATCHES = 32, 3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TEXT = """# Expansion, from labels to PNG files

Network share: the part of the whole time in which the generator ran. One after the other: draw, decode, write and
sync each file, next batch. Overlapped: as `medsynth expand` does it. Undisturbed share: seconds of the network with
nothing beside it, over the whole time of the overlapped form; where all cores are busy anyway, decoding beside the
network slows it down, and only this share shows that. Faster: whole time of the one over that of the other, medians
of the rounds, the lowest and highest round in brackets. Whole times include loading the models."""


@dataclass
class Case:
    """One generator that draws the same images again and again, in two ways."""

    job: Job
    wanted: list[expand.Wanted]
    shares: dict[str, list[float]]
    network: list[float]  # seconds undisturbed

    def one_after_the_other(self) -> None:
        self._clear()
        started, network = time.perf_counter(), 0.0
        generator = generators.load(self.job.input("generator"), DEVICE)
        codec = codecs.load(self.job.input("codec"), DEVICE)
        for first in range(0, len(self.wanted), BATCH):
            batch = self.wanted[first : first + BATCH]
            began = time.perf_counter()
            labels, draws = labels_of([w.sample for w in batch]), row_draws([w.seed for w in batch])
            with torch.no_grad():
                latents = generator.sample(labels, draws, Sampling.of(self.job.settings))
                measure.settle()
                network += time.perf_counter() - began
                pixels = images.to_pixels(codec.decode(latents))
            for w, one in zip(batch, pixels, strict=True):
                images.write_png(w.sample.image, one)
        self.network.append(network)
        self.shares["one after the other"].append(network / (time.perf_counter() - started))

    def overlapped(self) -> None:
        self._clear()
        started = time.perf_counter()
        expand.run(self.job)
        spent = Spent.together(self.job.out)
        self.shares["overlapped"].append(spent.network_seconds / (time.perf_counter() - started))

    def _clear(self) -> None:
        shutil.rmtree(self.job.out, ignore_errors=True)
        (self.job.out / IMAGES).mkdir(parents=True)


def prepared(root: Path, kind: str, size: int) -> Case:
    """A run with a codec and a generator of one step, ready to be expanded."""
    source = draw_cohort(root / "drawn", patients=16, seed=0, size=size)
    words = [
        f"ingest.source={recipe.toml_value(str(source))}", 'ingest.labels=["haemorrhages","exudates"]',
        'ingest.mask="mask"', f"ingest.image_size={size}", "ingest.folds=2", f'generator.kind="{kind}"',
        "codec.steps=1", "generator.steps=1", "generator.preview_every=0", f"expand.batch_size={BATCH}",
    ]  # fmt: skip
    asked, run = recipe.parse("", words), RunDirectory(root / "run")
    run.save_recipe(recipe.dump(asked))
    options = pipeline.Options(device=DEVICE)
    pipeline.execute(run, asked, "ingest", options=options)
    pipeline.execute(run, asked, "generator", folds=[0], options=options)
    codec = next(kind for kind in run.kinds("codec", 0))
    inputs = (run.artifact("ingest"), run.artifact("codec", 0, codec), run.artifact("generator", 0, kind))
    training = cohort.load(inputs[0].folder).training(0)
    factor = -(-BATCH * BATCHES // len(training.samples))
    settings = asked.settings("expand", kind).model_copy(update={"factor": factor})
    job = Job(asked, inputs, root / "out", 0, kind, lambda *_: None, device=DEVICE, settings=settings)
    return Case(job, expand.plan(job, training), {"one after the other": [], "overlapped": []}, [])


def compared(kind: str, size: int, rounds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row of the table, and the numbers behind it."""
    with tempfile.TemporaryDirectory() as folder:
        case = prepared(Path(folder), kind, size)
        found = measure.interleaved(case.one_after_the_other, case.overlapped, rounds)
        plain, ours = (median(shares[-rounds:]) for shares in case.shares.values())
        undisturbed = median(case.network[-rounds:]) / found.b_seconds
    sampling = Sampling.of(case.job.settings)
    row = {
        "generator": f"{kind} {case.job.recipe.settings('generator', kind).size}",
        "pixels": size,
        "images": len(case.wanted),
        "steps": f"{sampling.sampler}, {sampling.steps}",
        "network share, one after the other": f"{plain:.1%}",
        "network share, overlapped": f"{ours:.1%}",
        "undisturbed share": f"{undisturbed:.1%}",
        "faster": found.shown(),
    }
    facts = {"share_plain": round(plain, 4), "share_overlapped": round(ours, 4), "undisturbed": round(undisturbed, 4)}
    return row, {"generator": kind, "pixels": size, "images": len(case.wanted), **facts, **found.facts()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    found = [compared(kind, size, asked.rounds) for kind, size in CASES]
    measure.write("expansion", TEXT, [row for row, _ in found], {"batch_size": BATCH, "cases": [f for _, f in found]})


if __name__ == "__main__":
    main()
