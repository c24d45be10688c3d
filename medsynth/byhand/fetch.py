"""A published file -> its place, over the network: only by a command that says so, and only if its hash is right.

The one module that may open a connection.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from medsynth.artifacts import files
from medsynth.byhand.published import Published
from medsynth.errors import MedsynthError, MissingWeights, Refused

SECONDS = 30  # without a byte
A_PIECE = 1 << 20
Progress = Callable[[str, int, int], None]


def fetch(asked: Published, folder: Path, *, allowed: bool, progress: Progress) -> Path:
    """Fetch a file into a folder; it gets its name once its hash is known to be right.

    Raises Refused unless it is allowed, MissingWeights for what cannot be fetched or is not what was published.
    """
    by_hand = f"by hand: {asked.file} from {asked.publisher}, to {folder}"
    if not allowed:
        raise Refused(
            f"{asked.file} is not fetched from {asked.url or asked.publisher} without --allow-download",
            hint=f"medsynth weights fetch {asked.key} --allow-download; or {by_hand}",
        )
    if not asked.url or not asked.digest:
        missing = "hash" if asked.url else "place"
        raise MissingWeights(f"no {missing} of {asked.file} is known here, so that it is not fetched", hint=by_hand)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / asked.file

    def fill(file: BinaryIO) -> None:
        found = _download(asked, file, progress)
        if not found.startswith(asked.digest):
            raise MissingWeights(
                f"what {asked.url} gave has a SHA-256 that begins with {found[:8]}, not with {asked.digest}: "
                "it was thrown away",
                hint=by_hand,
            )

    try:
        files.write(path, fill)
    except MedsynthError:
        raise
    except Exception as error:  # whatever a network does, it is the reason
        reason = getattr(error, "reason", None) or error
        raise MissingWeights(f"{asked.url} was not fetched: {reason}", hint=by_hand) from error
    return path


def _download(asked: Published, file: BinaryIO, progress: Progress) -> str:
    """Copy what the URL gives; its SHA-256."""
    import urllib.request

    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(asked.url, timeout=SECONDS) as answer:
        total = int(_header(answer, "Content-Length") or 0)
        while piece := answer.read(A_PIECE):
            file.write(piece)
            digest.update(piece)
            done += len(piece)
            progress(f"fetch {asked.file}", done, max(total, done))
    return digest.hexdigest()


def _header(answer: Any, name: str) -> str | None:
    found = answer.headers.get(name)
    return None if found is None else str(found)
