"""What `evaluate` found -> tables, and in a line how near synthetic images come to those of new patients."""

from dataclasses import dataclass

from medsynth.artifacts.scores import Score
from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, Made
from medsynth.report.proof import Row, Table, said

DISTANCE = "kid_across"  # judged by: pairs of images of one patient, which are alike in any case, are left out
PARTS = {"synthetic": "synthetic", "floor": "real training images", "ceiling": "test images through the codec"}
NUMBERS = {  # score of `evaluate` -> how the page calls it
    "kid": "KID × 1000",
    "kid_across": "KID × 1000, pairs of one patient left out",
    "fid": "FID",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "fld": "FLD",
    "gap": "Generalisation gap",
    "gap_z": "Generalisation gap, deviations from real images'",
    "quality": "Quality: how likely an image is among new patients'",
    "diversity": "Distance of two images of one class",
    "vendi": "Vendi score",
    "colour_shift": "Shift of the mean colour, grey levels",
    "sharpness": "Sharpness, real images = 1",
}


@dataclass(frozen=True)
class Distance:
    """How far one generator's images of a fold are from new patients' images, and how far real images are."""

    made: Made
    ours: Score
    real: Score | None

    @property
    def verdict(self) -> str:
        """`as near`, `farther`, or `perhaps farther` where the intervals overlap; `` where nothing can be said."""
        if self.real is None or self.real.ci_high is None:
            return ""
        if self.ours.value <= self.real.ci_high:
            return "as near"
        clear = self.ours.ci_low is not None and self.ours.ci_low > self.real.ci_high
        return "farther" if clear else "perhaps farther"

    @property
    def excess(self) -> float:
        return self.ours.value - (self.real.value if self.real else 0.0)


def distances(found: Found) -> list[Distance]:
    """Of every evaluation that holds the distance."""
    return [
        Distance(made, made.scores[f"synthetic.{DISTANCE}"], made.scores.get(f"floor.{DISTANCE}"))
        for made in found.of("evaluate")
        if f"synthetic.{DISTANCE}" in made.scores
    ]


def farthest(found: Found) -> list[Distance]:
    """Of each generator, the fold in which its images are farthest from new patients', more than real ones are."""
    kinds: dict[str, list[Distance]] = {}
    for distance in distances(found):
        kinds.setdefault(distance.made.kind, []).append(distance)
    return [max(some, key=lambda d: d.excess) for some in kinds.values()]


def tables(found: Found) -> tuple[list[Table], list[Table]]:
    """A table for each evaluation: synthetic images, real training images as the floor, the codec's as the ceiling.
    First those of `farthest`, then all others."""
    first = [d.made.path for d in farthest(found)]
    made = {m.path: _table(m) for m in found.of("evaluate")}
    return [made[path] for path in first], [table for path, table in made.items() if path not in first]


def _table(made: Made) -> Table:
    rows = []
    for key, name in NUMBERS.items():
        cells = tuple(said(made.scores.get(f"{part}.{key}")) for part in PARTS)
        if any(cell != NOTHING for cell in cells):
            rows.append(Row(name, cells))
    title = f"{words.generator(made.kind)}, fold {made.fold}"
    seen_by = str(made.get("summary").get("extractor", ""))
    remark = f"Seen by {seen_by}; numbers by another extractor cannot be compared with these." if seen_by else ""
    return Table(title, tuple(PARTS.values()), rows, (f"{made.path}/scores.json",), remark=remark)
