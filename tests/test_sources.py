import os
import pickle
import zipfile

import numpy as np
import pytest
from pictures import clinic, medmnist, noise, rows_of, save, table

from medsynth.data import sources
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData, BadUsage, Refused

SIZES = {"train": 12, "val": 4, "test": 6}  # of the MedMNIST files that are drawn here
EVERY_IMAGE = Asked(every_image_is_a_patient=True)


def read(path, **asked):
    return sources.read(path, Asked(**asked))


def of_rows(tmp_path, *rows, **asked):
    """The listing of a table whose rows need only say what matters; no image is there, and none is opened."""
    full = [{"image": f"{n}.png", "patient": f"P{n}"} | row for n, row in enumerate(rows)]
    return read(table(tmp_path / "labels.csv", full), **asked)


def graded(*values):
    return [{"level": value} for value in values]


# Columns


def test_columns_are_found_by_their_usual_names(tmp_path):
    rows = [{"File Name": "a.png", "Patient-ID": "7", "Laterality": "left", "Mask": "m.png", "Grade": 2}] * 1
    rows.append({"File Name": "b.png", "Patient-ID": "8", "Laterality": "", "Mask": "", "Grade": 0})
    listing = read(table(tmp_path / "labels.csv", rows))
    first, second = listing.entries
    assert (first.patient, first.eye, first.labels) == ("7", "left", (0, 1))
    assert (first.picture, first.mask) == (tmp_path.resolve() / "a.png", tmp_path.resolve() / "m.png")
    assert (second.eye, second.mask) == ("", None)
    assert listing.labels == ("Grade=0", "Grade=2")


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
    listing = read(table(tmp_path / "labels.csv", rows), image="scan", patient="person_no", label="mark", eye="which")
    assert [(e.picture.name, e.patient, e.eye) for e in listing.entries] == [("a.png", "9", "R"), ("b.png", "10", "R")]
    assert listing.labels == ("mark=0", "mark=1")


def test_the_first_of_two_usual_columns_is_meant(tmp_path):
    rows = [{"image": f"{n}.png", "Patient ID": f"P{n}", "patient-id": "x", "lesion": n, "level": n} for n in range(2)]
    assert [e.patient for e in read(table(tmp_path / "labels.csv", rows)).entries] == ["P0", "P1"]


def test_a_mask_column_of_another_name_has_to_be_named(tmp_path):
    rows = graded(0, 1)
    rows = [row | {"segmentation": f"m{n}.png"} for n, row in enumerate(rows)]
    assert of_rows(tmp_path, *rows).entries[0].mask is None
    assert of_rows(tmp_path, *rows, mask="segmentation").entries[0].mask.name == "m0.png"


@pytest.mark.parametrize("flag", ["image", "patient", "eye", "mask", "label"])
def test_a_misspelt_column_is_refused_with_the_nearest(tmp_path, flag):
    rows = [{"image": "a.png", "patient": 1, "eye": "L", "mask": "m.png", "label": 0}]
    with pytest.raises(BadUsage, match=f"labels.csv has no column {flag}z") as failure:
        read(table(tmp_path / "labels.csv", rows), **{flag: f"{flag}z"})
    assert failure.value.hint == f"did you mean --{flag} {flag}?"


def test_a_column_that_is_like_no_other_is_refused_with_all_of_them(tmp_path):
    with pytest.raises(BadUsage) as failure:
        of_rows(tmp_path, *graded(0, 1), label="xyz")
    assert failure.value.hint == "its columns are: image, patient, level"


def test_no_column_of_images_is_refused(tmp_path):
    with pytest.raises(BadData, match="no column with paths of images; it has: patient, level") as failure:
        read(table(tmp_path / "labels.csv", [{"patient": 1, "level": 0}]))
    assert failure.value.hint == "--image COLUMN"


# Patients


def test_no_patient_column_is_a_refusal_that_names_the_two_ways_on(tmp_path):
    path = table(tmp_path / "labels.csv", [{"image": "a.png", "level": 0}, {"image": "b.png", "level": 1}])
    with pytest.raises(Refused, match="no column that says which images are of one patient; it has: im") as failure:
        read(path)
    assert "--patient COLUMN" in failure.value.hint
    assert "--every-image-is-a-patient" in failure.value.hint


