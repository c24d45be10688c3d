"""Pixels on disk and in memory. The range of colours changes here and nowhere else."""

from pathlib import Path

import numpy as np
import torch

from medsynth.artifacts import files
from medsynth.data import png
from medsynth.shapes import Images

MASK_THRESHOLD = 0.5  # between black and white: from here on a pixel of a drawn mask is part of a lesion


def write_png(path: Path, pixels: np.ndarray, *, synced: bool = True) -> None:
    """Write uint8 pixels, (row, column, 1 or 3), without any metadata."""
    files.write(path, lambda file: file.write(png.encode(pixels)), synced=synced)


def to_images(pixels: np.ndarray) -> Images:
    """uint8 (image, row, column, channel) -> [-1, 1] (image, channel, row, column)."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(images: Images) -> np.ndarray:
    """[-1, 1] (image, channel, row, column) -> uint8 (image, row, column, channel), rounded."""
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


def to_masks(images: Images) -> np.ndarray:
    """[-1, 1] (image, 1, row, column) -> uint8 (image, row, column, 1): 255 from MASK_THRESHOLD on, else 0."""
    inside = (images.float() + 1) / 2 >= MASK_THRESHOLD
    return (inside.to(torch.uint8) * 255).permute(0, 2, 3, 1).cpu().numpy()


def grid(rows: list[np.ndarray], gap: int = 2) -> np.ndarray:
    """Pictures (image, row, column, channel) laid out as one: a row of pictures for each array, white between them."""
    columns, (height, width, channels) = max(len(row) for row in rows), rows[0].shape[1:]
    sheet = np.full((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet
