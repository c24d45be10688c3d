"""A picture as it comes, a file or an array -> a square uint8 array, or the reason why there is none."""

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from medsynth.data import field_of_view
from medsynth.sections import Crop

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
MAX_PIXELS = 64_000_000  # of one picture, judged by its header: a small file can ask for all memory
MISSING = "there is no such file"
MAX_BYTES = 1 << 30  # of one file: more than that number of pixels takes in any of the formats
SIXTEEN_BIT_RULE = "the high byte of each value was kept, so that the full range, 0 to 65,535, became 0 to 255"


class Unreadable(Exception):
    """The reason why a picture cannot be used, as the end of a sentence about it."""


# A file, or uint8 (row, column) or (row, column, 3), or what returns such an array or raises Unreadable.
Picture = Path | np.ndarray | Callable[[], np.ndarray]
Box = tuple[int, int, int, int]  # left, top, right and bottom, as Pillow has them; square, and maybe beyond the picture


@dataclass(frozen=True)
class Square:
    """How a picture becomes a square of `size` pixels a side."""

    size: int
    crop: Crop

    @property
    def words(self) -> str:
        """The rule, for people."""
        rule = {
            "centre": "The long side was cut about its centre",
            "pad": "The short side was padded with black",
            "inside-field": "The square inscribed in the round field of view was cut out; where no round field was "
            "found, the largest centred square",
        }
        resized = f"the square was resized to {self.size} x {self.size} pixels with an antialiasing Lanczos filter"
        return f"{rule[self.crop]}, then {resized}."

    def box(self, picture: Image.Image) -> Box:
        """The square of the picture that is kept, before it is resized."""
        found = field_of_view.inscribed(np.asarray(picture)) if self.crop == "inside-field" else None
        if found is not None:
            return found
        side = max(picture.size) if self.crop == "pad" else min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        return left, top, left + side, top + side

    def of(self, picture: Image.Image, box: Box, resample: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
        """uint8, (row, column, channel). What lies beyond the picture is black."""
        whole = picture.crop(box)
        # Pillow widens its filters when it makes a picture smaller, which is the antialiasing.
        pixels = np.asarray(whole.resize((self.size, self.size), resample, reducing_gap=3.0))
        return pixels[..., None] if pixels.ndim == 2 else pixels


@dataclass(frozen=True)
class Decoded:
    """One picture, ready to be stored, and what was seen on the way."""

    pixels: np.ndarray  # uint8, (row, column, channel); 1 channel where all channels of the original are equal
    mask: np.ndarray | None  # uint8, (row, column, 1): 255 in the lesion, else 0
    digest: str  # of the whole picture before it was made square: equal pixels, equal digest
    has_16_bits: bool
    side: int  # pixels a side of the square before it was resized
    lost: bool  # there was a lesion in the mask, and none is left


def decode(picture: Picture, mask: Path | None, square: Square) -> Decoded:
    """Read a picture, and its mask if it has one. Raises Unreadable."""
    with _reasons():
        if isinstance(picture, Path):
            upright, has_16_bits = _open(picture)
        else:
            pixels = picture if isinstance(picture, np.ndarray) else picture()
            upright, has_16_bits = Image.fromarray(pixels), False
        whole = _eight_bits(upright)
    lesion = None if mask is None else _mask(mask, whole.size)
    with _reasons():
        box = square.box(whole)
        if (side := box[2] - box[0]) ** 2 > MAX_PIXELS:
            raise Unreadable(_too_large(f"{side:,} x {side:,}, padded to a square,"))
        pixels = square.of(whole, box)
        covered = None if lesion is None else square.of(lesion, box, Image.Resampling.BOX) >= 128
    return Decoded(
        pixels=pixels,
        mask=None if covered is None else covered.astype(np.uint8) * 255,
        digest=hashlib.sha256(f"{whole.mode} {whole.size}".encode() + whole.tobytes()).hexdigest(),
        has_16_bits=has_16_bits,
        side=box[2] - box[0],
        lost=lesion is not None and covered is not None and lesion.getbbox() is not None and not covered.any(),
    )


def upright(path: Path) -> np.ndarray:
    """A whole picture of any size, turned as it was taken, uint8 (row, column, 1 or 3). Raises Unreadable."""
    with _reasons():
        pixels = np.array(_eight_bits(_open(path)[0]))
        return pixels[..., None] if pixels.ndim == 2 else pixels


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever a decoder raises into Unreadable."""
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Unreadable("it is not a PNG, JPEG, TIFF or BMP picture") from None
    except Image.DecompressionBombError:
        raise Unreadable(_too_large("far too many")) from None
    except Exception as error:  # a decoder meets a damaged file in ways that nobody has listed
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unreadable(f"it is damaged: {first_line}") from None


def _open(path: Path) -> tuple[Image.Image, bool]:
    """A whole picture in the mode of its file, turned as its EXIF tag says; and whether it has 16 bits a channel."""
    with Image.open(_content(path), formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise Unreadable(_too_large(f"{width:,} x {height:,}"))
        if getattr(picture, "is_animated", False):
            raise Unreadable("it holds more than one picture")
        has_16_bits = "16" in str(picture.tile[0][3])  # the decoder's name for the file's layout, such as RGB;16B
        return ImageOps.exif_transpose(picture), has_16_bits


def _content(path: Path) -> io.BytesIO:
    """A file in memory: a decoder that believes a length in it cannot ask for more than there is."""
    with regular(path).open("rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise Unreadable(f"it has more than {MAX_BYTES >> 20:,} MiB")
        return io.BytesIO(file.read())


def regular(path: Path) -> Path:
    """The path, if a plain file with something in it is there. A pipe or a device would be waited for."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise Unreadable(MISSING) from None
    except OSError as error:
        raise Unreadable(f"it cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("it is not a file")
    if not found.st_size:
        raise Unreadable("the file is empty")
    if not os.access(path, os.R_OK):
        raise Unreadable("it may not be read")
    return path


def _too_large(pixels: str) -> str:
    return f"it has {pixels} pixels, and pictures of more than {MAX_PIXELS:,} are not decoded"


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The picture as RGB, or as L where all its channels are equal. What is transparent lies over black."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise Unreadable("it has 32 bits or negative values in a pixel; 8 and 16 bits from 0 are read")
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        picture = Image.new("RGB", over.size)
        picture.paste(over, mask=over.getchannel("A"))
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    colour = picture.convert("RGB")
    red, green, blue = (np.asarray(channel) for channel in colour.split())
    return colour.getchannel("R") if np.array_equal(red, green) and np.array_equal(green, blue) else colour


def _mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """A mask of the picture's size. Raises Unreadable."""
    try:
        with _reasons():
            lesion = _lesion(_open(path)[0])
    except Unreadable as reason:
        raise Unreadable(f"its mask: {reason}") from None
    if lesion.size != size:
        (wide, high), (width, height) = lesion.size, size
        raise Unreadable(f"its mask has {wide} x {high} pixels, the picture has {width} x {height}")
    return lesion


def _lesion(picture: Image.Image) -> Image.Image:
    """A mask as 0 and 255: the lesion is what is brighter than half of the brightest, be that 1, 255 or 65,535."""
    plain = picture.mode in ("1", "L", "I", "F") or picture.mode.startswith("I;16")
    values = np.asarray(picture if plain else _eight_bits(picture))
    brightness = values.max(axis=-1) if values.ndim == 3 else values
    return Image.fromarray((brightness > brightness.max() / 2).astype(np.uint8) * 255)
