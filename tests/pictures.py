"""Small pictures and the tables that name them, for the tests of ingest."""

import csv
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import Cohort
from medsynth.data import sources
from medsynth.data.sources.listing import Asked, Listing
from medsynth.job import Job, Result
from medsynth.recipe import Recipe, from_table
from medsynth.stages import ingest

Row = dict[str, object]


def noise(seed: int, height: int = 12, width: int = 12, channels: int = 3) -> np.ndarray:
    """uint8 pixels that no other seed has."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def table(path: Path, rows: Sequence[Row], *, encoding: str = "utf-8") -> Path:
    """Write rows of one shape as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def rows_of(patients: int, change: Callable[[int, Row], Row] = lambda _n, row: row) -> list[Row]:
    """Two images a patient, graded 0 or 1 in turn."""
    plain = [
        {"image": f"images/{n:03d}.png", "patient": f"P{n // 2:02d}", "eye": "LR"[n % 2], "level": n // 2 % 2}
        for n in range(2 * patients)
    ]
    return [change(n, row) for n, row in enumerate(plain)]


def clinic(folder: Path, rows: Sequence[Row] | None = None) -> Path:
    """A folder with labels.csv and its images, each with noise of its own. Returns the table."""
    rows = rows_of(10) if rows is None else rows
    for n, row in enumerate(rows):
        save(folder / str(row["image"]), noise(n))
    return table(folder / "labels.csv", rows)


def medmnist(path: Path, sizes: Sequence[int] = (12, 4, 6), *, labels: int = 1, **changes: Any) -> Path:
    """A file as MedMNIST makes them, grey, 9 pixels a side."""
    dice = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part, size in zip(("train", "val", "test"), sizes, strict=True):
        arrays[f"{part}_images"] = dice.integers(0, 256, (size, 9, 9), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(size)[:, None] + np.arange(labels)).astype(np.uint8) % 2
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def listing(folder: Path, *rows: Row, **asked: Any) -> Listing:
    """What a table with these rows says. They need only have what matters; no image is there, and none is opened."""
    full = [{"image": f"{n}.png", "patient": f"P{n}"} | row for n, row in enumerate(rows)]
    return sources.read(table(folder / "labels.csv", full), Asked(**asked))


def graded(*values: object) -> list[Row]:
    """Rows with one class each."""
    return [{"level": value} for value in values]


def run(out: Path, source: Path, *, seed: int = 0, progress: Any = lambda *_: None, **settings: Any) -> Result:
    """Ingest as the pipeline does it, with two folds of 8 pixels unless told otherwise."""
    chosen = {"source": str(source), "image_size": 8, "folds": 2, "modality": "other"} | settings
    recipe: Recipe = from_table({"seed": seed, "ingest": chosen})
    out.mkdir(parents=True, exist_ok=True)
    job = Job(recipe, inputs=(), out=out, fold=None, kind=None, progress=progress, settings=recipe.ingest)
    return ingest.run(job)


def ingested(out: Path, source: Path, **settings: Any) -> Cohort:
    run(out, source, **settings)
    return cohort.load(out)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write. `rows` are its raw bytes, each row led by its filter, 0."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
