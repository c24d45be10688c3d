"""The embedding that needs no training finds eyes again: on drawn photographs, where the truth is known."""

import numpy as np
import pytest
from drawn_pictures import Parts, Pictures, parts, read

from medsynth.data.drawn import draw_cohort
from medsynth.metrics.appearance import appearance
from medsynth.metrics.calibrated import closer_share
from medsynth.metrics.closeness import distances
from medsynth.metrics.measured import Bootstrap, Measured, PerImage
from medsynth.metrics.nearest import Known, nearest

SPLITS = 8


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return read(draw_cohort(tmp_path_factory.mktemp("clinic"), patients=60, seed=12, size=32))


def measured(of: Parts, made: np.ndarray) -> Measured:
    """c_0.05, with mirror images of training images taken for training images."""
    versions = [appearance(of.training.pixels), appearance(of.training.pixels[:, :, ::-1])]
    known = Known(np.stack(versions, axis=1), of.training.patients)
    ours, theirs = nearest(appearance(made), known), nearest(appearance(of.new.pixels), known)
    owned = PerImage(ours.distance, ours.patients(known))
    return closer_share(owned, PerImage(theirs.distance, of.new.patients), Bootstrap(0, 200))


def noisy(pixels: np.ndarray) -> np.ndarray:
    """Noise of 10 grey levels, a tint, a little darker."""
    noise = np.random.default_rng(0).normal(0, 10, pixels.shape)
    return np.clip(pixels * np.array([0.9, 0.85, 0.8]) + noise, 0, 255).astype(np.uint8)


def planted(of: Parts, pixels: np.ndarray) -> np.ndarray:
    """A fifth of them among images of new patients."""
    return np.concatenate([of.honest.pixels, pixels[: len(of.honest.pixels) // 4]])


def test_another_photograph_of_an_eye_is_nearest_to_that_eye_and_not_so_by_its_pixels(clinic: Pictures) -> None:
    of = parts(clinic, 0)

    def found_again(embed: object) -> float:
        known, asked = (embed(each.pixels) for each in (of.training, of.kept_back))  # type: ignore[operator]
        nearest_eye = of.training.eyes[distances(asked, known[:, None]).argmin(axis=1)]
        return float(np.mean(nearest_eye == of.kept_back.eyes))

    assert found_again(appearance) >= 0.95
    assert found_again(lambda pixels: pixels.reshape(len(pixels), -1)) < 0.93


def test_copies_that_were_tinted_and_noisy_and_mirrored_ones_are_found(clinic: Pictures) -> None:
    for split in range(SPLITS):
        of = parts(clinic, split)
        for pixels in (noisy(of.training.pixels), of.training.pixels[:, :, ::-1]):
            assert measured(of, planted(of, pixels)).ci_low > 0.05  # type: ignore[operator]


def test_further_images_of_training_patients_are_found(clinic: Pictures) -> None:
    missed = [parts(clinic, split) for split in range(SPLITS)]
    missed = [of for of in missed if measured(of, planted(of, of.kept_back.pixels)).ci_low <= 0.05]  # type: ignore[operator]
    assert len(missed) <= 1


def test_images_of_new_patients_are_not_called_copies(clinic: Pictures) -> None:
    found = [measured(of, of.honest.pixels) for of in (parts(clinic, split) for split in range(SPLITS))]
    assert sum(each.ci_low > 0.05 for each in found) <= 1  # type: ignore[operator, misc]


def test_light_and_tint_say_nothing(clinic: Pictures) -> None:
    pixels = clinic.pixels[:20]
    other = (pixels * np.array([0.7, 0.8, 0.6])).astype(np.uint8)
    apart = distances(appearance(other), appearance(pixels)[:, None])
    assert apart.diagonal().max() < 0.25
    assert apart[~np.eye(20, dtype=bool)].min() > 0.25


def test_black_and_flat_pictures_are_nothing_and_pictures_may_have_any_shape() -> None:
    assert not appearance(np.zeros((2, 8, 8, 3), np.uint8)).any()
    assert not appearance(np.full((1, 32, 32, 1), 90, np.uint8)).any()
    assert appearance(np.random.default_rng(0).integers(0, 256, (300, 9, 12, 1), np.uint8)).shape == (300, 108)
    assert appearance(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, 3072)


def test_a_picture_s_embedding_is_its_own() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(appearance(pixels)[2], appearance(pixels[2:3])[0], rtol=1e-5, atol=1e-6)
