"""DICOM files -> pictures as a viewer shows them, or a reason that has no word of the file in it."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BUNDLED, TESTS, bundled, draw, words_of
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_windowing, pixel_array

from medsynth.data import dicom, dicom_file
from medsynth.data.decoding import Unreadable
from medsynth.data.grey_values import Grey

# What cannot be used of the files that pydicom brings, and why; with a plain installation.
REFUSED = {
    "charset_files/chrJapMulti.dcm": "it has no pixels",
    "charset_files/chrSQEncoding.dcm": "it holds no image",
    "palettes/fall.dcm": "it holds no image",
    "test_files/ExplVR_BigEnd.dcm": "its PatientID is missing",
    "test_files/ExplVR_BigEndNoMeta.dcm": "it is no DICOM file",
    "test_files/GDCMJ2K_TextGBR.dcm": "its PatientID is missing",
    "test_files/JPEG-lossy.dcm": "JPEG with 12 bits a value: unpack it .* pip install pylibjpeg",
    "test_files/JPEG2000-embedded-sequence-delimiter.dcm": "it is damaged: its pixels cannot be unpacked",
    "test_files/JPEGLSNearLossless_08.dcm": "it is packed as JPEG-LS .*: pip install pyjpegls",
    "test_files/JPEGLSNearLossless_16.dcm": "it is packed as JPEG-LS .*: pip install pyjpegls",
    "test_files/JPGExtended.dcm": "JPEG with 12 bits a value: unpack it .* pip install pylibjpeg",
    "test_files/MR_small_jpeg_ls_lossless.dcm": "it is packed as JPEG-LS .*: pip install pyjpegls",
    "test_files/MR_truncated.dcm": "it is cut off: 8,130 of 8,192 bytes of pixels are there",
    "test_files/SC_jpeg_no_color_transform.dcm": "its PatientID is missing",
    "test_files/SC_jpeg_no_color_transform_2.dcm": "its PatientID is missing",
    "test_files/SC_rgb_jls_lossy_line.dcm": "it is packed as JPEG-LS .*: pip install pyjpegls",
    "test_files/SC_rgb_jls_lossy_sample.dcm": "it is packed as JPEG-LS .*: pip install pyjpegls",
    "test_files/SC_rgb_jpeg.dcm": "its PatientID is missing",
    "test_files/SC_rgb_jpeg_app14_dcmd.dcm": "its PatientID is missing",
    "test_files/SC_rgb_jpeg_dcmd.dcm": "its PatientID is missing",
    "test_files/SC_rgb_jpeg_gdcm.dcm": "it is packed as JPEG Lossless.*: pip install python-gdcm",
    "test_files/SC_rgb_rle_32bit.dcm": "it has 32 bits a value",
    "test_files/SC_rgb_rle_32bit_2frame.dcm": "it has 32 bits a value",
    "test_files/UN_sequence.dcm": "it is packed as JPEG Lossless.*: pip install python-gdcm",
    "test_files/badVR.dcm": "its NumberOfFrames is missing or no whole number",
    "test_files/dicomdirtests/DICOMDIR-empty.dcm": "it is a DICOMDIR, which is never followed",
    "test_files/empty_charset_LEI.dcm": "it holds no image",
    "test_files/image_dfl.dcm": "its PatientID is missing",
    "test_files/liver_1frame.dcm": "it holds a segmentation",
    "test_files/meta_missing_tsyntax.dcm": "its TransferSyntaxUID is missing",
    "test_files/nested_priv_SQ.dcm": "it holds no image",
    "test_files/no_meta.dcm": "it is no DICOM file",
    "test_files/no_meta_group_length.dcm": "it holds no image",
    "test_files/reportsi.dcm": "it holds no image",
    "test_files/rtdose.dcm": "it has 32 bits a value",
    "test_files/rtplan.dcm": "it holds no image",
    "test_files/rtplan_truncated.dcm": "it holds no image",
    "test_files/rtstruct.dcm": "it is no DICOM file",
    "test_files/test-SR.dcm": "it holds no image",
    "test_files/waveform_ecg.dcm": "it holds no image",
}
READ = (
    *("charset_files/chrH31.dcm", "charset_files/chrX2.dcm", "test_files/693_J2KI.dcm", "test_files/CT_small.dcm"),
    *("test_files/J2K_pixelrep_mismatch.dcm", "test_files/JPEG2000.dcm", "test_files/MR_small.dcm"),
    *("test_files/MR_small_RLE.dcm", "test_files/MR_small_bigendian.dcm", "test_files/MR_small_expb.dcm"),
    *("test_files/MR_small_implicit.dcm", "test_files/MR_small_jp2klossless.dcm", "test_files/MR_small_padded.dcm"),
    *(f"test_files/SC_rgb_dcmtk_+eb+{how}.dcm" for how in ("cr", "cy+n1", "cy+n2", "cy+np", "cy+s2", "cy+s4")),
    *("test_files/SC_rgb_gdcm_KY.dcm", "test_files/SC_rgb_jpeg_dcmtk.dcm", "test_files/SC_rgb_jpeg_lossy_gdcm.dcm"),
    *("test_files/SC_rgb_rle.dcm", "test_files/SC_rgb_rle_16bit.dcm", "test_files/SC_rgb_rle_16bit_2frame.dcm"),
    *("test_files/SC_rgb_rle_2frame.dcm", "test_files/SC_rgb_small_odd.dcm", "test_files/SC_rgb_small_odd_jpeg.dcm"),
    *("test_files/SC_rgb_small_odd_big_endian.dcm", "test_files/SC_ybr_full_422_uncompressed.dcm"),
    *("test_files/examples_jpeg2k.dcm", "test_files/examples_overlay.dcm", "test_files/examples_palette.dcm"),
    *("test_files/examples_rgb_color.dcm", "test_files/examples_ybr_color.dcm"),
)
SAME = ("RLE", "bigendian", "expb", "implicit", "jp2klossless", "padded")  # as MR_small, packed otherwise

files = pytest.mark.parametrize("path", bundled(".dcm", "", ".gz", ".icc", ".dump"), ids=lambda path: path.name)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def looked_at(path: Path) -> np.ndarray:
    """A file as ingest looks at it: the header first."""
    dicom.header(path)
    return dicom.pixels(path)


@files
def test_a_file_is_read_or_refused_with_a_reason_that_has_no_word_of_it(path):
    said = ""
    try:
        pixels = looked_at(path)
    except Unreadable as reason:
        said = str(reason)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 2 or pixels.shape[-1] == 3
    assert not {word for word in words_of(path) if word in said}


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_cannot_be_used_is_refused_for_its_own_reason(name, reason):
    if "pip install" in reason and any(map(find_spec, ("jpeg_ls", "gdcm", "pylibjpeg"))):
        pytest.skip("there is something that unpacks it")
    with pytest.raises(Unreadable, match=reason):
        looked_at(BUNDLED / name)


@pytest.mark.parametrize("name", READ)
def test_what_can_be_used_is_read(name):
    assert looked_at(BUNDLED / name).max() > 0


def test_the_same_picture_packed_in_seven_ways_is_the_same_picture():
    first = dicom.pixels(TESTS / "MR_small.dcm")
    assert all(np.array_equal(dicom.pixels(TESTS / f"MR_small_{how}.dcm"), first) for how in SAME)


@pytest.mark.parametrize(
    ("library", "name", "like"),
    [("jpeg_ls", "MR_small_jpeg_ls_lossless", "MR_small"), ("gdcm", "SC_rgb_jpeg_gdcm", "SC_rgb_rle")],
)
def test_what_a_refusal_says_to_install_unpacks_the_file(library, name, like):
    pytest.importorskip(library)
    assert np.array_equal(dicom.pixels(TESTS / f"{name}.dcm"), dicom.pixels(TESTS / f"{like}.dcm"))


def test_a_header_shows_no_id(tmp_path):
    found = dicom.header(draw(tmp_path / "a.dcm"))
    assert found.patient == "Q-4711"
    assert not [word for word in words_of(tmp_path / "a.dcm") if word in repr(found)]


def test_the_smallest_value_of_monochrome1_is_white(tmp_path):
    upright, inverted = (draw(tmp_path / f"{n}.dcm", PhotometricInterpretation=f"MONOCHROME{n}") for n in (2, 1))
    assert np.array_equal(dicom.pixels(inverted), 255 - dicom.pixels(upright))


def test_a_palette_is_looked_up():
    path = TESTS / "examples_palette.dcm"
    data = pydicom.dcmread(path)
    assert np.array_equal(dicom.pixels(path), apply_color_lut(pixel_array(data), data) >> 8)


def test_each_frame_is_its_own_and_there_is_no_other():
    path = TESTS / "SC_rgb_rle_2frame.dcm"
    truth = pixel_array(path)
    assert [np.array_equal(dicom.pixels(path, frame), truth[frame]) for frame in (0, 1)] == [True, True]
    with pytest.raises(Unreadable, match="it has 2 frames, and frame 3 was asked for"):
        dicom.pixels(path, 2)


@given(
    st.floats(-100, 3000), st.floats(1, 4000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.sampled_from([(1, 0), (2, -1024), (0.5, 3)]),
)  # fmt: skip
def test_a_window_shows_what_the_standard_says(centre, width, rule, rescale):
    stored = np.arange(0, 4096, 7, dtype=np.uint16).reshape(-1, 2)
    data = Dataset()
    data.PhotometricInterpretation, data.BitsStored, data.PixelRepresentation = "MONOCHROME2", 12, 0
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = centre, width, rule
    data.RescaleSlope, data.RescaleIntercept = rescale
    shown = Grey(data).shown(stored)
    low, high = rescale[1], 4095 * rescale[0] + rescale[1]  # between these, pydicom's own window lies
    theirs = apply_windowing(stored.astype(float) * rescale[0] + rescale[1], data)
    assert np.abs(shown - (theirs - low) / (high - low) * 255).max() <= 0.5 + 1e-6


def test_of_several_windows_the_first_is_used(tmp_path):
    pixels = np.arange(144, dtype=np.uint16).reshape(12, 12)
    one = draw(tmp_path / "a.dcm", pixels, WindowCenter=40, WindowWidth=20)
    several = draw(tmp_path / "b.dcm", pixels, WindowCenter=[40, 100], WindowWidth=[20, 3])
    assert np.array_equal(dicom.pixels(one), dicom.pixels(several))
    assert set(dicom.pixels(one)[0]) == {0}
    assert set(dicom.pixels(one)[-1]) == {255}


def test_a_table_of_grey_values_is_looked_up(tmp_path):
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [4, 10, 8], np.array([255, 0, 100, 50], np.uint16).tobytes()
    pixels = np.array([[9, 10, 11, 12, 13, 14]], np.uint16)
    path = draw(tmp_path / "a.dcm", pixels, VOILUTSequence=[item])
    assert dicom.pixels(path).tolist() == [[255, 255, 0, 100, 50, 50]]


def test_without_a_window_an_image_is_stretched_over_what_was_measured(tmp_path):
    pixels = np.array([[-2000, 0, 500, 1000]], np.int16)
    assert dicom.pixels(draw(tmp_path / "a.dcm", pixels, PixelPaddingValue=-2000)).tolist() == [[0, 0, 128, 255]]
    assert dicom.header(tmp_path / "a.dcm").is_stretched
    assert dicom.pixels(draw(tmp_path / "b.dcm", np.array([[7, 90]], np.uint8))).tolist() == [[7, 90]]
    assert not dicom.header(tmp_path / "b.dcm").is_stretched


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "it says of itself that text is burned into its pixels"),
        ({"RecognizableVisualFeatures": "YES"}, "a person can be recognised"),
        ({"SyntheticData": "YES"}, "it says of itself that it is synthetic"),
        ({"PatientID": None}, "its PatientID is missing or empty"),
        ({"PatientID": " "}, "its PatientID is missing or empty"),
        ({"Rows": 60_000, "Columns": 60_000}, "60,000 x 60,000 pixels, which is too much"),
        ({"NumberOfFrames": "2000000000"}, "in 2,000,000,000 frames, which is too much"),
        ({"NumberOfFrames": "0"}, "its NumberOfFrames is not 1 or more"),
        ({"PhotometricInterpretation": "MUELLER"}, "its colours are of a form that is not read"),
        ({"SamplesPerPixel": 3}, "its colours are of a form that is not read"),
        ({"BitsStored": 12}, "more bits in a value than there is room for"),
        ({"WindowCenter": "1", "WindowWidth": "0"}, "its window has no width"),
        ({"RescaleSlope": "1e308", "RescaleIntercept": "1e308"}, "not finite"),
    ],
    ids=str,
)
def test_what_a_header_should_not_say_is_refused(tmp_path, tags, reason):
    with pytest.raises(Unreadable, match=reason):
        looked_at(draw(tmp_path / "a.dcm", **tags))


@pytest.mark.parametrize("value", [" YES", "yes", "Yes", "YES\\NO", "NO\\YES", "Y", "TRUE", "UNKNOWN"])
@pytest.mark.parametrize("tag", ["BurnedInAnnotation", "RecognizableVisualFeatures", "SyntheticData"])
def test_whatever_is_not_plainly_no_counts_as_yes(tmp_path, tag, value):
    """Spaces, small letters, several values: others wrote the file, and none of them is a reason to let a text in."""
    with pydicom.config.disable_value_validation():
        path = draw(tmp_path / "a.dcm", **{tag: value})
    with pytest.raises(Unreadable, match="it says of itself"):
        dicom.header(path)


@pytest.mark.parametrize(
    ("value", "says_no"), [("NO", True), ("no ", True), ("NO\\NO", True), ("", False), (" ", False)]
)
def test_a_no_is_a_no_however_it_is_spelled_and_an_empty_tag_says_nothing(tmp_path, value, says_no):
    with pydicom.config.disable_value_validation():
        path = draw(tmp_path / "a.dcm", BurnedInAnnotation=value, SyntheticData=value)
    assert dicom.header(path).says_no_text == says_no


def packed_as(path: Path, syntax: str) -> Path:
    """The file with another transfer syntax in its header, and no pixels."""
    data = pydicom.dcmread(path)
    del data.PixelData
    data.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=True, force_encoding=True)
    return path


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.100", "1.2.3.4711"])
def test_a_transfer_syntax_that_is_not_on_the_list_is_refused_without_its_name(tmp_path, syntax):
    # JPIP names a server from which the pixels are to be fetched
    with pytest.raises(Unreadable, match="its transfer syntax is not on the list"):
        looked_at(packed_as(draw(tmp_path / "a.dcm"), syntax))


def test_a_small_file_that_inflates_without_end_is_refused_before_it_is_inflated(tmp_path, monkeypatch):
    path = draw(tmp_path / "a.dcm", np.zeros((3000, 3000), np.uint8))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = dicom_file.DEFLATED
    pydicom.dcmwrite(path, data)
    assert path.stat().st_size < 20_000
    content = path.read_bytes()
    for padding in range(3):
        path.write_bytes(content + b"\0" * padding)
        assert looked_at(path).shape == (3000, 3000)
    monkeypatch.setattr(dicom_file, "MAX_BYTES", 1 << 20)
    with pytest.raises(Unreadable, match="more than 1 MiB once it is unpacked"):
        looked_at(path)
