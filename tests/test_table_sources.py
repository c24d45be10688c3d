import time

import pytest
from pictures import graded, listing, table

from medsynth.data import sources
from medsynth.data.sources import cells
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData, BadUsage, Refused


def read(path, **asked):
    return sources.read(path, Asked(**asked))


def test_columns_are_found_by_their_usual_names(tmp_path):
    rows = [{"File Name": "a.png", "Patient-ID": "7", "Laterality": "left", "Mask": "m.png", "Grade": 2}] * 1
    rows.append({"File Name": "b.png", "Patient-ID": "8", "Laterality": "", "Mask": "", "Grade": 0})
    found = read(table(tmp_path / "labels.csv", rows))
    first, second = found.entries
    assert (first.patient, first.eye, first.labels) == ("7", "left", (0, 1))
    assert (first.picture, first.mask) == (tmp_path.resolve() / "a.png", tmp_path.resolve() / "m.png")
    assert (second.eye, second.mask) == ("", None)
    assert found.labels == ("Grade=0", "Grade=2")


def test_many_columns_take_no_time_to_tell_apart(tmp_path):
    """Counting each of them in all of them would take a quarter of a minute."""
    names = [f"c{n}" for n in range(40_000)]
    (tmp_path / "a.csv").write_text(f"{','.join([*names, 'c39999'])}\n{',' * 40_000}x\n")
    began = time.process_time()
    with pytest.raises(BadData, match="has two columns 'c39999'"):
        cells.parse(tmp_path / "a.csv")
    assert time.process_time() - began < 5


def test_columns_that_are_named_win_over_usual_ones(tmp_path):
    row = {
        "image": "x.png",
        "patient": "1",
        "eye": "L",
        "label": 0,
        "scan": "a.png",
        "person_no": "9",
        "which": "R",
        "mark": 1,
    }
    rows = [row, row | {"image": "y.png", "scan": "b.png", "person_no": "10", "mark": 0}]
    found = read(table(tmp_path / "labels.csv", rows), image="scan", patient="person_no", label="mark", eye="which")
    assert [(e.picture.name, e.patient, e.eye) for e in found.entries] == [("a.png", "9", "R"), ("b.png", "10", "R")]
    assert found.labels == ("mark=0", "mark=1")


def test_the_first_of_two_usual_columns_is_meant(tmp_path):
    rows = [{"image": f"{n}.png", "Patient ID": f"P{n}", "patient-id": "x", "lesion": n, "level": n} for n in range(2)]
    assert [e.patient for e in read(table(tmp_path / "labels.csv", rows)).entries] == ["P0", "P1"]


def test_a_mask_column_of_another_name_has_to_be_named(tmp_path):
    rows = graded(0, 1)
    rows = [row | {"segmentation": f"m{n}.png"} for n, row in enumerate(rows)]
    assert listing(tmp_path, *rows).entries[0].mask is None
    assert listing(tmp_path, *rows, mask="segmentation").entries[0].mask.name == "m0.png"


@pytest.mark.parametrize("flag", ["image", "patient", "eye", "mask", "label"])
def test_a_misspelt_column_is_refused_with_the_nearest(tmp_path, flag):
    rows = [{"image": "a.png", "patient": 1, "eye": "L", "mask": "m.png", "label": 0}]
    with pytest.raises(BadUsage, match=f"labels.csv has no column {flag}z") as failure:
        read(table(tmp_path / "labels.csv", rows), **{flag: f"{flag}z"})
    assert failure.value.hint == f"did you mean --{flag} {flag}?"


def test_a_column_that_is_like_no_other_is_refused_with_all_of_them(tmp_path):
    with pytest.raises(BadUsage) as failure:
        listing(tmp_path, *graded(0, 1), label="xyz")
    assert failure.value.hint == "its columns are: image, patient, level"


def test_no_column_of_images_is_refused(tmp_path):
    with pytest.raises(BadData, match="no column with paths of images; it has: patient, level") as failure:
        read(table(tmp_path / "labels.csv", [{"patient": 1, "level": 0}]))
    assert failure.value.hint == "--image COLUMN"


def test_no_patient_column_is_a_refusal_that_names_the_two_ways_on(tmp_path):
    path = table(tmp_path / "labels.csv", [{"image": "a.png", "level": 0}, {"image": "b.png", "level": 1}])
    with pytest.raises(Refused, match="no column that says which images are of one patient; it has: im") as failure:
        read(path)
    assert "--patient COLUMN" in failure.value.hint
    assert "--every-image-is-a-patient" in failure.value.hint


