"""What segmenters found -> a table of how well and at what cost, and pictures of some test images, the worst first."""

from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from medsynth import presets, seeds, variants
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
MAIN = {
    "dice": ("Dice", 3), "iou": ("IoU", 3), "dice_lesions": ("Dice, with a lesion", 3),
    "iou_lesions": ("IoU, with a lesion", 3), "without_lesion": ("images without a lesion", 0),
    "hd95": ("HD95, pixels", 1), "nqm_auc": ("quality score, AUC", 2),
}  # fmt: skip
COSTS = ("runs", "parameters", "multiply-adds an image", "time an image", "peak memory")
MORE = {
    "dice_median": ("median Dice", 3), "iou_median": ("median IoU", 3), "threshold_iou": ("IoU from 0.65 on", 3),
    "pooled_dice": ("pooled Dice", 3), "pooled_iou": ("pooled IoU", 3), "failed": ("failed", 2),
    "dice.mean": ("Dice, mean of runs", 3), "dice.majority": ("Dice, majority", 3),
    "dice.staple": ("Dice, STAPLE", 3),
}  # fmt: skip
RESAMPLES, AT_ONCE = 1000, 50
WHOLE = "whole image marked"
FAILURE = 0.8  # a Dice below it is a failure, where a run's settings do not say
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
    failure = float(min(m.get("settings").get("failure", FAILURE) for m in made))
    return {
        "heads": [*(head for head, _ in MAIN.values()), *COSTS],
        "more_heads": [head for head, _ in MORE.values()],
        "rows": [*(row(kind, found.of("segment", kind)) for kind in kinds), floor(made, failure)],
        "galleries": [_gallery(found, found.of("segment", kind)[0]) for kind in kinds],
        "failure": failure,
        "several_folds": any(len(found.of("segment", kind)) > 1 for kind in kinds),
    }


def called(kind: str) -> str:
    """`multi-compat` -> "Multi-MedSegDiffNCA, as published"; `unet+geca` -> "U-Net + GeCA"."""
    name, generator = variants.parted(kind)
    plain = name.removesuffix(variants.COMPAT)
    said = NAMES.get(plain, plain) + (", as published" if name != plain else "")
    return f"{said} + {words.GENERATORS.get(generator, generator)}" if generator else said


def departures(kind: str, made: list[Made]) -> str:
    """Where what is called "as published" is not, in what runs and batches a recipe asked for; else nothing."""
    name = variants.parted(kind)[0]
    if not name.endswith(variants.COMPAT):
        return ""
    paper = presets.of(variants.config("segmenters", name), "parity")
    settings = made[0].get("settings")
    other = {key: value for key, value in paper.items() if settings.get(key, value) != value}
    said = words.listed(f"{key.replace('_', ' ')} {settings[key]} ({value})" for key, value in other.items())
    return f" but for {said}" if other else ""


def row(kind: str, made: list[Made]) -> Row:
    """One segmenter, over the folds in which it was tested."""
    macs, seconds, steps = (_mean(made, key) for key in ("mega_macs_per_image", "seconds_per_image", "steps"))
    runs = _mean(made, "runs")
    failure = float(made[0].get("settings").get("failure", FAILURE))
    together = pooled(_rows(made), _seed(made), failure) if len(made) > 1 else {}
    return Row(
        called(kind) + departures(kind, made),
        [together.get(name) or _cell(made, name, decimals) for name, (_, decimals) in MAIN.items()],
        [
            NOTHING if runs is None else f"{runs:.0f}", words.large(_mean(made, "parameters")),
            words.large(None if macs is None else 1e6 * macs),
            NOTHING if seconds is None else f"{seconds:.2g} s", _memory(made),
        ],
        [together.get(name) or _cell(made, name, decimals) for name, (_, decimals) in MORE.items()],
        NOTHING if steps is None else words.count(round(steps), "step"),
    )  # fmt: skip


def floor(made: list[Made], failure: float) -> Row:
    """What a mask that covers everything reaches on the test images of the segmenter that was tested on most."""
    tested = [_rows([m for m in made if m.kind == kind]) for kind in {m.kind: None for m in made}]
    marked = [
        replace(row, area=1.0, dice=2 * row.true_area / (1 + row.true_area), iou=row.true_area)
        for row in max(tested, key=len)
    ]
    known = pooled(marked, _seed(made), failure)
    known.pop("hd95")
    main, more = ([known.get(name, Cell(NOTHING)) for name in shown] for shown in (MAIN, MORE))
    return Row(WHOLE, main, [NOTHING] * len(COSTS), more, NOTHING)


def pooled(rows: list[segmentations.Found], seed: int, failure: float) -> dict[str, Cell]:
    """Scores of the test images of all folds together, with the 95 % interval of resampled patients.

    Every patient is tested in one fold alone. Each score is a sum over images by another one, so that what a patient's
    images add to both is all that has to be drawn again.
    """
    true, area, dice, iou, hd95 = (
        np.array([getattr(row, name) for row in rows]) for name in ("true_area", "area", "dice", "iou", "hd95")
    )
    one, lesion, both = np.ones(len(rows)), (true > 0).astype(float), true + area
    shared = dice * both / 2  # of the image, in both masks
    parts = {
        "dice": (dice, one), "iou": (iou, one), "hd95": (hd95, one), "dice_lesions": (dice * lesion, lesion),
        "iou_lesions": (iou * lesion, lesion), "pooled_dice": (shared, both / 2),
        "pooled_iou": (shared, both - shared), "failed": (dice < failure, one),
    }  # fmt: skip
    patients, of_image = np.unique([row.patient for row in rows], return_inverse=True)
    sums = np.zeros((len(patients), 2, len(parts)))
    np.add.at(sums, of_image, np.array([*parts.values()], dtype=float).transpose(2, 1, 0))
    dice_box, even = np.random.default_rng(seed), np.full(len(patients), 1 / len(patients))
    drawn = [
        np.tensordot(dice_box.multinomial(len(patients), even, size=AT_ONCE), sums, axes=1)
        for _ in range(RESAMPLES // AT_ONCE)
    ]
    with np.errstate(invalid="ignore"):  # where there is no lesion at all
        value, among = (each[..., 0, :] / each[..., 1, :] for each in (sums.sum(axis=0), np.concatenate(drawn)))
    cells = {"without_lesion": Cell(f"{int((true == 0).sum()):,}")}
    for place, name in enumerate(parts):
        decimals, of = (MAIN | MORE)[name][1], among[:, place]
        if np.isfinite(value[place]):
            low, high = np.quantile(of[np.isfinite(of)], [0.025, 0.975])
            small = f"{low:.{decimals}f} to {high:.{decimals}f}" if len(patients) > 1 else ""
            cells[name] = Cell(f"{value[place]:.{decimals}f}", small)
    return cells


def _rows(made: list[Made]) -> list[segmentations.Found]:
    return [row for m in made for row in segmentations.load(m.folder)]


def _seed(made: list[Made]) -> int:
    return seeds.derive(str(made[0].record.get("seed", 0)), "segment", "folds together", "bootstrap")


def _memory(made: list[Made]) -> str:
    """What one image takes; of records of before, the process or the GPU with a batch."""
    one, gpu, process = (
        _mean(made, f"peak_{name}") for name in ("megabytes_of_one", "gpu_megabytes", "process_megabytes")
    )
    if one is not None:
        return f"{one:,.3g} MB" if one < 1000 else f"{one:,.0f} MB"
    return f"{gpu:,.0f} MB, GPU, a batch" if gpu else f"{process:,.0f} MB, process, a batch" if process else NOTHING


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
