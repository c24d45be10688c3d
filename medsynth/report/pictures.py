"""Images of a run -> pictures inside the page: real training images above synthetic ones with the same labels."""

import base64
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.report import words
from medsynth.report.collect import Found

PER_ROW = 8
MOST_ROWS = 12  # labels shown; more would drown the page
THUMB_SIDE = 128  # pixels: enough for a row of eight on a dense screen
SHEET_WIDTH = 1200  # pixels of a preview sheet at most


@dataclass(frozen=True)
class Picture:
    """A picture with its pixels in it. No name and no patient travels with it."""

    uri: str
    side: int  # pixels of its width
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """Real images of one label, and under each one the synthetic image of every generator with the same labels."""

    label: str
    real_count: int
    real: list[Picture]
    synthetic: dict[str, list[Picture | None]]  # generator -> one for each real image; None where it drew no such image


def picture(path: Path, *, side: int = THUMB_SIDE, caption: str = "", mirrored: bool = False) -> Picture:
    """A PNG as a data URI, at most `side` pixels wide, without metadata."""
    from PIL import Image, ImageOps

    with Image.open(path, formats=["PNG"]) as opened:
        image = opened.convert("L" if opened.mode in ("1", "L") else "RGB")
    if image.width > side:
        image = image.resize((side, max(1, round(image.height * side / image.width))), Image.Resampling.LANCZOS)
    if mirrored:
        image = ImageOps.mirror(image)
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return Picture(f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}", image.width, caption)


def previews(folder: Path) -> list[Path]:
    """The preview sheets of a training, in the order they were drawn."""
    return sorted((folder / "previews").glob("*.png"))


def sheet(path: Path) -> Picture:
    return picture(path, side=SHEET_WIDTH)


def rows(found: Found, fold: int) -> list[Row]:
    """A row a label (and one for images without any), from the training images of a fold.

    Real images: of each patient the first by name, patients in order, until the row is full. Synthetic images: for each
    real one the first by name with exactly the same labels that is not shown in the row yet.
    """
    training = found.cohort.training(fold)
    drawn = {
        kind: cohort.load(made.folder) for kind in found.kinds("expand") if (made := found.one("expand", kind, fold))
    }
    by_labels = {kind: _by_labels(synthetic) for kind, synthetic in drawn.items()}
    result = []
    for label, samples in _groups(training):
        shown = _one_a_patient(samples)
        pools = {kind: {v: iter(group) for v, group in groups.items()} for kind, groups in by_labels.items()}
        result.append(
            Row(
                label,
                len(samples),
                [picture(s.image, caption=_others(s, label, training)) for s in shown],
                {kind: [_next(pool.get(s.labels, iter(()))) for s in shown] for kind, pool in pools.items()},
            )
        )
    return result[:MOST_ROWS]


def _groups(training: Cohort) -> list[tuple[str, list[Sample]]]:
    """The training images of each label, and of none; labels without any are left out."""
    groups = [(name, [s for s in training.samples if s.labels[i]]) for i, name in enumerate(training.facts.labels)]
    groups.append(("", [s for s in training.samples if not any(s.labels)]))
    return [(name, sorted(samples, key=lambda s: s.sample)) for name, samples in groups if samples]


def _one_a_patient(samples: Iterable[Sample]) -> list[Sample]:
    first: dict[str, Sample] = {}
    for s in samples:
        first.setdefault(s.patient, s)
    rest = [s for s in samples if first[s.patient] is not s]
    return [*first.values(), *rest][:PER_ROW]


def _by_labels(synthetic: Cohort) -> dict[tuple[int, ...], list[Sample]]:
    groups = defaultdict(list)
    for s in sorted(synthetic.samples, key=lambda s: s.sample):
        groups[s.labels].append(s)
    return groups


def _next(pool: Iterable[Sample]) -> Picture | None:
    sample = next(iter(pool), None)
    return picture(sample.image) if sample else None


def _others(sample: Sample, label: str, training: Cohort) -> str:
    """The other labels of an image, as `+ exudates`."""
    return " ".join(
        f"+ {words.label(name)}"
        for name, value in zip(training.facts.labels, sample.labels, strict=True)
        if value and name != label
    )
