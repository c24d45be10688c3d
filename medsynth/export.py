"""A run's synthetic images -> a data set of their own: images with their labels, for others to train on.

What leaves the run has passed the audit, or somebody has taken the risk: the reason is written beside the images and
into the run, where the report shows it.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from medsynth import __version__, guards
from medsynth.artifacts import cohort, files
from medsynth.artifacts.cohort import Sample
from medsynth.data import secondary_capture
from medsynth.data.png import read
from medsynth.data.safe_text import cell
from medsynth.data.secondary_capture import Origin
from medsynth.errors import BadData, BadUsage, MissingStep, Refused
from medsynth.rundir import EXPORTS, LEAK, Artifact, RunDirectory

FORMATS = ("folder", "npz", "dicom")
METADATA, ABOUT = "metadata.csv", "about.json"
NOT_THERE = "name a folder that is not there yet"
LOOK = "look at the pairs in the report; then fewer steps"


@dataclass(frozen=True)
class Asked:
    """What is exported, and where to."""

    folder: Path
    model: str
    fold: int
    form: str = "folder"
    risk: str = ""  # why a set that has not passed its audit may leave all the same


def run(run: RunDirectory, asked: Asked) -> dict[str, Any]:
    """Write the set; facts for people. The folder appears when it is whole.

    Raises BadUsage for a format that there is not or a folder that holds something, MissingStep without synthetic
    images, Refused for a set that has not passed its audit, or that another one took the place of meanwhile.
    """
    if asked.form not in FORMATS:
        raise BadUsage(f"there is no format {asked.form!r}", hint=f"--format {' or '.join(FORMATS)}")
    asked = replace(asked, folder=asked.folder.resolve())
    if asked.folder == Path.cwd():
        raise BadUsage("this is the current directory, and the set takes its folder's place", hint=NOT_THERE)
    if asked.folder.exists() and any(asked.folder.iterdir() if asked.folder.is_dir() else [1]):
        raise BadUsage(f"{asked.folder} is there already", hint=NOT_THERE)
    expansion = run.artifact("expand", asked.fold, asked.model)
    if not expansion.exists():
        hint = run.typed(f"expand --model {asked.model} --fold {asked.fold}")
        raise MissingStep(f"fold {asked.fold} has no synthetic images of {asked.model}", hint=hint)
    with guards.exporting(run, expansion):
        return _export(run, asked, expansion)


def _export(run: RunDirectory, asked: Asked, expansion: Artifact) -> dict[str, Any]:
    answer = expansion.made
    expansion.verify(hint=run.typed(f"expand --model {asked.model} --fold {asked.fold} --force"))
    passed, why, then = _audited(run, asked)
    if not passed and not asked.risk.strip():
        raise Refused(why, hint=f'{then}, or --acknowledge-risk "REASON"')
    made = cohort.load(expansion.folder)
    scratch = asked.folder.with_name(f".{asked.folder.name}.{os.getpid()}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        files.make_folder(scratch)
        if asked.form == "npz":
            _npz(scratch, made.samples)
        else:
            origins = [Origin(answer, number, asked.model) for number in range(len(made.samples))]
            _folder(scratch, made.facts.labels, made.samples, origins if asked.form == "dicom" else None)
        facts = {
            "images": len(made.samples), "masks": sum(1 for s in made.samples if s.mask),
            "labels": list(made.facts.labels), "synthetic": True, "generator": asked.model,
            "medsynth": __version__, "made": answer, "audit_passed": passed, "audit": why,
            **({} if passed else {"risk_acknowledged": asked.risk.strip()}),
            **({LEAK: leak} if (leak := expansion.record().get(LEAK)) else {}),
        }  # fmt: skip
        files.write_json(scratch / ABOUT, facts)
        _refuse_another(run, asked, expansion, (answer, passed))
        if not passed:  # before the set is there: none leaves without its reason
            _keep_reason(run, asked, answer, why)
        if asked.folder.is_dir():
            asked.folder.rmdir()
        scratch.rename(asked.folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    files.sync_folder(asked.folder.parent)
    return facts


def _refuse_another(run: RunDirectory, asked: Asked, expansion: Artifact, before: tuple[str, bool]) -> None:
    """Raise Refused if the images that were read are not those that are there now: some may be of either set."""
    try:
        expansion.verify(hint="")
        same = (expansion.made, _audited(run, asked)[0]) == before
    except (BadData, OSError):
        same = False
    if not same:
        raise Refused(f"{expansion.name} or its audit changed while it was being exported", hint="the same command")


def _keep_reason(run: RunDirectory, asked: Asked, answer: str, why: str) -> None:
    """Write into the run that a set left it without a passed audit."""
    told = {"model": asked.model, "fold": asked.fold, "made": answer, "reason": asked.risk.strip(), "audit": why}
    files.append(run.root / EXPORTS, json.dumps(told))
    files.sync(run.root / EXPORTS)
    files.sync_folder(run.root)  # the file may be new


def _audited(run: RunDirectory, asked: Asked) -> tuple[bool, str, str]:
    """Whether an audit of these very images was passed, what there is to say, and what to do about it.

    What is said is exported: the command, which names the run's folder, is not part of it.
    """
    expansion, audit = (run.artifact(stage, asked.fold, asked.model) for stage in ("expand", "audit"))
    audit_it = run.typed(f"audit --model {asked.model} --fold {asked.fold}")
    leak = expansion.record().get(LEAK)
    if leak:
        told = f"they were made with {', '.join(leak['from'])}, which may have seen patients that are tested"
        return False, told, LOOK
    if not audit.exists():
        return False, "these images have not been audited", audit_it
    record = audit.record()
    if record["inputs"].get(expansion.folder.relative_to(run.root).as_posix()) != expansion.made:
        return False, "the audit is of other images than these", audit_it
    summary = record["summary"]
    return summary["passed"] is True, " ".join(summary["reasons"]), LOOK


def _folder(out: Path, labels: tuple[str, ...], samples: tuple[Sample, ...], origins: Sequence[Origin] | None) -> None:
    """images/, PNG or with `origins` DICOM, and metadata.csv with file_name and a column a label.

    Samples that have masks: masks/, PNG, 0 or 255, and the column mask_file_name, empty for a sample without one.
    Nothing names a real sample or patient.
    """
    with_masks = any(s.mask for s in samples)
    folders = ("images", "masks") if with_masks else ("images",)
    for folder in folders:
        (out / folder).mkdir()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file_name", *(["mask_file_name"] if with_masks else []), *map(cell, labels)])
    for number, sample in enumerate(samples):
        name = f"images/synthetic-{number:06d}.{'dcm' if origins else 'png'}"
        if origins:
            content = secondary_capture.encode(read(sample.image), origins[number])
        else:
            content = sample.image.read_bytes()
        files.write(out / name, partial(_fill, content), synced=False)
        mask = f"masks/synthetic-{number:06d}.png" if sample.mask else ""
        if sample.mask:
            files.write(out / mask, partial(_fill, sample.mask.read_bytes()), synced=False)
        writer.writerow([name, *([mask] if with_masks else []), *sample.labels])
    for folder in folders:
        for path in (out / folder).iterdir():
            files.sync(path)
        files.sync_folder(out / folder)
    files.write_text(out / METADATA, text.getvalue())


def _npz(out: Path, samples: tuple[Sample, ...]) -> None:
    """synthetic.npz as MedMNIST has it: train_images, uint8, and train_labels; there is nothing to test on in it.

    Where every sample has a mask: train_masks, uint8, 0 or 255, (image, row, column).
    """
    pixels, truth = np.stack([read(s.image) for s in samples]), np.array([s.labels for s in samples], np.uint8)
    grey = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    masks = [read(s.mask)[..., 0] for s in samples if s.mask]
    held: dict[str, Any] = {"train_images": grey, "train_labels": truth}
    if len(masks) == len(samples):
        held["train_masks"] = np.stack(masks)
    files.write(out / "synthetic.npz", lambda file: np.savez_compressed(file, **held))


def _fill(content: bytes, file: BinaryIO) -> None:
    file.write(content)
