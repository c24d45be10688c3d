"""Whether there is room is asked before anything is begun, and the number is no guess."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import LABELS, copied
from shell import contents, done, medsynth

from medsynth import room
from medsynth.distributed import World
from medsynth.errors import Refused
from medsynth.rundir import RunDirectory

Disk = Callable[[float], None]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Let a disk have so many megabytes left."""
    usage = shutil.disk_usage

    def left(megabytes: float) -> None:
        monkeypatch.setattr(
            shutil, "disk_usage", lambda place: usage(place)._replace(free=int(1e6 * megabytes)), raising=True
        )

    return left


def files_of(run: RunDirectory) -> dict[str, str]:
    return {name: digest for name, digest in contents(run.root).items() if digest != "folder" and ".lock" not in name}


COMMANDS = {
    "train-codec": ("--steps", 2), "encode": ("--set", "encode.augmented=64"), "train-generator": ("--steps", 3),
    "expand": ("--factor", 30), "classify": ("--arms", "real"), "segment": ("--variant", "unet"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_what_has_no_room_is_refused_before_it_is_begun(command: str, expanded: RunDirectory, disk: Disk) -> None:
    before = files_of(expanded)
    disk(1.2)
    refused = medsynth(command, *COMMANDS[command], "--fold", 0, "--run", expanded.root)
    assert refused.code == 4
    assert "MB more, but 1 MB are free at" in refused.err
    assert "try: make room there" in refused.err
    assert {name: digest for name, digest in files_of(expanded).items() if name != "recipe.toml"} == {
        name: digest for name, digest in before.items() if name != "recipe.toml"
    }


def test_images_that_have_no_room_are_not_decoded(drawn: Path, tmp_path: Path, disk: Disk) -> None:
    words = ("ingest", drawn, "--labels", LABELS, "--image-size", 256, "--folds", 2, "--run", tmp_path / "run")
    disk(5)
    refused = medsynth(*words)
    assert (refused.code, "ingest needs about 12 MB more, but 5 MB are free" in refused.err) == (4, True), refused.err
    assert not [*(tmp_path / "run").rglob("*.png")]
    disk(30)
    done(*words)


def test_a_demo_that_has_no_room_draws_nothing(tmp_path: Path, disk: Disk) -> None:
    disk(100)
    refused = medsynth("demo", "--run", tmp_path / "demo")
    assert (refused.code, "the demo needs about" in refused.err) == (4, True)
    assert not (tmp_path / "demo").exists()


def test_a_dry_run_says_what_is_free_and_that_it_is_too_little(expanded: RunDirectory, disk: Disk) -> None:
    disk(5)
    words = ("train-generator", "--steps", 3, "--dry-run", "--run", expanded.root)
    entries = done(*words, "--json").json["dry_run"]
    assert [entry["megabytes_free"] for entry in entries] == [5, 5]
    assert all(entry["megabytes"] > 5 for entry in entries)
    assert "note: about" in done(*words).err
    disk(5000)
    assert "note: about" not in done(*words).err


def test_what_an_earlier_attempt_left_needs_no_room_any_more(tmp_path: Path, disk: Disk) -> None:
    disk(3)
    with pytest.raises(Refused, match="a thing needs about 10 MB more, but 3 MB are free"):
        room.require(tmp_path / "scratch", 9e6, "a thing", World())
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "done").write_bytes(bytes(8_000_000))
    room.require(tmp_path / "scratch", 9e6, "a thing", World())


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (("train-codec", "--steps", 4, "--set", "codec.checkpoint_seconds=0"), 1.2),
        (("train-generator", "--steps", 4, "--set", "generator.checkpoint_seconds=0"), 1.2),
        (("expand", "--factor", 3), 1.3),
        (("encode", "--set", "encode.augmented=40"), 1.3),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_room_that_is_foretold_is_the_room_that_is_taken(
    words: tuple[object, ...], most: float, finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the fullest moment, while a third checkpoint is written beside two."""
    run = copied(finished, tmp_path / "run")
    words = (*words, "--fold", 0, "--run", run.root)
    (foretold,) = done(*words, "--dry-run", "--json").json["dry_run"]

    def room_of(path: Path) -> int:
        with suppress(FileNotFoundError):  # another thread has just put its file in place
            return room.of_files(1, path.stat().st_size) if path.is_file() else 0
        return 0

    def taken() -> int:
        return sum(map(room_of, run.root.rglob("*")))

    before, peak, replace = taken(), [0], os.replace

    def watched(source: Path, target: Path) -> None:
        peak.append(taken())
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    done(*words)
    fullest = max(peak) - before
    assert fullest <= 1e6 * foretold["megabytes"] + room.SLACK
    assert 1e6 * foretold["megabytes"] <= most * fullest
