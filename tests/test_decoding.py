import os
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import noise, png, save
from PIL import Image, ImageFile

from medsynth.data.decoding import MAX_PIXELS, Square, Unreadable, decode

SIXTEEN = Square(16, "centre")


def smooth(height=24, width=24):
    """A picture that survives JPEG: red to the right, green downwards."""
    rows, columns = np.mgrid[0:height, 0:width]
    blue = np.full((height, width), 90)
    return np.stack([255 * columns // width, 255 * rows // height, blue], axis=-1).astype(np.uint8)


def saved(tmp_path, image, name="x.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.bmp"])
def test_every_format_gives_a_square_of_the_asked_size(tmp_path, name):
    decoded = decode(save(tmp_path / name, smooth(20, 30)), None, SIXTEEN)
    assert decoded.pixels.shape == (16, 16, 3)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.side == 20


def test_the_format_is_seen_from_the_content_and_not_from_the_name(tmp_path):
    path = save(tmp_path / "x.png", smooth(), format="BMP")
    assert decode(path, None, Square(24, "centre")).pixels.tolist() == smooth().tolist()


def test_a_picture_that_has_the_size_is_kept_to_the_pixel(tmp_path):
    pixels = noise(1, 16, 16)
    assert decode(save(tmp_path / "x.png", pixels), None, SIXTEEN).pixels.tolist() == pixels.tolist()


def test_an_array_is_a_picture_as_well():
    assert decode(noise(1, 16, 16), None, SIXTEEN).pixels.tolist() == noise(1, 16, 16).tolist()
    assert decode(noise(1, 16, 16, 1), None, SIXTEEN).pixels[..., 0].tolist() == noise(1, 16, 16, 1).tolist()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "CMYK"])
def test_grey_is_grey_in_whatever_mode_it_was_saved(tmp_path, mode):
    grey = Image.fromarray(np.full((16, 16), 255, np.uint8)).convert("RGB").convert(mode)
    path = saved(tmp_path, grey, "x.tif" if mode == "CMYK" else "x.png")
    decoded = decode(path, None, SIXTEEN)
    assert decoded.pixels.shape == (16, 16, 1)
    assert (decoded.pixels == 255).all()


def test_one_coloured_pixel_makes_a_colour_picture(tmp_path):
    pixels = np.full((16, 16, 3), 80, np.uint8)
    pixels[3, 4, 2] = 81
    assert decode(save(tmp_path / "x.png", pixels), None, SIXTEEN).pixels.shape == (16, 16, 3)


def test_sixteen_bits_become_eight_by_the_full_range_of_the_type(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for name in ("x.png", "x.tif"):
        decoded = decode(save(tmp_path / name, values), None, SIXTEEN)
        assert decoded.has_16_bits
        assert decoded.pixels[..., 0].tolist() == (values >> 8).tolist()
        assert (decoded.pixels.min(), decoded.pixels.max()) == (0, 255)


def test_sixteen_bit_colour_follows_the_same_rule_as_grey(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (16, 16, 3), dtype=np.uint16)
    path = tmp_path / "x.png"
    path.write_bytes(png(16, 16, 16, 2, b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)))
    decoded = decode(path, None, SIXTEEN)
    assert decoded.has_16_bits
    assert decoded.pixels.tolist() == (values >> 8).tolist()


def test_eight_bits_are_not_said_to_be_sixteen(tmp_path):
    assert not decode(save(tmp_path / "x.png", noise(0)), None, SIXTEEN).has_16_bits


def test_a_palette_is_resolved_to_its_colours(tmp_path):
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 200, 30, 40])
    assert (decode(saved(tmp_path, palette), None, SIXTEEN).pixels == [200, 30, 40]).all()


def test_cmyk_becomes_rgb(tmp_path):
    path = saved(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "x.jpg", quality=100)
    red, green, blue = decode(path, None, SIXTEEN).pixels.reshape(-1, 3).mean(0)
    assert red > 230
    assert max(green, blue) < 25


def test_what_is_transparent_lies_over_black(tmp_path):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:] = (200, 100, 50, 255)
    pixels[:8, :, 3] = 0
    pixels[8:12, :, 3] = 128
    decoded = decode(save(tmp_path / "x.png", pixels), None, SIXTEEN).pixels
    assert (decoded[:8] == 0).all()
    assert np.abs(decoded[8:12].astype(int) - [100, 50, 25]).max() <= 1
    assert (decoded[12:] == [200, 100, 50]).all()


