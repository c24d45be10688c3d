"""A folder of DICOM files and a table -> a listing without a name, an id, a date or a path."""

import os
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BUNDLED, draw, words_of
from pictures import noise, save, table
from shell import done, medsynth

from medsynth.artifacts import cohort
from medsynth.data import png, site_secret, sources
from medsynth.data.site_secret import SiteSecret
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData, BadUsage, MedsynthError, Refused
from medsynth.rundir import RunDirectory

SECRET = SiteSecret(b"a" * 32)


@pytest.fixture(autouse=True)
def secret(tmp_path_factory, monkeypatch) -> Path:
    """The site's own, for commands."""
    path = tmp_path_factory.mktemp("site") / "secret"
    path.write_text("0123456789abcdef" * 4)
    path.chmod(0o600)
    monkeypatch.setenv(site_secret.ENVIRONMENT, str(path))
    return path


def scans(folder: Path, patients: int = 6, **tags) -> Path:
    """Two eyes a patient, in folders and files named after them, and labels.csv."""
    rows = []
    for n in range(2 * patients):
        name = f"Quux Xaviera {n // 2}/q{n:02d}.dcm"
        said = {
            "PatientID": f"Q-47{n // 2:02d}",
            "PatientName": f"Quux^Xaviera {n // 2}",
            "ImageLaterality": "LR"[n % 2],
        }
        draw(folder / name, noise(n), **said | tags)
        rows.append({"file": name, "grade": n // 2 % 2})
    table(folder / "labels.csv", rows)
    return folder


def read(folder: Path, **asked):
    return sources.read(folder, Asked(**asked), SECRET)


def refused(folder: Path, kind: type[MedsynthError], **asked) -> MedsynthError:
    with pytest.raises(kind) as failure:
        read(folder, **asked)
    return failure.value


def test_a_listing_has_pseudonyms_numbers_of_lines_and_eyes(tmp_path):
    found = read(scans(tmp_path / "scans"))
    assert (found.labels, found.one_class, found.has_patients) == (("grade=0", "grade=1"), True, True)
    assert [e.sample for e in found.entries][::11] == ["line-02", "line-13"]
    assert [e.where for e in found.entries][:1] == ["the table line 2"]
    assert [e.eye for e in found.entries] == ["L", "R"] * 6
    assert [e.patient for e in found.entries] == [SECRET.pseudonym(f"Q-47{n // 2:02d}") for n in range(12)]
    assert [e.picture().shape for e in found.entries] == [(12, 12, 3)] * 12


@pytest.mark.parametrize(
    ("image", "general", "eye"), [(None, "R", "R"), ("L", "R", "L"), ("B", None, ""), (None, None, "")]
)
def test_the_eye_is_the_laterality_of_the_image_else_of_the_series(tmp_path, image, general, eye):
    folder = scans(tmp_path / "scans", ImageLaterality=image, Laterality=general)
    assert {e.eye for e in read(folder).entries} == {eye}


def test_a_file_may_be_named_by_its_uid_whatever_it_is_called(tmp_path):
    by_path = read(scans(tmp_path / "scans"))
    files = sorted((tmp_path / "scans").rglob("*.dcm"))
    uids = [str(pydicom.dcmread(file).SOPInstanceUID) for file in files]
    table(tmp_path / "labels.csv", [{"SOPInstanceUID": uid, "grade": n // 2 % 2} for n, uid in enumerate(uids)])
    by_uid = read(tmp_path / "scans", table=str(tmp_path / "labels.csv"))
    assert [e.picture().tolist() for e in by_uid.entries] == [e.picture().tolist() for e in by_path.entries]
    draw(tmp_path / "scans" / "copy.dcm", SOPInstanceUID=uids[0])
    assert "2 files of the folder have this" in str(
        refused(tmp_path / "scans", BadData, table=str(tmp_path / "labels.csv"))
    )


def test_files_without_an_ending_are_known_by_how_they_begin(tmp_path):
    folder = scans(tmp_path / "scans")
    for file in [*folder.rglob("*.dcm")]:
        file.rename(file.with_suffix(""))
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace(".dcm", ""))
    assert sources.kind(folder) == "dicom"
    assert len(read(folder).entries) == 12


def test_the_fingerprint_follows_files_and_labels(tmp_path):
    folder = scans(tmp_path / "scans")
    before = sources.fingerprint(folder)
    assert sources.fingerprint(folder) == before
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace(",0", ",2"))
    after = sources.fingerprint(folder)
    draw(folder / "more.dcm")
    assert len({before, after, sources.fingerprint(folder)}) == 3


def test_a_mask_goes_with_its_image(tmp_path):
    folder = tmp_path / "scans"
    for n in range(2):
        draw(folder / f"{n}.dcm", noise(n), PatientID=f"Q{n}")
        save(folder / "masks" / f"{n}.png", np.eye(12, dtype=np.uint8))
    table(folder / "labels.csv", [{"file": f"{n}.dcm", "mask": f"masks/{n}.png", "grade": n} for n in range(2)])
    assert [e.mask.name for e in read(folder).entries] == ["0.png", "1.png"]


def test_what_is_in_no_line_of_the_table_is_counted_and_not_named(tmp_path):
    folder = scans(tmp_path / "scans")
    draw(folder / "Quux.dcm")
    assert read(folder).notes[-1] == "In no line of the table, and left out: 1 image of the folder."


def test_files_that_do_not_say_whether_text_is_burned_in_are_refused_until_somebody_has_looked(tmp_path):
    folder = scans(tmp_path / "scans", BurnedInAnnotation=None)
    found = read(folder)
    assert (len(found.entries), len(found.unreadable)) == (0, 12)
    assert "--checked-for-burned-in-text" in found.unreadable[0].reason
    looked = read(folder, checked_for_burned_in_text=True)
    assert len(looked.entries) == 12
    assert "12 images of the folder did not say whether text is burned into the pixels" in looked.notes[0]


def test_a_file_that_says_text_is_burned_in_is_refused_whoever_has_looked(tmp_path):
    found = read(scans(tmp_path / "scans", BurnedInAnnotation="YES"), checked_for_burned_in_text=True)
    assert {u.reason for u in found.unreadable} == {"it says of itself that text is burned into its pixels"}


def test_of_several_frames_none_is_taken_unless_it_is_named(tmp_path):
    folder = tmp_path / "scans"
    stack = np.stack([noise(n, channels=1) for n in range(3)])
    for n in range(2):
        draw(folder / f"{n}.dcm", stack.reshape(36, 12), Rows=12, NumberOfFrames=3, PatientID=f"Q{n}")
    table(folder / "labels.csv", [{"file": f"{n}.dcm", "grade": n} for n in range(2)])
    assert "it has 3 frames, and which one is meant is not said: --frame N" in read(folder).unreadable[0].reason
    taken = read(folder, frame=2)
    assert taken.entries[0].picture().tolist() == stack[1].tolist()
    assert "frame 2 was taken of each" in taken.notes[0]
    assert "not the one that --frame names" in read(folder, frame=4).unreadable[0].reason


def test_a_file_without_a_patient_is_never_a_patient_of_its_own(tmp_path):
    folder = scans(tmp_path / "scans", PatientID="")
    assert {u.reason for u in read(folder).unreadable} == {
        "it does not say whose it is: its PatientID is missing or empty"
    }
    assert "an image is no patient of its own" in str(refused(folder, Refused, every_image_is_a_patient=True))


def test_ids_that_differ_in_padding_alone_are_one_patient(tmp_path):
    folder = tmp_path / "scans"
    for n, id in enumerate(("Q1", " Q1 ", "q1")):
        draw(folder / f"{n}.dcm", PatientID=id)
    table(folder / "labels.csv", [{"file": f"{n}.dcm", "grade": n % 2} for n in range(3)])
    patients = [e.patient for e in read(folder).entries]
    assert patients[0] == patients[1] != patients[2]


def test_a_directory_of_files_is_never_followed(tmp_path):
    folder = scans(tmp_path / "scans")
    directory = BUNDLED / "test_files" / "dicomdirtests" / "DICOMDIR"
    for name in ("DICOMDIR", "index.dcm"):
        (folder / name).write_bytes(directory.read_bytes())
        table(folder / "labels.csv", [{"file": name, "grade": 0}, {"file": "Quux Xaviera 0/q00.dcm", "grade": 1}])
        found = read(folder)
        assert [u.reason for u in found.unreadable] == ["it is a DICOMDIR, which is never followed"]
        assert len(found.entries) == 1


ROWS = (
    ("../Mueller.dcm", "no file inside the folder can have this path"),
    ("/etc/Mueller", "no file inside the folder can have this path"),
    ("con/Mueller.dcm", "no file inside the folder can have this path"),
    ("other-link.dcm", "no file inside the folder can have this path"),
    ("Mueller.dcm", "there is no such file"),
    ("M" * 5000, "it cannot be opened: File name too long"),
    ("1.2.3.4711", "no file of the folder has this SOPInstanceUID"),
    ("pipe", "it is not a file"),
    ("empty.dcm", "the file is empty"),
    ("words.dcm", "it is no DICOM file"),
)


@pytest.mark.parametrize(("path", "reason"), ROWS, ids=[row[1] for row in ROWS])
def test_a_path_that_leads_nowhere_is_refused_and_not_shown(tmp_path, path, reason):
    folder = scans(tmp_path / "scans")
    (folder / "empty.dcm").touch()
    (folder / "words.dcm").write_text("Mueller" * 100)
    (folder / "other-link.dcm").symlink_to(draw(tmp_path / "outside.dcm"))
    os.mkfifo(folder / "pipe")
    table(folder / "labels.csv", [{"file": path, "grade": 0}, {"file": "Quux Xaviera 0/q00.dcm", "grade": 1}])
    try:
        (bad,) = read(folder).unreadable
        said = f"{bad.where} {bad.image} {bad.reason}"
    except BadData as error:
        said = f"{error} {error.hint}"
    assert "the table line 2" in said
    assert reason in said
    assert not [part for part in ("Mueller", "MMMM", "4711", "other-link", "words", "empty.") if part in said]


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ({"patient": "file"}, BadUsage, "--patient names a column"),
        ({"eye": "file"}, BadUsage, "--eye names a column"),
        ({"label": "file"}, BadUsage, "the column with the files was named as a label"),
        ({"official_split": "grade"}, BadUsage, "is not read for DICOM files"),
        ({"table": "/nowhere.csv"}, BadUsage, "is no CSV or TSV file"),
        ({"image": "grad"}, BadUsage, "has no column grad"),
    ],
)
def test_words_that_do_not_fit_are_refused(tmp_path, words, kind, message):
    assert message in str(refused(scans(tmp_path / "scans"), kind, **words))


def test_a_folder_needs_one_table_and_a_table_needs_a_column_with_files(tmp_path):
    folder = scans(tmp_path / "scans")
    table(folder / "more.csv", [{"what": 1, "grade": 0}])
    assert "the folder has 2 tables right in it" in str(refused(folder, BadData))
    assert "no column that names files" in str(refused(folder, BadData, table=str(folder / "more.csv")))
    for file in folder.glob("*.csv"):
        file.unlink()
    assert "the folder has no table right in it" in str(refused(folder, BadData))


def test_words_for_dicom_are_refused_where_there_is_none(tmp_path):
    save(tmp_path / "a.png", noise(0))
    path = table(tmp_path / "labels.csv", [{"image": "a.png", "patient": "P", "grade": 0}])
    for words in ({"frame": 1}, {"table": "x.csv"}, {"checked_for_burned_in_text": True}):
        with pytest.raises(BadUsage, match="is for a folder of DICOM files"):
            sources.read(path, Asked(**words))


def test_a_table_of_its_own_and_a_single_file_lead_to_the_folder(tmp_path):
    folder = scans(tmp_path / "scans")
    with pytest.raises(BadData, match="line 2 names a DICOM file"):
        sources.read(folder / "labels.csv", Asked(every_image_is_a_patient=True))
    with pytest.raises(BadData, match="one DICOM file is no source"):
        sources.read(next(folder.rglob("*.dcm")), Asked())


def test_no_warning_about_a_file_is_heard(tmp_path):
    folder = scans(tmp_path / "scans", SpecificCharacterSet="MUELLER", PatientID="Q\u00e4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(folder)


WORDS = ("--folds", 2, "--image-size", 16)


def test_a_folder_becomes_a_run_whose_folds_keep_patients_together(tmp_path):
    run = RunDirectory(tmp_path / "run")
    ended = done("ingest", scans(tmp_path / "scans"), "--run", run.root, *WORDS)
    made = cohort.load(run.artifact("ingest").folder)
    assert (len(made.samples), len(made.patients()), made.units) == (12, 6, ("image", "eye"))
    assert made.facts.source == "a folder of DICOM files"
    assert png.read(made.samples[0].image).shape == (16, 16, 3)
    assert "pseudonyms by the site secret" in ended.err
    record = run.artifact("ingest").record()
    assert record["summary"]["site_secret"] == site_secret.load().fingerprint
    assert done("ingest", tmp_path / "scans", "--run", run.root, *WORDS).out.startswith("ingest: up to date")


def test_other_labels_in_a_table_elsewhere_make_a_run_stale(tmp_path):
    labels = scans(tmp_path / "scans") / "labels.csv"
    labels.rename(tmp_path / "labels.csv")
    words = ("ingest", tmp_path / "scans", "--table", tmp_path / "labels.csv", "--run", tmp_path / "run", *WORDS)
    assert done(*words).out.startswith("ingest: done")
    assert done(*words).out.startswith("ingest: up to date")
    (tmp_path / "labels.csv").write_text((tmp_path / "labels.csv").read_text().replace(",0", ",2"))
    assert "grade=2" in done(*words).out


def test_another_secret_is_refused_with_both_fingerprints(tmp_path, secret):
    run = RunDirectory(tmp_path / "run")
    done("ingest", scans(tmp_path / "scans"), "--run", run.root, *WORDS)
    before = site_secret.load().fingerprint
    secret.write_text("f" * 64)
    ended = medsynth("ingest", tmp_path / "scans", "--run", run.root, *WORDS, "--force")
    assert ended.code == 4
    assert before in ended.err
    assert site_secret.load().fingerprint in ended.err
    assert ended.hint.startswith("MEDSYNTH_SITE_SECRET=FILE")
    assert run.artifact("ingest").record()["summary"]["site_secret"] == before


def test_a_dry_run_makes_no_secret(tmp_path, monkeypatch):
    monkeypatch.delenv(site_secret.ENVIRONMENT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    ended = done("ingest", scans(tmp_path / "scans"), "--run", tmp_path / "run", *WORDS, "--dry-run")
    assert "patients 6" in " ".join(ended.out.split())
    assert not (tmp_path / "config").exists()


def test_bad_files_are_counted_left_out_on_request_and_listed_without_their_names(tmp_path):
    folder = scans(tmp_path / "scans")
    bad = sorted(folder.rglob("*.dcm"))[0]
    words = words_of(bad) | {bad.stem, bad.parent.name}
    bad.write_bytes(bad.read_bytes()[:-40])
    ended = medsynth("ingest", folder, "--run", tmp_path / "run", *WORDS)
    assert ended.code == 3
    assert "1 of 12 images cannot be used" in ended.err
    assert "the table line 2: line-02: it is " in ended.err
    assert not [word for word in words if word in ended.err]
    done("ingest", folder, "--run", tmp_path / "run", *WORDS, "--allow-bad", 1)
    listed = (tmp_path / "run" / "ingest" / "unreadable.csv").read_text()
    assert "the table line 2,line-02," in listed
    assert not [word for word in words if word in listed]
