"""What an arm learns from is what its name says, item by item."""

import pytest
import torch
from arms import Runs
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from medsynth import arms, material
from medsynth.data import augment
from medsynth.draws import row_draws
from medsynth.errors import BadUsage


@given(st.lists(st.sampled_from([(1, 0), (0, 1), (1, 1), (0, 0)]), min_size=1, max_size=40))
def test_an_image_comes_as_often_as_its_rarest_label_asks_for(rows: list[tuple[int, int]]) -> None:
    labels = torch.tensor(rows, dtype=torch.float32)
    counts = [sum(row[label] for row in rows) for label in (0, 1)]
    expected = [max([1, *(round(max(counts) / counts[i]) for i in (0, 1) if row[i])]) for row in rows]
    assert material.repeats(labels).tolist() == expected


def test_shuffled_labels_are_the_synthetic_images_labels_dealt_anew(tmp_path) -> None:
    runs = Runs(tmp_path).expand()
    real = runs.cohort.training(0).samples
    made = tuple(s for s in real)

    def gathered(arm: arms.Arm, seed: int = 1) -> material.Material:
        return material.gathered(arm, real, made, seed=seed, mirror=False, device="cpu")

    plain, shuffled = gathered(arms.named("real+geca", "geca")), gathered(arms.named("shuffled-labels", "geca"))
    n = len(real)
    assert plain.labels[:n].equal(shuffled.labels[:n])
    assert not plain.labels[n:].equal(shuffled.labels[n:])
    assert sorted(plain.labels[n:].tolist()) == sorted(shuffled.labels[n:].tolist())
    assert gathered(arms.named("shuffled-labels", "geca")).labels.equal(shuffled.labels)


def test_rand_augment_gives_a_row_the_same_in_any_batch_and_leaves_torchs_generator_alone() -> None:
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    before = torch.random.get_rng_state()
    together = augment.rand_augment(images, row_draws([5, 6, 7]))
    assert torch.random.get_rng_state().equal(before)
    assert_close(augment.rand_augment(images[1:2], row_draws([6])), together[1:2], rtol=0, atol=0)
    assert (together - images).abs().amax(dim=(1, 2, 3)).max() > 0.05


def test_a_repeat_is_the_same_arm_with_another_number() -> None:
    assert arms.named("real+geca@2", "geca") == arms.Arm(generator="geca", repeat=2)
    assert arms.repeated(["real", "oversampled"], 2) == ["real", "oversampled", "real@1", "oversampled@1"]
    assert arms.without_repeat("real@1") == "real"
    for name in ("real@0", "real@x", "real@", "rael"):
        with pytest.raises(BadUsage):
            arms.named(name, "geca")
