"""Files that nobody meant to write: whole ones, changed by seeded mutators, read in a process with little memory.

    python tests/fuzzing.py OUT.json [--count 10000] [--seed 0] [--readers csv,npz] [--keep FOLDER] [--stored FOLDER]

--keep keeps inputs that fail; --stored reads inputs that were kept, in place of new ones.

An input is a failure where its reader raises anything but an error that medsynth explains, takes more than LONGEST
seconds, or needs more than MOST_MEMORY beyond what the process had. A reader that never comes back ends the process.
"""

import argparse
import faulthandler
import gc
import hashlib
import json
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 5.0  # seconds of the processor that one input may take
NEVER = 60.0  # seconds after which a reader is held to hang
MOST_MEMORY = 2 << 30  # bytes beyond what the process had before the first input
SHOWN = 20  # failures that are described

Mutator = Callable[[np.random.Generator, bytes, Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Reader:
    """A reader under test: `read` puts an input where its file belongs and reads it."""

    name: str
    whole: Callable[[Path], list[bytes]]  # inputs that it reads; the folder is scratch
    read: Callable[[Path, bytes], object]
    mutators: tuple[Mutator, ...] = ()  # of its format, beside those of bytes
    text: bool = False  # its files are text
    explained: tuple[type[BaseException], ...] = ()  # what it may raise beside a MedsynthError


@dataclass
class Found:
    """What became of the inputs of one reader."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest_seconds: float = 0.0
    megabytes: float = 0.0  # the peak beyond what the process had
    failures: list[dict[str, Any]] = field(default_factory=list)


# ---- mutators of bytes ----

EXTREME = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 2**64 - 1)


def flipped(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """A few bits are others."""
    changed = bytearray(data)
    for place in dice.integers(0, max(1, len(changed)), dice.integers(1, 9)):
        if changed:
            changed[place] ^= 1 << int(dice.integers(8))
    return bytes(changed)


def cut(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: int(dice.integers(0, len(data) + 1))]


def without(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """A piece is missing, or there twice."""
    first, last = sorted(int(n) for n in dice.integers(0, len(data) + 1, 2))
    return data[:first] + data[last:] if dice.random() < 0.5 else data[:last] + data[first:last] * 2 + data[last:]


def spliced(dice: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    """The beginning of one file and the end of another."""
    other = others[int(dice.integers(len(others)))]
    return data[: int(dice.integers(0, len(data) + 1))] + other[int(dice.integers(0, len(other) + 1)) :]


def strewn(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """Noise in the middle."""
    place, noise = int(dice.integers(0, len(data) + 1)), dice.bytes(int(dice.integers(1, 64)))
    return data[:place] + noise + data[place if dice.random() < 0.5 else place + len(noise) :]


def lengthened(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """A number of two, four or eight bytes, a length or a size maybe, is an extreme one."""
    width = int(dice.choice([1, 2, 4, 8]))
    order = "little" if dice.random() < 0.5 else "big"
    value = (EXTREME[int(dice.integers(len(EXTREME)))] % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    place = int(dice.integers(0, min(len(data), 256 if dice.random() < 0.7 else len(data)) + 1))
    return data[:place] + value + data[place + width :]


BYTES: tuple[Mutator, ...] = (flipped, cut, without, spliced, strewn, lengthened)

# ---- mutators of text ----

ODD = (
    "", " ", "\0", "\r", "\n", "\t", '"', "'", ",", ";", "[", "]", "{", "}", "=", "#", "\\", "\ufeff", "\u202e",
    "\ud7ff", "é", "眼",
    "=1+1", "@SUM(A1)", "-1", "1e999", "nan", "inf", "null", "true", "1" * 5000, "9" * 400, "0x10", "1_0", "-0", "1.5",
    "../../../etc/passwd", "/etc/passwd", "C:\\x", "con", "a\0b", "\x1b[2J", "<script>", "{{7*7}}", "%s%n", "$(id)",
    "[" * 5000, "{" * 5000, '{"a":' * 3000, '[{"a":' * 3000, "a." * 5000, '"' * 999, "x" * 300_000, "2026-11-26",
)  # fmt: skip


def retold(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """A word, a number or a sign is an odd one."""
    text = data.decode("utf-8", errors="surrogateescape")
    words = list(re.finditer(r"[\w.+-]+|[^\w\s]", text))
    odd = ODD[int(dice.integers(len(ODD)))]
    if not words:
        return odd.encode()
    word = words[int(dice.integers(len(words)))]
    end = word.start() if dice.random() < 0.3 else word.end()
    return (text[: word.start()] + odd + text[end:]).encode("utf-8", errors="surrogateescape")


def shuffled(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """Lines change places, are missing or are there twice."""
    lines = data.splitlines(keepends=True) or [b""]
    return b"".join(lines[int(n)] for n in dice.integers(0, len(lines), int(dice.integers(1, len(lines) + 2))))


TEXT: tuple[Mutator, ...] = (retold, shuffled)


def replanted(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """JSON in which one value is of another kind, gone, or one too many."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places: list[tuple[Any, Any]] = []
    open_nodes = [tree]
    while open_nodes:
        node = open_nodes.pop()
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        places += [(node, key) for key in keys]
        open_nodes += [node[key] for key in keys if isinstance(node[key], dict | list)]
    odd: list[Any] = [
        None, True, False, 0, -1, 10**30, 1.5, float("nan"), float("inf"), "", "x", "a\0b", "../x", [], {}, [[]],
        [None], {"": {}}, ["a"] * 1000, "x" * 100_000, {"x": 1}, [1, "x"],
    ]  # fmt: skip
    for _again in range(int(dice.integers(1, 4))):
        if not places:
            return json.dumps(odd[int(dice.integers(len(odd)))]).encode()
        node, key = places[int(dice.integers(len(places)))]
        act = dice.random()
        if act < 0.2 and isinstance(node, dict):
            node.pop(key, None)
        elif act < 0.3 and isinstance(node, dict):
            node["added"] = odd[int(dice.integers(len(odd)))]
        elif not isinstance(node, dict) or key in node:
            node[key] = odd[int(dice.integers(len(odd)))]
    return json.dumps(tree).encode()


def mutated(reader: Reader, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """Input `number` of a reader: a whole file after one to four mutations."""
    dice = np.random.default_rng([seed, number])
    data = seeds[int(dice.integers(len(seeds)))]
    general = BYTES + (TEXT if reader.text else ())
    for _ in range(int(dice.choice([1, 1, 1, 2, 2, 3, 4]))):
        own = reader.mutators and dice.random() < 0.5
        chosen = reader.mutators if own else general
        data = chosen[int(dice.integers(len(chosen)))](dice, data, seeds)
    return data


# ---- the process ----


def fuzz(reader: Reader, inputs: Callable[[Sequence[bytes]], Iterable[bytes]], keep: Path | None) -> Found:
    """Read what `inputs` makes of whole files."""
    found = Found()
    with tempfile.TemporaryDirectory() as scratch:
        seeds = reader.whole(Path(scratch))
        for whole in seeds:  # what is whole is read, or the mutations say nothing
            reader.read(_emptied(Path(scratch) / "input"), whole)
        before = _limited()
        for data in inputs(seeds):
            number, failure = found.inputs, _one(reader, _emptied(Path(scratch) / "input"), data, found)
            if failure:
                digest = hashlib.sha256(data).hexdigest()[:12]
                found.failures.append({"number": number, "sha256": digest, "bytes": len(data), "what": failure})
                if keep:
                    (keep / f"{reader.name}-{digest}").write_bytes(data)
        found.megabytes = round(max(0, _peak() - before) / 1e6, 1)
    return found


def _one(reader: Reader, place: Path, data: bytes, found: Found) -> str:
    """Read one input; how it failed, or nothing."""
    from medsynth.errors import MedsynthError

    faulthandler.dump_traceback_later(NEVER, exit=True)
    since, failure = time.process_time(), ""
    try:
        reader.read(place, data)
        found.read += 1
    except (MedsynthError, *reader.explained):
        found.refused += 1
    except BaseException as error:
        failure = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    faulthandler.cancel_dump_traceback_later()
    seconds = time.process_time() - since
    found.inputs += 1
    found.slowest_seconds = max(found.slowest_seconds, round(seconds, 2))
    return failure or (f"{seconds:.1f} seconds" if seconds > LONGEST else "")


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _limited() -> int:
    """Let the process have little more memory than it has now; its peak so far, in bytes."""
    gc.collect()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return _peak()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    from fuzz_readers import READERS

    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("out", type=Path)
    words.add_argument("--count", type=int, default=10_000)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--readers", default=",".join(reader.name for reader in READERS))
    words.add_argument("--keep", type=Path)
    words.add_argument("--stored", type=Path)
    asked = words.parse_args()
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    known = {reader.name: reader for reader in READERS}
    table = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    for name in asked.readers.split(","):
        reader = known[name]
        table[name] = apart(lambda reader=reader: fuzz(reader, inputs(reader, asked), asked.keep))
        asked.out.write_text(json.dumps(table, indent=2) + "\n")


def inputs(reader: Reader, asked: argparse.Namespace) -> Callable[[Sequence[bytes]], Iterable[bytes]]:
    """The files that were asked for: stored ones, or mutations of whole ones."""
    if asked.stored:
        return lambda _: [path.read_bytes() for path in sorted(asked.stored.glob(f"{reader.name}-*"))]
    return lambda seeds: (mutated(reader, seeds, asked.seed, number) for number in range(asked.count))


def apart(work: Callable[[], Found]) -> dict[str, Any]:
    """Fuzz in a process of its own, which may run out of memory or never come back without taking others with it."""
    into, out = os.pipe()
    child = os.fork()
    if not child:
        os.close(into)
        found = work()
        with os.fdopen(out, "w") as file:
            json.dump(vars(found) | {"failures": found.failures[:SHOWN], "failed": len(found.failures)}, file)
        os._exit(0)
    os.close(out)
    with os.fdopen(into) as file:
        told = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code or not told:
        return vars(Found()) | {"failures": [{"what": f"its process ended with {code}"}], "failed": 1}
    return dict(json.loads(told))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
