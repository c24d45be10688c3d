"""Pictures of any size, as they are: read, made smaller or larger, and with the outline of a mask drawn on them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from medsynth.data import decoding
from medsynth.data.decoding import Unreadable

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
OUTLINE = (0, 255, 255)  # cyan: no skin, retina or scan has it
THIN = 300  # pixels of the short side for each pixel of an outline's width

__all__ = ["ENDINGS", "Unreadable", "outlined", "read", "resized", "shape_for"]


def read(path: Path, channels: int) -> np.ndarray:
    """The pixels of a file, upright, uint8 (row, column, channel), in 1 or 3 channels. Raises Unreadable."""
    pixels = decoding.upright(path)
    if pixels.shape[2] == channels:
        return pixels
    if channels == 1:
        return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
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
    grey = pixels.ndim == 3 and pixels.shape[2] == 1
    picture = Image.fromarray(pixels[..., 0] if grey else pixels)
    way = Image.Resampling.LANCZOS if pixels.dtype == np.uint8 else Image.Resampling.BILINEAR
    found = np.asarray(picture.resize((shape[1], shape[0]), way))
    return found[..., None] if grey else found


def outlined(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture in colour, uint8 (row, column, 3), with the outline of a bool mask (row, column) on it."""
    width = 2 * max(1, round(min(mask.shape) / THIN)) + 1
    drawn = Image.fromarray(mask.astype(np.uint8) * 255)
    edge = (np.asarray(drawn.filter(ImageFilter.MaxFilter(width))) > 0) & ~mask
    shown = np.array(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
    shown[edge] = OUTLINE
    return shown
