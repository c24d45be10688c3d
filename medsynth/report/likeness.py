"""What `evaluate` found -> tables, and in a line how near synthetic images come to those of new patients."""

from dataclasses import dataclass

from medsynth.artifacts.scores import Score
from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, Made
from medsynth.report.proof import Row, Table, head, sized

DISTANCE = "kid_across"  # judged by: pairs of images of one patient, which are alike in any case, are left out
PARTS = {
    "synthetic": "synthetic", "floor": "real training images", "unseen": "selection patients' images",
    "ceiling": "test images through the codec",
}  # fmt: skip
OPTIONAL = ("unseen",)  # earlier evaluations have none
NATS = "hundredths of a nat a dimension"
NUMBERS = {  # score of `evaluate` -> how the page calls it
    "kid": "KID × 1000",
    "kid_across": "KID × 1000, pairs of one patient left out",
    "fid": "FID",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "fld": f"FLD, {NATS}",
    "gap": f"Generalisation gap, {NATS}",
    "gap_z": "Generalisation gap, deviations from real images'",
    "quality": f"Quality: how likely an image is among new patients', {NATS}",
    "diversity": "Distance of two images of one class",
    "vendi": "Vendi score",
    "colour_shift": "Shift of the mean colour, grey levels",
    "sharpness": "Sharpness, real images = 1",
}


VERDICTS = ("farther", "", "no difference", "nearer")  # the worst first; "": not held against real images


@dataclass(frozen=True)
class Distance:
    """How far one generator's images of a fold are from new patients' images, how far real images are, and by how much
    more the former are, on the same draws of patients; None where that was not measured."""

    made: Made
    ours: Score
    real: Score | None
    more: Score | None

    @property
    def verdict(self) -> str:
        """`farther` or `nearer` where zero is outside the interval of the difference, `no difference` where it is
        inside, which shows no likeness; `` where the difference or its interval was not measured."""
        if self.more is None or self.more.ci_low is None or self.more.ci_high is None:
            return ""
        if self.more.ci_low > 0:
            return "farther"
        return "nearer" if self.more.ci_high < 0 else "no difference"

    @property
    def excess(self) -> float:
        if self.more is not None:
            return self.more.value
        return self.ours.value - (self.real.value if self.real else 0.0)


def distances(found: Found) -> list[Distance]:
    """Of every evaluation that holds the distance."""
    return [
        Distance(m, ours, m.scores.get(f"floor.{DISTANCE}"), m.scores.get(f"excess.{DISTANCE}"))
        for m in found.of("evaluate")
        if (ours := m.scores.get(f"synthetic.{DISTANCE}"))
    ]


def farthest(found: Found) -> list[Distance]:
    """Of each generator the fold with the worst verdict; of several, that in which its images are farthest from new
    patients', more than real ones are."""
    kinds: dict[str, list[Distance]] = {}
    for distance in distances(found):
        kinds.setdefault(distance.made.kind, []).append(distance)
    return [min(some, key=lambda d: (VERDICTS.index(d.verdict), -d.excess)) for some in kinds.values()]


def tables(found: Found) -> tuple[list[Table], list[Table]]:
    """A table for each evaluation: synthetic images, real training images as the floor, the codec's as the ceiling.
    First those of `farthest`, then all others."""
    first = [d.made.path for d in farthest(found)]
    made = {m.path: _table(m) for m in found.of("evaluate")}
    return [made[path] for path in first], [table for path, table in made.items() if path not in first]


def _table(made: Made) -> Table:
    there = {name.partition(".")[0] for name in made.scores}
    parts = {part: name for part, name in PARTS.items() if part in there or part not in OPTIONAL}
    sizes = {part: _size(made, part) for part in parts}
    rows = []
    for key, name in NUMBERS.items():
        cells = tuple(sized(made.scores.get(f"{part}.{key}"), sizes[part]) for part in parts)
        if any(cell != NOTHING for cell in cells):
            rows.append(Row(name, cells))
    title = f"{words.generator(made.kind)}, fold {made.fold}"
    seen_by = str(made.get("summary").get("extractor", ""))
    remark = f"Seen by {seen_by}; numbers by another extractor cannot be compared with these." if seen_by else ""
    heads = tuple(head(name, sizes[part]) for part, name in parts.items())
    return Table(title, heads, rows, (f"{made.path}/scores.json",), remark=remark)


def _size(made: Made, part: str) -> int | None:
    """How many images a column is of: those of its distances."""
    return next((n for key in NUMBERS if (score := made.scores.get(f"{part}.{key}")) and (n := score.n)), None)
