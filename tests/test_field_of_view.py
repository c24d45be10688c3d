import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import save

from medsynth.data.decoding import Square, decode
from medsynth.data.field_of_view import inscribed


def photograph(height, width, row, column, radius, *, light=120):
    """A lit disc on black, uint8 (row, column, 3); what of it lies beyond the picture is cut off."""
    y, x = np.mgrid[:height, :width] + 0.5
    disc = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return (disc[..., None] * np.array([light, light // 2, light // 4])).astype(np.uint8)


@settings(deadline=None)
@given(st.integers(30, 60), st.integers(0, 20), st.integers(0, 20), st.integers(70, 100))
def test_the_square_lies_inside_the_field_and_is_the_largest_that_does(radius, down, right, half):
    pixels = photograph(2 * half + down, 2 * half + right, half, half + right, radius)
    left, top, end, bottom = inscribed(pixels)
    assert end - left == bottom - top == pytest.approx(radius * np.sqrt(2), abs=2)
    assert ((left + end) / 2, (top + bottom) / 2) == pytest.approx((half + right, half), abs=1)
    assert (pixels[top + 1 : bottom - 1, left + 1 : end - 1, 0] > 0).all()


def test_the_diameter_of_a_field_that_is_cut_above_and_below_is_its_width():
    pixels = photograph(160, 240, 80, 120, 100)
    left, top, right, bottom = inscribed(pixels)
    assert right - left == pytest.approx(200 / np.sqrt(2), abs=1)
    assert (pixels[top:bottom, left:right, 0] > 0).mean() > 0.999


def test_specks_outside_the_field_do_not_widen_it():
    pixels = photograph(200, 200, 100, 100, 60)
    found = inscribed(pixels)
    pixels[5, 5] = pixels[190, 7] = 255
    assert inscribed(pixels) == found


def test_noise_of_a_compressed_black_is_black():
    pixels = photograph(200, 200, 100, 100, 60)
    found = inscribed(pixels)
    assert (
        inscribed(np.maximum(pixels, np.random.default_rng(0).integers(0, 15, pixels.shape, dtype=np.uint8))) == found
    )


def test_where_there_is_no_round_field_none_is_found_and_the_largest_centred_square_is_taken(tmp_path):
    assert inscribed(np.zeros((20, 30), np.uint8)) is None
    pixels = np.full((20, 30), 200, np.uint8)
    assert inscribed(pixels) is None
    assert decode(save(tmp_path / "x.png", pixels), None, Square(20, "inside-field")).side == 20


def test_a_picture_and_its_mask_are_cut_alike(tmp_path):
    pixels = photograph(200, 260, 100, 150, 80)
    lesion = (pixels[..., 0] > 0).astype(np.uint8)
    decoded = decode(save(tmp_path / "x.png", pixels), save(tmp_path / "m.png", lesion), Square(32, "inside-field"))
    assert decoded.side == pytest.approx(160 / np.sqrt(2), abs=1)
    assert (decoded.pixels[..., 0] > 100).all()
    assert (decoded.mask == 255).all()
    assert "inscribed in the round field of view" in Square(32, "inside-field").words
