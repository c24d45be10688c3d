"""A path -> the images it names, with their labels and patients. What kind of source it is, is seen from the path.

table     .csv or .tsv: one row an image
medmnist  .npz: arrays with an official split
folders   a folder of class folders
"""

import hashlib
import json
import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.artifacts import files
from medsynth.errors import BadData

if TYPE_CHECKING:
    from medsynth.data.sources.listing import Asked, Listing


def read(path: Path, asked: "Asked") -> "Listing":
    """Every image that a source names; no image is opened.

    Raises BadUsage for what was asked of the source and it does not have, BadData for what it has and should not,
    Refused where nothing says which images belong to one patient.
    """
    from medsynth.data.sources import folders, medmnist, table

    reader = {"table": table, "medmnist": medmnist, "folders": folders}[kind(path)]
    return reader.read(path, asked)


def kind(path: Path) -> str:
    """ "table", "medmnist" or "folders". Raises BadData for anything else."""
    if path.is_dir():
        return "folders"
    if not path.is_file():
        raise BadData(f"the source {path} is not there", hint=_what_is_there(path))
    if not os.access(path, os.R_OK):
        raise BadData(f"{path} may not be read", hint=f"chmod u+r {path}")
    known = {".csv": "table", ".tsv": "table", ".npz": "medmnist"}
    if path.suffix.lower() not in known:
        raise BadData(
            f"{path.name} is no source that can be read",
            hint="a CSV or TSV file, a MedMNIST .npz file, or a folder with a folder for each class",
        )
    return known[path.suffix.lower()]


def fingerprint(path: Path) -> str:
    """A hash that changes with the source: of a file its bytes, of a folder the names and sizes of its images."""
    if kind(path) != "folders":
        return files.sha256(path)
    from medsynth.data.sources import folders

    found = [(file.relative_to(path).as_posix(), file.lstat().st_size) for _, file in folders.images(path)]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _what_is_there(path: Path) -> str:
    neighbours = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = get_close_matches(path.name, neighbours, n=1)
    return (
        f"did you mean {path.with_name(close[0])}?" if close else "medsynth ingest labels.csv, or a folder, or an .npz"
    )
