"""One command at a time on one artifact."""

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from medsynth.artifacts import files
from medsynth.errors import Refused

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAIT = "wait for it, or stop it; then the same command"
LOOK_SECONDS = 0.5  # is_held takes a shared lock for a moment, to look


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


def forget(folder: Path, name: str) -> None:
    """Remove the file of a lock that this process holds, where none should be left; Windows keeps it."""
    with suppress(OSError):
        _path(folder, name).unlink()


def refuse_held(folder: Path, name: str) -> None:
    """Raise Refused, naming the holder, if another process is making `name` now."""
    if is_held(folder, name):
        raise _refusal(folder, name)


def is_held(folder: Path, name: str) -> bool:
    """Whether a process is making `name` now. Many may look at once; what another user does not show is held."""
    try:
        return _path(folder, name).is_file() and _is_taken(_path(folder, name))
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM)


def _is_taken(path: Path) -> bool:
    """A look that keeps no other look away, where the system has such locks; else one that waits for the others."""
    if fcntl is None:
        from filelock import FileLock, Timeout

        try:
            with FileLock(path, timeout=LOOK_SECONDS):
                return False
        except Timeout:
            return True
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)  # and the lock with it
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