def test_images_stand_for_patients_only_when_asked_and_that_is_said(tmp_path):
    listing = of_rows(tmp_path, *graded(0, 1), every_image_is_a_patient=True)
    assert not listing.has_patients
    assert [e.patient for e in listing.entries] == [e.sample for e in listing.entries]
    assert "taken for a patient of its own" in listing.notes[0]
    assert "Its column patient was not used." in listing.notes[0]


def test_the_column_of_images_is_never_taken_for_patients(tmp_path):
    with pytest.raises(Refused, match="names images, not the patient"):
        of_rows(tmp_path, *graded(0, 1), patient="image")


def test_a_patient_column_and_no_patients_contradict_each_other(tmp_path):
    with pytest.raises(BadUsage, match="contradict"):
        of_rows(tmp_path, *graded(0, 1), patient="patient", every_image_is_a_patient=True)


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN", "N/A", "NULL"])
def test_a_missing_patient_id_is_refused_with_its_line(tmp_path, missing):
    rows = [{"level": n % 2, "patient": missing if n in (2, 4) else f"P{n}"} for n in range(6)]
    with pytest.raises(BadData, match=r"labels.csv lines 4, 6: column patient does not say which patient") as failure:
        of_rows(tmp_path, *rows)
    assert "write the patient's id there" in failure.value.hint


def test_leading_zeros_of_an_id_are_kept(tmp_path):
    rows = [{"level": 0, "patient": "007"}, {"level": 1, "patient": "7"}]
    assert [e.patient for e in of_rows(tmp_path, *rows).entries] == ["007", "7"]


def test_hostile_ids_are_written_harmlessly(tmp_path):
    ids = ['"quoted", and comma', "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "a\x1b[31mb", "line\nbreak"]
    listing = of_rows(tmp_path, *[{"level": n % 2, "patient": id} for n, id in enumerate(ids)])
    assert [e.patient for e in listing.entries] == [
        '"quoted", and comma', "'=cmd|' /C calc'!A0", "<script>alert(1)</script>", "a_[31mb", "line_break",
    ]  # fmt: skip


def test_ids_that_would_become_equal_are_refused(tmp_path):
    with pytest.raises(BadData, match="would both be written as"):
        of_rows(tmp_path, *[{"level": n, "patient": id} for n, id in enumerate(["a\x00b", "a_b"])])


def test_hostile_eyes_are_written_harmlessly(tmp_path):
    listing = of_rows(tmp_path, {"level": 0, "eye": "=1+1"}, {"level": 1, "eye": "left"})
    assert [e.eye for e in listing.entries] == ["'=1+1", "left"]


# Labels


def test_whole_numbers_are_grades_in_their_order(tmp_path):
    listing = of_rows(tmp_path, *graded(10, 0, 2, 0))
    assert listing.labels == ("level=0", "level=2", "level=10")
    assert listing.one_class
    assert listing.ordinal
    assert [e.labels for e in listing.entries] == [(0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 0, 0)]


def test_numbers_are_compared_as_numbers(tmp_path):
    assert of_rows(tmp_path, *graded("1", "1.0", "0", "2e0")).labels == ("level=0", "level=1", "level=2")


def test_fractions_are_classes_and_no_grades(tmp_path):
    listing = of_rows(tmp_path, *graded("0.5", "1"))
    assert listing.labels == ("level=0.5", "level=1")
    assert not listing.ordinal


def test_words_are_classes_in_the_order_of_the_alphabet(tmp_path):
    listing = of_rows(tmp_path, {"dx": "nv"}, {"dx": "mel"}, {"dx": "nv"})
    assert listing.labels == ("mel", "nv")
    assert listing.one_class
    assert not listing.ordinal


def test_columns_that_were_named_are_several_labels(tmp_path):
    listing = of_rows(tmp_path, {"A": 0, "B": 1, "C": "x"}, {"A": 1, "B": 1, "C": "y"}, labels=("B", "A"))
    assert listing.labels == ("B", "A")
    assert not listing.one_class
    assert [e.labels for e in listing.entries] == [(1, 0), (1, 1)]
    assert listing.notes == ()


def test_every_column_of_zeros_and_ones_is_a_label_when_none_is_named_and_that_is_said(tmp_path):
    rows = [{"A": 0, "age": 60, "B": "1.0", "fold": 0}, {"A": 1, "age": 1, "B": "0", "fold": 1}]
    listing = of_rows(tmp_path, *rows)
    assert listing.labels == ("A", "B")
    assert listing.notes[0].startswith("Every column of 0 and 1 was taken for a label: A, B. If some of them are not")


def test_a_usual_class_column_wins_over_zeros_and_ones(tmp_path):
    assert of_rows(tmp_path, {"diagnosis": "x", "A": 0}, {"diagnosis": "y", "A": 1}).labels == ("x", "y")


def test_two_usual_class_columns_are_refused_by_name(tmp_path):
    with pytest.raises(BadData, match="several columns that may be the class: diagnosis, grade") as failure:
        of_rows(tmp_path, {"grade": 0, "diagnosis": "x"})
    assert failure.value.hint == "--label diagnosis"


def test_no_label_is_refused_with_the_flags(tmp_path):
    with pytest.raises(BadData, match="no column that is clearly a label; it has: image, patient, age") as failure:
        of_rows(tmp_path, {"age": 60}, {"age": 61})
    assert failure.value.hint.startswith("--label COLUMN")


def test_label_and_labels_contradict_each_other(tmp_path):
    with pytest.raises(BadUsage, match="--label level and --labels A,B contradict"):
        of_rows(tmp_path, {"level": 0, "A": 0, "B": 1}, label="level", labels=("A", "B"))


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        ("", "empty"),
        ("nan", "'nan'"),
        ("N/A", "'N/A'"),
        ("-1", "'-1'"),
        ("-0.5", "'-0.5'"),
        ("inf", "'inf'"),
        ("two", "'two'"),
    ],
)
def test_a_bad_class_is_refused_with_file_line_column_and_value(tmp_path, bad, shown):
    with pytest.raises(BadData, match=f"labels.csv line 5: column level is {shown}, ") as failure:
        of_rows(tmp_path, *graded(0, 1, 2, bad, 1))
    assert failure.value.hint == "write the right value there, or take the row out"


