"""Synthetic images -> the training images nearest to them, beside how near patients come who were never trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import Sample
from medsynth.report.collect import Found
from medsynth.report.pictures import Picture, picture

if TYPE_CHECKING:
    import numpy as np

SIDE = 32  # pixels at which images are compared
MOST_ASKED, MOST_TRAINING = 200, 2000  # images looked at
SHOWN, SHOWN_FOR_SCALE = 6, 3  # pairs on the page
NEAR = 0.05  # share of the held-out images that count as unusually close

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pair:
    """An image and the training image nearest to it."""

    image: Picture
    nearest: Picture
    distance: float  # root mean square difference in grey levels, 0 to 255
    mirrored: bool  # the training image is nearest as its mirror image, and is shown so


@dataclass(frozen=True)
class Closeness:
    """How close synthetic images of one generator and fold come to the training images. Distances as in Pair."""

    kind: str
    fold: int
    pairs: list[Pair]  # the closest ones, closest first
    scale: list[Pair]  # the same for real images of held-out patients
    synthetic: int  # how many were looked at
    held_out: int
    training: int
    median: float
    median_held_out: float
    near: float  # share of the synthetic images closer than all but NEAR of the held-out ones


def closeness(found: Found, kind: str, fold: int, progress: Progress = lambda *_: None) -> Closeness | None:
    """Compare every so many synthetic images of a fold with the training images. None without either kind of image."""
    import numpy as np

    made = found.one("expand", kind, fold)
    training = _spread(found.cohort.training(fold).samples, MOST_TRAINING)
    held_out = _spread((*found.cohort.selection(fold).samples, *found.cohort.testing(fold).samples), MOST_ASKED)
    synthetic = _spread(cohort.load(made.folder).samples, MOST_ASKED) if made else []
    if not (training and held_out and synthetic):
        return None
    known = _read(found, training, progress, "reading training images")
    mirror = found.cohort.facts.mirror
    ours = _distances(_read(found, synthetic, progress, "reading synthetic images"), known, mirror)
    theirs = _distances(_read(found, held_out, progress, "reading held-out images"), known, mirror)
    closest, reference = ours.min(axis=1), theirs.min(axis=1)
    return Closeness(
        kind,
        fold,
        _pairs(synthetic, training, ours, SHOWN),
        _pairs(held_out, training, theirs, SHOWN_FOR_SCALE),
        len(synthetic),
        len(held_out),
        len(training),
        float(np.median(closest)),
        float(np.median(reference)),
        float(np.mean(closest < np.quantile(reference, NEAR))),
    )


def _spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many, evenly spaced in the order of their names."""
    return [*cohort.evenly(sorted(samples, key=lambda s: s.sample), most)]


def _read(found: Found, samples: list[Sample], progress: Progress, what: str) -> "np.ndarray":
    """Pixels as float64, (image, row, column, channel), SIDE pixels a side or fewer."""
    import numpy as np
    from PIL import Image

    side = min(SIDE, found.cohort.facts.image_size)
    pixels = []
    for done, sample in enumerate(samples, 1):
        with Image.open(sample.image, formats=["PNG"]) as opened:
            image = opened.convert("L" if found.cohort.facts.channels == 1 else "RGB")
        pixels.append(np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float64).reshape(side, side, -1))
        progress(what, done, len(samples))
    return np.stack(pixels)


def _distances(asked: "np.ndarray", known: "np.ndarray", mirror: bool) -> "np.ndarray":
    """(asked, known) or, with mirror images behind the others, (asked, 2 known): root mean square difference."""
    import numpy as np

    both = np.concatenate([known, known[:, :, ::-1]]) if mirror else known
    a, b = asked.reshape(len(asked), -1), both.reshape(len(both), -1)
    # whole numbers up to 255 squared: their sums are exact in float64, so a copy has a distance of exactly 0
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0) / a.shape[1])


def _pairs(asked: list[Sample], training: list[Sample], distances: "np.ndarray", count: int) -> list[Pair]:
    import numpy as np

    nearest = distances.argmin(axis=1)
    closest = np.argsort(distances.min(axis=1), kind="stable")[:count]
    pairs = []
    for i in closest:
        column = int(nearest[i])
        mirrored, row = divmod(column, len(training))
        shown = picture(training[row].image, mirrored=bool(mirrored))
        pairs.append(Pair(picture(asked[i].image), shown, float(distances[i, column]), bool(mirrored)))
    return pairs
