"""What judging images costs beside seeing them: CPU time and memory -> docs/benchmarks/evidence.json and evidence.md.

    python benchmarks/evidence.py FOLDER [--quick]

1,200 drawn photographs of 64 pixels stand for the real ones, 6,000 of other drawn patients for what a generator made;
then the stages do what they do in any run. What FOLDER holds already is used again. Codec and generator learn next to
nothing: what it takes to ask them does not depend on that.
"""

import argparse
import csv
import shutil
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import measure
import torch
from studio import Studio, of_recipe

from medsynth import plan, recipe
from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.data.drawn import draw_cohort

REAL, MADE, PIXELS = 1200, 6000, 64
FEWEST = 4  # photographs of a drawn patient
KIND, THROUGH = "geca", "through-kl"
SETTINGS = (
    f"ingest.image_size={PIXELS}", "ingest.folds=5", "codec.steps=1", "generator.steps=1", "generator.watch_every=0",
    "classify.steps=20", "classify.evaluate_every=10",
)  # fmt: skip
"""The rest is what the demo's recipe says."""

TEXT = """# What judging images costs beside seeing them

Fold 0 of five, {pixels} pixels a side. `features` sees every image once: the real ones and their mirror images, the
synthetic ones, and those of selection and test patients after they went through the codec and back. `evaluate` and
`audit` then work on what it kept, 1,000 resamples of patients for every interval. Part of `audit` is another kind of
work, and has a line of its own: asking the generator itself whether it knows an image (`audit.membership_images`),
which is the generator's own loss, {asked} images of ten noise levels each.

Seconds are those of the processor, of all threads together, so that a busy machine counts less. Memory is what the
process has in use at most, beyond what it had in use before the stage; the same with half as many images stands beside
it. That of features is what libraries and convolutions take when they are first used, whatever the number of images.
"""


