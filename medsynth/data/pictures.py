"""Pictures of any size: read, looked at in part or whole, smaller or larger, and with the outline of a mask on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from medsynth.data import decoding
from medsynth.data.decoding import Box, Square, Unreadable

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
OUTLINE = (0, 255, 255)  # cyan: no skin, retina or scan has it
THIN = 300  # pixels of the short side for each pixel of an outline's width
FEWEST = 3  # pixels a side that a picture is looked at in: so far a cell sees
DIMMED = 3  # times darker is what nobody looked at

__all__ = ["ENDINGS", "Frame", "Unreadable", "outlined", "read", "resized", "shape_for"]


@dataclass(frozen=True)
class Frame:
    """The part of a picture that is looked at, and in how many rows and columns."""

    box: Box  # in the picture's pixels, and maybe beyond it
    shape: tuple[int, int]
    square: Square | None = None  # where it is the square that training made of such a picture

    @classmethod
    def learned(cls, pixels: np.ndarray, square: Square) -> "Frame":
        """What training looked at. Raises Unreadable where ingest would."""
        box = square.box(Image.fromarray(_plain(pixels)))
        _refuse_endless(box[2] - box[0], box[3] - box[1])
        return cls(box, (square.size, square.size), square)

    @classmethod
    def whole(cls, pixels: np.ndarray, short: int) -> "Frame":
        """All of it, its shorter side `short` pixels; 0: as it is. Raises Unreadable where that is too much."""
        rows, columns = pixels.shape[:2]
        shape = shape_for((rows, columns), short)
        if min(shape) < FEWEST:
            raise Unreadable(f"{shape[1]} x {shape[0]} pixels would be looked at, fewer than {FEWEST} a side")
        _refuse_endless(*shape)
        return cls((0, 0, columns, rows), shape)

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (row, column, channel) of a picture's; the square is the one that ingest stores, to the byte."""
        if self.square is None:
            return resized(pixels, self.shape)
        return np.array(self.square.of(Image.fromarray(_plain(pixels)), self.box))

    def pasted(self, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """A bool mask (row, column) of the box in its place in the picture; nothing outside."""
        left, top, _, _ = self.box
        whole = np.zeros(shape, bool)
        rows, columns = self.inside(shape)
        whole[rows, columns] = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        return whole

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a picture of so many that lie in the box."""
        left, top, right, bottom = self.box
        return slice(max(0, top), min(shape[0], bottom)), slice(max(0, left), min(shape[1], right))

    def share(self, shape: tuple[int, int]) -> float:
        """Of a picture of so many rows and columns, how much lies in the box."""
        rows, columns = self.inside(shape)
        return (rows.stop - rows.start) * (columns.stop - columns.start) / (shape[0] * shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the box in the picture's pixels."""
        return self.box[3] - self.box[1], self.box[2] - self.box[0]

    @property
    def scale(self) -> float:
        """Pixels that are looked at for one of the picture's."""
        return min(self.shape) / min(self.size)


def read(path: Path, channels: int) -> np.ndarray:
    """The pixels of a file, upright, uint8 (row, column, channel), in 1 or 3 channels. Raises Unreadable."""
    pixels = decoding.upright(path)
    if pixels.shape[2] == channels:
        return pixels
    if channels == 1:
        return np.array(Image.fromarray(pixels).convert("L"))[..., None]
    return np.repeat(pixels, channels, axis=2)


def shape_for(shape: tuple[int, int], short: int) -> tuple[int, int]:
    """Rows and columns of a picture whose shorter side becomes `short` pixels; 0: as it is."""
    if not short:
        return shape
    rows, columns = (max(1, round(side * short / min(shape))) for side in shape)
    return rows, columns


def resized(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """uint8 (row, column, channel) or float32 (row, column), antialiased where it becomes smaller."""
    if pixels.shape[:2] == shape:
        return pixels
    picture = Image.fromarray(_plain(pixels))
    way = Image.Resampling.LANCZOS if pixels.dtype == np.uint8 else Image.Resampling.BILINEAR
    found = np.array(picture.resize((shape[1], shape[0]), way))
    return found[..., None] if pixels.ndim > found.ndim else found


def _plain(pixels: np.ndarray) -> np.ndarray:
    """As Pillow has them: without the one channel of a grey picture."""
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _refuse_endless(rows: int, columns: int) -> None:
    if rows * columns > decoding.MAX_PIXELS:
        raise Unreadable(f"{columns:,} x {rows:,} pixels would be looked at, more than {decoding.MAX_PIXELS:,}")


def outlined(pixels: np.ndarray, mask: np.ndarray, frame: Frame | None = None) -> np.ndarray:
    """A picture in colour, uint8 (row, column, 3), with the outline of a bool mask (row, column) on it; what lies
    outside a frame is dimmed."""
    width = 2 * max(1, round(min(mask.shape) / THIN)) + 1
    drawn = Image.fromarray(mask.astype(np.uint8) * 255)
    edge = (np.asarray(drawn.filter(ImageFilter.MaxFilter(width))) > 0) & ~mask
    colour = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    shown = np.array(colour)
    if frame is not None:
        shown //= DIMMED
        inside = frame.inside(mask.shape)
        shown[inside] = colour[inside]
    shown[edge] = OUTLINE
    return shown
