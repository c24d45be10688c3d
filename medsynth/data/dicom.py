"""A DICOM file -> the few facts of its header that are asked for, and one of its pictures as uint8.

Tags are on a list or they are not read: no name, no date, no free text ever comes out of a file. Only pydicom's reader
of single files is used, never that of a DICOMDIR, whose paths lead anywhere (CVE-2026-32711). No reason that is given
here has a value of a tag in it, but for numbers that say how large a picture is.
"""

import io
import math
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from medsynth.data.decoding import MAX_PIXELS, Unreadable, regular
from medsynth.data.grey_values import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_BYTES = 1 << 30  # of one file, packed or not
MAX_VALUES = 1 << 31  # rows x columns x frames x channels: what a header may claim
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
DEFLATED, EXTENDED = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.51"
DIRECTORY, SEGMENTATION = "1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.1.1.66.4"
IS_DIRECTORY = "it is a DICOMDIR, which is never followed"
GREY, PALETTE = ("MONOCHROME1", "MONOCHROME2"), "PALETTE COLOR"
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")

LAYOUT = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)
HEADER = (
    *("SOPClassUID", "SOPInstanceUID", "PatientID", "ImageLaterality", "Laterality", "SyntheticData"),
    *("BurnedInAnnotation", "RecognizableVisualFeatures", "WindowWidth", "VOILUTSequence", *LAYOUT),
)
PIXELS = (
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ExtendedOffsetTable"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *("ExtendedOffsetTableLengths", "PixelData", *LAYOUT),
)


@dataclass(frozen=True)
class Header:
    """What is known of a file before its pixels are read. It shows neither ids nor names."""

    patient: str = field(repr=False)  # PatientID as it is: for the site secret, and for nothing else
    instance: str = field(repr=False)  # SOPInstanceUID
    eye: str  # R, L, or "" where it is not said, or both
    frames: int
    is_stretched: bool  # grey of more than 8 bits, and nothing says how its values are shown
    says_no_text: bool  # of itself that no text is burned into its pixels; False: it does not say


def header(path: Path) -> Header:
    """The header of a file that can be used. Raises Unreadable, without any value of a tag in it."""
    with _reasons():
        data = _read(path, HEADER)
        _check_kind(data)
        patient = str(data.get("PatientID", "") or "").strip(" \0")
        if not patient:
            raise Unreadable("it does not say whose it is: its PatientID is missing or empty")
        frames = _check_layout(data)
        side = str(data.get("ImageLaterality") or data.get("Laterality") or "")
        return Header(
            patient=patient, instance=str(data.get("SOPInstanceUID", "")), eye=side if side in ("R", "L") else "",
            frames=frames, is_stretched=_is_stretched(data), says_no_text=data.get("BurnedInAnnotation") == "NO",
        )  # fmt: skip


def instance(path: Path) -> str:
    """The SOPInstanceUID of a file; "" for what is no DICOM file or has none. Raises nothing."""
    try:
        with _reasons():
            return str(_read(path, ("SOPInstanceUID",)).get("SOPInstanceUID", ""))
    except Unreadable:
        return ""


def pixels(path: Path, frame: int = 0) -> np.ndarray:
    """One frame, counted from 0, as it is meant to be seen: uint8, (row, column) or (row, column, 3).

    Grey values go through the modality's and the viewer's tables (PS3.3 C.11.1 and C.11.2), MONOCHROME1 is turned over,
    palettes and YBR become RGB. Raises Unreadable.
    """
    with _reasons():
        data = _read(path, PIXELS)
        frames = _check_layout(data)
        if frame >= frames:
            raise Unreadable(f"it has {_frames(frames)}, and frame {frame + 1} was asked for")
        _check_data(data, frames)
        return _shown(data, _decoded(data, frame))


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    try:
        with regular(path).open("rb") as file:
            return _begins(file)
    except (OSError, Unreadable):
        return False


def _begins(file: BinaryIO) -> bool:
    return file.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever pydicom and its decoders raise into Unreadable. Their own words may hold values of tags."""
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # a decoder meets a damaged file in ways that nobody has listed
        raise Unreadable(f"it is damaged: {type(error).__name__} while it was read") from None


class _Clipped(io.BufferedReader):
    """A file that is never asked for more bytes than are left: room for what a length claims would be made first."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.size = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _read(path: Path, tags: tuple[str, ...]) -> "Dataset":
    """These tags and no other. How the pixels are packed is judged before anything is unpacked."""
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


