"""A synthetic image -> the bytes of a DICOM file: Secondary Capture (PS3.3 A.8.1) that says in every way there is what
it is. Equal images of equal sets are equal to the byte: there is no time and no chance in a file.
"""

import io
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth import __version__

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ROOT = uuid.UUID("5f0c1d0e-5a0b-4b8e-9d52-6d656473796e")  # all UIDs come from this one: 2.25 and a UUID (PS3.5 B.2)
STORAGE = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture Image Storage


@dataclass(frozen=True)
class Origin:
    """Where a synthetic image comes from."""

    made: str  # the mark of its set
    number: int  # in the set, from 0
    generator: str

    def uid(self, level: str) -> str:
        """A UID for the image itself, its series or its study; the same for the same image."""
        return f"2.25.{uuid.uuid5(ROOT, f'{self.made} {self.number} {level}').int}"

    @property
    def subject(self) -> str:
        """Stands where a patient's id would: every image is a subject of its own."""
        return f"SYNTHETIC-{self.made}-{self.number:06d}"


def encode(pixels: np.ndarray, origin: Origin) -> bytes:
    """A file of uint8 pixels, (row, column, 1 or 3), not compressed."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    data = _described(origin)
    data.Rows, data.Columns, data.SamplesPerPixel = pixels.shape
    data.PhotometricInterpretation = "RGB" if data.SamplesPerPixel == 3 else "MONOCHROME2"
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    content = np.ascontiguousarray(pixels).tobytes()
    data.PixelData = content + b"\0" * (len(content) % 2)  # an element has an even length
    about = FileMetaDataset()
    about.MediaStorageSOPClassUID, about.MediaStorageSOPInstanceUID = UID(STORAGE), data.SOPInstanceUID
    about.TransferSyntaxUID = ExplicitVRLittleEndian
    about.ImplementationClassUID = UID(f"2.25.{ROOT.int}")
    about.ImplementationVersionName = f"MEDSYNTH {__version__}"[:16]
    data.file_meta = about
    file = io.BytesIO()
    dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def _described(origin: Origin) -> "Dataset":
    """Everything but the pixels. What has to be there and nobody knows is there and empty."""
    from pydicom.dataset import Dataset

    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = STORAGE, origin.uid("image")
    data.StudyInstanceUID, data.SeriesInstanceUID = origin.uid("study"), origin.uid("series")
    data.PatientID, data.PatientName = origin.subject, f"SYNTHETIC^{origin.subject}"
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "Synthetic: drawn by a generative model"
    data.SyntheticData, data.ConversionType, data.BurnedInAnnotation = "YES", "SYN", "NO"
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.DerivationDescription = (
        f"Synthetic image, drawn by the generative model {origin.generator} (medsynth {__version__}); no acquisition"
    )
    data.Modality, data.SeriesNumber, data.InstanceNumber = "OT", 1, 1
    data.SeriesDescription = "SYNTHETIC"
    data.Manufacturer, data.ManufacturerModelName, data.SoftwareVersions = "medsynth", origin.generator, __version__
    for empty in (
        *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID"),
        *("AccessionNumber", "PatientOrientation", "Laterality"),
    ):
        setattr(data, empty, None)
    return data
