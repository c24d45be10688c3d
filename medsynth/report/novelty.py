"""What `audit` found -> tables, and in a line how much of the training images is among the synthetic ones."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medsynth.artifacts.scores import Score
from medsynth.report import words
from medsynth.report.collect import Found, Made
from medsynth.report.proof import Row, Table, head, said, sized
from medsynth.report.signs import SPACES, Signs, signs
from medsynth.rundir import EXPORTS

CLOSENESS = {  # score of `audit` -> how the page calls it
    "c05": "Closer to a training image than 95 % of new patients' images",
    "c01": "Closer to a training image than 99 % of new patients' images",
    "patient_ratio": "Unusually close to one patient among all",
    "copy_ratio": "Copies: three times nearer to one training image than to the next",
    "auth_pct": "Authentic, %: farther from the nearest training image than that one's next",
    "auth_pct_patient": "Authentic, %, by the next image of another patient",
    "identifiability_as_few": "Training images whose nearest image is synthetic, of as many as of new patients",
    "c_t": "C_T, deviations of ranks: below 0 closer than new patients' images",
}
EXPECTED = "expected"
SHARES = ("c05", "c01", "patient_ratio", "copy_ratio", "identifiability_as_few")  # of these a share is told in per cent
KNOWN = {  # what the generator's loss gives away
    "membership.auc": "Training images told from others: AUC of the generator's loss",
    "membership.tpr_at_1fpr": "Training images told from others: found at 1 % false alarms by its loss",
}
UNCALIBRATED = "_uncalibrated"  # without a generator of another fold to compare with
ALONE = ", which knows nothing of how easy an image is"
COPIES = {
    "synthetic.exact_duplicates": "Synthetic images that equal a training image in every pixel",
    "synthetic.near_duplicates": "Synthetic images that show nearly the picture of a training image",
}


@dataclass(frozen=True)
class Audited:
    """One audit, and the space in which its images are closest."""

    made: Made
    passed: bool
    space: str
    close: Score  # share of the synthetic images closer than all but 5 % of new patients' images
    expected: float  # of a generator that has learned nobody by heart
    signs: Signs


def audited(found: Found) -> list[Audited]:
    return [each for made in found.of("audit") if (each := _worst_space(made))]


def worst(found: Found) -> list[Audited]:
    """Of each generator, the audit to look at first: one not passed before one passed, one with signs of copying before
    one without, then the closest."""
    kinds: dict[str, list[Audited]] = {}
    for each in audited(found):
        kinds.setdefault(each.made.kind, []).append(each)
    return [max(some, key=_urgency) for some in kinds.values()]


def _urgency(of: Audited) -> tuple[bool, bool, bool, float, int]:
    betrayed = of.signs.weights is not None
    return not of.passed, of.signs.of_images, betrayed, of.close.value, -(of.made.fold or 0)


def _worst_space(made: Made) -> Audited | None:
    shares = {space: made.scores[f"{space}.c05"] for space in SPACES if f"{space}.c05" in made.scores}
    if not shares:
        return None
    space = max(shares, key=lambda name: shares[name].value)
    expected = made.scores.get(f"{space}.c05.expected")
    passed = made.get("summary").get("passed") is True
    return Audited(made, passed, space, shares[space], expected.value if expected else 0.05, signs(made))


def tables(found: Found) -> tuple[list[Table], list[Table]]:
    """Two tables for each audit: closeness in both spaces, then what needs no space. Beside each number stands what is
    expected of a generator that has learned nobody by heart. First those of `worst`, then all others."""
    first = [a.made.path for a in worst(found)]
    made = {m.path: [table for table in (_spaces(m), _others(m)) if table.rows] for m in found.of("audit")}
    others = [table for path, some in made.items() if path not in first for table in some]
    return [table for path in first for table in made[path]], others


def by_label(found: Found) -> list[Table]:
    """For each audit, how close the images of every label come; labels are those that were asked for."""
    what = "class" if found.cohort.facts.one_class else "label"
    tables = [_labels(made, found.cohort.facts.labels, what) for made in found.of("audit")]
    return [table for table in tables if table.rows]


def _labels(made: Made, labels: Sequence[str], what: str) -> Table:
    keys = {label: f"c05.label.{label}" for label in labels}
    rows = [
        Row(words.label(label), tuple(cell for s in SPACES for cell in _cells(made, f"{s}.{key}", None, percent=True)))
        for label, key in keys.items()
        if any(f"{space}.{key}" in made.scores for space in SPACES)
    ]
    remark = f"{CLOSENESS['c05']} of the {what}; expected: the same share of new patients' images of the {what}."
    title = f"{words.generator(made.kind)}, fold {made.fold}"
    return Table(title, _heads(dict.fromkeys(SPACES)), rows, (f"{made.path}/scores.json",), remark=remark)


def _spaces(made: Made) -> Table:
    sizes = {space: score.n if (score := made.scores.get(f"{space}.c05")) else None for space in SPACES}
    rows = [
        Row(name, tuple(c for s in SPACES for c in _cells(made, f"{s}.{key}", sizes[s], percent=key in SHARES)))
        for key, name in CLOSENESS.items()
        if any(f"{space}.{key}" in made.scores for space in SPACES)
    ]
    summary = made.get("summary")
    return Table(
        f"{words.generator(made.kind)}, fold {made.fold}", _heads(sizes), rows, (f"{made.path}/scores.json",),
        verdict="The audit was passed." if summary.get("passed") else "The audit was not passed.",
        remark=" ".join(summary.get("reasons", ())),
    )  # fmt: skip


def _heads(sizes: Mapping[str, int | None]) -> tuple[str, ...]:
    return tuple(each for space, seen in SPACES.items() for each in (head(f"by {seen}", sizes[space]), EXPECTED))


def _others(made: Made) -> Table:
    known = {key: (key, name) for key, name in KNOWN.items()} | {
        key: (f"{key}{UNCALIBRATED}", f"{name}{ALONE}") for key, name in KNOWN.items() if key not in made.scores
    }
    named = dict(known.values()) | COPIES
    rows = [Row(name, _cells(made, key, None)) for key, name in named.items() if key in made.scores]
    return Table("", ("found", EXPECTED), rows, (f"{made.path}/scores.json", f"{made.path}/duplicates.csv"))


def _cells(made: Made, key: str, images: int | None, *, percent: bool = False) -> tuple[str, str]:
    """What was found, with its p where it has one, and what is expected."""
    found, chance = sized(made.scores.get(key), images, percent=percent), made.scores.get(f"{key}_p")
    return (
        found + (f", p\u00a0{words.chance(chance.value)}" if chance else ""),
        said(made.scores.get(f"{key}.expected"), percent=percent),
    )


def risks(found: Found) -> list[tuple[str, str]]:
    """Sets that left the run without a passed audit: which, and the reason that was given."""
    ingest = next(iter(found.of("ingest")))
    path = ingest.folder.parent / EXPORTS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return [(f"{words.generator(line['model'])}, fold {line['fold']}", line["reason"]) for line in lines]