def test_a_number_among_words_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"labels.csv line 3: column dx is '7', where other rows have a word"):
        of_rows(tmp_path, {"dx": "mel"}, {"dx": "7"}, {"dx": "nv"})


@pytest.mark.parametrize(
    ("bad", "shown"), [("", "empty"), ("nan", "'nan'"), ("-1", "'-1'"), ("2", "'2'"), ("yes", "'yes'")]
)
@pytest.mark.parametrize("asked", [{"labels": ("A", "B")}, {}], ids=["named", "found"])
def test_a_bad_zero_or_one_is_refused_with_file_line_column_and_value(tmp_path, bad, shown, asked):
    rows = [{"A": n % 2, "B": bad if n == 3 else 1} for n in range(5)]
    with pytest.raises(BadData, match=f"labels.csv line 5: column B is {shown}, and should be 0 or 1") as failure:
        of_rows(tmp_path, *rows, **asked)
    assert "write the right value there" in failure.value.hint
    assert asked or failure.value.hint.endswith("if the column is no label: --labels A")


def test_many_bad_cells_are_counted(tmp_path):
    with pytest.raises(BadData, match=r"labels.csv lines 3, 4, 5, 6, 7 and 4 more: column level is empty"):
        of_rows(tmp_path, *graded(0, *[""] * 9, 1))


def test_a_column_of_classes_named_as_labels_is_refused_with_the_flag_for_it(tmp_path):
    with pytest.raises(BadData, match=r"column level of labels.csv does not hold zeros and ones") as failure:
        of_rows(tmp_path, *graded(0, 3, 2, 4), labels=("level",))
    assert failure.value.hint == "for one class an image: --label level"


def test_a_label_that_is_mostly_empty_is_not_dropped_silently(tmp_path):
    rows = [{"A": n % 2, "B": 1 if n == 0 else ""} for n in range(5)]
    with pytest.raises(BadData, match=r"labels.csv lines 3, 4, 5, 6: column B is empty"):
        of_rows(tmp_path, *rows)


@pytest.mark.parametrize("name", ["sample", "Patient", "eye", "image", "mask", "origin", "fold", "label_source"])
def test_a_label_named_like_a_column_of_the_manifest_is_refused(tmp_path, name):
    with pytest.raises(BadData, match=f"a label is named '{name}', which is a column of the manifest"):
        of_rows(tmp_path, {"dx": name}, {"dx": "other"})


def test_hostile_label_names_are_written_harmlessly(tmp_path):
    assert of_rows(tmp_path, {"dx": "=1+1"}, {"dx": "a\x1bb"}).labels == ("'=1+1", "a_b")


# Paths


def test_paths_are_relative_to_the_folder_of_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    listing = read(clinic(tmp_path))
    assert listing.entries[0].picture == tmp_path.resolve() / "images/000.png"


