"""A trained segmenter and a folder of new images -> their masks, overlays and a table of areas and quality scores.

A picture is looked at as training looked at such a picture: the same square of it, at the same scale. What was tested
is that. Whole pictures at a scale of one's own choice are looked at as well, and said to be another thing.
"""

import csv
import hashlib
import io
import shlex
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from medsynth import guards, interrupt, locks, plan, seeds, segmenters
from medsynth.artifacts import files, weights
from medsynth.data import images, pictures, png, safe_text
from medsynth.data.decoding import Square
from medsynth.data.pictures import Frame
from medsynth.errors import BadData, BadUsage, MissingStep
from medsynth.judged import Rule
from medsynth.masking import Masker
from medsynth.metrics import ensembles
from medsynth.rundir import LEAK, Artifact, RunDirectory

MASKS, OVERLAYS, TABLE = "masks", "overlays", "masks.csv"
PART = ".part"  # of a name: what is not complete


@dataclass(frozen=True)
class Asked:
    """Which images, by which segmenter, and where to."""

    images: Path
    folder: Path
    variant: str
    fold: int = 0
    short: int | None = None  # whole pictures, so many pixels on the shorter side, 0: as they are; None: as in training
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
    doubtful: int | None = None  # 1 where quality is above the limit that selection patients gave, at their scale
    looked_at: float | None = None  # share of the picture that was; outside it the mask is empty
    as_trained: int | None = None  # 1 where it was at the scale that was trained and tested
    problem: str = ""


def trained(run: RunDirectory, variant: str, fold: int) -> Artifact:
    """The folder of a trained segmenter. Raises MissingStep."""
    artifact = run.artifact("segment", fold, variant)
    command = plan.command_for(artifact)
    if not artifact.exists():
        raise MissingStep(f"{variant} was not trained in fold {fold}", hint=run.typed(command))
    artifact.verify(hint=run.typed(f"{command} --force"))
    return artifact


def marks(artifact: Artifact) -> list[str]:
    """What has to be read beside whatever a segmenter is used for: that somebody forced a leak into it."""
    return [guards.about_leak(leak)] if (leak := artifact.record().get(LEAK)) else []


def square_of(run: RunDirectory, facts: dict[str, Any]) -> Square:
    """What training made of a picture, from the facts of a segmenter; an older one's do not say how pictures were cut,
    and the run does."""
    crop = facts.get("crop") or run.artifact("ingest").record()["settings"]["crop"]
    return Square(facts["image_size"], crop)


def refuse_occupied(path: Path, hint: str) -> None:
    """Raise BadUsage for a place where something is already, or where nothing can be."""
    above = next(folder for folder in path.resolve().parents if folder.exists())
    if not above.is_dir():
        raise BadUsage(f"{above} is a file, not a folder", hint=hint)
    if path.exists() and not (path.is_dir() and all(inside.name.startswith(PART) for inside in path.iterdir())):
        raise BadUsage(f"{path} is there already", hint=hint)


def found(run: RunDirectory, asked: Asked) -> list[Path]:
    """The pictures that would be masked. Raises what `run` raises before its work."""
    refuse_occupied(asked.folder, "--out FOLDER, one that is not there yet")
    trained(run, asked.variant, asked.fold)
    inside = _inside(asked.images)
    those = sorted(path for path in inside if path.is_file() and path.suffix.lower() in pictures.ENDINGS)
    if not those:
        kinds, folders = ", ".join(pictures.ENDINGS), sorted(path for path in inside if path.is_dir())
        if folders:
            raise BadData(
                f"{asked.images} itself holds no pictures, and the {len(folders)} folders in it are not searched",
                hint=f"--apply {shlex.quote(str(folders[0]))}, one folder after the other",
            )
        raise BadData(f"{asked.images} holds no pictures", hint=f"--apply FOLDER with {kinds}")
    return those


def run(run: RunDirectory, asked: Asked, progress: Callable[[str, int, int], None] = lambda *_: None) -> dict[str, Any]:
    """Segment every picture in a folder; facts for people. The results appear when all of them are there.

    Raises MissingStep without a trained segmenter, BadUsage for a place that holds something, Refused for one that
    another process writes to, BadData where no picture can be read.
    """
    found(run, asked)
    folder = asked.folder.resolve()
    scratch = folder / PART if folder.is_dir() else folder.with_name(f".{folder.name}{PART}")
    with locks.held(scratch.parent, scratch.name):
        try:
            return _masked(run, asked, scratch, progress)
        finally:
            locks.forget(scratch.parent, scratch.name)


