"""Small DICOM files for tests: those that pydicom brings, and drawn ones with any tags."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian

BUNDLED = Path(pydicom.__file__).parent / "data"
TESTS = BUNDLED / "test_files"
TEXTS = ("AE", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UT")  # VRs that may say who or when it was


def bundled(*endings: str) -> list[Path]:
    """Every file that pydicom brings with one of these endings, sorted."""
    return sorted(path for path in BUNDLED.rglob("*") if path.is_file() and path.suffix in endings)


def draw(path: Path, pixels: np.ndarray | None = None, **tags: Any) -> Path:
    """A file with these pixels, (row, column) or (row, column, 3), and these tags; a tag that is None is left out."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12), np.uint8) if pixels is None else pixels
    data = Dataset()
    said = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "SOPInstanceUID": pydicom.uid.generate_uid(),
        "PatientID": "Q-4711", "PatientName": "Quux^Xaviera", "PatientBirthDate": "19480229",
        "BurnedInAnnotation": "NO", "Rows": pixels.shape[0], "Columns": pixels.shape[1],
        "SamplesPerPixel": pixels.shape[2] if pixels.ndim == 3 else 1,
        "PhotometricInterpretation": "RGB" if pixels.ndim == 3 else "MONOCHROME2",
        "PlanarConfiguration": 0 if pixels.ndim == 3 else None,
        "BitsAllocated": 8 * pixels.itemsize, "BitsStored": 8 * pixels.itemsize, "HighBit": 8 * pixels.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }  # fmt: skip
    for name, value in {**said, **tags}.items():
        if value is not None:
            setattr(data, name, value)
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def words_of(path: Path, shortest: int = 4) -> set[str]:
    """Every text in a file that may say who or when it was: names and their parts, ids, dates, places, UIDs."""
    try:
        data = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        found = {text for _, _, text in texts(data)}
    except Exception:  # the files of this kind are damaged on purpose
        return set()
    parts = {part for text in found for part in [text, *text.replace("=", "^").split("^")]}
    return {part.strip() for part in parts if len(part.strip()) >= shortest}


def texts(data: Dataset) -> Iterator[tuple[int, str, str]]:
    """Tag, VR and text of every element that is text, in sequences, too."""
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                yield from texts(item)
        elif element.VR in TEXTS:
            several = element.value if isinstance(element.value, MultiValue | list) else [element.value]
            yield from ((int(element.tag), element.VR, str(value)) for value in several if value)
