"""What cannot be used is refused, nothing is written that counts, and the source stays as it was."""

import numpy as np
import pytest
from pictures import cells, clinic, contents, ingested, noise, png, rows_of, run, save, table
from PIL import Image

from medsynth.artifacts import cohort
from medsynth.errors import BadData, BadUsage, MedsynthError, Refused


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return clinic(tmp_path_factory.mktemp("clinic"))


def break_images(folder, *names, how=lambda path: path.write_text("not a picture")):
    for name in names:
        how(folder / "images" / f"{name}.png")


BAD_FILES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "text named png": lambda path: path.write_text("patient,grade"),
    "missing": lambda path: path.unlink(),
    "bomb": lambda path: path.write_bytes(png(30_000, 30_000, 1, 0, b"\0" * 100)),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_an_unreadable_image_is_refused_with_file_line_reason_and_fix(tmp_path, case):
    path = clinic(tmp_path / "clinic")
    break_images(tmp_path / "clinic", "003", how=BAD_FILES[case])
    before = contents(tmp_path / "clinic")
    found = r"1 of 20 images cannot be used \(--allow-bad is 0\):\n  labels.csv line 5: 003.png: "
    with pytest.raises(BadData, match=found) as failure:
        run(tmp_path / "out", path)
    assert failure.value.hint == "mend these images, or leave them out with --allow-bad 1"
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert contents(tmp_path / "clinic") == before


def test_the_first_twenty_unreadable_images_are_listed_and_all_are_counted(tmp_path):
    path = clinic(tmp_path / "clinic", rows_of(20))
    break_images(tmp_path / "clinic", *(f"{n:03d}" for n in range(10, 35)))
    with pytest.raises(BadData, match="25 of 40 images") as failure:
        run(tmp_path / "out", path, allow_bad=24)
    assert str(failure.value).count("labels.csv line") == 20
    assert str(failure.value).endswith("\n  and 5 more")
    assert "--allow-bad 25" in failure.value.hint


def test_accepted_unreadable_images_are_left_out_and_listed_with_their_reasons(tmp_path):
    path = clinic(tmp_path / "clinic")
    break_images(tmp_path / "clinic", "003", "004")
    result = run(tmp_path / "out", path, allow_bad=2)
    assert (result.summary["images"], result.summary["unreadable"]) == (18, 2)
    assert result.notes == ("2 images of the source were left out, for the reasons in unreadable.csv.",)
    assert cells(tmp_path / "out/unreadable.csv") == [
        ["where", "image", "reason"],
        ["labels.csv line 5", "003.png", "it is not a PNG, JPEG, TIFF or BMP picture"],
        ["labels.csv line 6", "004.png", "it is not a PNG, JPEG, TIFF or BMP picture"],
    ]
    assert {s.sample for s in cohort.load(tmp_path / "out").samples}.isdisjoint({"003", "004"})


def test_a_source_of_which_nothing_can_be_read_is_refused_whatever_is_allowed(tmp_path):
    path = table(tmp_path / "labels.csv", rows_of(10))
    with pytest.raises(BadData, match="20 of 20 images cannot be used") as failure:
        run(tmp_path / "out", path, allow_bad=100)
    assert failure.value.hint.startswith("are the paths right?")


def test_an_unreadable_mask_leaves_its_image_out(tmp_path):
    path = clinic(tmp_path / "clinic", rows_of(10, lambda n, row: row | {"mask": "gone.png" if n == 3 else ""}))
    result = run(tmp_path / "out", path, allow_bad=1)
    assert result.summary["unreadable"] == 1
    assert cells(tmp_path / "out/unreadable.csv")[1][2] == "its mask: there is no such file"


def test_a_label_that_unreadable_images_leave_with_too_few_patients_is_refused(tmp_path):
    path = clinic(tmp_path / "clinic", rows_of(10, lambda n, row: row | {"level": int(n < 4)}))
    break_images(tmp_path / "clinic", "000", "001")
    with pytest.raises(BadData, match="level=1 has 1 patient: fewer than the 2 folds"):
        run(tmp_path / "out", path, allow_bad=2)


def change(n, **cells):
    return lambda row, values: values | cells if row == n else values


