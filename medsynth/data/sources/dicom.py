"""A folder of DICOM files, and a table that says what each of them shows -> a listing.

DICOM files have no labels: a row of the table names a file, by its path from the folder or by its SOPInstanceUID, and
has the labels as any table has them. Who the patient is, the file says. What comes out has no name, id, date, path or
UID of a file in it: a patient is a pseudonym (site_secret), an image the number of its line.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from medsynth.artifacts.findings import Unreadable
from medsynth.data import decoding, dicom
from medsynth.data.dicom_file import is_dicom
from medsynth.data.site_secret import SiteSecret
from medsynth.data.sources import columns, paths
from medsynth.data.sources.cells import Table, parse
from medsynth.data.sources.labels import Labels
from medsynth.data.sources.listing import Asked, Entry, Listing
from medsynth.errors import BadData, BadUsage, Refused

SOURCE = "a folder of DICOM files"  # in place of its name: even folders are named after patients
TABLES = (".csv", ".tsv")
ENDINGS = (".dcm", ".dicom", ".ima")
UID = re.compile(r"\d+(\.\d+)+", re.ASCII)
LOOKED_AT = 50  # files without an ending that are opened to see what a folder holds
TEXT_UNKNOWN = (
    "it does not say whether text is burned into its pixels; if somebody has looked at all such images, and there is "
    "none: --checked-for-burned-in-text"
)


def holds(folder: Path) -> bool:
    """Whether a folder is one of DICOM files: by their endings, or where they have none, by how they begin."""
    opened = 0
    for path in _files(folder):
        if path.suffix.lower() in ENDINGS or _is_directory(path):
            return True
        if (not path.suffix or UID.fullmatch(path.name)) and opened < LOOKED_AT:
            opened += 1
            if is_dicom(path):
                return True
    return False


def read(path: Path, asked: Asked, secret: SiteSecret | None = None) -> Listing:
    """The listing of a folder; headers are read, pixels are not. Without a secret, pseudonyms are of no use later.

    Raises BadUsage and BadData for what is wrong with the table; what is wrong with a file stands in `unreadable`.
    """
    _refuse_columns(asked)
    table, root = parse(_table(path, asked), "the table"), path.resolve()
    image, mask = _image_column(table, asked), columns.find("mask", asked.mask, table)
    if {image, mask} & ({asked.label, *asked.labels} - {None}):
        raise BadUsage("the column with the files was named as a label", hint="--label COLUMN names another one")
    unused = {name for role in ("patient", "eye", "uid") for name in columns.usual(role, table)}
    labels, notes = columns.labels(table, asked, {image, mask, *unused})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's hold values of tags
        rows = _Rows(table, root, asked, secret or SiteSecret.of_this_moment()).read(image, mask, labels)
    return Listing(
        source=SOURCE, labels=labels.names, one_class=labels.one_class, ordinal=labels.ordinal,
        entries=tuple(rows.entries), unreadable=tuple(rows.unreadable), has_patients=True,
        notes=(*table.notes, *notes, *rows.notes, *_about_others(path, len(rows.files))),
    )  # fmt: skip


def fingerprint(path: Path) -> str:
    """A hash that changes with the names and sizes of a folder's files, and with what its own tables say."""
    found = [(file.relative_to(path).as_posix(), file.lstat().st_size) for file in _files(path)]
    said = [hashlib.sha256(file.read_bytes()).hexdigest() for file in _own_tables(path)]
    return hashlib.sha256(json.dumps([found, said]).encode(errors="surrogatepass")).hexdigest()


