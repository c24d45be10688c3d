"""Every failure a user can repair. Each says what is wrong, and what to type next."""

import errno
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

ON = "then the same command: what was done is kept, and it goes on from there"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LOCKED = {errno.EROFS, errno.EACCES, errno.EPERM}
# What a disk or a path can do to any command, and no fault of the program's.
DISK = NO_ROOM | LOCKED | {
    errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ESTALE,
}  # fmt: skip


class MedsynthError(Exception):
    """A failure the user can repair: what is wrong, with the value in it, and the next thing to type."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BadUsage(MedsynthError):
    """A flag, a recipe key or a value that cannot be understood."""

    exit_code = 2


class BadData(MedsynthError):
    """The images or labels cannot be used as they are."""

    exit_code = 3


class Refused(MedsynthError):
    """It could be done, but it would leak, contradict what the run holds, or disturb another process."""

    exit_code = 4


class MissingStep(MedsynthError):
    """An earlier step has to be done first; the hint is its command."""

    exit_code = 5


class MissingWeights(MedsynthError):
    """A file of weights is not there or not the right one."""

    exit_code = 6


class DiskFailed(MedsynthError):
    """A file could not be written or read: no room, no permission, a disk that fails. What was there is still there."""

    exit_code = 1


def of_disk(error: OSError, path: Path | str | None = None) -> DiskFailed:
    """What an error of the system means for a file, and what to do about it."""
    where = path or error.filename or "a file of the run"
    what = error.strerror or f"it was not written whole ({error})"
    if error.errno in NO_ROOM:
        return DiskFailed(f"{where}: {what}", hint=f"make room there; {ON}")
    if error.errno in LOCKED:
        return DiskFailed(f"{where}: {what}", hint=f"allow writing there; {ON}")
    if error.errno == errno.EIO:
        return DiskFailed(f"{where}: {what}", hint=f"the disk fails, or its connection: mend it; {ON}")
    return DiskFailed(f"{where}: {what}", hint=f"free or unlock the disk; {ON}")


def nearest(word: str, words: Sequence[str]) -> str:
    """A hint for a word that is not known: the one that was probably meant, else all there are."""
    close = get_close_matches(word, words, n=1)
    return f"did you mean {close[0]}?" if close else f"it may be one of: {', '.join(sorted(words))}"
