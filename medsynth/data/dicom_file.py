"""The bytes of a DICOM file -> some of its tags. What it is packed in is judged before anything is unpacked."""

import io
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from medsynth.data.decoding import Unreadable, regular

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_BYTES = 1 << 30  # of one file, packed or not
FILE_META = 2  # the group of elements about the file itself
PREAMBLE = 128  # bytes that belong to nobody; never read, never copied

# How pixels are packed: the list of what is read, with what has to be installed beside pydicom, numpy and Pillow.
PACKED = {
    "1.2.840.10008.1.2": "", "1.2.840.10008.1.2.1": "", "1.2.840.10008.1.2.2": "", "1.2.840.10008.1.2.1.99": "",
    "1.2.840.10008.1.2.4.50": "", "1.2.840.10008.1.2.4.51": "",
    "1.2.840.10008.1.2.4.57": "python-gdcm", "1.2.840.10008.1.2.4.70": "python-gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls", "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "", "1.2.840.10008.1.2.4.91": "", "1.2.840.10008.1.2.5": "",
    **dict.fromkeys([f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203)], "pylibjpeg pylibjpeg-openjpeg"),
}  # fmt: skip
DEFLATED = "1.2.840.10008.1.2.1.99"


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    try:
        with regular(path).open("rb") as file:
            return _begins(file)
    except (OSError, Unreadable):
        return False


def _begins(file: BinaryIO) -> bool:
    return file.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"


class _Clipped(io.BufferedReader):
    """A file that is never asked for more bytes than are left: room for what a length claims would be made first."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.size = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def read_tags(path: Path, tags: tuple[str, ...]) -> "Dataset":
    """These tags of a file and no other. How the pixels are packed is judged before anything is unpacked.

    Raises Unreadable, and whatever pydicom raises.
    """
    from pydicom import dcmread
    from pydicom.filereader import read_dataset

    with _Clipped(io.FileIO(regular(path))) as file:
        if file.size > MAX_BYTES:
            raise Unreadable(f"it has more than {MAX_BYTES >> 20:,} MiB")
        if not _begins(file):
            raise Unreadable("it is no DICOM file: the letters DICM after the first 128 bytes are missing")
        about = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != FILE_META)
        _check_packing(str(about.get("TransferSyntaxUID", "")))
        if about["TransferSyntaxUID"].value == DEFLATED:
            _check_inflated(file, int(about.get("FileMetaInformationGroupLength", 0)))
        file.seek(0)
        return dcmread(file, specific_tags=list(tags), stop_before_pixels="PixelData" not in tags)


def _check_packing(syntax: str) -> None:
    """Raise Unreadable unless the transfer syntax is on the list, and something is installed that unpacks it."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    if not syntax:
        raise Unreadable("it does not say how it is packed: its TransferSyntaxUID is missing")
    if syntax not in PACKED:
        raise Unreadable("its transfer syntax is not on the list of those that are read")
    if not get_decoder(UID(syntax)).is_available:
        raise Unreadable(f"it is packed as {UID(syntax).name}: pip install {PACKED[syntax]}")


def _check_inflated(file: BinaryIO, group: int) -> None:
    """A small deflated file can ask for all memory: count what comes out of it, and keep nothing."""
    if not group:
        raise Unreadable("it is deflated, and does not say where that begins")
    file.seek(PREAMBLE + 4 + 12 + group)  # the length of the group is an element of 12 bytes itself
    unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(1 << 16)):  # padding may come after it
        total += len(unpacker.decompress(packed, 1 << 20))
        if total > MAX_BYTES:
            raise Unreadable(f"it has more than {MAX_BYTES >> 20:,} MiB once it is unpacked")