def _masked(
    run: RunDirectory, asked: Asked, scratch: Path, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """The work, by the only process that does it; nothing came to that place since it was looked at."""
    those = found(run, asked)
    shutil.rmtree(scratch, ignore_errors=True)
    for name in (MASKS, OVERLAYS):
        (scratch / name).mkdir(parents=True)
    try:
        rows = _rows(_Applied.of(run, asked, scratch), those, asked, progress)
        _table(scratch / TABLE, rows)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    _publish(scratch, asked.folder.resolve())
    return {
        "images": len(rows) - sum(bool(row.problem) for row in rows),
        "unreadable": sum(bool(row.problem) for row in rows),
        "doubtful": sum(bool(row.doubtful) for row in rows),
        "folder": str(asked.folder),
        "notes": [*marks(trained(run, asked.variant, asked.fold)), *_notes(rows)],
    }


def _rows(
    segmenter: "_Applied", those: list[Path], asked: Asked, progress: Callable[[str, int, int], None]
) -> list[Row]:
    rows = []
    for done, (path, name) in enumerate(zip(those, safe_text.sample_names(p.stem for p in those), strict=True), 1):
        interrupt.check()
        rows.append(segmenter.row(path, name))
        progress(f"segment {asked.variant}", done, len(those))
    if all(row.problem for row in rows):
        raise BadData(f"{those[0].name}: {rows[0].problem}", hint="none of the pictures could be read")
    return rows


def _publish(scratch: Path, folder: Path) -> None:
    """Let what is complete appear, the table last. A folder that is there stays the same one: a shell may be in it."""
    if scratch.parent != folder:
        scratch.rename(folder)
        files.sync_folder(folder.parent)
        return
    for name in (MASKS, OVERLAYS, TABLE):
        (scratch / name).rename(folder / name)
    scratch.rmdir()
    files.sync_folder(folder)


def _notes(rows: list[Row]) -> list[str]:
    """What a reader of the masks has to know, in sentences."""
    read = [row for row in rows if not row.problem]
    cut, other = sum((row.looked_at or 0) < 1 for row in read), sum(not row.as_trained for row in read)
    notes = []
    if cut:
        notes.append(
            f"Of {cut} of {len(read)} pictures only the square was looked at that training would have cut out: outside "
            "it, where overlays are dim, masks are empty. --size looks at whole pictures, which was not tested."
        )
    if other:
        notes.append(
            f"{other} of {len(read)} pictures were looked at in another scale than training had them: only that scale "
            "was tested, and nothing says which of these masks are doubtful. Without --size it is the tested scale."
        )
    return notes


@dataclass(frozen=True)
class _Applied:
    """A segmenter at work."""

    masker: Masker
    rule: Rule
    facts: dict[str, Any]
    square: Square
    short: int | None
    made: str  # which segmenter it is, for the seeds
    folder: Path

    @classmethod
    def of(cls, run: RunDirectory, asked: Asked, folder: Path) -> "_Applied":
        artifact = run.artifact("segment", asked.fold, asked.variant)
        facts = weights.facts(artifact.folder)
        masker = Masker(segmenters.load(artifact.folder, asked.device), asked.device)
        rule = Rule(facts["combine"], facts["threshold"], facts["config"]["failure"])
        return cls(masker, rule, facts, square_of(run, facts), asked.short, artifact.made, folder)

    def row(self, path: Path, name: str) -> Row:
        try:
            pixels = pictures.read(path, self.facts["channels"])
            frame, as_trained = self._frame(pixels)
        except pictures.Unreadable as reason:
            return Row(safe_text.cell(path.name), problem=safe_text.cell(str(reason)))
        seen = images.to_images(frame.cut(pixels)[None])
        (runs,) = self.masker.runs(lambda _rows: seen, [seeds.derive(self.made, _digest(pixels))])
        shape = (pixels.shape[0], pixels.shape[1])
        mask = frame.pasted(self.rule.mask(np.stack([pictures.resized(one, frame.size) for one in runs])), shape)
        files.write(self.folder / MASKS / f"{name}.png", lambda file: file.write(png.encode(_grey(mask))))
        shown = pictures.outlined(pixels, mask, frame)
        files.write(self.folder / OVERLAYS / f"{name}.png", lambda file: file.write(png.encode(shown)))
        quality, limit = ensembles.nqm(runs) if len(runs) > 1 else None, self.facts.get("nqm_limit")
        told = None if quality is None or limit is None or not as_trained else int(quality > limit)
        return Row(
            image=safe_text.cell(path.name), mask=f"{MASKS}/{name}.png", rows=shape[0], columns=shape[1],
            area_pixels=int(mask.sum()), area_share=float(mask.mean()), quality=quality,
            doubtful=told, looked_at=frame.share(shape), as_trained=int(as_trained),
        )  # fmt: skip

    def _frame(self, pixels: np.ndarray) -> tuple[Frame, bool]:
        """What of a picture is looked at, and whether at the scale of training. Raises Unreadable."""
        learned = Frame.learned(pixels, self.square)
        if self.short is None:
            return learned, True
        whole = Frame.whole(pixels, self.short)
        return whole, round(whole.scale * learned.size[0]) == self.square.size


def _digest(pixels: np.ndarray) -> str:
    """The mark of a picture's pixels: equal pictures get equal masks, whatever their names are."""
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).data).hexdigest()


def _grey(mask: np.ndarray) -> np.ndarray:
    return mask[..., None].astype(np.uint8) * 255


def _inside(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise BadUsage(f"there is no folder {folder}", hint="--apply FOLDER")
    return list(folder.iterdir())


def _table(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    files.write_text(path, text.getvalue())
