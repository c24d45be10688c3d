"""A generator that has seen the test patients: what refuses it, what finds it -> docs/benchmarks/leakage.json, .md.

    python benchmarks/leakage.py eyepacs/labels.csv FOLDER [--quick]

The table has a row an image: image, patient_id, eye, level. A few patients are dealt to training, selection and test.
One generator learns from the training patients; another one from the same and the test patients, with the selection
patients of both unseen. The second one is put into the first one's run. What FOLDER holds already is used again.
"""

import argparse
import csv
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from studio import Studio, of_recipe

from medsynth import pipeline, recipe, seeds
from medsynth.artifacts import cohort, features, files, scores
from medsynth.artifacts.cohort import Sample
from medsynth.data.loading import ImageSet, labels_of
from medsynth.errors import Refused
from medsynth.membership import Knower, draw_seeds
from medsynth.metrics.appearance import appearance
from medsynth.metrics.measured import Bootstrap, Measured, PerImage
from medsynth.metrics.membership import membership_auc
from medsynth.metrics.memorisation import Space, compare
from medsynth.metrics.memorisation import measure as memorised
from medsynth.metrics.nearest import Known
from medsynth.pipeline import Options
from medsynth.rundir import RECORD, Artifact, RunDirectory

KIND = "dit"
PARTS = {"train": 40, "test": 30, "valid": 30, "reserve": 12}  # patients
REASON = "a demonstration of what the audit finds"
SETTINGS = (
    "ingest.image_size=64", "ingest.official_split=part", "ingest.classes=['none = 0', 'some = 1 + 2 + 3 + 4']",
    "ingest.mirror=false", "codec.factor=16", "codec.steps=120", "generator.kind=dit", "generator.steps=1800",
    "generator.watch_every=0", "generator.preview_every=0", "classify.steps=30", "classify.evaluate_every=10",
    "expand.factor=5", "evaluate.bootstrap=200", "evaluate.pairs=40", "evaluate.reference_draws=5",
    "audit.membership_images=40",
)  # fmt: skip
QUICK = ("codec.steps=5", "generator.steps=5", "classify.steps=4", "expand.factor=1", "expand.sampling_steps=2")
BOOTSTRAP = Bootstrap(0, 1000)

TEXT = """# A generator that has seen the test patients

Fundus photographs of EyePACS, 64 pixels a side: {patients} patients. `honest` learned from the training patients alone.
`leaking` is as large, learned as long, from the training patients and the test patients; the selection patients are
unknown to both. Both were trained without looks at whether they copy (`generator.watch_every=0`), which would have
ended their training early, on purpose.

{refused}

With `--force-leak "{reason}"` each goes on; everything made then carries the mark `leak` and a sentence that its scores
are no valid evidence. Then, how much of each part a generator knows, beside the selection patients, of whom it knows
nothing: c05 is the share of its images that are closer to an image of the part than all but 5 % of selection patients'
images are (5 % is expected of a generator that knows nobody of the part); the AUC says how well the generator's loss
tells the part from the selection patients (0.5: not at all), for test patients with the loss of `honest` taken off,
which has seen neither.

The audit of a run asks this of the training patients, and cannot tell whether the test patients were seen, too: that is
what the marks are for. Where it is doubted, the test patients are put in the place of the training patients, as here.
"""


@dataclass(frozen=True)
class Planted:
    """The run of an honest generator, and a copy of it with a generator that has seen the test patients."""

    honest: Studio
    leaking: Studio

    @classmethod
    def of(cls, table: Path, folder: Path, *more: str) -> "Planted":
        """Train what is not there yet."""
        honest = _trained(folder / "honest", _dealt(table, folder, "honest"), *more)
        seen = _trained(folder / "seen", _dealt(table, folder, "seen", train=("train", "test"), test="reserve"), *more)
        for stage, kinds in (("expand", [KIND]), ("classify", ["real"])):
            honest.done(stage, kinds)
        root = folder / "leaking"
        if not root.exists():
            shutil.copytree(honest.run.root, root)
            for stage, kind in (("codec", "kl"), ("encode", "kl"), ("generator", KIND)):
                _put(seen.run.artifact(stage, 0, kind), RunDirectory(root).artifact(stage, 0, kind))
            shutil.rmtree(root / "fold-0" / "expand")
        return cls(honest, Studio(RunDirectory(root), honest.base))

    def force(self, stage: str, kind: str) -> str:
        """Do a stage with what leaks; the sentence that refuses it without a reason."""
        run = self.leaking.run
        asked = recipe.parse(run.recipe_text(), [*self.leaking.base])
        said = "it was not refused"
        try:
            pipeline.execute(run, asked, stage, folds=[0], kinds=[kind], options=Options(force=True))
        except Refused as refusal:
            said = str(refusal)
        if not run.artifact(stage, 0, kind).exists():
            pipeline.execute(run, asked, stage, folds=[0], kinds=[kind], options=Options(leak=REASON))
        assert run.artifact(stage, 0, kind).record()["leak"]["reason"] == REASON
        return said


