"""Arrays of a run, as .npy: numbers only, never objects, and no larger than the file that holds them."""

import io
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from medsynth.artifacts import files

LONGEST_HEADER = 1 << 16  # bytes


class _Plain:
    """A file as numpy does not recognise it. To one it does recognise it writes past Python, through buffers of C, and
    does not notice when there is no room for the last of them: a shorter array would be taken for whole."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def save(path: Path, array: np.ndarray) -> None:
    files.write(path, lambda file: np.save(_Plain(file), array, allow_pickle=False))


def load(path: Path, *, mapped: bool = False) -> np.ndarray:
    """The array of a file; `mapped`: what is not asked for is not read. Raises BadData for a damaged file."""
    with files.whole(path):
        # Judged before anything is allocated: a few bytes can ask for all memory, as a header's length or an array's.
        with path.open("rb") as file:
            begin = io.BytesIO(file.read(LONGEST_HEADER))
        version = np.lib.format.read_magic(begin)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(begin)
        if dtype.hasobject or begin.tell() + math.prod(shape) * dtype.itemsize != path.stat().st_size:
            raise ValueError(f"{shape} of {dtype} are not what the file holds")
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
