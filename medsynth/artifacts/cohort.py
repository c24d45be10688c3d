"""A cohort: images, labels, patients and folds. Real and synthetic cohorts share the format.

manifest.csv   one row an image: sample,patient,eye,image,mask,origin,fold, one 0/1 column a label, and for synthetic
               images label_source, the real sample whose labels they carry
cohort.json    what is true of all of them
"""

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from medsynth.artifacts import files, formats
from medsynth.errors import BadData

MANIFEST, FACTS, IMAGES, MASKS = "manifest.csv", "cohort.json", "images", "masks"
FIXED_COLUMNS = ("sample", "patient", "eye", "image", "mask", "origin", "fold")
SOURCE_COLUMN = "label_source"
MOST = 100_000  # pixels a side, or folds: what is more is damage
NO_FOLD = -1  # synthetic samples belong to no fold: they may never be tested on
A_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}")  # of a sample: files are named after it


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with its labels."""

    sample: str  # its name: unique, safe as a file name
    patient: str
    image: Path
    labels: tuple[int, ...]  # 0 or 1, in the order of Facts.labels
    eye: str = ""  # "" where the cohort has no eyes
    mask: Path | None = None
    origin: str = "real"  # or "synthetic"
    fold: int = NO_FOLD
    label_source: str = ""  # of a synthetic sample: the real one whose labels it carries


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is true of every image of a cohort."""

    labels: tuple[str, ...]
    one_class: bool  # exactly one label is 1 in every row
    ordinal: bool = False  # the classes are grades, in the order of `labels`
    channels: int = 3  # 1 is grey
    image_size: int  # pixels a side
    folds: int = 1  # fold numbers 0 to folds - 1 are tested
    selection: dict[str, tuple[str, ...]] = field(default_factory=dict)  # fold -> patients on whom choices are made
    crop: str = ""  # how a picture became a square, in words
    mirror: bool = False  # a mirrored image is as plausible as the image
    has_patients: bool = True  # False: every image was taken for a patient of its own
    source: str = ""  # name of the file or folder it was read from
    notes: tuple[str, ...] = ()  # what a reader of results has to know, in sentences

    def check(self) -> None:
        """Raise ValueError where one of them is of another kind than it has to be."""
        patients = [patient for held_out in self.selection.values() for patient in held_out]
        texts = (*self.labels, *self.notes, *patients, self.crop, self.source)
        flags = (self.one_class, self.ordinal, self.mirror, self.has_patients)
        numbers = (self.image_size, self.folds)
        if not all(type(n) is int and 0 < n <= MOST for n in numbers) or self.channels not in (1, 3) or not self.labels:
            raise ValueError("sizes, channels, folds and labels are not what they have to be")
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(flag, bool) for flag in flags):
            raise ValueError("a text or a flag is something else")


@dataclass(frozen=True)
class Cohort:
    """Samples that share one set of facts. A fold splits it into three parts that have no patient in common."""

    facts: Facts
    samples: tuple[Sample, ...]

    def training(self, fold: int) -> "Cohort":
        """What anything of this fold may learn from."""
        held_out = set(self.facts.selection.get(str(fold), ()))
        return self._part(s for s in self.samples if s.fold != fold and s.patient not in held_out)

    def selection(self, fold: int) -> "Cohort":
        """Patients outside the tested fold on which a choice may be made: a checkpoint, a threshold."""
        held_out = set(self.facts.selection.get(str(fold), ()))
        return self._part(s for s in self.samples if s.fold != fold and s.patient in held_out)

    def testing(self, fold: int) -> "Cohort":
        """The patients that nothing of this fold may see before the end. Only ever real samples."""
        return self._part(s for s in self.samples if s.fold == fold and s.origin == "real")

    @property
    def units(self) -> tuple[str, ...]:
        """What is scored, the weightiest last: images, and eyes, or patients where it knows patients but no eyes."""
        if any(s.eye for s in self.samples):
            return "image", "eye"
        return ("image", "patient") if self.facts.has_patients else ("image",)

    def patients(self) -> list[str]:
        return sorted({s.patient for s in self.samples})

    def patients_hash(self) -> str:
        """The mark of a set of patients, as it is kept in `trained_on`."""
        return patients_hash(self.patients())

    def counts(self) -> dict[str, int]:
        """Positive images of each label."""
        return {name: sum(s.labels[i] for s in self.samples) for i, name in enumerate(self.facts.labels)}

    def _part(self, samples: Iterable[Sample]) -> "Cohort":
        return replace(self, samples=tuple(samples))


