"""Files that are there whole or not at all."""

import csv
import errno
import hashlib
import json
import math
import os
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from medsynth.errors import DISK, BadData, DiskFailed, of_disk

# What a damaged file does to whoever takes it for a whole one.
DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, EOFError, csv.Error,
    tokenize.TokenError, SyntaxError,
)  # fmt: skip
AGAIN = "make it again: the command of its step with --force"
LONGEST = 200  # characters of a reason: a damaged file can be all of it


A_PIECE = 1 << 22


def write(
    path: Path,
    fill: Callable[[BinaryIO], object],
    *,
    synced: bool = True,
    check: Callable[[Path], object] = lambda _written: None,
) -> None:
    """Let `fill` write into a neighbour of `path`, then put it in place in one rename.

    It is synced first, and shown to `check`, which raises if it is not as it should be. Who writes many files may leave
    syncing to sync() at the end, if files that a power cut has emptied are noticed. Raises DiskFailed, with whatever
    was at `path` untouched.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with _told(path):
        try:
            with scratch.open("wb") as file:
                fill(file)
                if synced:
                    file.flush()
                    os.fsync(file.fileno())
            check(scratch)
            os.replace(scratch, path)
        except BaseException:
            with suppress(OSError):  # what went wrong first is what is told
                scratch.unlink(missing_ok=True)
            raise
    if synced:
        sync_folder(path.parent)


def append(path: Path, line: str) -> None:
    """Add a line to a file, whole or not at all unless the process is killed meanwhile. It is not synced."""
    with _told(path), path.open("ab", buffering=0) as file:
        before, left = file.tell(), memoryview(f"{line}\n".encode())
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise


def sync(path: Path) -> None:
    """Let a file's content survive a power cut."""
    with _told(path), path.open("rb+") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """NaN and infinity are refused: no reader should have to guess what they meant."""
    write_text(path, _visible(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)) + "\n")


def _visible(text: str) -> str:
    """JSON in which what cannot be seen stands as its number, so that it steers nobody's terminal."""
    lines = text.split("\n")
    return "\n".join(
        line if line.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in line) for line in lines
    )


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}" if character < "\x80" else json.dumps(character)[1:-1]


@contextmanager
def whole(path: Path, hint: str = AGAIN) -> Iterator[None]:
    """Turn what a reader meets in a damaged file, or in its absence, into BadData that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadData(f"{error.filename or path} is not there", hint=hint) from error
    except DAMAGE as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:LONGEST]
        raise BadData(f"{path} is damaged: {reason}", hint=hint) from error


def read_json(path: Path) -> Any:
    """Raises ValueError for what is no JSON, and for numbers that write_json writes of none: NaN, infinity, 1e999."""
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, so that they survive a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, where the system has a way to ask for it."""
    if os.name == "posix":
        with _told(folder):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks know no such request
                    raise
            finally:
                os.close(handle)


def compare(path: Path, content: bytes) -> None:
    """Raise DiskFailed if a file does not hold these bytes."""
    left = memoryview(content)
    with path.open("rb") as file:
        while piece := file.read(A_PIECE):
            if left[: len(piece)] != piece:
                break
            left = left[len(piece) :]
        else:
            if not left:
                return
    raise DiskFailed(f"{path} does not read back as it was written", hint="look after the disk; then the same command")


def fingerprint(path: Path) -> str:
    """A hash of a file, or of every file right in a folder and their names; "" where nothing is there."""
    if path.is_dir():
        inside = {part.name: sha256(part) for part in sorted(path.iterdir()) if part.is_file()}
        return hashlib.sha256(json.dumps(inside, sort_keys=True).encode()).hexdigest()
    return sha256(path) if path.is_file() else ""


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the disk does into DiskFailed, with the file in it. numpy tells a short write without its number."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK or (error.errno is None and type(error) is OSError):
            raise of_disk(error, path) from error
        raise
