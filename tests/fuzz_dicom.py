"""DICOM files for the harness: whole ones, what changes their elements, and a reading that listens to what is said."""

import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_files import BUNDLED, TESTS, draw
from fuzzing import Reader
from pictures import noise

from medsynth.data import dicom, dicom_file
from medsynth.data.decoding import Unreadable

WHOLE = (
    *(f"{name}.dcm" for name in ("MR_small", "MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "CT_small")),
    *(f"{name}.dcm" for name in ("MR_small_jp2klossless", "SC_rgb_rle", "SC_rgb_rle_16bit", "SC_rgb_rle_2frame")),
    *(f"{name}.dcm" for name in ("SC_rgb_dcmtk_+eb+cr", "SC_rgb_gdcm_KY", "SC_rgb_small_odd_jpeg", "SC_rgb_small_odd")),
    *("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm"),
)
SAID = ("CompressedSamples", "Lestrade", "Quux", "Xaviera", "Q-4711", "4MR1", "1CT1", "19480229", "Yamada")
VRS = (b"UL", b"US", b"SQ", b"OB", b"OW", b"UN", b"PN", b"DS", b"IS", b"UI", b"AT", b"FD", b"UT", b"ZZ", b"\0\0")
ODD = (b"", b"\\", b"-1 ", b"0 ", b"1A", b"1e999", b"nan ", b"9" * 400, b"1\\2\\3\\", b"\0" * 8, b"\xff" * 8, b"^" * 64)


def whole(folder: Path) -> list[bytes]:
    """Small files of every packing that a plain installation reads, and drawn ones with windows, tables, palettes."""
    found = [(TESTS / name).read_bytes() for name in WHOLE]
    found.append((BUNDLED / "charset_files" / "chrH31.dcm").read_bytes())
    window = {"WindowCenter": [40, 300], "WindowWidth": [400, 2], "VOILUTFunction": "SIGMOID"}
    rescale = {"RescaleSlope": "2.5", "RescaleIntercept": "-1024", "PixelPaddingValue": 0, "PixelPaddingRangeLimit": 3}
    grey = noise(0, 16, 16, 1)
    for said in (window | {"PhotometricInterpretation": "MONOCHROME1"}, rescale):
        found.append(draw(folder / "x.dcm", grey.astype(np.uint16) * 16, **said).read_bytes())
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        palette[f"{name}PaletteColorLookupTableData"] = bytes(range(256))
    found.append(draw(folder / "x.dcm", grey, **palette).read_bytes())
    data = pydicom.dcmread(draw(folder / "x.dcm", grey))
    data.file_meta.TransferSyntaxUID = dicom_file.DEFLATED
    pydicom.dcmwrite(folder / "x.dcm", data)
    return [*found, (folder / "x.dcm").read_bytes()]


def element(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """An element has another VR, length or value, is gone, or is there twice."""
    places = [place for place in range(132, len(data) - 12) if data[place + 4 : place + 6] in VRS[:13]]
    if not places:
        return data
    place = places[int(dice.integers(len(places)))]
    size = struct.unpack("<H", data[place + 6 : place + 8])[0]
    end = min(len(data), place + 8 + size)
    act = dice.integers(5)
    if act == 0:
        return data[: place + 4] + VRS[int(dice.integers(len(VRS)))] + data[place + 6 :]
    if act == 1:
        return (
            data[: place + 6]
            + struct.pack("<H", int(dice.choice([0, 1, size + 1, 0xFFFF, 0x7FFF])))
            + data[place + 8 :]
        )
    if act == 2:
        value = ODD[int(dice.integers(len(ODD)))]
        return data[: place + 6] + struct.pack("<H", len(value)) + value + data[end:]
    if act == 3:
        return data[:place] + data[end:]
    return data[:end] + data[place:end] + data[end:]


def layout(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """One of the numbers that say how pixels lie is an extreme one."""
    tags = [
        bytes([0x28, 0, low, high]) for high, low in ((0, 2), (0, 6), (0, 16), (0, 17), (1, 0), (1, 1), (1, 2), (1, 3))
    ]
    places = [data.find(tag) for tag in tags if tag in data]
    if not places:
        return data
    at = places[int(dice.integers(len(places)))] + 8
    return (
        data[:at]
        + struct.pack("<H", int(dice.choice([0, 1, 2, 3, 7, 8, 12, 15, 16, 32, 255, 4096, 0xFFFF])))
        + data[at + 2 :]
    )


def read(place: Path, data: bytes) -> None:
    """Header and pixels, whatever the other said. A reason with a word of a patient in it is a failure."""
    path = place / "Quux^Xaviera.dcm"
    path.write_bytes(data)
    refused: list[Unreadable] = []
    shown: list[object] = [dicom.instance(path) is None]
    for look in (dicom.header, dicom.pixels, partial(dicom.pixels, frame=1)):
        try:
            shown.append(look(path))
        except Unreadable as reason:
            refused.append(reason)
    for reason in refused:
        assert reason.__cause__ is None
        assert reason.__suppress_context__ or reason.__context__ is None
    for pixels in (one for one in shown if isinstance(one, np.ndarray)):
        assert (pixels.dtype, pixels.shape[2:] in ((), (3,))) == (np.uint8, True)
    said = f"{refused} {[one for one in shown if isinstance(one, dicom.Header)]}"
    assert not [word for word in SAID if word in said], said
    if [reason for reason in refused if "frame 2 was asked for" not in str(reason)]:
        raise refused[0]


DICOM = Reader("dicom", whole, read, (element, layout), explained=(Unreadable,))
