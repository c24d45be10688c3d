"""Geometric augmentation: each move does what it says, and none is drawn beyond its range."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.data.augment import MAX_DEGREES, MAX_SCALE, MAX_SHIFT, Moves, apply, draw_moves, parameters, stay
from medsynth.draws import row_draws, step_draws

BORDERS = ("reflection", "zeros")


def some_images(rows: int = 2, channels: int = 3, side: int = 20) -> torch.Tensor:
    """Smooth pictures, so that interpolation has little to lose."""
    noise = torch.randn(rows, channels, side // 4, side // 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, size=side, mode="bicubic").clamp(-1, 1)


def dot(row: int, column: int, side: int = 20) -> torch.Tensor:
    """Black with one white pixel."""
    image = torch.full((1, 1, side, side), -1.0)
    image[0, 0, row, column] = 1
    return image


def place_of_the_dot(image: torch.Tensor) -> tuple[float, float]:
    """Row and column of the centre of what is white."""
    weight = image[0, 0] + 1
    lines = torch.arange(image.shape[-1], dtype=weight.dtype)
    return float((weight.sum(1) * lines).sum() / weight.sum()), float((weight.sum(0) * lines).sum() / weight.sum())


@pytest.mark.parametrize("border", BORDERS)
def test_moves_that_move_nothing_give_the_image_back(border):
    images = some_images()
    torch.testing.assert_close(apply(images, stay(2), border=border), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("border", BORDERS)
def test_a_mirrored_image_is_the_image_flipped(border):
    images = some_images()
    mirrored = apply(images, replace(stay(2), mirrored=torch.tensor([True, False])), border=border)
    torch.testing.assert_close(mirrored[0], images[0].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(mirrored[1], images[1], atol=1e-5, rtol=0)


def test_a_quarter_turn_is_clockwise():
    images = some_images()
    turned = apply(images, replace(stay(2), degrees=torch.full((2,), 90.0)))
    torch.testing.assert_close(turned, images.rot90(-1, dims=(2, 3)), atol=1e-4, rtol=0)


def test_a_shift_goes_right_and_down_by_its_share_of_the_side():
    moved = apply(dot(5, 5), replace(stay(1), right=torch.tensor([0.1]), down=torch.tensor([0.05])), border="zeros")
    moved[:, :, :1] = moved[:, :, :, :2] = -1  # what came in from outside is grey
    assert place_of_the_dot(moved) == pytest.approx((6, 7), abs=1e-3)


def test_a_scale_above_one_moves_things_away_from_the_centre():
    larger = apply(dot(4, 15), replace(stay(1), scale=torch.tensor([1.1])))
    row, column = place_of_the_dot(larger)
    assert row < 3.7
    assert column > 15.3


def test_what_comes_from_outside_is_a_reflection_or_grey():
    white = torch.ones(1, 1, 20, 20)
    moves = replace(stay(1), right=torch.tensor([0.2]))
    torch.testing.assert_close(apply(white, moves), white)
    assert apply(white, moves, border="zeros")[0, 0, :, 0].abs().max() < 1e-6


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**62), st.booleans())
def test_moves_are_drawn_within_their_ranges(seed, mirror):
    moves = draw_moves(step_draws(seed, 64), mirror=mirror)
    assert moves.degrees.abs().max() <= MAX_DEGREES
    assert max(moves.right.abs().max(), moves.down.abs().max()) <= MAX_SHIFT
    assert (moves.scale - 1).abs().max() <= MAX_SCALE + 1e-6
    assert moves.mirrored.any() == mirror


def test_an_image_is_moved_by_its_own_draws_whatever_its_batch():
    images = some_images(4)
    together = apply(images, draw_moves(row_draws([1, 2, 3, 4]), mirror=True))
    alone = apply(images[2:3], draw_moves(row_draws([3]), mirror=True))
    torch.testing.assert_close(together[2:3], alone)


def test_the_second_half_of_a_step_is_moved_alike_in_a_process_of_its_own():
    whole = draw_moves(step_draws(7, 8), mirror=True)
    half = draw_moves(step_draws(7, 8, first=4, rows=4), mirror=True)
    for name in Moves.__dataclass_fields__:
        assert getattr(half, name).equal(getattr(whole, name)[4:])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**62), st.sampled_from([1, 3]), st.sampled_from(BORDERS))
def test_moved_images_keep_their_shape_and_range(seed, channels, border):
    images = some_images(3, channels)
    moved = apply(images, draw_moves(step_draws(seed, 3), mirror=True), border=border)
    assert moved.shape == images.shape
    assert moved.abs().max() <= images.abs().max() + 1e-5


def test_an_unmoved_image_has_parameters_of_zero():
    assert not parameters(stay(3)).any()


@given(st.integers(0, 2**32), st.booleans())
def test_parameters_say_every_move_and_stay_within_one(seed, mirror):
    moves = draw_moves(step_draws(seed, 16), mirror=mirror)
    found = parameters(moves)
    assert found.shape == (16, 5)
    assert found.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(found[:, 0], moves.mirrored.float())
    torch.testing.assert_close(found[:, 1] * MAX_DEGREES, moves.degrees)
    torch.testing.assert_close(found[:, 2:4] * MAX_SHIFT, torch.stack([moves.right, moves.down], dim=1))
    torch.testing.assert_close(1 + found[:, 4] * MAX_SCALE, moves.scale)
