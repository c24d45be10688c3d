"""Is there room for what is about to be made? Asked before it is begun, so that nobody waits hours for a full disk."""

import shutil
from pathlib import Path

from medsynth.distributed import World
from medsynth.errors import Refused

BLOCK = 4096  # bytes that the smallest file takes
SLACK = 1e6  # bytes of logs, tables and records


def free(place: Path) -> int:
    """Bytes that may still be written where a folder is, or will be."""
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def of_files(count: int, bytes_each: float) -> float:
    """Bytes that so many files take, in whole blocks."""
    return count * BLOCK * -(-max(1.0, bytes_each) // BLOCK)


def require(place: Path, needed: float, name: str, world: World) -> None:
    """Raise Refused, in every process, if a folder cannot take so many bytes.

    What an earlier attempt left in the folder counts as done. The first process looks, for it writes.
    """
    left, there = world.agree([needed + SLACK - _held(place), free(place)] if world.is_first else None)
    if left > there:
        raise Refused(
            f"{name} needs about {left / 1e6:.0f} MB more, but {there / 1e6:.0f} MB are free at {place.parent}",
            hint="make room there, or --run on another disk; then the same command",
        )


def _held(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
