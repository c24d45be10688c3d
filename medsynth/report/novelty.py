"""What `audit` found -> tables, and in a line how much of the training images is among the synthetic ones."""

import json
from dataclasses import dataclass

from medsynth.artifacts.scores import Score
from medsynth.report import words
from medsynth.report.collect import Found, Made
from medsynth.report.proof import Row, Table, said
from medsynth.rundir import EXPORTS

SPACES = {"features": "the extractor's features", "appearance": "vessels and spots"}
CLOSENESS = {  # score of `audit` -> how the page calls it
    "c05": "Closer to a training image than 95 % of new patients' images",
    "c01": "Closer to a training image than 99 % of new patients' images",
    "patient_ratio": "Unusually close to one patient among all",
    "copy_ratio": "Copies: three times nearer to one training image than to the next",
    "auth_pct": "Authentic, %",
    "identifiability": "Training images whose nearest image is synthetic",
}
EXPECTED = "expected"
SHARES = ("c05", "c01", "patient_ratio", "copy_ratio", "identifiability")  # of these a share is told in per cent
KNOWN = {  # what the generator's loss gives away
    "membership.auc": "Training images told from others: AUC of the generator's loss",
    "membership.tpr_at_1fpr": "Training images told from others: found at 1 % false alarms by its loss",
}
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


def audited(found: Found) -> list[Audited]:
    return [each for made in found.of("audit") if (each := _worst_space(made))]


def worst(found: Found) -> list[Audited]:
    """Of each generator, the audit to look at first: one not passed before one passed, then the closest."""
    kinds: dict[str, list[Audited]] = {}
    for each in audited(found):
        kinds.setdefault(each.made.kind, []).append(each)
    return [max(some, key=lambda a: (not a.passed, a.close.value, -(a.made.fold or 0))) for some in kinds.values()]


def _worst_space(made: Made) -> Audited | None:
    shares = {space: made.scores[f"{space}.c05"] for space in SPACES if f"{space}.c05" in made.scores}
    if not shares:
        return None
    space = max(shares, key=lambda name: shares[name].value)
    expected = made.scores.get(f"{space}.c05.expected")
    passed = made.get("summary").get("passed") is True
    return Audited(made, passed, space, shares[space], expected.value if expected else 0.05)


def tables(found: Found) -> tuple[list[Table], list[Table]]:
    """Two tables for each audit: closeness in both spaces, then what needs no space. Beside each number stands what is
    expected of a generator that has learned nobody by heart. First those of `worst`, then all others."""
    first = [a.made.path for a in worst(found)]
    made = {m.path: [table for table in (_spaces(m), _others(m)) if table.rows] for m in found.of("audit")}
    others = [table for path, some in made.items() if path not in first for table in some]
    return [table for path in first for table in made[path]], others


def _spaces(made: Made) -> Table:
    heads = tuple(head for seen in SPACES.values() for head in (f"by {seen}", EXPECTED))
    rows = [
        Row(name, tuple(cell for space in SPACES for cell in _cells(made, f"{space}.{key}", percent=key in SHARES)))
        for key, name in CLOSENESS.items()
        if any(f"{space}.{key}" in made.scores for space in SPACES)
    ]
    summary = made.get("summary")
    return Table(
        f"{words.generator(made.kind)}, fold {made.fold}", heads, rows, (f"{made.path}/scores.json",),
        verdict="The audit was passed." if summary.get("passed") else "The audit was not passed.",
        remark=" ".join(summary.get("reasons", ())),
    )  # fmt: skip


def _others(made: Made) -> Table:
    rows = [Row(name, _cells(made, key)) for key, name in (KNOWN | COPIES).items() if key in made.scores]
    return Table("", ("found", EXPECTED), rows, (f"{made.path}/scores.json", f"{made.path}/duplicates.csv"))


def _cells(made: Made, key: str, *, percent: bool = False) -> tuple[str, str]:
    return (
        said(made.scores.get(key), percent=percent),
        said(made.scores.get(f"{key}.expected"), percent=percent),
    )


def risks(found: Found) -> list[tuple[str, str]]:
    """Sets that left the run without a passed audit: which, and the reason that was given."""
    ingest = next(iter(found.of("ingest")))
    path = ingest.folder.parent / EXPORTS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return [(f"{words.generator(line['model'])}, fold {line['fold']}", line["reason"]) for line in lines]
