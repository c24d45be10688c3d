import json
import os

import numpy as np
import pytest
from pictures import cells, clinic, contents, ingested, medmnist, noise, rows_of, run, save
from PIL import Image

from medsynth import interrupt
from medsynth.artifacts import cohort
from medsynth.data.png import read


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return clinic(tmp_path_factory.mktemp("clinic"))


def test_a_table_becomes_a_cohort_of_squares(source, tmp_path):
    made = ingested(tmp_path / "out", source)
    assert len(made.samples) == 20
    assert made.facts.labels == ("level=0", "level=1")
    assert made.facts.ordinal
    assert (made.facts.channels, made.facts.image_size, made.facts.folds) == (3, 8, 2)
    assert made.facts.has_patients
    assert "cut about its centre" in made.facts.crop
    assert made.samples[0].eye == "L"
    assert {read(s.image).shape for s in made.samples} == {(8, 8, 3)}


def test_the_summary_counts_what_came_out(source, tmp_path):
    result = run(tmp_path / "out", source)
    assert result.summary == {
        "images": 20, "patients": 10, "labels": {"level=0": 10, "level=1": 10}, "folds": 2,
        "channels": 3, "unreadable": 0, "duplicates": 0,
    }  # fmt: skip
    assert result.trained_on is None
    assert result.notes == ()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["cohort.json", "images", "manifest.csv"]


def test_no_patient_is_in_two_parts_of_a_fold(source, tmp_path):
    made = ingested(tmp_path / "out", source, folds=5)
    tested = [patient for fold in range(5) for patient in made.testing(fold).patients()]
    assert sorted(tested) == made.patients()
    for fold in range(5):
        parts = [set(part(fold).patients()) for part in (made.training, made.selection, made.testing)]
        assert all(parts)
        assert sum(len(part) for part in parts) == len(set.union(*parts)) == 10
        assert all([*made.training(fold).counts().values(), *made.selection(fold).counts().values()])


def test_nothing_of_the_place_of_the_source_is_kept(source, tmp_path):
    run(tmp_path / "out", source)
    text = (tmp_path / "out" / "cohort.json").read_text() + (tmp_path / "out" / "manifest.csv").read_text()
    assert json.loads((tmp_path / "out" / "cohort.json").read_text())["source"] == "labels.csv"
    assert str(source.parent) not in text


def test_pictures_carry_no_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "Mrs Example, born 1 April 1950"
    path = clinic(tmp_path / "clinic")
    for image in (tmp_path / "clinic" / "images").iterdir():
        Image.open(image).save(image, exif=exif, dpi=(300, 300))
    for s in ingested(tmp_path / "out", path).samples:
        with Image.open(s.image) as stored:
            assert stored.info == {}
            assert b"Example" not in s.image.read_bytes()


def test_a_second_time_gives_the_same_bytes(source, tmp_path):
    run(tmp_path / "one", source)
    run(tmp_path / "two", source)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_deals_otherwise(source, tmp_path):
    one, two = ingested(tmp_path / "one", source), ingested(tmp_path / "two", source, seed=1)
    assert [s.fold for s in one.samples] != [s.fold for s in two.samples]


def test_what_an_interrupted_attempt_left_changes_nothing(source, tmp_path):
    run(tmp_path / "one", source)
    for name in ("images/000.png", "images/gone.png", "masks/000.png", "unreadable.csv", "flat.csv"):
        (tmp_path / "two" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / name).write_bytes(b"half")
    run(tmp_path / "two", source)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_an_interruption_stops_between_images_and_the_same_call_goes_on(source, tmp_path):
    seen = []

    def interrupted(_name, done, _total):
        seen.append(done)
        if done == 3:
            os.kill(os.getpid(), 2)

    with interrupt.listening(), pytest.raises(interrupt.Interrupted):
        run(tmp_path / "out", source, progress=interrupted)
    assert seen == [1, 2, 3]
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert len(ingested(tmp_path / "out", source).samples) == 20


def test_progress_counts_every_image(source, tmp_path):
    seen = []
    run(tmp_path / "out", source, progress=lambda *step: seen.append(step))
    assert seen == [("ingest", n, 20) for n in range(1, 21)]


def test_a_cohort_is_grey_if_every_picture_is(tmp_path):
    path = clinic(tmp_path / "clinic")
    for n, image in enumerate(sorted((tmp_path / "clinic" / "images").iterdir())):
        grey = noise(n, channels=1)
        save(image, np.stack([grey] * 3, axis=-1) if n % 2 else grey)
    made = ingested(tmp_path / "out", path)
    assert made.facts.channels == 1
    assert {read(s.image).shape for s in made.samples} == {(8, 8, 1)}


