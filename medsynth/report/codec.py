"""What a codec keeps of images: errors, examples, and what a classifier still makes of its reconstructions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medsynth.artifacts.scores import Score
from medsynth.chain import THROUGH
from medsynth.report import pictures
from medsynth.report.collect import NOTHING, Found, Made, mean_and_spread

THROUGH_CODEC = {  # score of `features` of the test images through a codec -> how the page calls it
    "psnr": ("PSNR, dB", 1),
    "ssim": ("SSIM", 3),
    "auc": ("AUC of the images", 3),
    "auc_reconstructed": ("AUC of the reconstructions", 3),
}
OF_MASKS = {"mask_dice": ("Dice of the masks", 3)}  # the same, of codecs that learned masks


@dataclass(frozen=True)
class Toll:
    """What the test images of a fold lost on their way through the codec."""

    fold: int
    cells: tuple[str, ...]  # one a head
    source: str


def facts(found: Found) -> list[dict[str, Any]]:
    """Of each codec: reconstruction error over the folds, the toll of each fold, and a sheet of the first fold."""
    return [_facts(found, kind) for kind in found.kinds("codec")]


def _facts(found: Found, kind: str) -> dict[str, Any]:
    made = found.of("codec", kind)
    numbers = {}
    for name in ("psnr", "mae"):
        values = [m.scores[f"selection.{name}"].value for m in made if f"selection.{name}" in m.scores]
        if values:
            mean, spread = mean_and_spread(values)
            numbers[name] = f"{mean:.3g}" + ("" if spread is None else f" ± {spread:.2g}")
    sheets = pictures.previews(made[0].folder)
    sheets = [path for path in sheets if not path.stem.startswith("step")] or sheets  # the finished codec's own, if any
    through = [m for m in found.of("features", f"{THROUGH}{kind}") if m.scores]
    masks = {name: how for name, how in OF_MASKS.items() if any(f"test.{name}" in m.scores for m in through)}
    shown = THROUGH_CODEC | masks
    return {
        "kind": kind,
        "numbers": numbers,
        "fold": made[0].fold,
        "sheet": pictures.sheet(sheets[-1]) if sheets else None,
        "toll_heads": [head for head, _ in shown.values()],
        "tolls": [_toll(m, shown) for m in through],
        "masks": bool(masks),
    }


def _toll(made: Made, shown: Mapping[str, tuple[str, int]]) -> Toll:
    cells = tuple(_cell(made.scores.get(f"test.{name}"), decimals) for name, (_, decimals) in shown.items())
    return Toll(made.fold or 0, cells, f"{made.path}/scores.json")


def _cell(score: Score | None, decimals: int) -> str:
    return NOTHING if score is None else f"{score.value:.{decimals}f}"
