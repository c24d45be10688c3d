"""Every reader of the program that opens a file from elsewhere, or one that may have been damaged, with whole files."""

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fuzz_formats import chunk_of_png, entry_of_tiff, header_of_safetensors, member_of_zip, segment_of_jpeg
from fuzzing import Reader, replanted
from PIL import Image
from safetensors.torch import save as packed
from torch import nn

from medsynth import recipe
from medsynth.artifacts import audit, checkpoint, cohort, comparisons, features, latents, log, predictions, scores
from medsynth.artifacts import weights as trained
from medsynth.byhand import identity
from medsynth.codecs import Picture
from medsynth.codecs.vq import published
from medsynth.data import decoding, png, sources
from medsynth.data.decoding import Square
from medsynth.data.sources.labels import merged
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData, MedsynthError
from medsynth.rundir import Artifact

STORED = Path(__file__).parent / "data" / "run-1.zip"


def stored(*names: str) -> list[bytes]:
    """Files of the run that is stored with the tests."""
    with zipfile.ZipFile(STORED) as archive:
        return [archive.read(name) for name in names]


def every(*calls: Callable[[], object]) -> None:
    """Make all calls; where every one was refused, the last refusal is raised."""
    refused = []
    for call in calls:
        try:
            call()
        except MedsynthError as error:
            refused.append(error)
    if len(refused) == len(calls):
        raise refused[-1]


# ---- sources ----

TABLES = (
    "image,patient,eye,mask,level\na.png,P1,L,m.png,0\nb.png,P1,R,,1\nc.png,P2,L,,2\nd/e.png,P3,R,m2.png,1\n",
    "file;subject;haem;exud;age\n1.png;7;1;0;70\n2.png;007;0;1;61\n3.png;8;1;1;\n",
    'path\tpatient_id\tdx\tsplit\n"a b.png"\tx\tDrüsen\ttrain\nb.png\ty\tgesund\tval\nc.png\tz\t"a, ""b"""\ttest\n',
)
NAMED = (
    Asked(), Asked(every_image_is_a_patient=True), Asked(official_split="split"), Asked(labels=("haem", "exud")),
    Asked(label="level", patient="patient"),
)  # fmt: skip


def read_table(folder: Path, data: bytes) -> None:
    (folder / "labels.csv").write_bytes(data)
    (folder / "labels.tsv").write_bytes(data)

    def classes() -> None:
        merged(sources.read(folder / "labels.csv", NAMED[0]), {"healthy": ["0", "gesund"], "ill": ["1", "2"]})

    calls = [lambda asked=asked: sources.read(folder / "labels.csv", asked) for asked in NAMED]
    every(*calls, classes, lambda: sources.read(folder / "labels.tsv", NAMED[0]))


def tables(_: Path) -> list[bytes]:
    return [*(text.encode() for text in TABLES), TABLES[0].encode("utf-16"), TABLES[2].encode("latin-1")]


def archives(_: Path) -> list[bytes]:
    dice, made = np.random.default_rng(0), []
    for labels, shape in ((1, (4, 4)), (3, (4, 4, 3))):
        arrays = {}
        for part in ("train", "val", "test"):
            arrays[f"{part}_images"] = dice.integers(0, 256, (3, *shape), dtype=np.uint8)
            arrays[f"{part}_labels"] = dice.integers(0, 2, (3, labels), dtype=np.uint8)
        for write in (np.savez, np.savez_compressed):
            content = io.BytesIO()
            write(content, **arrays)
            made.append(content.getvalue())
    return made


def read_archive(folder: Path, data: bytes) -> None:
    (folder / "retinamnist.npz").write_bytes(data)
    sources.read(folder / "retinamnist.npz", Asked())


# ---- pictures ----


def pictures(*variants: tuple[str, str, dict[str, object]]) -> Callable[[Path], list[bytes]]:
    """Of 24 x 20 pixels, each as (format, mode, options of Pillow)."""

    def whole(_: Path) -> list[bytes]:
        noise, made = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8), []
        for form, mode, options in variants:
            content = io.BytesIO()
            if mode == "I;16":
                picture = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
            else:
                picture = Image.fromarray(noise).convert(mode)
            picture.save(content, form, **options)
            made.append(content.getvalue())
        return made

    return whole


def read_picture(folder: Path, data: bytes) -> None:
    path = folder / "x.img"
    path.write_bytes(data)
    found = decoding.decode(path, None, Square(16, "inside-field"))
    assert found.pixels.shape[:2] == (16, 16)
    assert found.pixels.dtype == np.uint8
    if found.side < 2000:  # the largest are decoded once: an input is one picture
        decoding.decode(path, path, Square(8, "pad"))


