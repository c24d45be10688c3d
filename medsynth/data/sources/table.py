"""A CSV or TSV file, one row an image -> a listing. Paths in it are relative to its own folder."""

import shlex
from pathlib import Path

from medsynth.data import safe_text
from medsynth.data.sources import columns, dicom, paths
from medsynth.data.sources.cells import Table, parse, spelled
from medsynth.data.sources.labels import is_missing
from medsynth.data.sources.listing import FOLD_OF, Asked, Entry, Listing, without_patients
from medsynth.errors import BadData, BadUsage, Refused

PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read(path: Path, asked: Asked) -> Listing:
    """The listing of a table."""
    table, folder = parse(path), path.resolve().parent
    image = columns.find("image", asked.image, table)
    if image is None:
        problem = f"{table.file} has no column with paths of images; it has: {', '.join(table.header)}"
        raise BadData(problem, hint="--image COLUMN")
    eye, mask = columns.find("eye", asked.eye, table), columns.find("mask", asked.mask, table)
    patient, about_patients = _patient_column(table, asked, image)
    other = {image, eye, mask, asked.official_split, *columns.usual("patient", table), patient}
    labels, about_labels = columns.labels(table, asked, other)

    pictures = _pictures(table, image, folder)
    samples = safe_text.sample_names(picture.stem for picture in pictures)
    patients = _patients(table, patient) if patient else samples
    folds = _official(table, asked.official_split, patients) if asked.official_split else [None] * len(samples)
    eyes = _texts(table, eye) if eye else [""] * len(samples)
    masks = _masks(table, mask, folder) if mask else [None] * len(samples)
    entries = tuple(
        Entry(
            where=table.where([i]), sample=samples[i], patient=patients[i], labels=labels.rows[i],
            picture=pictures[i], eye=eyes[i], mask=masks[i], fold=folds[i],
        )
        for i in range(len(samples))
    )  # fmt: skip
    return Listing(
        source=table.file, labels=labels.names, one_class=labels.one_class, ordinal=labels.ordinal, entries=entries,
        has_patients=patient is not None, has_split=asked.official_split is not None,
        notes=(*table.notes, *about_patients, *about_labels),
    )  # fmt: skip


def _patient_column(table: Table, asked: Asked, image: str) -> tuple[str | None, tuple[str, ...]]:
    """The column with patients, or None with what has to be said about that. Never an image's own name by default."""
    ways_on = "--patient COLUMN names it; if there is none: --every-image-is-a-patient"
    if asked.every_image_is_a_patient:
        if asked.patient:
            flags = f"--patient {asked.patient} and --every-image-is-a-patient"
            raise BadUsage(f"{flags} contradict each other", hint="leave one of them out")
        unused = [f"Its column {column} was not used." for column in columns.usual("patient", table)[:1]]
        return None, (" ".join([without_patients(table.file), *unused]),)
    column = columns.find("patient", asked.patient, table)
    if column is None:
        problem = f"{table.file} has no column that says which images are of one patient"
        raise Refused(f"{problem}; it has: {', '.join(table.header)}", hint=ways_on)
    if column == image:
        raise Refused(f"the column {image} names images, not the patient that several of them may show", hint=ways_on)
    return column, ()


def _pictures(table: Table, column: str, folder: Path) -> list[Path]:
    """The file of each row. Raises BadData for a path that is missing, leaves the folder, or was there before."""
    first: dict[Path, int] = {}
    for row, text in enumerate(table.paths(column)):
        where = table.where([row])
        if not text:
            raise BadData(
                f"{where}: column {column} is empty", hint="write the image's path there, or take the row out"
            )
        path = paths.inside(folder, text, where)
        if path.suffix.lower() in dicom.ENDINGS:
            problem = f"{where} names a DICOM file, whose header says whose it is"
            raise BadData(problem, hint=f"medsynth ingest FOLDER --table {shlex.quote(table.file)}")
        if first.setdefault(path, row) != row:
            raise BadData(
                f"{where}: {safe_text.cell(text)} is there already, on line {table.lines[first[path]]}",
                hint="take one of the two rows out; an image that shows several findings needs --labels",
            )
    return list(first)


def _masks(table: Table, column: str, folder: Path) -> list[Path | None]:
    """The mask of each row, None where the cell is empty."""
    texts = enumerate(table.paths(column))
    return [paths.inside(folder, text, table.where([row])) if text else None for row, text in texts]


def _patients(table: Table, column: str) -> list[str]:
    missing = [row for row, text in enumerate(table.column(column)) if is_missing(text)]
    if missing:
        raise BadData(
            f"{table.where(missing)}: column {column} does not say which patient it is",
            hint="write the patient's id there, or take the row out; if no image has one: --every-image-is-a-patient",
        )
    return _texts(table, column)


def _texts(table: Table, column: str) -> list[str]:
    """A column as it may be written anywhere. Raises BadData where that would make two texts equal."""
    texts = table.column(column)
    written = safe_text.cells(texts, column)
    return [written[text] for text in texts]


def _official(table: Table, column: str, patients: list[str]) -> list[int | None]:
    """The fold of each row, by a column that says train, valid or test. Raises BadData where it is none, or leaks."""
    column = spelled(column)
    if column not in table.header:
        raise BadUsage(f"{table.file} has no column {column}", hint=f"its columns are: {', '.join(table.header)}")
    parts = [PARTS.get(text.casefold()) for text in table.column(column)]
    odd = [row for row, part in enumerate(parts) if part is None]
    if odd:
        problem = f"{table.where(odd)}: column {column} says {table.column(column)[odd[0]]!r}"
        raise BadData(problem, hint="train, valid or test is meant")
    lacking = [name for name in FOLD_OF if name not in parts]
    if lacking:
        problem = f"no row of {table.file} is of the part {lacking[0]} in the column {column}"
        raise BadData(problem, hint="without official_split, patients are dealt: --split 0.5,0.2,0.3 or --folds 5")
    first: dict[str, int] = {}
    for row, patient in enumerate(patients):
        before = first.setdefault(patient, row)
        if parts[before] != parts[row]:
            where = f"{table.where([before, row])}: patient {patient}"
            raise BadData(
                f"{where} is in {parts[before]} and in {parts[row]}",
                hint="a model would be tested on patients that it knows; without official_split, patients are dealt",
            )
    return [FOLD_OF[part] for part in parts if part]
