"""uint8 pixels -> the bytes of a PNG and back, without torch. (row, column, channel), 1 channel if it is grey."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from medsynth.errors import BadData

SHARE = 0.7  # of the raw bytes, about, that a photograph takes as PNG; for forecasts only


def encode(pixels: np.ndarray) -> bytes:
    """A PNG without any metadata, of 1 or 3 channels."""
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(content, "PNG")
    return content.getvalue()


def read(path: Path) -> np.ndarray:
    """The pixels of a file that was encoded here. Raises BadData for one that is damaged or gone."""
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=["PNG"]) as picture:
            pixels = np.asarray(picture)
    except Exception as error:  # a decoder meets a damaged file in ways that nobody has listed
        raise BadData(f"{path} cannot be read", hint="make it again: the command of its step with --force") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def is_whole(path: Path) -> bool:
    """Whether a file is there to its last byte: a PNG holds checksums of everything in it."""
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=["PNG"]) as picture:
            picture.verify()
    except Exception:
        return False
    return True
