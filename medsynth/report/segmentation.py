"""What segmenters found -> a table of how well and at what cost, and pictures of some test images, the worst first."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from medsynth import variants
from medsynth.artifacts import segmentations
from medsynth.artifacts.segmentations import DEVIATIONS, MASKS
from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, Made, mean_and_spread
from medsynth.report.pictures import Picture, picture

NAMES = {
    "basic": "MedSegDiffNCA", "cbam": "CBAM-MedSegDiffNCA", "multi": "Multi-MedSegDiffNCA",
    "multicbam": "MultiCBAM-MedSegDiffNCA", "direct": "automaton without diffusion", "unet": "U-Net",
}  # fmt: skip
SCORES = {
    "dice": "Dice", "dice_median": "median Dice", "iou": "IoU", "hd95": "HD95, pixels", "pooled_dice": "pooled Dice",
}  # fmt: skip
WAYS = {"mean": "mean of the runs", "majority": "majority", "staple": "STAPLE"}
SHOWN = (0.0, 0.02, 0.1, 0.25, 0.5, 1.0)  # places in the order of Dice, from the worst to the best


@dataclass(frozen=True)
class Cell:
    """A number, and an interval or a spread below it."""

    said: str
    small: str = ""


@dataclass(frozen=True)
class Row:
    """One segmenter, over its folds."""

    name: str
    fit: list[Cell]  # one each of SCORES, then failed, then the area of the quality score
    ways: list[str]
    cost: list[str]  # parameters, multiply-adds and seconds an image, memory, training


@dataclass(frozen=True)
class Shown:
    """A test image: its picture, the true mask, the one that was found, and where runs differ."""

    image: Picture
    truth: Picture
    mask: Picture
    deviation: Picture
    dice: str
    nqm: str


@dataclass(frozen=True)
class Gallery:
    """Test images of one segmenter, in one fold."""

    title: str
    images: list[Shown]
    random: bool  # its runs differ


def facts(found: Found) -> dict[str, Any] | None:
    """None where nothing was segmented."""
    made = found.of("segment")
    if not made:
        return None
    kinds = found.kinds("segment")
    return {
        "heads": [*SCORES.values(), "failed", "quality score, AUC"],
        "way_names": [*WAYS.values()],
        "rows": [row(kind, found.of("segment", kind)) for kind in kinds],
        "galleries": [_gallery(found, found.of("segment", kind)[0]) for kind in kinds],
        "failure": min(m.get("settings").get("failure", 0.8) for m in made),
        "tested": sum(m.get("summary").get("tested", 0) for m in found.of("segment", kinds[0])),
        "several_folds": any(len(found.of("segment", kind)) > 1 for kind in kinds),
        "unit": found.unit,
    }


def called(kind: str) -> str:
    """`multi-compat` -> "Multi-MedSegDiffNCA, as published"."""
    plain = kind.removesuffix(variants.COMPAT)
    return NAMES.get(plain, plain) + (", as published" if kind != plain else "")


def row(kind: str, made: list[Made]) -> Row:
    """One segmenter, over the folds in which it was tested."""
    gpu, process = _mean(made, "peak_gpu_megabytes"), _mean(made, "peak_process_megabytes")
    macs, seconds, steps = (_mean(made, key) for key in ("mega_macs_per_image", "seconds_per_image", "steps"))
    memory = f"{gpu:,.0f} MB, GPU" if gpu else f"{process:,.0f} MB, process" if process else NOTHING
    fit = [_cell(made, name, 1 if name == "hd95" else 3) for name in SCORES]
    return Row(
        called(kind),
        [*fit, _cell(made, "failed", 2), _cell(made, "nqm_auc", 2)],
        [_cell(made, f"dice.{way}", 3).said for way in WAYS],
        [
            words.large(_mean(made, "parameters")), words.large(None if macs is None else 1e6 * macs),
            NOTHING if seconds is None else f"{seconds:.2g} s", memory,
            NOTHING if steps is None else words.count(round(steps), "step"),
        ],
    )  # fmt: skip


def _cell(made: list[Made], name: str, decimals: int) -> Cell:
    """Of one fold the number and its interval; of several their mean and how far they spread."""
    known = [score for m in made if (score := m.scores.get(f"image.{name}"))]
    if not known:
        return Cell(NOTHING)
    mean, spread = mean_and_spread(score.value for score in known)
    low, high = known[0].ci_low, known[0].ci_high
    small = f"± {spread:.{decimals}f}" if spread is not None else ""
    if spread is None and low is not None and high is not None:
        small = f"{low:.{decimals}f} to {high:.{decimals}f}"
    return Cell(f"{mean:.{decimals}f}", small)


def _gallery(found: Found, made: Made) -> Gallery:
    rows = sorted(segmentations.load(made.folder), key=lambda row: (row.dice, row.sample))
    places = dict.fromkeys(round(share * (len(rows) - 1)) for share in SHOWN)
    return Gallery(
        f"{called(made.kind)}, fold {made.fold}",
        [_shown(found, made, rows[place]) for place in places],
        any(row.nqm is not None for row in rows),
    )


def _shown(found: Found, made: Made, row: segmentations.Found) -> Shown:
    sample = next(s for s in found.cohort.samples if s.sample == row.sample)
    assert sample.mask is not None
    return Shown(
        picture(sample.image), picture(sample.mask), picture(made.folder / MASKS / f"{row.sample}.png"),
        picture(made.folder / DEVIATIONS / f"{row.sample}.png"), f"{row.dice:.2f}",
        "" if row.nqm is None else f"{row.nqm:.2f}",
    )  # fmt: skip


def _mean(made: list[Made], key: str) -> float | None:
    """Of a number that the stage reported, over its folds."""
    values = [value for m in made if isinstance(value := m.get("summary").get(key), int | float)]
    return fmean(values) if values else None