def test_a_transparent_colour_lies_over_black(tmp_path):
    grey = Image.fromarray(np.repeat([[77], [200]], 8, axis=0).astype(np.uint8).repeat(16, axis=1))
    decoded = decode(saved(tmp_path, grey, transparency=200), None, SIXTEEN).pixels
    assert (decoded[:8] == 77).all()
    assert (decoded[8:] == 0).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif"])
def test_a_picture_is_turned_as_its_exif_tag_says(tmp_path, orientation, name):
    turned_back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = Image.fromarray(smooth(16, 16))
    stored = upright.transpose(turned_back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(saved(tmp_path, stored, name, exif=exif), None, SIXTEEN).pixels
    assert np.abs(decoded.astype(int) - smooth(16, 16)).mean() < 6  # JPEG


def test_the_crop_is_taken_from_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((30, 10, 3), np.uint8)
    pixels[10:20] = (10, 200, 30)  # the middle, however it is turned
    decoded = decode(saved(tmp_path, Image.fromarray(pixels), exif=exif), None, Square(10, "centre"))
    assert (decoded.pixels == [10, 200, 30]).all()


def test_the_centre_is_kept_when_the_long_side_is_cut(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = (10, 200, 30)
    assert (decode(save(tmp_path / "x.png", pixels), None, Square(10, "centre")).pixels == [10, 200, 30]).all()


def test_padding_keeps_the_whole_picture_between_black(tmp_path):
    pixels = np.full((10, 30, 3), 200, np.uint8)
    decoded = decode(save(tmp_path / "x.png", pixels), None, Square(30, "pad"))
    assert (decoded.pixels[10:20] == 200).all()
    assert (decoded.pixels[:10] == 0).all()
    assert (decoded.pixels[20:] == 0).all()
    assert decoded.side == 30


def test_making_a_picture_smaller_does_not_alias(tmp_path):
    stripes = np.zeros((160, 160), np.uint8)
    stripes[:, ::2] = 255
    assert decode(save(tmp_path / "x.png", stripes), None, SIXTEEN).pixels.std() < 10


def test_nothing_outside_the_crop_is_mixed_in(tmp_path):
    pixels = np.full((64, 192), 255, np.uint8)
    pixels[:, 64:128] = 40
    assert (decode(save(tmp_path / "x.png", pixels), None, SIXTEEN).pixels == 40).all()


def test_the_rule_is_said_in_words():
    assert "cut about its centre" in Square(64, "centre").words
    assert "padded with black" in Square(64, "pad").words
    assert "64 x 64" in Square(64, "pad").words


def test_equal_pixels_have_one_digest_in_any_format(tmp_path):
    pixels = noise(3)
    one, two = save(tmp_path / "x.png", pixels), save(tmp_path / "x.bmp", pixels)
    assert decode(one, None, SIXTEEN).digest == decode(two, None, Square(8, "pad")).digest
    grey = noise(3, channels=1)
    one, two = save(tmp_path / "g.png", grey), save(tmp_path / "g3.png", np.stack([grey] * 3, axis=-1))
    assert decode(one, None, SIXTEEN).digest == decode(two, None, SIXTEEN).digest


def test_other_pixels_or_another_shape_have_another_digest(tmp_path):
    pixels = noise(3, 10, 20)
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    digests = {decode(array, None, SIXTEEN).digest for array in (pixels, other, pixels.reshape(20, 10, 3))}
    assert len(digests) == 3


@pytest.mark.parametrize("bright", [1, 255, 65535])
def test_a_mask_is_read_whatever_number_stands_for_the_lesion(tmp_path, bright):
    lesion = np.zeros((20, 30), np.uint16 if bright > 255 else np.uint8)
    lesion[5:15, 10:20] = bright
    mask = decode(noise(0, 20, 30), save(tmp_path / "m.png", lesion), Square(20, "centre")).mask
    assert mask.shape == (20, 20, 1)
    assert (mask[5:15, 5:15] == 255).all()
    assert mask.sum() == 100 * 255


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "LA"])
def test_a_mask_is_read_in_whatever_mode_it_was_saved(tmp_path, mode):
    lesion = np.zeros((16, 16), np.uint8)
    lesion[4:12, 4:12] = 255
    path = saved(tmp_path, Image.fromarray(lesion).convert(mode), "m.png")
    assert (decode(noise(0, 16, 16), path, SIXTEEN).mask[..., 0] == lesion).all()