def test_images_stand_for_patients_only_when_asked_and_that_is_said(tmp_path):
    found = listing(tmp_path, *graded(0, 1), every_image_is_a_patient=True)
    assert not found.has_patients
    assert [e.patient for e in found.entries] == [e.sample for e in found.entries]
    assert "taken for a patient of its own" in found.notes[0]
    assert "Its column patient was not used." in found.notes[0]


def test_the_column_of_images_is_never_taken_for_patients(tmp_path):
    with pytest.raises(Refused, match="names images, not the patient"):
        listing(tmp_path, *graded(0, 1), patient="image")


def test_a_patient_column_and_no_patients_contradict_each_other(tmp_path):
    with pytest.raises(BadUsage, match="contradict"):
        listing(tmp_path, *graded(0, 1), patient="patient", every_image_is_a_patient=True)


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN", "N/A", "NULL"])
def test_a_missing_patient_id_is_refused_with_its_line(tmp_path, missing):
    rows = [{"level": n % 2, "patient": missing if n in (2, 4) else f"P{n}"} for n in range(6)]
    with pytest.raises(BadData, match=r"labels.csv lines 4, 6: column patient does not say which patient") as failure:
        listing(tmp_path, *rows)
    assert "write the patient's id there" in failure.value.hint


def test_leading_zeros_of_an_id_are_kept(tmp_path):
    rows = [{"level": 0, "patient": "007"}, {"level": 1, "patient": "7"}]
    assert [e.patient for e in listing(tmp_path, *rows).entries] == ["007", "7"]


def test_hostile_ids_are_written_harmlessly(tmp_path):
    ids = ['"quoted", and comma', "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "a\x1b[31mb", "line\nbreak"]
    found = listing(tmp_path, *[{"level": n % 2, "patient": id} for n, id in enumerate(ids)])
    assert [e.patient for e in found.entries] == [
        '"quoted", and comma', "'=cmd|' /C calc'!A0", "<script>alert(1)</script>", "a_[31mb", "line_break",
    ]  # fmt: skip


def test_ids_that_would_become_equal_are_refused(tmp_path):
    with pytest.raises(BadData, match="would both be written as"):
        listing(tmp_path, *[{"level": n, "patient": id} for n, id in enumerate(["a\x00b", "a_b"])])


def test_hostile_eyes_are_written_harmlessly(tmp_path):
    found = listing(tmp_path, {"level": 0, "eye": "=1+1"}, {"level": 1, "eye": "left"})
    assert [e.eye for e in found.entries] == ["'=1+1", "left"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_however_it_was_saved(tmp_path, encoding):
    path = table(tmp_path / "labels.csv", [{"image": "a.png", "patient": "Müller", "level": 0}], encoding=encoding)
    found = read(path, image="image")
    assert (found.entries[0].patient, found.notes) == ("Müller", ())


def test_what_is_not_unicode_is_read_as_latin_1_and_that_is_said(tmp_path):
    path = table(tmp_path / "labels.csv", [{"image": "a.png", "patient": "Müller", "level": 0}], encoding="latin-1")
    found = read(path)
    assert found.entries[0].patient == "Müller"
    assert "not UTF-8" in found.notes[0]


@pytest.mark.parametrize(("name", "separator"), [("x.csv", ","), ("x.csv", ";"), ("x.csv", "\t"), ("x.tsv", "\t")])
def test_the_separator_is_seen(tmp_path, name, separator):
    path = tmp_path / name
    path.write_text(
        "\n".join(separator.join(row) for row in (["image", "patient", "level"], ['"a,b;c.png"', "1", "0"]))
    )
    assert read(path).entries[0].picture.name == "a,b;c.png"


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('image,patient,level\r\n"a\nb.png",1,0\r\n\r\nc.png,2,\r\n')
    with pytest.raises(BadData, match=r"labels.csv line 5: column level is empty"):
        read(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,patient,level\na.png,1\n", "line 2 has 2 cells, and line 1 names 3 columns"),
        ("image,patient,level\na.png,1,0,9\n", "line 2 has 4 cells, and line 1 names 3 columns"),
        ("image,patient,level\n", "has no rows"),
        ("", "has no rows"),
        ("image,patient,image\na.png,1,0\n", "has two columns 'image'"),
        ("image,patient,\na.png,1,0\n", "has a column without a name"),
        ('image,patient,level\n"a.png,1,0\n', "line 2 is not a row"),
        ("PK\x03\x04 a spreadsheet", "is not text, but a spreadsheet or an archive"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, text, problem):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(BadData, match=f"labels.csv {problem}"):
        read(path)