def test_windows_separators_are_understood(tmp_path):
    (entry,) = of_rows(tmp_path, {"image": r"images\a.png", "level": 0}).entries
    assert entry.picture == tmp_path.resolve() / "images/a.png"


def test_a_path_within_the_folder_may_be_absolute_or_go_up_and_down(tmp_path):
    rows = [{"image": str(tmp_path / "a.png"), "level": 0}, {"image": "images/../b.png", "level": 1}]
    assert [e.picture.name for e in of_rows(tmp_path, *rows).entries] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "path", ["../secret.png", "images/../../secret.png", "/etc/hostname", r"..\secret.png", "link.png", "link/x.png"]
)
@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_path_that_leaves_the_folder_is_refused_with_its_line(tmp_path, path, column):
    data = tmp_path / "data"
    data.mkdir()
    save(tmp_path / "secret.png", noise(0))
    (data / "link.png").symlink_to(tmp_path / "secret.png")
    (data / "link").symlink_to(tmp_path)
    rows = [{"image": "a.png", "mask": "", "level": 0}, {"image": "b.png", "mask": "", "level": 1} | {column: path}]
    with pytest.raises(BadData, match=r"labels.csv line 3: .* leaves the folder of the source") as failure:
        of_rows(data, *rows)
    assert "copy the file into" in failure.value.hint


@pytest.mark.parametrize(
    ("path", "problem"),
    [("a\0.png", "NUL character"), ("images/con.png", "device"), ("NUL", "device"), ("com1.", "device")],
)
def test_a_path_that_no_file_can_have_is_refused_with_its_line(tmp_path, path, problem):
    with pytest.raises(BadData, match=f"labels.csv line 2: .*{problem}"):
        of_rows(tmp_path, {"image": path, "level": 0})


def test_a_link_that_leads_in_circles_is_refused(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    try:
        assert of_rows(tmp_path, {"image": "a.png", "level": 0}).entries  # newer Pythons leave it to the decoder
    except BadData as error:
        assert "labels.csv line 2" in str(error)  # noqa: PT017


@pytest.mark.parametrize("again", ["a.png", "./a.png", "x/../a.png", "link.png"])
def test_an_image_that_was_there_before_is_refused_with_both_lines(tmp_path, again):
    (tmp_path / "link.png").symlink_to("a.png")
    rows = [{"image": "a.png", "level": 0}, {"image": "b.png", "level": 0}, {"image": again, "level": 1}]
    with pytest.raises(BadData, match=r"labels.csv line 4: .* is there already, on line 2"):
        of_rows(tmp_path, *rows)


def test_a_row_without_a_path_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"labels.csv line 3: column image is empty"):
        of_rows(tmp_path, {"level": 0}, {"image": "", "level": 1})


def test_names_of_files_keep_their_letters(tmp_path):
    decomposed = "Jose\u0301.png"
    assert of_rows(tmp_path, {"image": decomposed, "level": 0}).entries[0].picture.name == decomposed


def test_files_of_one_name_in_two_folders_are_two_samples(tmp_path):
    listing = of_rows(tmp_path, {"image": "left/1.png", "level": 0}, {"image": "right/1.png", "level": 1})
    assert [e.sample for e in listing.entries] == ["1", "1-2"]


# The table as a file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_however_it_was_saved(tmp_path, encoding):
    path = table(tmp_path / "labels.csv", [{"image": "a.png", "patient": "Müller", "level": 0}], encoding=encoding)
    listing = read(path, image="image")
    assert (listing.entries[0].patient, listing.notes) == ("Müller", ())


def test_what_is_not_unicode_is_read_as_latin_1_and_that_is_said(tmp_path):
    path = table(tmp_path / "labels.csv", [{"image": "a.png", "patient": "Müller", "level": 0}], encoding="latin-1")
    listing = read(path)
    assert listing.entries[0].patient == "Müller"
    assert "not UTF-8" in listing.notes[0]


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


# MedMNIST


def test_the_official_split_is_kept_as_one_fold(tmp_path):
    listing = read(medmnist(tmp_path / "x.npz", (12, 4, 6)))
    assert listing.has_split
    assert [sum(e.fold == fold for e in listing.entries) for fold in (1, 2, 0)] == [12, 4, 6]
    assert listing.entries[0].sample == "train-00"
    assert listing.entries[0].picture.shape == (9, 9)


