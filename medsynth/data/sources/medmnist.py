"""A MedMNIST .npz file -> a listing that keeps its official split as one fold."""

import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medsynth.artifacts.arrays import LONGEST_HEADER
from medsynth.data.safe_text import cell, shown
from medsynth.data.sources.labels import Labels, classes, several
from medsynth.data.sources.listing import FOLD_OF, Asked, Entry, Listing
from medsynth.errors import BadData

MAX_BYTES = 8 << 30  # of one array: it has to fit into memory
MAX_TOGETHER = 16 << 30  # bytes of all six
GRADED = ("retinamnist",)  # the one of these sets whose classes are grades; the files do not say so
NOT_A_FILE = (
    OSError, ValueError, LookupError, TypeError, ArithmeticError, SyntaxError, EOFError, RuntimeError,
    NotImplementedError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError,
)  # fmt: skip
MOST_PACKED = 1100  # times smaller than what is in it: no deflated array is smaller yet


def read(path: Path, asked: Asked) -> Listing:
    """The listing of a MedMNIST file. Raises BadData where it is not one, or too large."""
    file = shown(path.name)
    asked.refuse_columns(file)
    arrays = _load(path)
    sizes = {part: len(arrays[f"{part}_labels"]) for part in FOLD_OF}
    names = [(part, number) for part, size in sizes.items() for number in range(size)]
    labels = _labels(path, np.concatenate([arrays[f"{part}_labels"] for part in FOLD_OF]), names)
    digits = len(str(max(sizes.values())))
    entries = tuple(
        Entry(
            where=f"{file} {part}_images {number}", sample=(name := f"{part}-{number:0{digits}d}"), patient=name,
            labels=row, picture=arrays[f"{part}_images"][number], fold=FOLD_OF[part],
        )
        for (part, number), row in zip(names, labels.rows, strict=True)
    )  # fmt: skip
    return Listing(
        source=file, labels=labels.names, one_class=labels.one_class, ordinal=labels.ordinal, entries=entries,
        has_patients=False, has_split=True, notes=(
            f"{file} has no patients: every image was taken for a patient of its own, and nothing tells whether "
            "images of one person are in both the training and the test part of its official split.",
        ),
    )  # fmt: skip


def _load(path: Path) -> dict[str, np.ndarray]:
    """The six arrays. Their headers are judged before any of them is unpacked."""
    keys = [(f"{part}_images", f"{part}_labels") for part in FOLD_OF]
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_ambiguous(path, archive)
            headers = [
                (_header(archive, path.name, images), _header(archive, path.name, labels)) for images, labels in keys
            ]
        for part, (images, labels) in zip(FOLD_OF, headers, strict=True):
            _check(f"{path.name} {part}", images, labels)
        together = sum(header.bytes for pair in headers for header in pair)
        if together > MAX_TOGETHER:
            problem = f"the arrays of {path.name} take {together / (1 << 30):.1f} GiB, more than {MAX_TOGETHER >> 30}"
            raise BadData(problem, hint="take the file with smaller images")
        if len({labels.shape[1:] for _, labels in headers}) > 1:
            raise BadData(
                f"the parts of {path.name} have different numbers of labels", hint="download or copy it again"
            )
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for pair in keys for key in pair}
    except NOT_A_FILE as error:
        raise BadData(f"{path.name} cannot be read: {error}", hint="is it whole? Download or copy it again") from None


@dataclass(frozen=True)
class _Header:
    """What the first bytes of an array say of it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    is_whole: bool  # the file has room for as much

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _refuse_ambiguous(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise BadData or BadZipFile for a file of which numpy could read something else than what is judged here."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise zipfile.BadZipFile("it does not begin as an archive")
    for name, times in Counter(archive.namelist()).items():
        if times > 1 or not name.endswith(".npy"):
            problem = f"{cell(name)!r} {times} times" if times > 1 else f"{cell(name)!r}, which is no array"
            raise BadData(f"{path.name} holds {problem}", hint="is it whole? Download or copy it again")


def _header(archive: zipfile.ZipFile, file: str, key: str) -> _Header:
    if f"{key}.npy" not in archive.namelist():
        found = ", ".join(cell(name.removesuffix(".npy")) for name in archive.namelist()[:20])
        needed = "train_images, train_labels, val_images, val_labels, test_images and test_labels"
        raise BadData(f"{file} has no array {key}; it has: {found}", hint=f"a MedMNIST file has {needed}")
    # Judged before anything is allocated: a few bytes can ask for all memory, as a header's length or an array's.
    with archive.open(f"{key}.npy") as content:
        begin = io.BytesIO(content.read(LONGEST_HEADER))
    version = np.lib.format.read_magic(begin)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(begin)
    claimed, packed = begin.tell() + math.prod(shape) * dtype.itemsize, archive.getinfo(f"{key}.npy")
    possible = packed.file_size <= MOST_PACKED * (packed.compress_size + 1000)
    return _Header(shape, dtype, possible and claimed == packed.file_size)


def _check(part: str, images: _Header, labels: _Header) -> None:
    """Raise BadData for arrays that are not grey or colour pictures with a row of labels each."""
    shape, rows = images.shape, labels.shape
    described = f"{part}_images is {images.dtype} {shape}, {part.split()[-1]}_labels is {labels.dtype} {rows}"
    is_colour = len(shape) == 4 and shape[-1] == 3
    if images.dtype != np.uint8 or not (len(shape) == 3 or is_colour) or 0 in shape:
        hint = "images are uint8 (image, row, column) or (image, row, column, 3); volumes are not read"
        raise BadData(described, hint=hint)
    if labels.dtype.kind not in "uib" or len(rows) not in (1, 2) or 0 in rows or rows[0] != shape[0]:
        hint = "labels are whole numbers, (image, 1) or (image, label), a row an image"
        raise BadData(described, hint=hint)
    if max(images.bytes, labels.bytes) > MAX_BYTES:
        raise BadData(f"{described}: more than {MAX_BYTES >> 30} GiB", hint="take the file with smaller images")
    if not (images.is_whole and labels.is_whole):
        raise BadData(f"{described}: not as large as it says", hint="is it whole? Download or copy it again")


def _labels(path: Path, values: np.ndarray, names: Sequence[tuple[str, int]]) -> Labels:
    def where(rows: Sequence[int]) -> str:
        part, number = names[rows[0]]
        return f"{shown(path.name)} {part}_labels, row {number}" + (
            f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        )

    values = values.reshape(len(values), -1).astype(np.int64)
    if values.shape[1] > 1:
        return several({f"label_{n}": [str(v) for v in column] for n, column in enumerate(values.T.tolist())}, where)
    found = classes("label", [str(value) for value in values[:, 0].tolist()], where)
    return replace(found, ordinal=path.stem.startswith(GRADED))
