"""A key -> the local file of its weights, checked; or what is wrong, and what to do about it. Nothing is fetched here.

Looked for, the first that is there counts: the file that was named (--weights before the recipe), $MEDSYNTH_WEIGHTS,
$TORCH_HOME/hub/checkpoints. Of each place first a safetensors file of the official name, then KEY.safetensors, then the
official file itself, which has to be converted when it is a pickle.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medsynth.byhand import identity, published
from medsynth.byhand.published import Published
from medsynth.errors import BadUsage, MissingWeights

State = Literal["ready", "missing", "wrong", "to convert"]
DIGITS = 8  # of a hash, in names
TOLD = "the hash is what the converted file says of its source: to be sure, convert the published file yourself"


@dataclass(frozen=True)
class Seen:
    """How it stands with the file of one key."""

    published: Published
    state: State
    path: Path | None = None  # where it lies
    digest: str = ""  # its SHA-256 as it was published
    unverified: bool = False  # its hash is another one, and somebody said that this is meant
    remark: str = ""  # what is wrong, or to be known
    fix: str = ""  # what to do about it

    @property
    def mark(self) -> str:
        """What names of metrics tell the file by: `6726825d`, or `0a1b2c3d, unverified`."""
        return self.digest[:DIGITS] + (", unverified" if self.unverified else "")


def find(key: str, named: str | Path | None = None, *, unverified: bool = False) -> Seen:
    """The file of a key, ready to be read.

    `named` is the file that --weights or the recipe names. `unverified` takes a file with another hash than the
    published one, which then is part of every name. Raises MissingWeights with the way to get it right.
    """
    seen = look(key, named, unverified=unverified)
    if seen.state != "ready":
        raise MissingWeights(seen.remark, hint=seen.fix)
    return seen


def look(key: str, named: str | Path | None = None, *, unverified: bool = False) -> Seen:
    """How it stands with the file of a key. Raises BadUsage for a key that is not known."""
    asked = published.named(key)
    path = Path(named).expanduser().absolute() if named else _first(asked)
    if path is None or not path.is_file():
        where = f"not at {path}" if named else "not here"
        return Seen(asked, "missing", remark=f"{asked.used_for} needs {asked.file}, and it is {where}", fix=_get(asked))
    try:
        digest = identity.digest(path)
    except (identity.Damaged, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return Seen(asked, "wrong", path, remark=f"{path} cannot be used: {reason}", fix=_get(asked))
    fits = digest.startswith(asked.digest)
    if not fits and not unverified:
        remark = (
            f"{path} is not {asked.file}: its SHA-256 begins with {digest[:DIGITS]}, that of the published file with "
            f"{asked.digest}"
        )
        return Seen(asked, "wrong", path, digest, remark=remark, fix=_get(asked))
    if path.suffix != identity.READABLE:
        remark = f"{path} is a pickle: it has to be converted before it is read"
        out = path.with_suffix(identity.READABLE) if named else destination(asked)
        return Seen(asked, "to convert", path, digest, not fits, remark, convert_command(path, out))
    return Seen(asked, "ready", path, digest, unverified=not fits, remark=TOLD if identity.is_told(path) else "")


def places() -> list[Path]:
    """The folders that are looked into, the first one first."""
    given = os.environ.get("MEDSYNTH_WEIGHTS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    return [*([Path(given).expanduser().absolute()] if given else []), torch_home.absolute() / "hub" / "checkpoints"]


def destination(asked: Published) -> Path:
    """Where the file of a key belongs once it can be read."""
    return places()[0] / f"{_stem(asked)}{identity.READABLE}"


def convert_command(path: Path, out: Path) -> str:
    return f"medsynth weights convert {shlex.quote(str(path))} --out {shlex.quote(str(out))}"


def named_on_the_line(words: Sequence[str]) -> dict[str, Path]:
    """`KEY=PATH` of --weights -> key: path. Raises BadUsage."""
    found = {}
    for word in words:
        key, equals, path = word.partition("=")
        if not equals or not path:
            raise BadUsage(f"--weights {word} is not KEY=PATH", hint="--weights inception=FILE")
        found[published.named(key.strip()).key] = Path(path.strip())
    return found


def _first(asked: Published) -> Path | None:
    names = (f"{_stem(asked)}{identity.READABLE}", f"{asked.key}{identity.READABLE}", asked.file)
    return next((path for place in places() for name in names if (path := place / name).is_file()), None)


def _stem(asked: Published) -> str:
    return asked.file.removesuffix(".pth").removesuffix(identity.READABLE)


def _get(asked: Published) -> str:
    """One screen that takes somebody from nothing to a checked file."""
    size = f", {asked.megabytes} MB" if asked.megabytes else ""
    begins = (
        f"its SHA-256 begins with {asked.digest}"
        if asked.digest
        else "its name tells no hash: compare its sha256sum with its publisher's, if there is one"
    )
    there, out = places()[0] / asked.file, destination(asked)
    steps = [
        f"fetch {asked.file}{size}, where there is a network, from {asked.publisher}; {begins}",
        f"save it as {there}",
    ]
    if there != out:
        steps.append(convert_command(there, out))
    steps.append(f"medsynth weights check {asked.key}")
    lines = [f"{n}. {step}" for n, step in enumerate(steps, start=1)]
    if asked.url and asked.digest:
        lines.append(f"or, where there is a network here: medsynth weights fetch {asked.key} --allow-download")
    return "\n       ".join([*lines, f"or without it: {asked.instead}"])