def test_a_medmnist_file_is_said_to_have_no_patients(tmp_path):
    listing = read(medmnist(tmp_path / "x.npz"))
    assert not listing.has_patients
    assert len({e.patient for e in listing.entries}) == 22
    assert "has no patients" in listing.notes[0]


def test_medmnist_labels_are_one_class_or_several(tmp_path):
    one, several = read(medmnist(tmp_path / "x.npz")), read(medmnist(tmp_path / "y.npz", labels=3))
    assert (one.labels, one.one_class, one.ordinal) == (("label=0", "label=1"), True, False)
    assert (several.labels, several.one_class) == (("label_0", "label_1", "label_2"), False)
    assert several.entries[1].labels == (1, 0, 1)


def test_the_one_graded_set_is_known(tmp_path):
    assert read(medmnist(tmp_path / "retinamnist_64.npz")).ordinal


def test_medmnist_pictures_may_be_in_colour(tmp_path):
    colour = {f"{part}_images": np.zeros((size, 9, 9, 3), np.uint8) for part, size in SIZES.items()}
    assert read(medmnist(tmp_path / "x.npz", **colour)).entries[0].picture.shape == (9, 9, 3)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"val_images": None}, "has no array val_images"),
        ({"val_images": np.zeros((4, 9, 9), np.float32)}, "val_images is float32"),
        ({"val_images": np.zeros((4, 9, 9, 9), np.uint8)}, r"val_images is uint8 \(4, 9, 9, 9\)"),
        ({"val_images": np.zeros((0, 9, 9), np.uint8), "val_labels": np.zeros((0, 1), np.uint8)}, r"\(0, 9, 9\)"),
        ({"val_labels": np.zeros((3, 1), np.uint8)}, r"val_labels is uint8 \(3, 1\)"),
        ({"val_labels": np.zeros((4, 1), np.float64)}, "val_labels is float64"),
        ({"val_labels": np.zeros((4, 2), np.uint8)}, "different numbers of labels"),
        ({"val_labels": np.full((4, 1), -1, np.int8)}, "val_labels, row 0 and 3 more: column label is '-1'"),
    ],
)
def test_arrays_that_are_no_medmnist_are_refused(tmp_path, changes, problem):
    with pytest.raises(BadData, match=problem):
        read(medmnist(tmp_path / "x.npz", **changes))


def test_several_labels_that_are_not_zero_or_one_are_refused(tmp_path):
    labels = {f"{part}_labels": np.full((size, 2), 2, np.uint8) for part, size in SIZES.items()}
    with pytest.raises(BadData, match="train_labels, row 0 and 21 more: column label_0 is '2', and should be 0 or 1"):
        read(medmnist(tmp_path / "x.npz", **labels))


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_nothing_that_is_pickled_is_ever_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadData, match="val_labels is object"):
        read(medmnist(tmp_path / "x.npz", val_labels=np.array([Trap()] * 4, dtype=object)))
    (tmp_path / "y.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BadData, match=r"y.npz cannot be read"):
        read(tmp_path / "y.npz")
    assert not (tmp_path / "sprung").exists()


def test_an_array_that_claims_to_be_huge_is_refused_before_it_is_unpacked(tmp_path):
    path = medmnist(tmp_path / "x.npz")
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["train_images.npy"] = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    one_label = contents["train_images.npy"].replace(b"(1000000, 1000, 1000)", b"(1000000, 1)         ")
    contents["train_labels.npy"] = one_label
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(BadData, match="more than 8 GiB"):
        read(path)


def test_half_a_file_is_refused(tmp_path):
    path = medmnist(tmp_path / "x.npz")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(BadData, match=r"x.npz cannot be read"):
        read(path)


@pytest.mark.parametrize("flag", ["image", "patient", "eye", "mask", "label"])
def test_a_source_without_columns_refuses_their_names(tmp_path, flag):
    folder = classes(tmp_path / "scans")
    for source in (medmnist(tmp_path / "x.npz"), folder):
        with pytest.raises(BadUsage, match=f"--{flag} thing names a column"):
            read(source, every_image_is_a_patient=True, **{flag: "thing"})


# Folders


def classes(folder, *names):
    for n, name in enumerate(names or ("CNV/a.png", "CNV/b.png", "NORMAL/a.png", "NORMAL/c.png")):
        save(folder / name, noise(n))
    return folder


def test_a_folder_of_class_folders_is_one_class_an_image(tmp_path):
    listing = sources.read(classes(tmp_path / "scans"), EVERY_IMAGE)
    assert listing.labels == ("CNV", "NORMAL")
    assert [e.sample for e in listing.entries] == ["a", "b", "a-2", "c"]
    assert [e.labels for e in listing.entries] == [(1, 0), (1, 0), (0, 1), (0, 1)]
    assert (listing.source, listing.one_class, listing.has_patients) == ("scans", True, False)


def test_folders_with_whole_numbers_are_grades(tmp_path):
    listing = sources.read(classes(tmp_path / "scans", "0/a.png", "2/b.png", "10/c.png"), EVERY_IMAGE)
    assert (listing.labels, listing.ordinal) == (("class=0", "class=2", "class=10"), True)


def test_a_folder_without_patients_is_a_refusal_that_names_the_ways_on(tmp_path):
    with pytest.raises(Refused, match="the folder scans does not say which images are of one patient") as failure:
        read(classes(tmp_path / "scans"))
    assert "--patient patient" in failure.value.hint
    assert "--every-image-is-a-patient" in failure.value.hint


def test_what_file_managers_leave_behind_is_not_an_image(tmp_path):
    folder = classes(tmp_path / "scans")
    for name in (".DS_Store", "CNV/Thumbs.db", "CNV/.a.png.swp"):
        (folder / name).write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "a.png").write_bytes(b"x")
    listing = sources.read(folder, EVERY_IMAGE)
    assert len(listing.entries) == 4
    assert len(listing.notes) == 1