BAD_TABLES = {
    "..": (change(3, image="../x.png"), BadData, "labels.csv line 5: '../x.png' leaves the folder"),
    "duplicate row": (change(3, image="images/000.png"), BadData, "line 5: images/000.png is there already, on line 2"),
    "empty label": (change(3, level=""), BadData, "labels.csv line 5: column level is empty"),
    "negative label": (change(3, level="-1"), BadData, "labels.csv line 5: column level is '-1'"),
    "NaN label": (change(3, level="NaN"), BadData, "labels.csv line 5: column level is 'NaN'"),
    "text label": (change(3, level="severe"), BadData, "labels.csv line 5: column level is 'severe'"),
    "missing patient": (change(3, patient=""), BadData, "labels.csv line 5: column patient does not say which patient"),
    "lonely class": (change(3, level=4), BadData, "level=4 has 1 patient: fewer than the 2 folds"),
    "nothing to tell apart": (lambda _n, row: row | {"level": 0}, BadData, "every image has the label level=0"),
    "no patients": (lambda _n, row: {k: v for k, v in row.items() if k != "patient"}, Refused, "no column that says"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_before_any_image_is_decoded(tmp_path, case):
    slip, kind, problem = BAD_TABLES[case]
    path = table(tmp_path / "clinic/labels.csv", rows_of(10, slip))  # there are no images
    with pytest.raises(MedsynthError, match=problem) as failure:
        run(tmp_path / "out", path)
    assert type(failure.value) is kind
    assert failure.value.hint
    assert contents(tmp_path / "out") == {}


def test_a_class_of_one_patient_and_five_folds_is_refused_with_the_fix(tmp_path):
    path = table(tmp_path / "labels.csv", rows_of(20, lambda n, row: row | {"level": 2 if n < 2 else row["level"]}))
    with pytest.raises(BadData, match="level=2 has 1 patient: fewer than the 5 folds") as failure:
        run(tmp_path / "out", path, folds=5)
    assert "leave the label out" in failure.value.hint


def test_an_image_behind_a_link_out_of_the_folder_is_never_read(tmp_path):
    path = clinic(tmp_path / "clinic")
    secret = save(tmp_path / "secret.png", noise(77))
    (tmp_path / "clinic/images/003.png").unlink()
    (tmp_path / "clinic/images/003.png").symlink_to(secret)
    with pytest.raises(BadData, match=r"labels.csv line 5: 'images/003.png' leaves the folder of the source"):
        run(tmp_path / "out", path, allow_bad=5)


def test_hostile_patients_pass_through_the_files_unharmed(tmp_path):
    hostile = ['a "b", c', "=cmd|' /C calc'!A0", "<img src=x onerror=alert(1)>", "[red]x[/]"]
    hostile += ["a\x1b[2Jb", "@SUM(A1)", "-1+1", "é\nü"]
    path = clinic(tmp_path / "clinic", rows_of(8, lambda n, row: row | {"patient": hostile[n // 2]}))
    made = ingested(tmp_path / "out", path)
    assert len(made.patients()) == 8
    for line in cells(tmp_path / "out/manifest.csv"):
        for text in line:
            assert not text.startswith(("=", "+", "-", "@"))
            assert not any(ord(character) < 32 for character in text)
    assert sum(len(made.testing(fold).samples) for fold in (0, 1)) == 16


def test_odd_pictures_are_read_and_not_refused(tmp_path):
    folder = tmp_path / "clinic"
    path = clinic(folder)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / "images/000.png", noise(0, channels=1).astype(np.uint16) * 257)
    Image.fromarray(noise(1)).convert("P").save(folder / "images/001.png")
    Image.fromarray(noise(2)).convert("CMYK").save(folder / "images/002.png", format="JPEG")
    Image.fromarray(noise(3)).save(folder / "images/003.png", format="JPEG", exif=exif)
    Image.fromarray(noise(4)).convert("RGBA").save(folder / "images/004.png")
    assert run(tmp_path / "out", path).summary["images"] == 20


def test_no_source_is_refused(tmp_path):
    with pytest.raises(BadUsage, match="no source"):
        run(tmp_path / "out", source="")


def test_a_table_cannot_be_one_fold(source, tmp_path):
    with pytest.raises(BadUsage, match="one fold would test every patient"):
        run(tmp_path / "out", source, folds=1)