def test_one_colour_picture_makes_the_cohort_colour(tmp_path):
    path = clinic(tmp_path / "clinic")
    for n, image in enumerate(sorted((tmp_path / "clinic" / "images").iterdir())[1:]):
        save(image, noise(n, channels=1))
    made = ingested(tmp_path / "out", path)
    assert made.facts.channels == 3
    assert {read(s.image).shape for s in made.samples} == {(8, 8, 3)}
    grey = read(made.samples[-1].image)
    assert (grey[..., 0] == grey[..., 2]).all()


def test_masks_are_made_square_with_their_images(tmp_path):
    folder = tmp_path / "clinic"
    path = clinic(folder, rows_of(10, lambda n, row: row | {"mask": f"masks/{n}.png" if n else ""}))
    for n in range(1, 20):
        lesion = np.zeros((12, 12), np.uint8)
        lesion[:6] = 1
        save(folder / f"masks/{n}.png", lesion)
    made = ingested(tmp_path / "out", path)
    assert made.samples[0].mask is None
    mask = read(made.samples[1].mask)[..., 0]
    assert (mask[:4] == 255).all()
    assert (mask[4:] == 0).all()


@pytest.mark.parametrize(("side", "lost"), [(1, True), (4, False)])
def test_a_lesion_that_a_smaller_square_loses_is_said(tmp_path, side, lost):
    path = with_masks(tmp_path / "clinic", {n: (slice(0, side), slice(2, 2 + side)) for n in (2, 5)})
    notes = run(tmp_path / "out", path).notes
    assert any(note.startswith("The lesion of 2 images is too small for 8 pixels a side") for note in notes) == lost


def test_a_lesion_outside_the_square_is_said_and_an_empty_mask_is_none(tmp_path):
    path = with_masks(tmp_path / "clinic", {4: (slice(0, 12), slice(0, 2)), 5: (slice(0, 0), slice(0, 0))})
    notes = run(tmp_path / "out", path).notes
    assert any(note.startswith("The lesion of 1 image is too small") for note in notes)


def with_masks(folder, lesions):
    """A clinic whose pictures are wider than high, with the left half for lesion, or what is named for an image."""
    path = clinic(folder, rows_of(10, lambda n, row: row | {"mask": f"masks/{n}.png"}))
    for n in range(20):
        lesion = np.zeros((12, 16), np.uint8)
        lesion[lesions.get(n, (slice(0, 12), slice(0, 8)))] = 255
        save(folder / f"images/{n:03}.png", np.random.default_rng(n).integers(0, 256, (12, 16, 3), dtype=np.uint8))
        save(folder / f"masks/{n}.png", lesion)
    return path


def test_enlarged_pictures_are_said_to_be(source, tmp_path):
    assert run(tmp_path / "out", source, image_size=16).notes == (
        "20 images had fewer than 16 pixels a side: enlarging them added no detail.",
    )


def test_pictures_with_nothing_to_see_are_kept_and_listed(source, tmp_path):
    path = clinic(tmp_path / "clinic")
    save(tmp_path / "clinic/images/003.png", np.zeros((12, 12, 3), np.uint8))
    save(tmp_path / "clinic/images/004.png", np.full((12, 12, 3), (250, 3, 3), np.uint8))
    result = run(tmp_path / "out", path)
    assert result.summary["images"] == 20
    assert "2 images showed next to nothing (black, white, one colour): see flat.csv." in result.notes
    assert cells(tmp_path / "out/flat.csv") == [["sample", "deviation"], ["003", "0.00"], ["004", "0.00"]]


def test_the_rule_for_sixteen_bits_is_said(tmp_path):
    path = clinic(tmp_path / "clinic")
    save(tmp_path / "clinic/images/003.png", noise(3, channels=1).astype(np.uint16) * 257)
    (note,) = run(tmp_path / "out", path).notes
    assert note.startswith("1 image had 16 bits a channel: the high byte of each value was kept")


def test_how_a_picture_becomes_a_square_is_kept_with_the_cohort(source, tmp_path):
    assert "padded with black" in ingested(tmp_path / "out", source, crop="pad").facts.crop


