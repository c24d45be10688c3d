"""How close synthetic images come to training images: exact where it matters, and right about planted copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics import closeness
from medsynth.metrics.closeness import COPY, closer_than_new, copy_ratios, distances, share_below

ALONE = np.arange(200)


def embeddings(count: int, seed: int, dimension: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 99))
def test_distances_are_those_of_the_definition(asked: int, known: int, versions: int, seed: int) -> None:
    a, b = embeddings(asked, seed), embeddings(known * versions, seed + 100).reshape(known, versions, -1)

    def length_one(x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64) / np.linalg.norm(x.astype(np.float64))

    expected = [[min(np.linalg.norm(length_one(x) - length_one(v)) for v in image) for image in b] for x in a]
    np.testing.assert_allclose(distances(a, b), expected, rtol=1e-9)


@given(st.floats(1e-12, 1e-2), st.integers(0, 99))
def test_the_distance_of_a_near_copy_keeps_its_digits(step: float, seed: int) -> None:
    image = np.zeros((1, 24))
    image[0, 0] = 1
    near = image.copy()
    near[0, 1] = step
    assert distances(near, image[:, None])[0, 0] == pytest.approx(2 * np.sin(np.arctan(step) / 2), rel=1e-9)
    assert distances(embeddings(3, seed), embeddings(3, seed)[:, None]).diagonal().tolist() == [0, 0, 0]


def test_an_embedding_of_nothing_but_zeros_is_as_far_from_every_image() -> None:
    assert distances(np.zeros((1, 24)), embeddings(5, 0)[:, None])[0] == pytest.approx([1] * 5)


def test_images_are_compared_in_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, known = embeddings(4, 0), embeddings(11, 1)[:, None]
    whole = distances(asked, known)
    monkeypatch.setattr(closeness, "BLOCK", 3)
    np.testing.assert_allclose(distances(asked, known), whole, rtol=1e-12)


def test_copies_are_counted_and_nothing_else_is() -> None:
    known, made = embeddings(200, 0), embeddings(50, 1)
    made[:7] = known[20:27]
    made[7:10] = known[40:43] + 0.01 * embeddings(3, 2)  # almost
    assert share_below(copy_ratios(distances(made, known[:, None]), ALONE), COPY) == 10 / 50


def test_a_copy_of_a_mirror_image_is_a_copy() -> None:
    known, mirrored = embeddings(200, 0), embeddings(200, 1)
    ratios = copy_ratios(distances(mirrored[:5], np.stack([known, mirrored], axis=1)), ALONE)
    assert ratios.tolist() == [0] * 5


def test_a_copy_of_an_image_that_is_there_twice_is_a_copy() -> None:
    known = embeddings(200, 0)
    known[1] = known[0]
    assert copy_ratios(distances(known[:1], known[:, None]), ALONE).tolist() == [0]


def test_copies_of_a_person_are_seen_by_the_ratio_over_patients_alone() -> None:
    people = np.repeat(np.arange(50), 4)
    known = embeddings(50, 0)[people] + 0.1 * embeddings(200, 1)  # four images of everybody
    made = embeddings(50, 0)[:20] + 0.1 * embeddings(20, 2)  # one more of twenty of them
    found = distances(made, known[:, None])
    assert share_below(copy_ratios(found, ALONE), COPY) == 0
    assert share_below(copy_ratios(found, people), COPY) == 1


def test_nothing_is_a_copy_where_there_is_nobody_else_to_compare_with() -> None:
    found = distances(embeddings(3, 0), embeddings(4, 1)[:, None])
    assert copy_ratios(found, np.zeros(4)).tolist() == [1, 1, 1]


def test_images_of_other_people_are_as_close_as_new_ones_and_copies_closer() -> None:
    known = embeddings(200, 0)[:, None]
    new = distances(embeddings(2000, 1), known).min(axis=1)
    honest = distances(embeddings(2000, 2), known).min(axis=1)
    assert closer_than_new(honest, new) == pytest.approx(0.05, abs=0.02)
    assert closer_than_new(np.append(honest[:1900], np.zeros(100)), new) == pytest.approx(0.10, abs=0.02)
