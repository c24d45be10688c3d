"""The map of the package, as a test. A failure names the file and the line that left it."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
import unsafe
from shell import ROOT, medsynth, start
from typer.main import get_command

from medsynth import chain, cli
from medsynth.recipe import FAMILY_OF, SECTIONS

PACKAGE = ROOT / "medsynth"
FULL = 300  # lines of a file

# Top to bottom. A room may use the rooms below it, never one above it or beside it.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"demo", "doctor", "options", "portable"},
    {"applied", "command", "export"},
    {"console", "pipeline"},
    {"guards"},
    {"plan"},
    {"stages"},
    {"compared", "evidence", "extractors", "job", "judged", "masking", "material", "membership", "report", "watch"},
    {"recipe", "data", "training", "metrics", "classifier"},
    {"learner", "order", "sections"},
    {"generators", "segmenters"},
    {"nca"},
    {"codecs", "nn"},
    {"arms", "chain", "perceptual", "variants"},
    {"byhand", "kinds", "presets", "rundir", "locks", "cost", "room"},
    {"artifacts", "installed", "sharding"},
    {"distributed"},
    {"errors", "shapes", "seeds", "draws", "player", "settings", "interrupt"},
    {"sampling"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# Heavy libraries, and the only files that may name them; those marked * only inside a function.
ALLOWED = {
    "torch": (
        "stages/*", "generators/*/*", "codecs/*/*", "codecs/scale.py", "codecs/shortcut.py", "codecs/masks.py", "nca/*",
        "nn/*",
        "segmenters/*/*", "segmenters/levels.py", "segmenters/runs.py", "data/augment.py",
        "data/images.py", "data/loading.py", "training.py", "watch.py", "learner.py", "order.py", "classifier.py",
        "shapes.py", "draws.py", "masking.py", "material.py", "membership.py", "player.py", "sharding.py", "*cost.py",
        "portable.py",
        "artifacts/weights.py",
        "artifacts/checkpoint.py", "perceptual.py", "extractors/*", "*byhand/convert.py", "*doctor.py",
        "*command.py", "*pipeline.py", "*distributed.py",
    ),
    "diffusers": ("*codecs/kl/model.py", "*nn/diffusion.py", "*nn/unet.py"),
    "timm": ("*classifier.py", "*extractors/vision.py"),
    "torchvision": ("*data/augment.py",),
    "sklearn": ("*metrics/classification.py", "*metrics/data_copying.py"),
    "matplotlib": ("*report/figures.py",),
    "PIL": ("data/decoding.py", "data/pictures.py", "data/png.py", "data/drawn/*", "*data/images.py", "*report/*"),
    "scipy": ("*metrics/corrected_t.py", "*metrics/data_copying.py", "*metrics/duplicates.py", "*metrics/masks.py"),
    "pandas": (),
    "lpips": (),
    "cleanfid": (),
    "rich": ("console.py",),
    "typer": ("cli/*", "options.py"),
    "filelock": ("*locks.py",),
    "pydicom": ("*data/dicom.py", "*data/dicom_file.py", "*data/grey_values.py", "*data/secondary_capture.py"),
    "jinja2": ("report/page.py",),
}  # fmt: skip
HEAVY = (
    *("torch", "pandas", "sklearn", "scipy", "diffusers", "timm", "matplotlib", "PIL", "lpips", "cleanfid"),
    "pydicom",
)

MODULES = sorted(PACKAGE.rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


modules = pytest.mark.parametrize("path", MODULES, ids=named)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, module and whether it is inside a function, for every import that is not for type checkers only."""
    tree = tree_of(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    typing_only = {id(node) for test in tests for node in ast.walk(test)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports name the whole way"
            module = str(node.module)
            for name in [f"{module}.{alias.name}" for alias in node.names] if module == "medsynth" else [module]:
                yield node.lineno, name, id(node) in inside


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_a_floor_and_every_floor_is_there() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms == set(FLOOR_OF)
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)


@modules
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    for line, module, _ in imports(path):
        whole, _, used = module.partition(".")
        used = used.partition(".")[0]
        if whole != "medsynth" or room == "__init__" or used in ("", "__version__", room):
            continue
        assert FLOOR_OF[used] > FLOOR_OF[room], f"{path}:{line}: {room} may not use {used}"


@modules
def test_heavy_libraries_stay_in_their_files(path: Path) -> None:
    for line, module, inside in imports(path):
        places = ALLOWED.get(module.partition(".")[0])
        if places is None:
            continue
        fitting = [place for place in places if path.relative_to(PACKAGE).match(place.removeprefix("*"))]
        assert fitting, f"{path}:{line} may not import {module}"
        assert inside or not all(place.startswith("*") for place in fitting), f"{path}:{line}: {module} at module level"


@pytest.mark.parametrize("path", [p for p in MODULES if named(p).count("/") == 2], ids=named)
def test_a_kind_uses_no_other_kind(path: Path) -> None:
    family, kind, _ = path.relative_to(PACKAGE).parts
    if family in FAMILY_OF.values():
        for line, module, _ in imports(path):
            of_family = module.startswith(f"medsynth.{family}.")
            others = {folder.name for folder in (PACKAGE / family).iterdir() if folder.is_dir()} - {kind}
            assert not of_family or module.split(".")[2] not in others, f"{path}:{line}: {kind} may not use {module}"


@modules
def test_files_stay_short_and_say_what_they_are(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FULL, f"{path} has more than {FULL} lines"
    assert ast.get_docstring(tree_of(path)), f"{path} has no docstring"
    assert path.stem not in ("utils", "common", "helpers", "misc")


@modules
def test_nothing_that_is_read_may_be_executed_and_nothing_is_fetched(path: Path) -> None:
    assert [f"{path}:{fault}" for fault in unsafe.faults(path.read_text(encoding="utf-8"), named(path))] == []


def commands() -> dict[str, typer.core.TyperCommand]:
    return get_command(cli.app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("stage", chain.STAGES, ids=lambda stage: stage.name)
def test_every_stage_is_a_module_a_command_with_help_and_a_section(stage: chain.Stage) -> None:
    assert callable(import_module(f"medsynth.stages.{stage.name}").run)
    assert str(commands()[stage.command].help).endswith(".")
    shown = medsynth(stage.command, "--help")
    assert shown.code == 0
    for option in ("--run", "--fold", "--set", "--json", "--dry-run", "--force", "--device", "--threads", "--quiet"):
        assert option in shown.out
    assert stage.name in {*SECTIONS, *FAMILY_OF} or stage.name in ("encode", "report")
    assert set(stage.needs) | set(stage.prepares) <= set(chain.BY_NAME)


def test_every_stage_that_trains_is_run_once_a_fold() -> None:
    """A generator that saw the whole cohort would carry the test patients into the synthetic images."""
    assert {stage.name for stage in chain.STAGES if not stage.per_fold} == {"ingest", "compare", "report"}


def loaded(*words: object, at: Path) -> set[str]:
    """The heavy libraries that a command loads."""
    ended = start("x", at=at, launcher=("-c", LISTING, json.dumps([*map(str, words)])))
    out, err = ended.communicate(timeout=120)
    assert ended.returncode == 0, err
    return set(json.loads(out.splitlines()[-1]))


LISTING = f"""
import json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv = ["medsynth", *words.split()]
    try:
        runpy.run_module("medsynth", run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, words
print()
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


def test_no_help_text_loads_a_heavy_library(tmp_path: Path) -> None:
    asked = ["--help", "--version", *(f"{name} --help" for name in commands())]
    assert loaded(*asked, at=tmp_path) == set()


def test_reading_images_and_looking_at_a_run_need_no_torch(drawn: Path, tmp_path: Path) -> None:
    ingest = f"ingest {drawn} --labels haemorrhages,exudates --folds 2 --image-size 16 --run r"
    assert loaded(ingest, "status --run r", "report --run r", at=tmp_path) <= {"PIL", "matplotlib"}


def test_a_kind_is_found_without_loading_a_model() -> None:
    code = (
        "from medsynth import kinds; kinds.config('generators', 'geca'); import sys; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
