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
# Of a score: what it is called, and its decimals.
MAIN = {"dice": ("Dice", 3), "iou": ("IoU", 3), "hd95": ("HD95, pixels", 1), "nqm_auc": ("quality score, AUC", 2)}
COSTS = ("parameters", "multiply-adds an image", "time an image", "peak memory")
MORE = {
    "dice_median": ("median Dice", 3), "iou_median": ("median IoU", 3), "threshold_iou": ("IoU from 0.65 on", 3),
    "pooled_dice": ("pooled Dice", 3), "failed": ("failed", 2), "dice.mean": ("Dice, mean of runs", 3),
    "dice.majority": ("Dice, majority", 3), "dice.staple": ("Dice, STAPLE", 3),
}  # fmt: skip
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
    main: list[Cell]
    cost: list[str]  # one each of COSTS
    more: list[Cell]
    training: str


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
        "heads": [*(head for head, _ in MAIN.values()), *COSTS],
        "more_heads": [head for head, _ in MORE.values()],
        "rows": [row(kind, found.of("segment", kind)) for kind in kinds],
        "galleries": [_gallery(found, found.of("segment", kind)[0]) for kind in kinds],
        "failure": min(m.get("settings").get("failure", 0.8) for m in made),
        "several_folds": any(len(found.of("segment", kind)) > 1 for kind in kinds),
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
    return Row(
        called(kind),
        [_cell(made, name, decimals) for name, (_, decimals) in MAIN.items()],
        [
            words.large(_mean(made, "parameters")), words.large(None if macs is None else 1e6 * macs),
            NOTHING if seconds is None else f"{seconds:.2g} s", memory,
        ],
        [_cell(made, name, decimals) for name, (_, decimals) in MORE.items()],
        NOTHING if steps is None else words.count(round(steps), "step"),
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
