"""A table -> which of its columns holds what: those that were named, else those with a usual name."""

import re
import shlex
from collections.abc import Sequence
from difflib import get_close_matches

from medsynth.data.sources.cells import Table, spelled
from medsynth.data.sources.labels import TAKEN, Labels, classes, is_missing, several, zero_or_one
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData, BadUsage

# In the order of preference: where a table has two of them, the first is meant.
USUAL = {
    "image": (
        *("image", "image_path", "path", "file", "filename", "file_name", "filepath", "file_path"),
        *("img", "img_path", "image_file", "image_name", "image_id"),
    ),
    "patient": (
        *("patient", "patient_id", "patientid", "pid", "subject", "subject_id", "subjectid", "person", "person_id"),
        *("case", "case_id", "lesion", "lesion_id"),
    ),
    "eye": ("eye", "laterality", "side"),
    "mask": ("mask",),
    "uid": ("sop_instance_uid", "sopinstanceuid", "instance_uid", "uid"),  # of a DICOM file
    "label": ("label", "class", "diagnosis", "dx", "grade", "level", "target"),
}


def find(role: str, named: str | None, table: Table) -> str | None:
    """The column of a role, or None. Raises BadUsage if it was named and is not there."""
    return require(role, named, table) if named else next(iter(usual(role, table)), None)


def usual(role: str, table: Table) -> list[str]:
    """The columns that are named as a role usually is, whatever their case and punctuation."""
    plain = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in reversed(table.header)}
    return [plain[name] for name in USUAL[role] if name in plain]


def require(flag: str, named: str, table: Table) -> str:
    """A column that the user named. Raises BadUsage with the nearest name."""
    named = spelled(named)
    if named in table.header:
        return named
    close = get_close_matches(named.lower(), [column.lower() for column in table.header], n=1)
    nearest = [column for column in table.header if close and column.lower() == close[0]]
    meant = f"did you mean --{flag} {shlex.quote(nearest[0])}?" if nearest else ""
    hint = meant or f"its columns are: {', '.join(table.header)}"
    raise BadUsage(f"{table.file} has no column {named}", hint=hint)


def labels(table: Table, asked: Asked, other: set[str | None]) -> tuple[Labels, tuple[str, ...]]:
    """The labels that were named, else a class column with a usual name, else every column of zeros and ones.

    `other` are the columns that hold something else. Comes with what somebody should read about the choice.
    """
    if asked.label and asked.labels:
        flags = f"--label {asked.label} and --labels {','.join(asked.labels)}"
        raise BadUsage(f"{flags} contradict each other", hint="leave one of them out")
    if asked.labels:
        found = {name: table.column(require("labels", name, table)) for name in asked.labels}
        for name, values in found.items():
            if not _is_zeros_and_ones(values) and any(not is_missing(value) for value in values):
                problem = f"column {name} of {table.file} does not hold zeros and ones"
                raise BadData(problem, hint=f"for one class an image: --label {shlex.quote(name)}")
        return several(found, table.where), ()
    named = [require("label", asked.label, table)] if asked.label else []
    candidates = named or [name for name in usual("label", table) if name not in other]
    if len(candidates) > 1:
        problem = f"{table.file} has several columns that may be the class: {', '.join(candidates)}"
        raise BadData(problem, hint=f"--label {shlex.quote(candidates[0])}")
    if candidates:
        return classes(candidates[0], table.column(candidates[0]), table.where), ()
    guessed = _zeros_and_ones(table, other)
    return guessed, (
        f"Every column of 0 and 1 was taken for a label: {', '.join(guessed.names)}. "
        "If some of them are not, name those that are with --labels.",
    )


def _zeros_and_ones(table: Table, other: set[str | None]) -> Labels:
    """Every column of zeros and ones. One with slips in it is a label as well: dropping it would hide them."""
    free = [name for name in table.header if name not in other and name.casefold() not in TAKEN]
    found = {name: table.column(name) for name in free if _is_zeros_and_ones(table.column(name))}
    if not found:
        raise BadData(
            f"{table.file} has no column that is clearly a label; it has: {', '.join(table.header)}",
            hint="--label COLUMN for one class an image, --labels A,B,C for several columns of 0 and 1",
        )
    try:
        return several(found, table.where)
    except BadData as error:
        spotless = [name for name, values in found.items() if all(zero_or_one(v) is not None for v in values)]
        without = f"; if the column is no label: --labels {shlex.quote(','.join(spotless))}" if spotless else ""
        raise BadData(str(error), hint=f"{error.hint}{without}") from None


def _is_zeros_and_ones(values: Sequence[str]) -> bool:
    """Whether most of what is in a column is 0 or 1; what is missing says nothing about it."""
    known = [value for value in values if not is_missing(value)]
    return 2 * sum(zero_or_one(value) is not None for value in known) > len(known)