def test_a_smaller_mask_keeps_what_covers_half_of_a_pixel(tmp_path):
    lesion = np.zeros((64, 64), np.uint8)
    lesion[:, :18] = 255  # four and a half of the 16 pixels
    lesion[:, 40:41] = 255  # a quarter of one
    mask = decode(noise(0, 64, 64), save(tmp_path / "m.png", lesion), SIXTEEN).mask[..., 0]
    assert (mask[:, :5] == 255).all()
    assert (mask[:, 5:] == 0).all()


def test_a_mask_without_lesion_is_black(tmp_path):
    assert not decode(noise(0), save(tmp_path / "m.png", np.zeros((12, 12), np.uint8)), SIXTEEN).mask.any()


def test_a_mask_of_another_size_is_a_reason(tmp_path):
    with pytest.raises(Unreadable, match="its mask has 20 x 10 pixels, the picture has 12 x 12"):
        decode(noise(0), save(tmp_path / "m.png", np.zeros((10, 20), np.uint8)), SIXTEEN)


def test_an_unreadable_mask_is_a_reason(tmp_path):
    with pytest.raises(Unreadable, match="its mask: there is no such file"):
        decode(noise(0), tmp_path / "m.png", SIXTEEN)


def truncated(path):
    content = save(path.with_suffix(".whole"), noise(0, 60, 60), format="JPEG").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def frames(path, **options):
    pictures = [Image.fromarray(noise(n)) for n in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)


BROKEN = {
    "truncated JPEG": (truncated, "it is damaged: image file is truncated"),
    "truncated PNG": (lambda p: p.write_bytes(save(p, noise(0, 60, 60)).read_bytes()[:5000]), "it is damaged: "),
    "text named png": (lambda p: p.write_text("patient,grade\n1,2\n"), "it is not a PNG, JPEG, TIFF or BMP picture"),
    "missing": (lambda p: None, "there is no such file"),
    "empty": (lambda p: p.touch(), "the file is empty"),
    "folder": (lambda p: p.mkdir(), "it is not a file"),
    "pipe": (lambda p: os.mkfifo(p), "it is not a file"),
    "bomb": (lambda p: p.write_bytes(png(30_000, 30_000, 1, 0, b"\0" * 100)), "more than 64,000,000 are not decoded"),
    "just too large": (lambda p: p.write_bytes(png(8_001, 8_000, 1, 0, b"\0" * 100)), "it has 8,001 x 8,000 pixels"),
    "GIF": (lambda p: Image.fromarray(noise(0)).save(p, format="GIF"), "it is not a PNG, JPEG, TIFF or BMP picture"),
    "TIFF of several pages": (lambda p: frames(p, format="TIFF"), "it holds more than one picture"),
    "moving PNG": (lambda p: frames(p, format="PNG"), "it holds more than one picture"),
    "floats": (lambda p: Image.fromarray(np.zeros((9, 9), np.float32)).save(p, format="TIFF"), "it has 32 bits"),
    "32 bits": (lambda p: Image.fromarray(np.zeros((9, 9), np.int32)).save(p, format="TIFF"), "it has 32 bits"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_used_has_a_reason(tmp_path, case):
    break_it, reason = BROKEN[case]
    path = tmp_path / "secret-place.png"
    break_it(path)
    with pytest.raises(Unreadable, match=reason) as failure:
        decode(path, None, SIXTEEN)
    assert "secret-place" not in str(failure.value)


def test_the_largest_picture_is_judged_below_the_alarm_of_pillow():
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS


def test_truncated_pictures_are_never_filled_up():
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {name: save(folder / f"x.{name}", smooth(40, 40)).read_bytes() for name in ("png", "jpg", "tif", "bmp")}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(["png", "jpg", "tif", "bmp"]))
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_gives_a_picture_or_a_reason_and_nothing_else(tmp_path_factory, whole, data, name):
    content = bytearray(whole[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(Unreadable):
        assert decode(path, None, SIXTEEN).pixels.shape[:2] == (16, 16)
