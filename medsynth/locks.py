"""One command at a time on one artifact."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from medsynth.artifacts import files
from medsynth.errors import Refused

WAIT = "wait for it, or stop it; then the same command"
LOOK_SECONDS = 0.5  # is_held takes a lock for a moment, to look


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of `name`. Raises Refused at once, naming the holder, when another process has it.

    The lock is the operating system's: it is free as soon as its holder is gone, however that ended.
    """
    from filelock import FileLock, Timeout

    files.make_folder(folder)
    lock, holder = FileLock(_path(folder, name)), _holder(folder, name)
    try:
        lock.acquire(timeout=LOOK_SECONDS)
    except Timeout:
        raise _refusal(folder, name) from None
    try:
        facts = {"host": platform.node(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        files.write(holder, lambda file: file.write(json.dumps(facts).encode()), synced=False)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def refuse_held(folder: Path, name: str) -> None:
    """Raise Refused, naming the holder, if another process is making `name` now."""
    if is_held(folder, name):
        raise _refusal(folder, name)


def is_held(folder: Path, name: str) -> bool:
    """Whether a process is making `name` now. Where nothing can be written, nobody is."""
    from filelock import FileLock, Timeout

    if not _path(folder, name).is_file():
        return False
    try:
        with FileLock(_path(folder, name), timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def who(folder: Path, name: str) -> str:
    """Who is making `name`: process, host, since when."""
    try:
        facts = json.loads(_holder(folder, name).read_text())
        return f"process {facts['pid']} on {facts['host']}, since {facts['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _refusal(folder: Path, name: str) -> Refused:
    return Refused(f"{name} is being made by {who(folder, name)}", hint=WAIT)


def _holder(folder: Path, name: str) -> Path:
    return _path(folder, name).with_suffix(".json")


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(', ', '-').replace(' ', '-')}.lock"
