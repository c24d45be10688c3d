"""A path -> the images it names, with their labels and patients. What kind of source it is, is seen from the path.

table     .csv or .tsv: one row an image
medmnist  .npz: arrays with an official split
folders   a folder of class folders
dicom     a folder with DICOM files anywhere in it, and a table of their labels
"""

import hashlib
import json
import os
import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.artifacts import files
from medsynth.errors import BadData

if TYPE_CHECKING:
    from medsynth.data.site_secret import SiteSecret
    from medsynth.data.sources.listing import Asked, Listing

WITHHELD = "[withheld]"  # in a record: folders and tables are named after patients, too


def read(path: Path, asked: "Asked", secret: "SiteSecret | None" = None) -> "Listing":
    """Every image that a source names; no image is opened, of DICOM files no more than the header.

    `secret` makes pseudonyms of the ids that DICOM files hold; without it they are of no use later.

    Raises BadUsage for what was asked of the source and it does not have, BadData for what it has and should not,
    Refused where nothing says which images belong to one patient.
    """
    from medsynth.data.sources import dicom, folders, medmnist, table

    of_kind = kind(path)
    if of_kind == "dicom":
        return dicom.read(path, asked, secret)
    asked.refuse_words_for_dicom(path.name)
    return {"table": table, "medmnist": medmnist, "folders": folders}[of_kind].read(path, asked)


def kind(path: Path) -> str:
    """ "table", "medmnist", "folders" or "dicom". Raises BadData for anything else."""
    from medsynth.data.sources import dicom

    if path.is_dir():
        return "dicom" if dicom.holds(path) else "folders"
    if not path.is_file():
        raise BadData(f"the source {path} is not there", hint=_what_is_there(path))
    if not os.access(path, os.R_OK):
        raise BadData(f"{path} may not be read", hint=f"chmod u+r {shlex.quote(str(path))}")
    if path.suffix.lower() in dicom.ENDINGS:
        raise BadData("one DICOM file is no source", hint="its folder is, with a table that names its files")
    known = {".csv": "table", ".tsv": "table", ".npz": "medmnist"}
    if path.suffix.lower() not in known:
        raise BadData(
            f"{path.name} is no source that can be read",
            hint="a CSV or TSV file, a MedMNIST .npz file, or a folder of class folders, or one of DICOM files",
        )
    return known[path.suffix.lower()]


def fingerprint(path: Path) -> str:
    """A hash that changes with the source: of a file its bytes, of a folder the names and sizes of its images."""
    from medsynth.data.sources import dicom, folders

    of_kind = kind(path)
    if of_kind == "dicom":
        return dicom.fingerprint(path)
    if of_kind != "folders":
        return files.sha256(path)

    found = [(file.relative_to(path).as_posix(), file.lstat().st_size) for _, file in folders.images(path)]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def recorded(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of ingest as a record keeps them: of DICOM files without the names of their folder and table.

    A record has hashes of both.
    """
    if not settings["source"] or kind(Path(settings["source"])) != "dicom":
        return settings
    return settings | {name: WITHHELD for name in ("source", "table") if settings.get(name)}


def _what_is_there(path: Path) -> str:
    neighbours = (
        [other.name for other in path.parent.iterdir() if other.name.isprintable()] if path.parent.is_dir() else []
    )
    close = get_close_matches(path.name, neighbours, n=1)
    return (
        f"did you mean {path.with_name(close[0])}?" if close else "medsynth ingest labels.csv, or a folder, or an .npz"
    )
