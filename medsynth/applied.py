"""A trained segmenter and a folder of new images -> their masks, overlays and a table of areas and quality scores."""

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from medsynth import interrupt, seeds, segmenters
from medsynth.artifacts import files, weights
from medsynth.data import images, pictures, png, safe_text
from medsynth.errors import BadData, BadUsage, MissingStep
from medsynth.judged import Rule
from medsynth.masking import Masker
from medsynth.metrics import ensembles
from medsynth.rundir import Artifact, RunDirectory

MASKS, OVERLAYS, TABLE = "masks", "overlays", "masks.csv"


@dataclass(frozen=True)
class Asked:
    """Which images, by which segmenter, and where to."""

    images: Path
    folder: Path
    variant: str
    fold: int = 0
    short: int | None = None  # pixels of the shorter side while segmenting; None: as in training; 0: as it is
    device: str = "cpu"


@dataclass(frozen=True)
class Row:
    """One image. Left empty: what cannot be told."""

    image: str
    mask: str = ""
    rows: int | None = None
    columns: int | None = None
    area_pixels: int | None = None
    area_share: float | None = None
    quality: float | None = None  # the larger, the less a mask is to be trusted
    doubtful: int | None = None  # 1 where quality is above the limit that selection patients gave
    problem: str = ""


def trained(run: RunDirectory, variant: str, fold: int) -> Artifact:
    """The folder of a trained segmenter. Raises MissingStep."""
    artifact = run.artifact("segment", fold, variant)
    command = f"segment --variant {variant} --fold {fold}"
    if not artifact.exists():
        raise MissingStep(f"{variant} was not trained in fold {fold}", hint=run.typed(command))
    artifact.verify(hint=run.typed(f"{command} --force"))
    return artifact


def refuse_occupied(folder: Path) -> None:
    """Raise BadUsage for a place where something is already."""
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [1]):
        raise BadUsage(f"{folder} is there already", hint="--out FOLDER, one that is not there yet")


def run(run: RunDirectory, asked: Asked, progress: Callable[[str, int, int], None] = lambda *_: None) -> dict[str, Any]:
    """Segment every picture in a folder; facts for people. The results appear when all of them are there.

    Raises MissingStep without a trained segmenter, BadUsage for a place that holds something, BadData where no picture
    can be read.
    """
    refuse_occupied(asked.folder)
    artifact = trained(run, asked.variant, asked.fold)
    found = sorted(path for path in _inside(asked.images) if path.suffix.lower() in pictures.ENDINGS)
    if not found:
        raise BadData(f"{asked.images} holds no pictures", hint=f"--apply FOLDER with {', '.join(pictures.ENDINGS)}")
    scratch = asked.folder.with_name(f".{asked.folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    for name in (MASKS, OVERLAYS):
        (scratch / name).mkdir(parents=True)
    segmenter = _Applied.of(artifact, asked, scratch)
    rows = []
    for done, (path, name) in enumerate(zip(found, safe_text.sample_names(p.stem for p in found), strict=True), 1):
        interrupt.check()
        rows.append(segmenter.row(path, name))
        progress(f"segment {asked.variant}", done, len(found))
    if all(row.problem for row in rows):
        raise BadData(f"{found[0].name}: {rows[0].problem}", hint="none of the pictures could be read")
    _table(scratch / TABLE, rows)
    if asked.folder.is_dir():
        asked.folder.rmdir()
    scratch.rename(asked.folder)
    return {
        "images": len(rows) - sum(bool(row.problem) for row in rows),
        "unreadable": sum(bool(row.problem) for row in rows),
        "doubtful": sum(bool(row.doubtful) for row in rows),
        "folder": str(asked.folder),
    }


@dataclass(frozen=True)
class _Applied:
    """A segmenter at work."""

    masker: Masker
    rule: Rule
    facts: dict[str, Any]
    short: int
    made: str  # which segmenter it is, for the seeds
    folder: Path

    @classmethod
    def of(cls, artifact: Artifact, asked: Asked, folder: Path) -> "_Applied":
        facts = weights.facts(artifact.folder)
        short = facts["image_size"] if asked.short is None else asked.short
        masker = Masker(segmenters.load(artifact.folder, asked.device), asked.device)
        rule = Rule(facts["combine"], facts["threshold"], facts["config"]["failure"])
        return cls(masker, rule, facts, short, artifact.made, folder)

    def row(self, path: Path, name: str) -> Row:
        try:
            pixels = pictures.read(path, self.facts["channels"])
        except pictures.Unreadable as reason:
            return Row(safe_text.cell(path.name), problem=safe_text.cell(str(reason)))
        shape = (pixels.shape[0], pixels.shape[1])
        small = images.to_images(pictures.resized(pixels, pictures.shape_for(shape, self.short))[None])
        (runs,) = self.masker.runs(lambda _rows: small, [seeds.derive(self.made, name)])
        mask = self.rule.mask(np.stack([pictures.resized(one, shape) for one in runs]))
        files.write(self.folder / MASKS / f"{name}.png", lambda file: file.write(png.encode(_grey(mask))))
        shown = pictures.outlined(pixels, mask)
        files.write(self.folder / OVERLAYS / f"{name}.png", lambda file: file.write(png.encode(shown)))
        quality = ensembles.nqm(runs) if len(runs) > 1 else None
        limit = self.facts.get("nqm_limit")
        return Row(
            safe_text.cell(path.name), f"{MASKS}/{name}.png", *shape, int(mask.sum()), float(mask.mean()), quality,
            None if quality is None or limit is None else int(quality > limit),
        )  # fmt: skip


def _grey(mask: np.ndarray) -> np.ndarray:
    return mask[..., None].astype(np.uint8) * 255


def _inside(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise BadUsage(f"there is no folder {folder}", hint="--apply FOLDER")
    return [path for path in folder.iterdir() if path.is_file()]


def _table(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    files.write_text(path, text.getvalue())
