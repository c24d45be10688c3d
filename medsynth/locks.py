"""One command at a time on one artifact."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from medsynth.errors import Refused

LOOK_SECONDS = 0.5  # is_held takes a lock for a moment, to look


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of `name`. Raises Refused at once, naming the holder, when another process has it.

    The lock is the operating system's: it is free as soon as its holder is gone, however that ended.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(_path(folder, name)), _path(folder, name).with_suffix(".json")
    try:
        lock.acquire(timeout=LOOK_SECONDS)
    except Timeout:
        raise Refused(
            f"{name} is being made by {_describe(holder)}", hint="wait for it, or stop it; then the same command"
        ) from None
    try:
        facts = {"host": platform.node(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        holder.write_text(json.dumps(facts))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def is_held(folder: Path, name: str) -> bool:
    """Whether a process is making `name` now."""
    from filelock import FileLock, Timeout

    if not _path(folder, name).is_file():
        return False
    try:
        with FileLock(_path(folder, name), timeout=0):
            return False
    except Timeout:
        return True


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(', ', '-').replace(' ', '-')}.lock"


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text())
        return f"process {facts['pid']} on {facts['host']}, since {facts['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