def _check_kind(data: "Dataset") -> None:
    """Raise Unreadable for what is no image, for what no patient is behind, and for what shows more than anatomy."""
    if data.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY:
        raise Unreadable(IS_DIRECTORY)
    if "Rows" not in data:
        raise Unreadable("it holds no image")
    if data.get("SOPClassUID") == SEGMENTATION:
        raise Unreadable("it holds a segmentation, and no image")
    if data.get("SyntheticData") == "YES":
        raise Unreadable("it says of itself that it is synthetic: only images of patients are tested on")
    if data.get("BurnedInAnnotation") == "YES":
        raise Unreadable("it says of itself that text is burned into its pixels")
    if data.get("RecognizableVisualFeatures") == "YES":
        raise Unreadable("it says of itself that a person can be recognised in it")


def _is_stretched(data: "Dataset") -> bool:
    has_window = "WindowWidth" in data or "VOILUTSequence" in data
    return data.PhotometricInterpretation in GREY and data.BitsAllocated > 8 and not has_window


def _check_layout(data: "Dataset") -> int:
    """The number of frames. Raises Unreadable for pixels that are too many, or of a form that is not read."""
    rows, columns, channels = (_number(data, name) for name in ("Rows", "Columns", "SamplesPerPixel"))
    frames = _number(data, "NumberOfFrames") if data.get("NumberOfFrames") is not None else 1
    if rows * columns > MAX_PIXELS or rows * columns * frames * channels > MAX_VALUES:
        size = f"{columns:,} x {rows:,} pixels" + (f" in {frames:,} frames" if frames > 1 else "")
        raise Unreadable(f"it has {size}, which is too much to be decoded")
    form = str(data.get("PhotometricInterpretation", ""))
    if form not in (*GREY, PALETTE, *COLOURS) or channels != (3 if form in COLOURS else 1):
        raise Unreadable("its colours are of a form that is not read: grey, RGB, YBR and palettes are")
    bits, stored = _number(data, "BitsAllocated"), _number(data, "BitsStored")
    if bits not in (8, 16):
        raise Unreadable(f"it has {bits} bits a value; 8 and 16 are read")
    if stored > bits:
        raise Unreadable("it claims to have more bits in a value than there is room for")
    if data.file_meta.TransferSyntaxUID == EXTENDED and stored > 8:
        _check_twelve_bits()
    return frames


def _check_twelve_bits() -> None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    if "pylibjpeg" not in get_decoder(UID(EXTENDED)).available_plugins:  # Pillow and GDCM know 8 bits alone
        raise Unreadable(
            "it is packed as JPEG with 12 bits a value: unpack it with dcmdjpeg of DCMTK, or, under the GPL, "
            "pip install pylibjpeg pylibjpeg-libjpeg"
        )


def _number(data: "Dataset", name: str) -> int:
    """A tag that has to be a whole number from 1 on. Raises Unreadable, without what it is instead."""
    try:
        value = int(data.get(name, ""))
    except (ValueError, TypeError, OverflowError):
        raise Unreadable(f"its {name} is missing or no whole number") from None
    if value < 1:
        raise Unreadable(f"its {name} is not 1 or more")
    return value


def _check_data(data: "Dataset", frames: int) -> None:
    """Raise Unreadable for pixels that are not there, or not all of them."""
    if "PixelData" not in data:
        raise Unreadable("it has no pixels")
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    values = frames * data.Rows * data.Columns * data.SamplesPerPixel
    if data.PhotometricInterpretation == "YBR_FULL_422":
        values = math.ceil(values * 2 / 3)  # two pixels share their colour
    whole, there = values * data.BitsAllocated // 8, len(data.PixelData)
    if there < whole:
        raise Unreadable(f"it is cut off: {there:,} of {whole:,} bytes of pixels are there")


def _decoded(data: "Dataset", frame: int) -> np.ndarray:
    """One frame, unpacked. Raises Unreadable with the installed decoders' names, not with their words."""
    from pydicom.pixels import pixel_array

    try:
        return pixel_array(data, index=frame)
    except (RuntimeError, ValueError, AttributeError, EOFError, IndexError) as error:
        name = re.sub(r" \(.*", "", data.file_meta.TransferSyntaxUID.name)
        raise Unreadable(f"it is damaged: its pixels cannot be unpacked ({name}, {type(error).__name__})") from None


def _shown(data: "Dataset", values: np.ndarray) -> np.ndarray:
    """Values as they are stored -> uint8 as they are meant to be seen."""
    from pydicom.pixels import apply_color_lut

    form = data.PhotometricInterpretation
    if form in GREY:
        return Grey(data).shown(values)
    bits = int(data.BitsStored)
    if form == PALETTE:
        values, bits = apply_color_lut(values, data), int(data.RedPaletteColorLookupTableDescriptor[2])
    if bits > 8:
        values = values >> (bits - 8)
    return np.ascontiguousarray(values.clip(0, 255).astype(np.uint8))


def _frames(count: Any) -> str:
    return "1 frame" if count == 1 else f"{count:,} frames"