@pytest.mark.parametrize(
    ("said", "mirrored"),
    [
        ({}, False),
        ({"modality": "fundus"}, True),
        ({"modality": "oct"}, False),
        ({"modality": "dermoscopy"}, False),
        ({"modality": "other"}, False),
        ({"mirror": True}, True),
        ({"modality": "oct", "mirror": True}, True),
        ({"modality": "fundus", "mirror": False}, False),
    ],
    ids=str,
)
def test_whether_a_mirrored_image_is_plausible_is_said_or_follows_from_what_the_images_show(
    source, tmp_path, said, mirrored
):
    result = run(tmp_path / "out", source, **{"modality": None} | said)
    assert cohort.load(tmp_path / "out").facts.mirror == mirrored
    assert [note for note in result.notes if "--modality" in note] == list(result.notes) * (not said)
    assert len(result.notes) == (not said)


def test_medmnist_selects_on_val_and_tests_on_test(tmp_path):
    made = ingested(tmp_path / "out", medmnist(tmp_path / "x.npz", (12, 4, 6)), image_size=9)
    assert (made.facts.folds, made.facts.has_patients, made.facts.channels) == (1, False, 1)
    parts = {name: [s.sample.split("-")[0] for s in part(0).samples] for name, part in
             (("train", made.training), ("val", made.selection), ("test", made.testing))}  # fmt: skip
    assert parts == {"train": ["train"] * 12, "val": ["val"] * 4, "test": ["test"] * 6}
    with np.load(tmp_path / "x.npz") as arrays:
        assert (read(made.testing(0).samples[5].image)[..., 0] == arrays["test_images"][5]).all()


def test_the_number_of_folds_does_not_apply_to_an_official_split_and_that_is_said(tmp_path):
    path = medmnist(tmp_path / "x.npz")
    assert any("was not dealt to 5 folds" in note for note in run(tmp_path / "one", path, folds=5).notes)
    assert not any("was not dealt" in note for note in run(tmp_path / "two", path, folds=1).notes)


def test_a_label_that_a_part_of_the_split_lacks_is_said(tmp_path):
    path = medmnist(tmp_path / "x.npz", test_labels=np.zeros((6, 1), np.uint8))
    assert "Fold 0 has no tested image with label=1." in run(tmp_path / "out", path).notes


def test_a_folder_of_class_folders_becomes_a_cohort(tmp_path):
    for n in range(12):
        save(tmp_path / "scans" / ("CNV" if n % 2 else "DRUSEN") / f"{n}.png", noise(n, 20, 30, 1))
    made = ingested(tmp_path / "out", tmp_path / "scans", every_image_is_a_patient=True)
    assert made.counts() == {"CNV": 6, "DRUSEN": 6}
    assert (made.facts.source, made.facts.has_patients, made.facts.channels) == ("scans", False, 1)
    assert any("taken for a patient of its own" in note for note in made.facts.notes)


def copies(folder, pairs, **change):
    """A clinic in which the second image of each pair is the first one again."""
    path = clinic(folder, rows_of(10, lambda n, row: row | change))
    for first, second in pairs:
        save(folder / f"images/{second:03d}.png", noise(first))
    return path


def test_equal_pictures_of_one_patient_are_no_finding(tmp_path):
    result = run(tmp_path / "out", copies(tmp_path / "clinic", [(0, 1)]))
    assert (result.summary["duplicates"], result.notes) == (0, ())


def test_equal_pictures_of_different_patients_are_reported(tmp_path):
    result = run(tmp_path / "out", copies(tmp_path / "clinic", [(0, n) for n in range(2, 20)]))
    assert result.summary["duplicates"] == 19
    (note,) = [note for note in result.notes if "duplicates.csv" in note]
    assert note.startswith("19 images are only 1 picture, equal to the pixel, of different patients")
    assert "Copies of 1 have different labels." in note
    assert "Copies of 1 lie in different folds, a leak" in note
    header, *found = cells(tmp_path / "out/duplicates.csv")
    assert header == ["picture", "sample", "patient", "eye", "fold"]
    made = cohort.load(tmp_path / "out")
    assert found == [["1", s.sample, s.patient, s.eye, str(s.fold)] for s in made.samples if s.sample != "001"]


def test_a_format_or_a_shade_of_grey_does_not_hide_a_duplicate(tmp_path):
    path = clinic(tmp_path / "clinic")
    grey = noise(99, channels=1)
    save(tmp_path / "clinic/images/000.png", grey)
    save(tmp_path / "clinic/images/007.png", np.stack([grey] * 3, axis=-1), format="BMP")
    assert run(tmp_path / "out", path).summary["duplicates"] == 2
