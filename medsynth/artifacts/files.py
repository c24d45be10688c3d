"""Files that are there whole or not at all."""

import csv
import hashlib
import json
import os
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from medsynth.errors import BadData

# What a damaged file does to whoever takes it for a whole one.
DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, EOFError, csv.Error,
    tokenize.TokenError, SyntaxError,
)  # fmt: skip
AGAIN = "make it again: the command of its step with --force"
LONGEST = 200  # characters of a reason: a damaged file can be all of it


def write(path: Path, fill: Callable[[BinaryIO], object], *, synced: bool = True) -> None:
    """Let `fill` write into a neighbour of `path`, then put it in place in one rename.

    It is synced first. Who writes many files may leave that to sync() at the end, if files that a power cut has emptied
    are noticed.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            fill(file)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)


def sync(path: Path) -> None:
    """Let a file's content survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """NaN and infinity are refused: no reader should have to guess what they meant."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
    return json.loads(path.read_text(encoding="utf-8"))


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, where the system has a way to ask for it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def fingerprint(path: Path) -> str:
    """A hash of a file, or of every file right in a folder and their names; "" where nothing is there."""
    if path.is_dir():
        inside = {part.name: sha256(part) for part in sorted(path.iterdir()) if part.is_file()}
        return hashlib.sha256(json.dumps(inside, sort_keys=True).encode()).hexdigest()
    return sha256(path) if path.is_file() else ""


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
