"""A DICOM file -> the few facts of its header that are asked for, and one of its pictures as uint8.

Tags are on a list or they are not read: no name, no date, no free text ever comes out of a file. Only pydicom's reader
of single files is used, never that of a DICOMDIR, whose paths lead anywhere (CVE-2026-32711). No reason that is given
here has a value of a tag in it, but for numbers that say how large a picture is.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.data.decoding import MAX_PIXELS, Unreadable
from medsynth.data.dicom_file import read_tags
from medsynth.data.grey_values import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_VALUES = 1 << 31  # rows x columns x frames x channels: what a header may claim

EXTENDED = "1.2.840.10008.1.2.4.51"  # JPEG of 8 bits or 12
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
        data = read_tags(path, HEADER)
        _check_kind(data)
        patient = str(data.get("PatientID", "") or "").strip(" \0")
        if not patient:
            raise Unreadable("it does not say whose it is: its PatientID is missing or empty")
        frames = _check_layout(data)
        side = str(data.get("ImageLaterality") or data.get("Laterality") or "")
        return Header(
            patient=patient, instance=str(data.get("SOPInstanceUID", "")), eye=side if side in ("R", "L") else "",
            frames=frames, is_stretched=_is_stretched(data), says_no_text=_says(data, "BurnedInAnnotation") == "NO",
        )  # fmt: skip


def instance(path: Path) -> str:
    """The SOPInstanceUID of a file; "" for what is no DICOM file or has none. Raises nothing."""
    try:
        with _reasons():
            return str(read_tags(path, ("SOPInstanceUID",)).get("SOPInstanceUID", ""))
    except Unreadable:
        return ""


def pixels(path: Path, frame: int = 0) -> np.ndarray:
    """One frame, counted from 0, as it is meant to be seen: uint8, (row, column) or (row, column, 3).

    Grey values go through the modality's and the viewer's tables (PS3.3 C.11.1 and C.11.2), MONOCHROME1 is turned over,
    palettes and YBR become RGB. Raises Unreadable.
    """
    with _reasons():
        data = read_tags(path, PIXELS)
        frames = _check_layout(data)
        if frame >= frames:
            raise Unreadable(f"it has {_frames(frames)}, and frame {frame + 1} was asked for")
        _check_data(data, frames)
        return _shown(data, _decoded(data, frame))


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever pydicom and its decoders raise into Unreadable. Their own words may hold values of tags."""
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # a decoder meets a damaged file in ways that nobody has listed
        raise Unreadable(f"it is damaged: {type(error).__name__} while it was read") from None


def _check_kind(data: "Dataset") -> None:
    """Raise Unreadable for what is no image, for what no patient is behind, and for what shows more than anatomy."""
    if data.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY:
        raise Unreadable(IS_DIRECTORY)
    if "Rows" not in data:
        raise Unreadable("it holds no image")
    if data.get("SOPClassUID") == SEGMENTATION:
        raise Unreadable("it holds a segmentation, and no image")
    if _says(data, "SyntheticData") == "YES":
        raise Unreadable("it says of itself that it is synthetic: only images of patients are tested on")
    if _says(data, "BurnedInAnnotation") == "YES":
        raise Unreadable("it says of itself that text is burned into its pixels")
    if _says(data, "RecognizableVisualFeatures") == "YES":
        raise Unreadable("it says of itself that a person can be recognised in it")


def _says(data: "Dataset", name: str) -> str:
    """YES, NO, or "" for what is missing or empty. Whatever is there and is not plainly NO counts as YES."""
    value = data.get(name)
    several = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    said = {str(one).strip(" \0").upper() for one in several if one not in (None, b"")} - {""}
    return "" if not said else "NO" if said == {"NO"} else "YES"


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
