"""The text of label cells -> a 0 or 1 for each label and image."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medsynth.artifacts.cohort import FIXED_COLUMNS, SOURCE_COLUMN
from medsynth.data import safe_text
from medsynth.data.sources.listing import Listing, Where
from medsynth.errors import BadData, BadUsage

MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "null"})  # how tables write that they do not know
TAKEN = (*FIXED_COLUMNS, SOURCE_COLUMN)  # names that the manifest has other columns for
MOST_CLASSES = 1000
MANY_ROWS = 100  # from here on a class that few rows share is none
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Labels:
    """The labels of every image."""

    names: tuple[str, ...]
    rows: list[tuple[int, ...]]  # 0 or 1, in the order of `names`; a row an image
    one_class: bool
    ordinal: bool


def is_missing(text: str) -> bool:
    return text.casefold() in MISSING


def classes(column: str, values: Sequence[str], where: Where) -> Labels:
    """One class an image: a label for each value that occurs. Numbers are named with their column, as in `level=2`.

    Raises BadData for a value that is missing, a negative number, or a word among numbers.
    """
    _refuse([i for i, value in enumerate(values) if is_missing(value)], column, values, where, "which is no class")
    _refuse_many(column, values)
    numbers = [_number(value) for value in values]
    words = [i for i, number in enumerate(numbers) if number is None]
    if not words:
        known = [number for number in numbers if number is not None]
        negative = [i for i, number in enumerate(known) if number < 0 or not math.isfinite(number)]
        _refuse(negative, column, values, where, "and a class is a word, 0 or a positive number")
        names = {number: f"{column}={number:.15g}" for number in sorted(set(known))}
        whole = all(number == int(number) for number in names)
        return _one_hot(list(names.values()), [names[number] for number in known], ordinal=whole)
    if len(words) < len(values):
        few = min(words, [i for i, number in enumerate(numbers) if number is not None], key=len)
        others = "a number" if few == words else "a word"
        _refuse(few, column, values, where, f"where other rows have {others}")
    return _one_hot(sorted(set(values)), values, ordinal=False)


def _refuse_many(column: str, values: Sequence[str]) -> None:
    """Raise BadData for a column of ids or measurements: a 0 or 1 a class and image would take all memory."""
    found = len(set(values))
    if found > MOST_CLASSES or (len(values) >= MANY_ROWS and 2 * found > len(values)):
        raise BadData(
            f"column {safe_text.cell(column)} has {found:,} values in {len(values):,} rows: they are no classes",
            hint="--label COLUMN names the column with the class of each image",
        )


def several(columns: Mapping[str, Sequence[str]], where: Where) -> Labels:
    """Several labels an image: one a column, each 0 or 1. Raises BadData for any other value."""
    for column, values in columns.items():
        _refuse(
            [i for i, value in enumerate(values) if zero_or_one(value) is None],
            column,
            values,
            where,
            "and should be 0 or 1",
        )
    rows = [tuple(zero_or_one(value) or 0 for value in row) for row in zip(*columns.values(), strict=True)]
    return Labels(_names(list(columns)), rows, one_class=False, ordinal=False)


def merged(listing: Listing, asked: Mapping[str, Sequence[str]]) -> Listing:
    """The images whose value belongs to one of these classes (class -> its values), with the classes for labels.

    Values are those of the class column; of numbers, `2` and `level=2` mean the same. Notes say what was left out and
    which values no image has. Raises BadUsage for images with several labels and for a value of two classes, BadData
    where no class has images.
    """
    if not listing.one_class:
        problem = f"classes are made of the values of one column, and {listing.source} has several labels an image"
        raise BadUsage(problem, hint="--label COLUMN names the column; or leave --classes out")
    class_of, notes = _classes_of_labels(listing, asked)
    if not class_of:
        problem = f"no image of {listing.source} is of any of the classes {', '.join(asked)}"
        raise BadData(problem, hint=f"these values are there: {', '.join(listing.labels)}")
    values = [entry.labels.index(1) for entry in listing.entries]
    left = [f"{n:,} with {listing.labels[i]}" for i, n in sorted(Counter(values).items()) if i not in class_of]
    names = [name for name in asked if name in class_of.values()]
    in_order = [name for _, name in sorted(class_of.items())]
    found = _one_hot(
        names, [class_of[i] for i in values if i in class_of],
        ordinal=listing.ordinal and in_order == sorted(in_order, key=names.index),  # no class reaches into the next one
    )  # fmt: skip
    kept = [entry for entry, i in zip(listing.entries, values, strict=True) if i in class_of]
    entries = tuple(replace(entry, labels=row) for entry, row in zip(kept, found.rows, strict=True))
    notes = [*([f"Images that are of no class were left out: {', '.join(left)}."] if left else []), *notes]
    return replace(listing, labels=found.names, ordinal=found.ordinal, entries=entries, notes=(*listing.notes, *notes))


def _classes_of_labels(listing: Listing, asked: Mapping[str, Sequence[str]]) -> tuple[dict[int, str], list[str]]:
    """The class of each label, by its number, that has one; and what to say of values that are not there."""
    known = {name: i for i, name in enumerate(listing.labels)}
    parts = [name.rpartition("=") for name in listing.labels]
    if len({column for column, _, _ in parts}) == 1:  # numbers, each named with the one column
        known |= {value: i for i, (_, _, value) in enumerate(parts)}
    class_of: dict[int, str] = {}
    notes = []
    for name, value in ((name, value) for name, values in asked.items() for value in values):
        number = _number(value)
        label = known.get(value if number is None else f"{number:.15g}", known.get(value))
        if label is None:
            notes.append(f"No image of {listing.source} has the value {safe_text.cell(value)} of the class {name}.")
        elif label in class_of:
            problem = f"the value {value} is of the class {class_of[label]} and of the class {name}"
            raise BadUsage(problem, hint="write each value once, in one of the classes")
        else:
            class_of[label] = name
    return class_of, notes


def zero_or_one(value: str) -> int | None:
    """0, 1, or None for anything else. 1.0 is 1: programs that met an empty cell write whole numbers like that."""
    number = _number(value)
    return int(number) if number in (0, 1) else None


def _one_hot(names: list[str], values: Sequence[str], *, ordinal: bool) -> Labels:
    row_of = {name: tuple(int(name == other) for other in names) for name in names}
    return Labels(_names(names), [row_of[value] for value in values], one_class=True, ordinal=ordinal)


def _names(names: list[str]) -> tuple[str, ...]:
    """Names that may head a column of the manifest."""
    written = safe_text.cells(names, "label")
    for name in written.values():
        if name.casefold() in TAKEN or not name:
            raise BadData(
                f"a label is named {name!r}, which is a column of the manifest" if name else "a label has no name",
                hint=f"give it another name in the source; these are taken: {', '.join(TAKEN)}",
            )
    return tuple(written.values())


def _number(text: str) -> float | None:
    return float(text) if NUMBER.fullmatch(text) else None


def _refuse(rows: list[int], column: str, values: Sequence[str], where: Where, complaint: str) -> None:
    if rows:
        value = repr(values[rows[0]]) if values[rows[0]] else "empty"
        raise BadData(
            f"{where(rows)}: column {column} is {value}, {complaint}",
            hint=f"write the right value there, or take the {'row' if len(rows) == 1 else 'rows'} out",
        )