class _Rows:
    """What becomes of the rows of a table, one after the other."""

    def __init__(self, table: Table, root: Path, asked: Asked, secret: SiteSecret) -> None:
        self.table, self.root, self.asked, self.secret = table, root, asked, secret
        self.entries: list[Entry] = []
        self.unreadable: list[Unreadable] = []
        self.files: dict[Path, int] = {}  # and the row that names it
        self.headers: list[dicom.Header] = []
        self._by_uid: dict[str, list[Path]] | None = None
        digits = len(str(table.lines[-1]))
        self.samples = [f"line-{line:0{digits}d}" for line in table.lines]

    def read(self, image: str, mask: str | None, labels: Labels) -> "_Rows":
        masks = self.table.paths(mask) if mask else [""] * len(self.samples)
        for row, text in enumerate(self.table.paths(image)):
            where = self.table.where([row])
            lesion = self._inside(masks[row], f"{where}: the mask") if masks[row] else None
            try:
                file = self._file(text, row)
                header = self._header(file)
            except decoding.Unreadable as reason:
                self.unreadable.append(Unreadable(where, self.samples[row], str(reason)))
                continue
            self.headers.append(header)
            frame = (self.asked.frame or 1) - 1 if header.frames > 1 else 0
            self.entries.append(
                Entry(
                    where=where, sample=self.samples[row], patient=self.secret.pseudonym(header.patient),
                    labels=labels.rows[row], picture=partial(dicom.pixels, file, frame), eye=header.eye, mask=lesion,
                )
            )  # fmt: skip
        return self

    @property
    def notes(self) -> Iterator[str]:
        """What somebody has to read about the images that were taken."""
        silent = sum(not header.says_no_text for header in self.headers)
        if silent:
            yield (
                f"{_images(silent)} of the folder did not say whether text is burned into the pixels; it was stated "
                "that somebody has looked at them, and that there is none."
            )
        several = sum(header.frames > 1 for header in self.headers)
        if several:
            yield f"{_images(several)} of the folder had several frames: frame {self.asked.frame} was taken of each."
        stretched = sum(header.is_stretched for header in self.headers)
        if stretched:
            yield (
                f"{_images(stretched)} of the folder had no window that says how values are shown: grey values of "
                "more than 8 bits were stretched, each image's own smallest to black and its largest to white."
            )

    def _file(self, text: str, row: int) -> Path:
        """The file that a cell names. Raises BadData for a cell that can name none, Unreadable for a file not there."""
        where = self.table.where([row])
        if not text:
            raise BadData(f"{where}: no file is named", hint="write its path or SOPInstanceUID, or take the row out")
        path = self._inside(text, where)
        if not os.path.exists(path) and UID.fullmatch(text):
            path = self._of_uid(text, where)
        if self.files.setdefault(path, row) != row:
            first = self.table.lines[self.files[path]]
            problem = f"{where}: its file is there already, on line {first}"
            raise BadData(problem, hint="take one of the two rows out; several findings of an image need --labels")
        if _is_directory(path):
            raise decoding.Unreadable(dicom.IS_DIRECTORY)
        return path

    def _header(self, file: Path) -> dicom.Header:
        header = dicom.header(file)
        if not header.says_no_text and not self.asked.checked_for_burned_in_text:
            raise decoding.Unreadable(TEXT_UNKNOWN)
        if header.frames > 1 and self.asked.frame is None:
            raise decoding.Unreadable(f"it has {header.frames:,} frames, and which one is meant is not said: --frame N")
        if header.frames > 1 and self.asked.frame is not None and self.asked.frame > header.frames:
            raise decoding.Unreadable(f"it has {header.frames:,} frames, and not the one that --frame names")
        return header

    def _of_uid(self, uid: str, where: str) -> Path:
        if self._by_uid is None:
            self._by_uid = {}
            for file in _files(self.root):
                if file.suffix.lower() not in TABLES and not _is_directory(file):
                    self._by_uid.setdefault(dicom.instance(file), []).append(file)
        found = self._by_uid.get(uid, [])
        if not found:
            raise decoding.Unreadable("no file of the folder has this SOPInstanceUID")
        if len(found) > 1:
            problem = f"{where}: {len(found)} files of the folder have this SOPInstanceUID"
            raise BadData(problem, hint="take the copies out of the folder, or name the file by its path")
        return self._inside(found[0].relative_to(self.root).as_posix(), where)

    def _inside(self, text: str, where: str) -> Path:
        """A path below the folder. Raises BadData without the path in it."""
        try:
            return paths.inside(self.root, text, where)
        except BadData:
            hint = "write its path from the folder on; a link may not lead out of it"
            raise BadData(f"{where}: no file inside the folder can have this path", hint=hint) from None


def _refuse_columns(asked: Asked) -> None:
    for name in ("patient", "eye"):
        if getattr(asked, name):
            problem = f"--{name} names a column, and of DICOM files the headers say it"
            raise BadUsage(problem, hint=f"leave --{name} out")
    if asked.official_split:
        raise BadUsage("--set ingest.official_split is not read for DICOM files", hint="--split 0.7,0.15,0.15")
    if asked.every_image_is_a_patient:
        raise Refused(
            "DICOM files say whose they are: an image is no patient of its own",
            hint="leave --every-image-is-a-patient out",
        )


def _table(folder: Path, asked: Asked) -> Path:
    """The table that was named, else the only one right in the folder."""
    if asked.table:
        path = Path(asked.table)
        if not path.is_file() or path.suffix.lower() not in TABLES:
            raise BadUsage(f"{path} is no CSV or TSV file", hint="--table labels.csv")
        return path
    found = _own_tables(folder)
    if len(found) != 1:
        has = f"{len(found)} tables" if found else "no table"
        raise BadData(
            f"DICOM files have no labels, and the folder has {has} right in it",
            hint="--table labels.csv, with a column of paths or SOPInstanceUIDs and the labels",
        )
    return found[0]


def _image_column(table: Table, asked: Asked) -> str:
    found = columns.find("image", asked.image, table) or columns.find("uid", None, table)
    if found is None:
        problem = f"{table.file} has no column that names files; it has: {', '.join(table.header)}"
        raise BadData(problem, hint="--image COLUMN, with paths from the folder on or SOPInstanceUIDs")
    return found


def _own_tables(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in TABLES and p.is_file() and p.name[0] != ".")


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order; links to folders are not followed, hidden names are left out.

    Raises BadData, without a name, where a folder below may not be looked into.
    """

    def refuse(error: OSError) -> None:
        problem = f"a folder in the source cannot be looked into: {error.strerror}"
        raise BadData(problem, hint="chmod -R u+rX on the source")

    for here, below, names in os.walk(folder, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(here) / name for name in sorted(names) if not name.startswith("."))


def _is_directory(path: Path) -> bool:
    return path.name.casefold() == "dicomdir"


def _about_others(folder: Path, named: int) -> list[str]:
    there = sum(path.suffix.lower() in ENDINGS or not path.suffix for path in _files(folder) if not _is_directory(path))
    more = there - named
    return [f"In no line of the table, and left out: {_images(more)} of the folder."] if more > 0 else []


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
