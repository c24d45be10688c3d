"""A disk that fails: at one change to files, and at every one after it unless it fails once."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHANGES = ("fsync", "replace", "rename", "mkdir", "open")  # of os


@contextmanager
def failing(number: int | None = None, at: int = 0, *, once: bool = False) -> Iterator[Callable[[], int]]:
    """Count what is done to files; from the change `at` on, or it alone, refuse it with this number of the system."""
    count, real = 0, {name: getattr(os, name) for name in CHANGES}

    def refusing(name: str) -> Callable[..., Any]:
        def change(*words: Any, **more: Any) -> Any:
            nonlocal count
            writes = name != "open" or words[1] & (os.O_WRONLY | os.O_RDWR)
            count += bool(writes)
            if writes and number is not None and (count == at if once else count >= at):
                raise OSError(number, os.strerror(number), *([str(words[0])] if name != "fsync" else []))
            return real[name](*words, **more)

        return change

    for name in CHANGES:
        setattr(os, name, refusing(name))
    try:
        yield lambda: count
    finally:
        for name, function in real.items():
            setattr(os, name, function)


@contextmanager
def small_disk(folder: Path, bytes_in_all: int) -> Iterator[Callable[[str], None]]:
    """A real disk of that size in memory; what is yielded mounts it again with other options: `ro`, `size=9m`."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={bytes_in_all}", "tmpfs", folder], check=True)
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True) and None
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def may_mount(folder: Path) -> bool:
    """Whether this user of this machine may have such a disk."""
    if os.name != "posix" or os.geteuid() != 0:
        return False
    folder.mkdir(exist_ok=True)
    tried = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
    if tried.returncode:
        return False
    subprocess.run(["umount", folder], check=True)
    return True