@dataclass(frozen=True)
class Size:
    """How many images stand for real and for synthetic ones."""

    real: int
    made: int

    def studio(self, folder: Path) -> Studio:
        """A run with everything that features are extracted from."""
        clinic, strangers = (_drawn(folder / name, n, seed) for seed, (name, n) in enumerate(self._sets(), start=1))
        studio = of_recipe(folder / f"run-{self.real}", "demo", f"ingest.source={clinic.resolve()}", *SETTINGS)
        studio.done("generator", [KIND])
        studio.done("classify", ["real"])
        _put_in_place(studio, strangers)
        studio.judge.eval()  # loaded once: what it takes to load libraries is no part of a stage
        return studio

    def _sets(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return ("clinic", self.real), ("strangers", self.made)


def _drawn(folder: Path, images: int, seed: int) -> Path:
    """The table of so many drawn photographs."""
    table, part = folder / "labels.csv", folder / f"labels-{images}.csv"
    if not table.is_file():
        draw_cohort(folder, patients=images // FEWEST, seed=seed, size=PIXELS)
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    part.write_text("".join(lines[: 1 + images]), encoding="utf-8")
    return part


def _put_in_place(studio: Studio, table: Path) -> None:
    """Pictures of strangers as the images of a generator, each with the labels of a training image that has its own."""
    asked, expansion = recipe.parse(studio.run.recipe_text(), [*studio.base]), studio.run.artifact("expand", 0, KIND)
    if plan.is_current(studio.run, asked, expansion):
        return
    everyone = cohort.load(studio.run.artifact("ingest").folder)
    training = everyone.training(studio.fold)
    sources = {labels: cycle([s for s in training.samples if s.labels == labels]) for labels in _labels(training)}
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    id = plan.asked_id(studio.run, asked, expansion)
    scratch, samples = expansion.scratch(id), []
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "images").mkdir(parents=True)
    for number, row in enumerate(rows):
        labels = tuple(int(row[name]) for name in everyone.facts.labels)
        if labels not in sources:  # of a mixture of lesions that no training image has
            labels = training.samples[number % len(training.samples)].labels
        image = scratch / "images" / f"{number:05d}.png"
        shutil.copyfile(table.parent / row["image"], image)
        source = next(sources[labels]).sample
        samples.append(
            Sample(
                sample=f"made-{number:05d}", patient="", image=image, labels=labels, origin="synthetic",
                label_source=source,
            )
        )  # fmt: skip
    cohort.save(scratch, Cohort(training.facts, tuple(samples)))
    record = {
        "summary": {}, "notes": [], "trained_on": training.patients_hash(), "settings": asked.asked("expand", KIND),
        "seed": asked.seed, "inputs": {}, "seconds": 0.0,
    }  # fmt: skip
    expansion.publish(id, record)


def _labels(part: Cohort) -> set[tuple[int, ...]]:
    return {s.labels for s in part.samples}


@dataclass(frozen=True)
class Took:
    """CPU seconds of a stage, and megabytes that were in use at most beyond those before it."""

    seconds: float
    megabytes: float


def taken(studio: Studio, stage: str, kinds: list[str], *changes: str) -> Took:
    """Do a stage anew."""
    for kind in kinds:
        shutil.rmtree(studio.run.artifact(stage, studio.fold, kind).folder, ignore_errors=True)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew
    started = time.process_time()
    studio.done(stage, kinds, *changes)
    return Took(time.process_time() - started, _resident("VmHWM") - before)


def _resident(name: str) -> float:
    """Megabytes of main memory that this process has in use, or had at most (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith(name)]
    return int(kilobytes) / 1024


def judged(studio: Studio) -> dict[str, Took]:
    """Every line of the table, of one run."""
    found = {
        "features": taken(studio, "features", ["real", KIND, THROUGH]),
        "evaluate": taken(studio, "evaluate", [KIND]),
        "audit": taken(studio, "audit", [KIND], "audit.membership_images=0"),
    }
    whole = taken(studio, "audit", [KIND])
    asked = Took(whole.seconds - found["audit"].seconds, whole.megabytes)
    return found | {"audit: asking the generator": asked}


def kept(studio: Studio) -> float:
    """Megabytes of all features of a fold."""
    folder = studio.run.artifact("features", studio.fold, KIND).folder.parent
    return sum(path.stat().st_size for path in folder.rglob("*.npy")) / 2**20


def main() -> None:
    """Judge half of the images, then all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="a third of the images; nothing is kept")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    share = 3 if asked.quick else 1
    size, smaller = (Size(REAL // share // part, MADE // share // part) for part in (1, 2))
    whole, half = (each.studio(asked.folder) for each in (size, smaller))
    of_half, of_whole = judged(half), judged(whole)
    rows: list[dict[str, Any]] = [
        {
            "stage": name, "CPU seconds": round(took.seconds, 1), "MB": round(took.megabytes),
            "MB with half as many images": round(of_half[name].megabytes),
        }
        for name, took in of_whole.items()
    ]  # fmt: skip
    beyond = of_whole["evaluate"].seconds + of_whole["audit"].seconds
    sizes_kept = {"features_megabytes": round(kept(whole)), "features_megabytes_of_half": round(kept(half))}
    ratio = round(beyond / of_whole["features"].seconds, 2)
    member = recipe.parse(whole.run.recipe_text()).audit.membership_images
    text = TEXT.format(pixels=PIXELS, asked=2 * member) + (
        f"\n{size.real:,} real and {size.made:,} synthetic images. evaluate and audit together take {ratio} of "
        f"the time of features. The features take {sizes_kept['features_megabytes']} MB, with half as many images "
        f"{sizes_kept['features_megabytes_of_half']} MB.\n"
    )
    facts = {"real": size.real, "synthetic": size.made, "pixels": PIXELS, "evaluate_and_audit": ratio}
    measure.write("evidence", text, rows, facts | sizes_kept | {"rows": rows})


if __name__ == "__main__":
    main()