def test_images_that_lie_elsewhere_are_said_to_be_left_out(tmp_path):
    folder = classes(tmp_path / "scans", "CNV/a.png", "NORMAL/b.png", "loose.png", "CNV/more/c.png")
    assert sources.read(folder, EVERY_IMAGE).notes[1] == (
        "Only images directly in a class folder were read. Left out: loose.png, CNV/more."
    )


def test_a_folder_too_high_is_refused_with_the_one_below(tmp_path):
    classes(tmp_path / "scans", "train/CNV/a.png", "train/NORMAL/b.png")
    with pytest.raises(BadData, match="at least two classes") as failure:
        sources.read(tmp_path / "scans", EVERY_IMAGE)
    assert failure.value.hint == f"medsynth ingest {tmp_path / 'scans' / 'train'}"


def test_one_class_folder_is_not_enough(tmp_path):
    with pytest.raises(BadData, match="at least two classes"):
        sources.read(classes(tmp_path / "scans", "CNV/a.png"), EVERY_IMAGE)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    save(tmp_path / "secret.png", noise(0))
    folder = classes(tmp_path / "scans")
    (folder / "CNV" / "z.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(BadData, match=r"CNV/z.png: .* leaves the folder"):
        sources.read(folder, EVERY_IMAGE)


def test_two_links_to_one_file_are_refused(tmp_path):
    folder = classes(tmp_path / "scans")
    (folder / "NORMAL" / "z.png").symlink_to("../CNV/a.png")
    with pytest.raises(BadData, match=r"NORMAL/z.png is the same file as CNV/a.png"):
        sources.read(folder, EVERY_IMAGE)


# What a source is


def test_a_source_that_is_not_there_is_refused_with_its_neighbour(tmp_path):
    clinic(tmp_path, rows_of(2))
    with pytest.raises(BadData, match="is not there") as failure:
        read(tmp_path / "lables.csv")
    assert failure.value.hint == f"did you mean {tmp_path / 'labels.csv'}?"


def test_a_source_of_another_kind_is_refused(tmp_path):
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(BadData, match=r"labels.xlsx is no source") as failure:
        read(tmp_path / "labels.xlsx")
    assert "CSV" in failure.value.hint


def test_the_fingerprint_of_a_table_follows_its_bytes(tmp_path):
    path = clinic(tmp_path, rows_of(2))
    before = sources.fingerprint(path)
    assert sources.fingerprint(path) == before
    path.write_text(path.read_text().replace("P00", "P07"))
    assert sources.fingerprint(path) != before


def test_the_fingerprint_of_a_folder_follows_its_images_and_nothing_else(tmp_path):
    folder = classes(tmp_path / "scans")
    before = sources.fingerprint(folder)
    (folder / "runs").mkdir()
    (folder / "notes.txt").write_text("x")
    assert sources.fingerprint(folder) == before
    (folder / "CNV" / "a.png").rename(folder / "NORMAL" / "a2.png")
    assert sources.fingerprint(folder) != before
