import pytest
from pictures import clinic, medmnist, noise, rows_of, save

from medsynth.data import sources
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData, BadUsage, Refused

EVERY_IMAGE = Asked(every_image_is_a_patient=True)


def read(path, **asked):
    return sources.read(path, Asked(**asked))


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


def classes(folder, *names):
    for n, name in enumerate(names or ("CNV/a.png", "CNV/b.png", "NORMAL/a.png", "NORMAL/c.png")):
        save(folder / name, noise(n))
    return folder


def test_a_folder_of_class_folders_is_one_class_an_image(tmp_path):
    found = sources.read(classes(tmp_path / "scans"), EVERY_IMAGE)
    assert found.labels == ("CNV", "NORMAL")
    assert [e.sample for e in found.entries] == ["a", "b", "a-2", "c"]
    assert [e.labels for e in found.entries] == [(1, 0), (1, 0), (0, 1), (0, 1)]
    assert (found.source, found.one_class, found.has_patients) == ("scans", True, False)


def test_folders_with_whole_numbers_are_grades(tmp_path):
    found = sources.read(classes(tmp_path / "scans", "0/a.png", "2/b.png", "10/c.png"), EVERY_IMAGE)
    assert (found.labels, found.ordinal) == (("class=0", "class=2", "class=10"), True)


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
    found = sources.read(folder, EVERY_IMAGE)
    assert len(found.entries) == 4
    assert len(found.notes) == 1


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


@pytest.mark.parametrize("flag", ["image", "patient", "eye", "mask", "label"])
def test_a_source_without_columns_refuses_their_names(tmp_path, flag):
    folder = classes(tmp_path / "scans")
    for source in (medmnist(tmp_path / "x.npz"), folder):
        with pytest.raises(BadUsage, match=f"--{flag} thing names a column"):
            read(source, every_image_is_a_patient=True, **{flag: "thing"})