def evenly(samples: Sequence[Any], most: int) -> tuple[Any, ...]:
    """At most so many of them, from the first on and evenly spaced: no draw, so no seed."""
    kept = min(len(samples), most)
    return tuple(samples[i * len(samples) // kept] for i in range(kept))


def patients_hash(patients: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps(sorted(set(patients))).encode()).hexdigest()


def save(folder: Path, cohort: Cohort) -> None:
    """Write the manifest and the facts. Image paths are written relative to `folder`."""
    synthetic = any(s.origin == "synthetic" for s in cohort.samples)
    check(cohort.samples)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED_COLUMNS, *cohort.facts.labels, *([SOURCE_COLUMN] if synthetic else [])])
    for s in cohort.samples:
        image, mask = (str(p.relative_to(folder).as_posix()) if p else "" for p in (s.image, s.mask))
        row = [s.sample, s.patient, s.eye, image, mask, s.origin, s.fold if s.fold != NO_FOLD else "", *s.labels]
        writer.writerow([*row, *([s.label_source] if synthetic else [])])
    files.write_text(folder / MANIFEST, text.getvalue())
    files.write_json(folder / FACTS, {formats.VERSION: formats.VERSIONS[FACTS], **asdict(cohort.facts)})


def load(folder: Path) -> Cohort:
    """Read a cohort back.

    Raises BadData where the manifest leaks between folds, names a file outside its folder or cannot be understood,
    Refused for one of a later medsynth.
    """
    hint = "the command of its step with --force"
    with files.whole(folder / FACTS, hint):
        known = files.read_json(folder / FACTS)
        formats.refuse_later(folder, {FACTS: known.pop(formats.VERSION, 1)})
        known["selection"] = {fold: tuple(patients) for fold, patients in known["selection"].items()}
        facts = Facts(**known | {name: tuple(known[name]) for name in ("labels", "notes")})
        facts.check()
    with files.whole(folder / MANIFEST, hint), (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
        samples = tuple(_sample(folder, row, facts.labels) for row in csv.DictReader(file, strict=True))
        _refuse_links(folder, samples)
    check(samples)
    return Cohort(facts, samples)


def _sample(folder: Path, row: dict[str, str], labels: tuple[str, ...]) -> Sample:
    found = Sample(
        sample=row["sample"],
        patient=row["patient"],
        eye=row["eye"],
        image=_inside(folder, row["image"]),
        mask=_inside(folder, row["mask"]) if row["mask"] else None,
        origin=row["origin"],
        fold=int(row["fold"]) if row["fold"] else NO_FOLD,
        labels=tuple(int(row[name]) for name in labels),
        label_source=row.get(SOURCE_COLUMN, ""),
    )
    if not A_NAME.fullmatch(found.sample) or found.origin not in ("real", "synthetic"):
        raise ValueError(f"the sample {found.sample!r} of origin {found.origin!r}")
    if found.fold < NO_FOLD or not set(found.labels) <= {0, 1} or None in row.values() or None in row:
        raise ValueError(f"the row of the sample {found.sample!r}")
    return found


def _inside(folder: Path, text: str) -> Path:
    """A file of a cohort. Raises ValueError for a path that leaves its folder, or that no file can have."""
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in text or ":" in text or "\0" in text:
        raise ValueError(f"the path {text!r} does not stay in the folder")
    return folder / path


def _refuse_links(folder: Path, samples: Sequence[Sample]) -> None:
    """Raise ValueError where a link leads from the cohort's folder to somewhere else."""
    paths = [path for s in samples for path in (s.image, s.mask) if path]
    root = os.path.realpath(folder)
    for parent in {path.parent for path in paths}:
        if os.path.commonpath([root, os.path.realpath(parent)]) != root:
            raise ValueError(f"the folder {parent.name!r} is a link to somewhere else")
    for path in paths:
        if os.path.islink(path):
            raise ValueError(f"{path.name!r} is a link")


def check(samples: Iterable[Sample]) -> None:
    """Refuse a cohort that would leak between folds or that has two samples of one name."""
    fold_of: dict[str, int] = {}
    names: set[str] = set()
    for s in samples:
        if s.sample in names:
            raise BadData(f"the sample {s.sample} is there twice", hint="medsynth ingest --force")
        names.add(s.sample)
        if s.origin == "synthetic":
            if s.fold != NO_FOLD:
                raise BadData(f"the synthetic sample {s.sample} is in fold {s.fold}: it could be tested on")
            continue
        if fold_of.setdefault(s.patient, s.fold) != s.fold:
            raise BadData(
                f"patient {s.patient} is in folds {fold_of[s.patient]} and {s.fold}",
                hint="every image of a patient belongs to one fold: check the patient column; medsynth ingest --force",
            )
