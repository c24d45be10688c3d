"""The closest pairs that an audit kept -> pictures side by side, beside the closest pairs of new patients for scale;
and the synthetic images that an evaluation found the least likely.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medsynth.artifacts import audit, cohort, qualities
from medsynth.artifacts.audit import Pair
from medsynth.report import novelty, words
from medsynth.report.collect import Found, Made
from medsynth.report.pictures import Picture, picture
from medsynth.report.proof import said

SHOWN, SHOWN_FOR_SCALE, SHOWN_OF_LABEL = 6, 3, 3
SHOWN_UNLIKELY = 8
MOST_LABELS = 8
QUALITY = "synthetic.quality"


@dataclass(frozen=True)
class Shown:
    """An image and the training image nearest to it."""

    image: Picture
    nearest: Picture
    distance: float  # of embeddings of length one: 0 to 2
    mirrored: bool  # the training image is nearest as its mirror image, and is shown so


@dataclass(frozen=True)
class Gallery:
    """The closest pairs of one generator in one space, in the fold whose audit is to be looked at first."""

    title: str
    synthetic: list[Shown]  # closest first
    real: list[Shown]  # the same of images of new patients
    by_label: dict[str, list[Shown]]
    source: str


@dataclass(frozen=True)
class Unlikely:
    """The images of one generator that are the least likely, in the fold in which they are so on the average."""

    title: str
    images: list[Picture]  # the least likely first, its quality as the caption
    mean: str  # quality of all of them
    real: str  # that of real training images on the average
    source: str


def unlikely(found: Found) -> list[Unlikely]:
    """One a generator whose evaluation kept the quality of single images."""
    kinds: dict[str, list[Made]] = {}
    for made in found.of("evaluate"):
        if QUALITY in made.scores and (made.folder / qualities.QUALITY).is_file():
            kinds.setdefault(made.kind, []).append(made)
    worst = [min(some, key=lambda m: m.scores[QUALITY].value) for some in kinds.values()]
    return [gallery for made in worst if (gallery := _unlikely(found, made)).images]


def _unlikely(found: Found, made: Made) -> Unlikely:
    expansion = found.one("expand", made.kind, made.fold or 0)
    paths = {s.sample: s.image for s in cohort.load(expansion.folder).samples} if expansion else {}
    least = [(name, quality) for name, quality in qualities.load(made.folder).items() if name in paths]
    return Unlikely(
        f"{words.generator(made.kind)}, fold {made.fold}",
        [picture(paths[name], caption=words.number(quality)) for name, quality in least[:SHOWN_UNLIKELY]],
        said(made.scores.get(QUALITY)),
        said(made.scores.get("floor.quality")),
        f"{made.path}/{qualities.QUALITY}",
    )


def galleries(found: Found) -> list[Gallery]:
    """Two a generator: by features and by appearance."""
    return [gallery for worst in novelty.worst(found) for gallery in _of(found, worst.made)]


def _of(found: Found, made: Made) -> list[Gallery]:
    expansion = found.one("expand", made.kind, made.fold or 0)
    if expansion is None:
        return []
    paths = {s.sample: s.image for s in cohort.load(expansion.folder).samples}
    paths |= {s.sample: s.image for s in found.cohort.samples}
    pairs = [p for p in audit.load(made.folder).pairs if {p.sample, p.training_sample} <= paths.keys()]
    return [
        Gallery(
            f"{words.generator(made.kind)}, fold {made.fold}, by {seen}",
            _shown(_of_space(pairs, space, "synthetic"), paths, SHOWN),
            _shown(_of_space(pairs, space, "real"), paths, SHOWN_FOR_SCALE),
            _by_label(found, pairs, space, paths),
            f"{made.path}/{audit.PAIRS}",
        )
        for space, seen in novelty.SPACES.items()
        if _of_space(pairs, space, "synthetic")
    ]


def _by_label(found: Found, pairs: list[Pair], space: str, paths: Mapping[str, Path]) -> dict[str, list[Shown]]:
    """Of the rarest labels: what is rare is learned by heart first."""
    counts = found.cohort.counts()
    rare = sorted(counts, key=lambda label: (counts[label], label))[:MOST_LABELS]
    groups = {label: _of_space(pairs, space, "synthetic", label) for label in rare}
    return {label: _shown(some, paths, SHOWN_OF_LABEL) for label, some in groups.items() if some}


def _of_space(pairs: Iterable[Pair], space: str, origin: str, label: str = "") -> list[Pair]:
    found = [p for p in pairs if (p.space, p.origin, p.label) == (space, origin, label)]
    return sorted(found, key=lambda p: p.distance)


def _shown(pairs: list[Pair], paths: Mapping[str, Path], most: int) -> list[Shown]:
    return [
        Shown(picture(paths[p.sample]), picture(paths[p.training_sample], mirrored=p.mirrored), p.distance, p.mirrored)
        for p in pairs[:most]
    ]