def _dealt(table: Path, folder: Path, name: str, train: Sequence[str] = ("train",), test: str = "test") -> Path:
    """A table of the patients of three parts, with the column `part`, its images beside it."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    patients = np.random.default_rng(seeds.derive(0, "leakage")).permutation(sorted({r["patient_id"] for r in rows}))
    ends = np.cumsum([*PARTS.values()])
    of = dict(zip(patients[: ends[-1]], np.repeat([*PARTS], [*PARTS.values()]), strict=True))
    named = dict.fromkeys(train, "train") | {"valid": "valid", test: "test"}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient_id", "eye", "level", "part"])
        for row in rows:
            if (part := named.get(of.get(row["patient_id"], ""))) is not None:
                copy = folder / "images" / Path(row["image"]).name
                shutil.copyfile(table.parent / row["image"], copy)
                writer.writerow([f"images/{copy.name}", row["patient_id"], row["eye"], row["level"], part])
    return path


def _put(source: Artifact, target: Artifact) -> None:
    """Let one artifact stand for another one, as if it were the answer to what was asked there: all but its mark of
    the patients that it has seen."""
    asked = {name: target.record()[name] for name in ("id", "made", "inputs")}
    shutil.rmtree(target.folder)
    shutil.copytree(source.folder, target.folder)
    files.write_json(target.folder / RECORD, source.record() | asked)


def _trained(folder: Path, table: Path, *more: str) -> Studio:
    studio = of_recipe(folder, "eyepacs", f"ingest.source={table.resolve()}", *SETTINGS, *more)
    studio.done("generator", [KIND])
    return studio


def closeness(studio: Studio, part: Sequence[Sample], new: Sequence[Sample]) -> Iterator[tuple[str, Measured]]:
    """c05 of a generator's images, to one part beside another one, in both spaces."""
    stored = {kind: features.load(studio.run.artifact("features", 0, kind).folder) for kind in ("real", KIND)}
    made = stored[KIND]
    known, others = (stored["real"].of([s.sample for s in some]) for some in (part, new))
    owners, of_new = (np.array([s.patient for s in some]) for some in (part, new))
    for name, look in (("features", lambda of: of.values), ("appearance", lambda of: appearance(of.pixels))):
        space = Space(Known(look(known)[:, None], owners), look(made), look(others), of_new)
        yield name, memorised(compare(space), BOOTSTRAP)["c05"]


def known_by_loss(of: Knower, reference: Knower | None, part: Sequence[Sample], new: Sequence[Sample]) -> Measured:
    """How well a generator's loss tells a part from others; less that of a reference, where there is one."""

    def values(some: Sequence[Sample]) -> PerImage:
        pictures, labels, found = ImageSet(some), labels_of(some), []
        for row in range(len(some)):
            asked = pictures.tensor([row]), labels[row : row + 1], draw_seeds(0)
            found.append(of.score(*asked) - (reference.score(*asked) if reference else 0.0))
        return PerImage(np.array(found), np.array([s.patient for s in some]))

    return membership_auc(values(part), values(new), BOOTSTRAP)


def rows_of(planted: Planted) -> list[dict[str, Any]]:
    """A line for every generator and part."""
    everyone = cohort.load(planted.honest.run.artifact("ingest").folder)
    training, tested, new = (getattr(everyone, part)(0).samples for part in ("training", "testing", "selection"))
    knows = {
        name: Knower.load(
            studio.run.artifact("generator", 0, KIND).folder, studio.run.artifact("codec", 0, "kl").folder
        )
        for name, studio in (("honest", planted.honest), ("leaking", planted.leaking))
    }
    found = []
    for name, studio in (("honest", planted.honest), ("leaking", planted.leaking)):
        for part, samples in (("training patients", training), ("test patients", tested)):
            reference = knows["honest"] if (name, part) == ("leaking", "test patients") else None
            close = dict(closeness(studio, samples, new))
            found.append({
                "generator": name, "asked about": part,
                **{f"c05, {space}": _shown(c05) for space, c05 in close.items()},
                "AUC of the loss": _shown(known_by_loss(knows[name], reference, samples, new)),
            })  # fmt: skip
    return found


def _shown(measured: Measured) -> str:
    """`0.12 (0.05 to 0.21)`."""
    between = f" ({measured.ci_low:.2f} to {measured.ci_high:.2f})" if measured.ci_low is not None else ""
    return f"{measured.value:.2f}{between}"


def main() -> None:
    """Train, plant, force, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="next to no training; nothing is kept")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    planted = Planted.of(asked.table, asked.folder, *(QUICK if asked.quick else ()))
    synthetic = "synthetic-only"
    stages = (("expand", KIND), ("classify", synthetic), ("evaluate", KIND), ("audit", KIND))
    said = {stage: planted.force(stage, kind) for stage, kind in stages}
    for stage, kind in stages[1:]:
        planted.honest.done(stage, [kind])
    rows = rows_of(planted)
    auc = {
        name: round(scores.load(studio.run.artifact("classify", 0, synthetic).folder)["eye.auc"].value, 3)
        for name, studio in (("honest", planted.honest), ("leaking", planted.leaking))
    }
    audits = {
        name: bool(studio.run.artifact("audit", 0, KIND).record()["summary"]["passed"])
        for name, studio in (("honest", planted.honest), ("leaking", planted.leaking))
    }
    refused = "Without a reason the planted generator is refused:\n\n" + "\n".join(
        f"- {stage}: {sentence}." for stage, sentence in said.items()
    )
    text = TEXT.format(patients=sum(PARTS.values()) - PARTS["reserve"], refused=refused, reason=REASON) + (
        f"\nClassifiers of synthetic images alone, AUC by eye on the test patients: {auc['honest']} by `honest`, "
        f"{auc['leaking']} by `leaking`, which is no evidence of anything.\n"
    )
    measure.write(
        "leakage", text, rows, {"refused": said, "synthetic_only_auc": auc, "audit_passed": audits, "rows": rows}
    )


if __name__ == "__main__":
    main()
