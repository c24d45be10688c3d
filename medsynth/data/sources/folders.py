"""A folder with a folder for each class -> a listing."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from medsynth.data import safe_text
from medsynth.data.sources import paths
from medsynth.data.sources.labels import classes
from medsynth.data.sources.listing import Asked, Entry, Listing, without_patients
from medsynth.errors import BadData, Refused

NOT_OURS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})  # left behind by file managers, as are names with a dot

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})


def read(path: Path, asked: Asked) -> Listing:
    """The listing of a folder. Raises Refused unless every image may be taken for a patient: nothing else says so."""
    found, root = images(path), path.resolve()
    name = safe_text.shown(root.name)
    asked.refuse_columns(f"the folder {name}")
    if not asked.every_image_is_a_patient:
        raise Refused(
            f"the folder {name} does not say which images are of one patient",
            hint="write a table with the columns image, patient and label and ingest it with --patient patient; "
            "if there are no patients: --every-image-is-a-patient",
        )
    relative = [file.relative_to(path).as_posix() for _, file in found]

    def where(rows: Sequence[int]) -> str:
        return safe_text.shown(relative[rows[0]]) + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")

    labels = classes("class", [safe_text.tidy(name) for name, _ in found], where)
    pictures = [paths.inside(root, name, name) for name in relative]
    _refuse_links_to_one_file(pictures, relative)
    samples = safe_text.sample_names(file.stem for _, file in found)
    entries = tuple(
        Entry(where=where([i]), sample=samples[i], patient=samples[i], labels=labels.rows[i], picture=pictures[i])
        for i in range(len(found))
    )
    return Listing(
        source=name, labels=labels.names, one_class=True, ordinal=labels.ordinal, entries=entries,
        has_patients=False, notes=(without_patients(name), *_left_out(path)),
    )  # fmt: skip


def images(path: Path) -> list[tuple[str, Path]]:
    """Every file of every class folder with its class, sorted. Raises BadData if there are fewer than two classes."""
    classes_found = [folder for folder in _sorted(path) if folder.is_dir()]
    found = [(folder.name, file) for folder in classes_found for file in _sorted(folder) if not file.is_dir()]
    if len({name for name, _ in found}) < 2:
        nested = [folder for folder in classes_found if any(inner.is_dir() for inner in _sorted(folder))]
        layout = "a folder for each class, with its images directly in it, or a CSV file"
        hint = f"medsynth ingest {shlex.quote(str(nested[0]))}" if nested else layout
        raise BadData(f"{path} does not hold the images of at least two classes in folders of their own", hint=hint)
    return found


def _left_out(path: Path) -> list[str]:
    """A sentence about what lies where no image is looked for, if anything does."""
    loose = [p.name for p in _sorted(path) if not p.is_dir() and p.suffix.lower() in ENDINGS]
    class_folders = [folder for folder in _sorted(path) if folder.is_dir()]
    nested = [f"{folder.name}/{p.name}" for folder in class_folders for p in _sorted(folder) if p.is_dir()]
    left = [safe_text.cell(name) for name in loose + nested]
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""
    return [f"Only images directly in a class folder were read. Left out: {', '.join(left[:5])}{more}."] if left else []


def _sorted(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name.casefold() not in NOT_OURS)


def _refuse_links_to_one_file(pictures: list[Path], relative: list[str]) -> None:
    first: dict[Path, str] = {}
    for picture, name in zip(pictures, relative, strict=True):
        if first.setdefault(picture, name) != name:
            raise BadData(f"{name} is the same file as {first[picture]}", hint="take one of the two links away")
