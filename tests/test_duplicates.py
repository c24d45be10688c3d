"""The same picture under two names is found, however it was stored, and no two photographs of different eyes are."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import Pictures, read
from PIL import Image, ImageEnhance

from medsynth.data.drawn import draw_cohort
from medsynth.metrics import duplicates
from medsynth.metrics.duplicates import across_patients, equal, hashes, nearness, same

Change = Callable[[Image.Image], Image.Image]


def jpeg(picture: Image.Image) -> Image.Image:
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=70)
    return Image.open(stored).convert("RGB")


CHANGES: dict[str, Change] = {
    "JPEG": jpeg,
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.8),
    "contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.3),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "half the size": lambda picture: picture.resize((32, 32), Image.Resampling.BOX).resize((64, 64)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_cohort(tmp_path_factory.mktemp("clinic"), patients=30, seed=4, size=64).parent


@pytest.fixture(scope="module")
def clinic(folder: Path) -> Pictures:
    return read(folder / "labels.csv")


def small(folder: Path, change: Change) -> np.ndarray:
    files = sorted((folder / "images").iterdir())[:40]
    changed = [change(Image.open(file).convert("RGB")).resize((32, 32), Image.Resampling.BOX) for file in files]
    return np.stack([np.asarray(picture) for picture in changed])


def test_no_two_photographs_of_different_patients_are_the_same(clinic: Pictures) -> None:
    assert len(across_patients(clinic.pixels, clinic.patients, mirror=True).images) == 0


def test_an_exact_copy_under_another_patient_is_found_and_under_the_same_one_is_not(clinic: Pictures) -> None:
    pixels = np.concatenate([clinic.pixels, clinic.pixels[[3, 8]]])
    patients = np.concatenate([clinic.patients, [999, clinic.patients[8]]])
    found = across_patients(pixels, patients)
    assert found.images.tolist() == [[3, len(clinic.pixels)]]
    assert (found.exact.tolist(), found.distance.tolist(), found.mirrored.tolist()) == ([True], [0], [False])


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_found_and_is_no_exact_one(name: str, folder: Path) -> None:
    plain, changed = small(folder, lambda picture: picture), small(folder, CHANGES[name])
    found = same(plain, changed)
    own = found.images[:, 0] == found.images[:, 1]
    assert own.sum() >= 38  # of 40
    assert not found.exact.any()
    assert found.distance.tolist() == sorted(found.distance)


def test_a_mirrored_copy_is_found_where_mirror_images_count(clinic: Pictures) -> None:
    pixels = np.concatenate([clinic.pixels, clinic.pixels[3:4, :, ::-1]])
    patients = np.append(clinic.patients, 999)
    assert len(across_patients(pixels, patients).images) == 0
    found = across_patients(pixels, patients, mirror=True)
    assert {tuple(pair) for pair in found.images.tolist()} == {(3, len(clinic.pixels))}
    assert found.mirrored.all()
    assert found.exact.all()


def test_pictures_that_are_equal_in_every_pixel_are_found_whatever_they_show() -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (40, 2, 2, 1), np.uint8)
    found = {tuple(pair) for pair in equal(pixels[:15], pixels).tolist()}
    assert found == {(i, j) for i in range(15) for j in range(40) if (pixels[i] == pixels[j]).all()}
    mirrored = {(i, j) for i in range(15) for j in range(40) if (pixels[i] == pixels[j][:, ::-1]).all()}
    assert {tuple(pair) for pair in equal(pixels[:15], pixels, mirror=True).tolist()} == found | mirrored
    assert mirrored - found


def test_pictures_are_compared_in_blocks_that_change_nothing(clinic: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = np.clip(clinic.pixels.astype(int) + 5, 0, 255).astype(np.uint8)
    whole = same(clinic.pixels, changed)
    monkeypatch.setattr(duplicates, "BLOCK", 17)
    assert sorted(same(clinic.pixels, changed).images.tolist()) == sorted(whole.images.tolist())
    assert len(whole.images) >= len(clinic.pixels)


def test_a_hash_counts_bits_and_takes_brightness_for_none(clinic: Pictures) -> None:
    codes = hashes(clinic.pixels)
    assert codes.shape == (len(clinic.pixels), 64)
    assert (np.abs(codes) == 1).all()
    assert np.mean(codes != hashes(clinic.pixels // 2)) < 0.03


def test_an_empty_set_has_no_copies() -> None:
    nothing = np.empty((0, 32, 32, 3), np.uint8)
    assert equal(nothing, nothing, mirror=True).shape == (0, 2)
    assert len(same(nothing, nothing, mirror=True).images) == 0
    assert len(across_patients(nothing, np.empty(0), mirror=True).images) == 0


def test_where_everybody_looks_alike_only_what_is_nearer_than_that_is_the_same(clinic: Pictures) -> None:
    """One eye with a touch of each patient's own in it: pictures lie close together, and a copy lies closer still."""
    common = clinic.pixels[:1].astype(float)
    alike = (common + 0.25 * (clinic.pixels - common)).round().astype(np.uint8)
    assert len(across_patients(alike, clinic.patients).images) == 0
    assert len(same(alike, alike).images) > 3 * len(alike)  # by the limit of drawn eyes
    stored = np.clip(alike[4:5].astype(int) + 2, 0, 255).astype(np.uint8)
    found = across_patients(np.concatenate([alike, stored]), np.append(clinic.patients, 999))
    assert found.images.tolist() == [[4, len(alike)]]


def test_one_patient_alone_has_the_limit_of_drawn_eyes(clinic: Pictures) -> None:
    assert nearness(clinic.pixels, np.zeros(len(clinic.pixels))) == duplicates.NEAR
    assert nearness(clinic.pixels, clinic.patients) < duplicates.NEAR
