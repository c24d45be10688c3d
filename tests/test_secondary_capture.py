"""Synthetic images as DICOM: what the standard wants is there, no patient is, and equal sets are equal to the byte."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pictures import noise
from pydicom.dataset import FileDataset
from pydicom.pixels import pixel_array
from shell import contents, done
from sweep import hits

from medsynth.artifacts import cohort
from medsynth.data import dicom
from medsynth.data.decoding import Unreadable
from medsynth.data.png import read
from medsynth.data.secondary_capture import Origin, encode
from medsynth.rundir import RunDirectory

ORIGIN = Origin("0123456789ab", 7, "geca")
# PS3.3 A.8.1.3: of each mandatory module what has to be there with a value, and what may be empty.
TYPE_1 = (
    *("StudyInstanceUID", "Modality", "SeriesInstanceUID", "ConversionType", "SOPClassUID", "SOPInstanceUID"),
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelData", "DeidentificationMethod"),
)
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *(
        "ReferringPhysicianName",
        "AccessionNumber",
        "SeriesNumber",
        "InstanceNumber",
        "PatientOrientation",
        "Laterality",
    ),
)
EMPTY = (*TYPE_2[2:9], *TYPE_2[11:])  # nobody knows, or there is nobody
pictures = pytest.mark.parametrize(
    "pixels", [noise(0), noise(1, channels=1)[..., None], noise(2, 5, 7), noise(3, 5, 7, 1)[..., None]],
    ids=["colour", "grey", "odd colour", "odd grey"],
)  # fmt: skip


def written(folder: Path, pixels: np.ndarray, origin: Origin = ORIGIN) -> Path:
    (folder / "a.dcm").write_bytes(encode(pixels, origin))
    return folder / "a.dcm"


@pictures
def test_every_attribute_that_the_standard_wants_is_there(tmp_path: Path, pixels: np.ndarray) -> None:
    data = pydicom.dcmread(written(tmp_path, pixels))
    assert [name for name in TYPE_1 if not data.get(name) and data.get(name) != 0] == []
    assert [name for name in TYPE_2 if name not in data] == []
    assert [name for name in EMPTY if data.get(name)] == []
    assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
    assert len(data.PixelData) % 2 == 0


@pictures
def test_the_pixels_come_back(tmp_path: Path, pixels: np.ndarray) -> None:
    path = written(tmp_path, pixels)
    assert np.array_equal(pixel_array(path).reshape(pixels.shape), pixels)
    assert np.array_equal(dicom.pixels(path).reshape(pixels.shape), pixels)


def test_it_says_in_every_way_that_it_is_synthetic(tmp_path: Path) -> None:
    data = pydicom.dcmread(written(tmp_path, noise(0)))
    assert (data.SyntheticData, data.ConversionType, data.PatientIdentityRemoved) == ("YES", "SYN", "YES")
    assert list(data.ImageType) == ["DERIVED", "SECONDARY"]
    assert data.BurnedInAnnotation == "NO"
    assert data.PatientID == "SYNTHETIC-0123456789ab-000007"
    assert str(data.PatientName).startswith("SYNTHETIC^")
    assert data.DerivationDescription.startswith("Synthetic image, drawn by the generative model geca")
    assert max(len(data.DeidentificationMethod), len(data.PatientName), len(data.PatientID)) <= 64


def test_it_is_refused_where_images_of_patients_are_read(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="it says of itself that it is synthetic"):
        dicom.header(written(tmp_path, noise(0)))


def test_an_image_has_uids_of_its_own_that_stay_the_same() -> None:
    others = [ORIGIN, Origin("0123456789ab", 8, "geca"), Origin("ba9876543210", 7, "geca")]
    uids = [origin.uid(level) for origin in others for level in ("image", "series", "study")]
    assert len(set(uids)) == 9
    assert all(pydicom.uid.UID(uid).is_valid and uid.startswith("2.25.") for uid in uids)
    assert Origin("0123456789ab", 7, "geca").uid("image") == uids[0]


def complaints(path: Path) -> list[str]:
    """The errors that dciodvfy of dicom3tools finds; releases of before 2023 do not know SyntheticData, (0008,001C)."""
    said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    assert "SCImage" in said.stderr
    unknown = "</(0008,001c)> - Attribute with an even group number is not a recognized standard attribute"
    return [line for line in said.stderr.splitlines() if line.startswith("Error") and unknown not in line]


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="needs dicom3tools")
@pictures
def test_the_validator_of_dicom3tools_accepts_it(tmp_path: Path, pixels: np.ndarray) -> None:
    path = written(tmp_path, pixels)
    assert complaints(path) == []
    data: FileDataset = pydicom.dcmread(path)
    del data.ConversionType
    data.save_as(path)
    assert complaints(path) != []  # it does look


def test_an_export_is_the_images_of_the_set_without_a_name_of_a_sample_and_equal_each_time(
    expanded: RunDirectory, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        words = ("--format", "dicom", "--acknowledge-risk", "a test", "--run", expanded.root)
        done("export", tmp_path / name, *words)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    made = cohort.load(expanded.artifact("expand", 0, "geca").folder).samples
    files = sorted((tmp_path / "one" / "images").iterdir())
    assert [path.suffix for path in files] == [".dcm"] * len(made)
    assert all(np.array_equal(dicom.pixels(path), read(s.image)) for path, s in zip(files, made, strict=True))
    real = cohort.load(expanded.artifact("ingest").folder).samples
    assert hits(tmp_path / "one", {s.sample for s in real} | {s.patient for s in real if len(s.patient) > 5}) == []
    table = (tmp_path / "one" / "metadata.csv").read_text().splitlines()
    assert table[1].startswith("images/synthetic-000000.dcm,")
    assert json.loads((tmp_path / "one" / "about.json").read_text())["synthetic"] is True
