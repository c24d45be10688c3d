import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from pictures import medmnist

from medsynth.data import sources
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData

SIZES = {"train": 12, "val": 4, "test": 6}  # of the MedMNIST files that are drawn here


def read(path, **asked):
    return sources.read(path, Asked(**asked))


def test_the_official_split_is_kept_as_one_fold(tmp_path):
    found = read(medmnist(tmp_path / "x.npz", (12, 4, 6)))
    assert found.has_split
    assert [sum(e.fold == fold for e in found.entries) for fold in (1, 2, 0)] == [12, 4, 6]
    assert found.entries[0].sample == "train-00"
    assert found.entries[0].picture.shape == (9, 9)


def test_a_medmnist_file_is_said_to_have_no_patients(tmp_path):
    found = read(medmnist(tmp_path / "x.npz"))
    assert not found.has_patients
    assert len({e.patient for e in found.entries}) == 22
    assert "has no patients" in found.notes[0]


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


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("train_labels", "holds 'train_labels', which is no array"),
        ("train_images", "holds 'train_images', which is no array"),
        ("train_labels.npy", r"holds 'train_labels\.npy' 2 times"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_numpy_would_read_otherwise_than_it_was_judged_is_refused(tmp_path, name, problem):
    """Asked for `train_labels`, numpy takes a member of just this name before the array that was looked at."""
    path = medmnist(tmp_path / "x.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"text, and no array")
    with pytest.raises(BadData, match=problem):
        read(path)


def test_an_array_with_an_archive_behind_it_is_refused(tmp_path):
    """Python finds the archive, numpy the array, of whatever size that claims to be."""
    path = medmnist(tmp_path / "x.npz")
    path.write_bytes(b"\x93NUMPY\x01\x00" + path.read_bytes())
    with pytest.raises(BadData, match="it does not begin as an archive"):
        read(path)


def test_half_a_file_is_refused(tmp_path):
    path = medmnist(tmp_path / "x.npz")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(BadData, match=r"x.npz cannot be read"):
        read(path)


def test_a_header_that_unpacks_to_more_than_any_header_is_refused_before_it_is_read(tmp_path):
    path = medmnist(tmp_path / "x.npz")
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    bomb = b"\x93NUMPY\x02\x00" + (200_000_000).to_bytes(4, "little") + b" " * 200_000_000
    contents["train_images.npy"] = bomb
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    del bomb, contents
    tracemalloc.start()
    try:
        with pytest.raises(BadData, match=r"x.npz cannot be read"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_arrays_that_are_too_large_together_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in SIZES:
            for kind, shape in (("images", "(7000, 1000, 1000)"), ("labels", "(7000, 1)")):
                header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
                archive.writestr(
                    f"{part}_{kind}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
                )
    with pytest.raises(BadData, match=r"take 19\.6 GiB, more than 16|not as large as it says"):
        read(path)
