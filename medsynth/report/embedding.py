"""Features of real and synthetic images -> a map of two directions: those in which the real images differ most.

A map is for finding what is wrong, clusters and gaps, and no measure: two of hundreds of directions are seen.
"""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from medsynth.artifacts import cohort, features
from medsynth.artifacts.features import Features
from medsynth.chain import REAL
from medsynth.report import svg, words
from medsynth.report.collect import Found, Made
from medsynth.report.svg import Scale

MOST = 400  # points of a kind that are drawn, evenly spaced in the order of names
MOST_FITTED = 1000  # real images that the directions are found in
WIDTH, HEIGHT, LEFT, TOP, MARGIN = 440, 410, 30, 10, 44
KINDS = ("training", "unseen", "made")  # from the back to the front


@dataclass(frozen=True)
class Map:
    """One generator's images among the real ones of a fold."""

    title: str
    drawing: Markup
    counts: dict[str, int]  # of KINDS, how many are drawn
    extractor: str
    sources: tuple[str, ...]


def maps(found: Found) -> list[Map]:
    """A map a generator, of the first fold that has its features."""
    first: dict[str, Made] = {}
    for made in found.of("features"):
        if found.one("expand", made.kind, made.fold or 0):
            first.setdefault(made.kind, made)
    drawn = [_map(found, made) for made in first.values()]
    return [each for each in drawn if each]


def _map(found: Found, made: Made) -> Map | None:
    fold = made.fold or 0
    of_real = found.one("features", REAL, fold)
    if of_real is None:
        return None
    real, synthetic = features.load(of_real.folder), features.load(made.folder)
    training = [s.sample for s in found.cohort.training(fold).samples]
    unseen = [s.sample for part in (found.cohort.selection(fold), found.cohort.testing(fold)) for s in part.samples]
    known = set(real.samples)
    if real.extractor != synthetic.extractor or not {*training, *unseen} <= known or len(known) < 3:
        return None
    places = {"training": training, "unseen": unseen, "made": list(synthetic.samples)}
    centre, directions, shares = axes(_rows(real, list(real.samples), MOST_FITTED))
    points = {
        name: (_rows(synthetic if name == "made" else real, names, MOST) - centre) @ directions
        for name, names in places.items()
    }
    title = f"{words.generator(made.kind)}, fold {fold}"
    return Map(
        title, _drawing(points, shares, title), {name: len(points[name]) for name in KINDS}, real.extractor,
        (f"{of_real.path}/features.npy", f"{made.path}/features.npy"),
    )  # fmt: skip


def _rows(of: Features, names: list[str], most: int) -> np.ndarray:
    return of.of(cohort.evenly(sorted(names), most)).values.astype(np.float64)


def axes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Values (image, feature) -> their mean, the two principal directions (feature, 2), and the share of the variance
    in each. A direction's largest entry is positive, so that a map is never drawn the other way round."""
    centre = values.mean(axis=0)
    apart = values - centre
    few = len(apart) <= apart.shape[1]
    sizes, vectors = np.linalg.eigh(apart @ apart.T if few else apart.T @ apart)  # the smaller of the two: same sizes
    first = [-1, -2][: len(sizes)]  # eigh has the largest last
    variance = np.maximum(sizes, 0.0)
    held = variance[first] > 1e-9 * variance.sum()  # in a direction without variance there is noise alone
    two = np.zeros((values.shape[1], 2))
    two[:, : len(first)] = (apart.T @ vectors[:, first] if few else vectors[:, first]) * held
    two /= np.maximum(np.linalg.norm(two, axis=0), 1e-12)
    two *= np.where(np.take_along_axis(two, np.abs(two).argmax(axis=0)[None], axis=0) < 0, -1.0, 1.0)
    shares = [*(variance[first] / (variance.sum() or 1.0)), 0.0]
    return centre, two, (float(shares[0]), float(shares[1]))


def _drawing(points: dict[str, np.ndarray], shares: tuple[float, float], title: str) -> Markup:
    everybody = np.concatenate([points[name] for name in KINDS])
    low, high = everybody.min(axis=0), everybody.max(axis=0)
    pad = 0.04 * (high - low) + 1e-9
    x = Scale(low[0] - pad[0], high[0] + pad[0], LEFT, WIDTH - 4)
    y = Scale(low[1] - pad[1], high[1] + pad[1], HEIGHT - MARGIN, TOP)
    out = [svg.begin(WIDTH, HEIGHT, f"Real and synthetic images as the extractor sees them: {title}")]
    out.append(svg.rectangle("frame", x.start, y.end, x.end - x.start, y.start - y.end))
    for name in KINDS:
        out.append(_marks(name, [(x(a), y(b)) for a, b in points[name]]))
    axis = ("first", "second")
    named = [f"{axis[i]} direction, {words.percent(shares[i])} of the variance of the real images" for i in range(2)]
    out.append(svg.text("note mid", (x.start + x.end) / 2, HEIGHT - 22, named[0]))
    out.append(svg.upright("note mid", 14, (y.start + y.end) / 2, named[1]))
    return svg.finished(out)


def _marks(name: str, places: list[tuple[float, float]]) -> Markup:
    """All points of a kind in one stroke: rings of real images, crosses of synthetic ones; no colour is needed."""
    cross, ring = "m-3 -3l6 6m0 -6l-6 6", "m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0"
    shape = cross if name == "made" else ring
    return Markup('<path class="mark {}" d="{}"/>').format(name, "".join(f"M{a:.1f} {b:.1f}{shape}" for a, b in places))