def read_stored_picture(folder: Path, data: bytes) -> None:
    path = folder / "x.png"
    path.write_bytes(data)
    png.is_whole(path)
    assert png.read(path).ndim == 3


TURNED = Image.Exif()
TURNED[0x0112] = 6  # orientation
PNGS = pictures(
    *(("PNG", mode, {}) for mode in ("RGB", "L", "P", "RGBA", "LA", "1", "I;16")), ("PNG", "RGB", {"exif": TURNED})
)
JPEGS = pictures(
    *(("JPEG", mode, {}) for mode in ("RGB", "L", "CMYK")), ("JPEG", "RGB", {"progressive": True, "exif": TURNED})
)
TIFFS = pictures(
    *(("TIFF", mode, {}) for mode in ("RGB", "L", "P", "1", "RGBA", "I;16")),
    *(("TIFF", "RGB", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
)
BMPS = pictures(*(("BMP", mode, {}) for mode in ("RGB", "L", "P", "1", "RGBA")))

# ---- weights ----


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def tokenizer() -> nn.Module:
    """Something with a tensor that only a tokenizer has."""
    module = network()
    module.add_module("encoder", nn.ModuleDict({"conv_in": nn.Conv2d(3, 4, 3, bias=False)}))
    return module


def tensors(_: Path) -> list[bytes]:
    state = network().state_dict()
    plain = packed(state)
    source = {identity.SOURCE: "x.pth", identity.SOURCE_SHA256: "0" * 64, identity.CONTENT_SHA256: "0" * 64}
    return [plain, packed(state, source), packed(tokenizer().state_dict())]


def read_tensors(folder: Path, data: bytes) -> None:
    path = folder / trained.WEIGHTS
    path.write_bytes(data)
    with contextlib.suppress(identity.Damaged):  # doctor and weights check say it
        identity.digest(path)
    calls = (lambda: trained.load_into(folder, network()), lambda: published.read(path, Picture(32, 3)))
    every(*calls, lambda: trained.load_into(folder, tokenizer()))


def checkpoints(folder: Path) -> list[bytes]:
    checkpoint.save(folder, checkpoint.State({"x": torch.ones(3)}, {"step": 4, "seconds": 1.5}))
    return [path.read_bytes() for path in sorted((folder / checkpoint.FOLDER).iterdir())]


def read_checkpoint(folder: Path, data: bytes) -> None:
    """The newer of two states is damaged: the older one is gone back to."""
    checkpoint.save(folder, checkpoint.State({"x": torch.zeros(3)}, {"step": 2}))
    (folder / checkpoint.FOLDER / "odd.safetensors").write_bytes(data)
    found = checkpoint.load(folder)
    assert found is not None
    assert isinstance(found.facts["step"], int)


# ---- files of a run ----


def recipes(_: Path) -> list[bytes]:
    return [recipe.dump(recipe.load(recipe.locate(name))).encode() for name in ("demo", "npdr")] + stored("recipe.toml")


def read_recipe(folder: Path, data: bytes) -> None:
    (folder / "r.toml").write_bytes(data)
    found = recipe.load(folder / "r.toml")
    assert recipe.parse(recipe.dump(found)) == found


MANIFESTS = stored("ingest/manifest.csv", "fold-0/expand/geca/manifest.csv")
FACTS = stored("ingest/cohort.json", "fold-0/expand/geca/cohort.json")


def read_manifest(folder: Path, data: bytes) -> None:
    (folder / cohort.FACTS).write_bytes(FACTS[0])
    (folder / cohort.MANIFEST).write_bytes(data)
    for s in cohort.load(folder).samples:
        assert s.image.resolve().is_relative_to(folder.resolve())
        assert (folder / f"{s.sample}.png").resolve().parent == folder.resolve()


def read_facts(folder: Path, data: bytes) -> None:
    (folder / cohort.MANIFEST).write_bytes(MANIFESTS[0])
    (folder / cohort.FACTS).write_bytes(data)
    found = cohort.load(folder)
    for part in (found.training, found.selection, found.testing):
        part(0).counts()


def read_record(folder: Path, data: bytes) -> None:
    artifact = Artifact(folder, "classify", 0, "real")
    (folder / "stage.json").write_bytes(data)
    assert {*artifact.record()} >= {"summary", "notes", "inputs"}
    assert artifact.id
    assert artifact.made
    with contextlib.suppress(BadData):  # what it lists is not here
        artifact.verify(hint="again")


def of_run(file: str, load: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """A reader of a folder in which one file is the input."""

    def read(folder: Path, data: bytes) -> object:
        (folder / file).write_bytes(data)
        return load(folder)

    return read


def read_audit(folder: Path, data: bytes) -> None:
    for name in (audit.PAIRS, audit.COPIED, audit.DUPLICATES):
        (folder / name).write_bytes(data)
    row_types = ((audit.PAIRS, audit.Pair), (audit.COPIED, audit.Copied), (audit.DUPLICATES, audit.Duplicate))
    every(*(lambda name=name, row=row: audit._read(folder / name, row) for name, row in row_types))


def arrays(_: Path) -> list[bytes]:
    made = []
    for array in (np.zeros((2, 3), np.float32), np.zeros((2, 1, 3, 2, 2), np.float16), np.zeros((2, 1, 5), np.float32)):
        content = io.BytesIO()
        np.save(content, array)
        made.append(content.getvalue())
    return made


def read_arrays(folder: Path, data: bytes) -> None:
    """As features, as latents and as the parameters of these."""
    values, posteriors, parameters = arrays(folder)
    whole = {features.FEATURES: values, latents.LATENTS: posteriors, latents.PARAMETERS: parameters}
    (folder / "index.csv").write_text("sample\na\nb\n")
    (folder / "facts.json").write_text(json.dumps({"extractor": "x:1", "features": 3}))
    np.save(folder / features.PIXELS, np.zeros((2, 4, 4, 3), np.uint8))

    def with_input(chosen: str) -> None:
        for name, content in whole.items():
            (folder / name).write_bytes(data if name == chosen else content)
        features.load(folder) if chosen == features.FEATURES else latents.load(folder)

    every(*(lambda name=name: with_input(name) for name in whole))


def logs(_: Path) -> list[bytes]:
    return stored("fold-0/codec/kl/log.jsonl", "fold-0/generator/geca/log.jsonl")


def read_log(folder: Path, data: bytes) -> None:
    (folder / log.LOG).write_bytes(data)
    assert all(isinstance(entry, dict) for entry in log.load(folder))
    log.rewind(folder, 1)


def held(*names: str) -> Callable[[Path], list[bytes]]:
    return lambda _: stored(*names)


CLASSIFIED = "fold-0/classify/real"
READERS = (
    Reader("csv", tables, read_table, text=True),
    Reader("npz", archives, read_archive, (member_of_zip,)),
    Reader("png", PNGS, read_picture, (chunk_of_png,), explained=(decoding.Unreadable,)),
    Reader("jpeg", JPEGS, read_picture, (segment_of_jpeg,), explained=(decoding.Unreadable,)),
    Reader("tiff", TIFFS, read_picture, (entry_of_tiff,), explained=(decoding.Unreadable,)),
    Reader("bmp", BMPS, read_picture, explained=(decoding.Unreadable,)),
    Reader("stored-png", PNGS, read_stored_picture, (chunk_of_png,)),
    Reader("safetensors", tensors, read_tensors, (header_of_safetensors,)),
    Reader("checkpoint", checkpoints, read_checkpoint, (header_of_safetensors,)),
    Reader("recipe", recipes, read_recipe, text=True),
    Reader("manifest.csv", lambda _: MANIFESTS, read_manifest, text=True),
    Reader("cohort.json", lambda _: FACTS, read_facts, (replanted,), text=True),
    Reader("stage.json", held("ingest/stage.json", f"{CLASSIFIED}/stage.json"), read_record, (replanted,), text=True),
    Reader(
        "scores.json", held(f"{CLASSIFIED}/scores.json", "fold-0/audit/geca/scores.json"),
        of_run(scores.SCORES, scores.load), (replanted,), text=True,
    ),
    Reader(
        "predictions.csv", held(f"{CLASSIFIED}/predictions.csv"), of_run(predictions.PREDICTIONS, predictions.load),
        text=True,
    ),
    Reader(
        "comparisons.json", held("compare/comparisons.json"), of_run(comparisons.COMPARISONS, comparisons.load),
        (replanted,), text=True,
    ),
    Reader("audit", held("fold-0/audit/geca/pairs.csv"), read_audit, text=True),
    Reader("arrays", arrays, read_arrays),
    Reader("log.jsonl", logs, read_log, (replanted,), text=True),
)  # fmt: skip
