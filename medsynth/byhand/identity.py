"""What a file of weights is: the SHA-256 of it as it was published, also of one that was converted since.

A converted file says in its header what it was made from, and what is in it; what is in it can be checked.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from medsynth.artifacts import files

SOURCE, SOURCE_SHA256, CONTENT_SHA256 = "source", "source_sha256", "content_sha256"
READABLE = ".safetensors"
METADATA = "__metadata__"
LARGEST_HEADER = 100_000_000  # bytes, as the format has it
A_PIECE = 1 << 20
SETTLED = 1_000_000_000  # nanoseconds after which the times of a file tell whether it was written to


class Damaged(ValueError):
    """A file that is not whole, or not what it says it is."""


def digest(path: Path) -> str:
    """SHA-256 of the file that was published, in hex. Raises Damaged.

    A file is read once in a process, and again where the system notes that it was written to.
    """
    noted = path.stat()
    if time.time_ns() - noted.st_ctime_ns < SETTLED:  # within a tick of its clock it could be written to unnoticed
        return _digest(path)
    return _once(path, (noted.st_dev, noted.st_ino, noted.st_size, noted.st_mtime_ns, noted.st_ctime_ns))


@lru_cache(maxsize=64)
def _once(path: Path, _noted: tuple[int, ...]) -> str:
    return _digest(path)


def _digest(path: Path) -> str:
    if path.suffix != READABLE:
        return files.sha256(path)
    metadata = read_header(path).get(METADATA, {})
    if SOURCE_SHA256 not in metadata:
        return files.sha256(path)
    if content_digest(path) != metadata.get(CONTENT_SHA256):
        raise Damaged("it was changed since it was converted")
    return str(metadata[SOURCE_SHA256])


def is_told(path: Path) -> bool:
    """Whether the hash is what a converted file says of its source: whoever wrote it could say anything."""
    return path.suffix == READABLE and SOURCE_SHA256 in read_header(path).get(METADATA, {})


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: name -> type, shape and place of a tensor. Raises Damaged."""
    with path.open("rb") as file:
        return _header(file, path.stat().st_size)[0]


def content_digest(path: Path) -> str:
    """A hash of all tensors: names, types, shapes and bytes, whatever else stands in the header. Raises Damaged."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        header, start = _header(file, path.stat().st_size)
        for name in sorted(header.keys() - {METADATA}):
            entry = header[name]
            begin, end = entry["data_offsets"]
            digest.update(json.dumps([name, entry["dtype"], entry["shape"], end - begin]).encode())
            file.seek(start + begin)
            for piece in _pieces(file, end - begin):
                digest.update(piece)
    return digest.hexdigest()


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header, and where the bytes of the tensors begin: the whole file has to be there."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, LARGEST_HEADER):
        raise Damaged("it is not a whole safetensors file")
    try:
        header = json.loads(file.read(length))
        ends = [_end(entry) for name, entry in header.items() if name != METADATA]
        whole = isinstance(header.get(METADATA, {}), dict) and 8 + length + max(ends, default=0) == size
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Damaged("it is not a safetensors file") from error
    if not whole:
        raise Damaged("it is not a whole safetensors file")
    return header, 8 + length


def _end(entry: dict[str, Any]) -> int:
    """Where the bytes of a tensor end. Raises ValueError, KeyError or TypeError for an entry that describes none."""
    begin, end = entry["data_offsets"]
    whole = type(begin) is int and type(end) is int and 0 <= begin <= end
    if not whole or not isinstance(entry["dtype"], str) or not isinstance(entry["shape"], list):
        raise ValueError(entry)
    return end


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (piece := file.read(min(length, A_PIECE))):
        length -= len(piece)
        yield piece
