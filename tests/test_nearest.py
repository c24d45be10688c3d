"""Which training image is nearest, and how near the next ones are: as a loop over all pairs finds it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics import nearest as module
from medsynth.metrics.closeness import distances
from medsynth.metrics.nearest import Known, among, nearest


def embeddings(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def smallest(values: np.ndarray) -> float:
    return float(values.min(initial=np.inf))


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 2), st.integers(0, 99))
def test_the_nearest_and_the_next_are_those_of_the_definition(asked: int, count: int, versions: int, seed: int) -> None:
    patients = np.random.default_rng(seed).choice(["ann", "bo", "cy"], count)
    known, images = Known(embeddings(seed, count, versions, 5), patients), embeddings(seed + 100, asked, 5)
    found = nearest(images, known)
    for row, apart in enumerate(distances(images, known.embeddings)):
        closest = apart.argmin()
        assert found.image[row] == closest
        assert found.distance[row] == apart[closest]
        assert found.next_distance[row] == smallest(np.delete(apart, closest))
        assert found.other_distance[row] == smallest(apart[patients != patients[closest]])
    assert (found.patients(known) == patients[found.image]).all()


@given(st.integers(1, 9), st.integers(0, 99))
def test_a_training_image_is_its_own_nearest_and_its_mirror_image_is_itself(count: int, seed: int) -> None:
    patients = np.random.default_rng(seed).integers(0, 3, count)
    plain = embeddings(seed, count, 1, 5)
    known = Known(np.concatenate([plain, plain + 1e-9], axis=1), patients)  # the mirror image is nearest of all
    found = among(known)
    assert found.image.tolist() == list(range(count))
    assert not found.distance.any()
    for row, apart in enumerate(distances(known.embeddings[:, 0], known.embeddings)):
        assert found.next_distance[row] == smallest(np.delete(apart, row))
        assert found.other_distance[row] == smallest(apart[patients != patients[row]])


def test_ratios_are_0_of_a_copy_and_1_where_there_is_nothing_to_compare_with() -> None:
    known = Known(embeddings(0, 3, 1, 5), np.array([1, 1, 1]))
    found = nearest(known.embeddings[:, 0], known)
    assert found.ratios.tolist() == [0, 0, 0]
    assert found.patient_ratios.tolist() == [1, 1, 1]


def test_images_are_compared_in_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known, images = Known(embeddings(0, 7, 2, 5), np.arange(7) // 2), embeddings(1, 9, 5)
    whole = nearest(images, known), among(known)
    monkeypatch.setattr(module, "CELLS", 20)
    for one, other in zip(whole, (nearest(images, known), among(known)), strict=True):
        for name in ("image", "distance", "next_distance", "other_distance"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)


def test_without_training_images_there_is_no_nearest_and_without_images_nothing_is_found() -> None:
    with pytest.raises(ValueError, match="no known images"):
        nearest(embeddings(0, 2, 5), Known(np.empty((0, 1, 5)), np.empty(0)))
    assert len(nearest(np.empty((0, 5)), Known(embeddings(0, 2, 1, 5), np.arange(2))).distance) == 0
