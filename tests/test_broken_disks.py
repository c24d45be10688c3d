"""A disk that is full, read-only or broken: what was good stays, the reason is said, and afterwards it goes on."""

import errno
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import LABELS, TINY, copied
from faults import failing, may_mount, small_disk
from hypothesis import given
from hypothesis import strategies as st
from shell import contents, done, medsynth

from medsynth import room
from medsynth.artifacts import arrays, checkpoint, files, log
from medsynth.errors import DiskFailed
from medsynth.rundir import LOG_FILE, RECORD, RunDirectory

NUMBERS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)
COMMANDS: dict[str, tuple[object, ...]] = {  # each makes again what is there already
    "codec": ("train-codec", "--fold", 0, "--steps", 2, "--set", "codec.checkpoint_seconds=0"),
    "encode": ("encode", "--fold", 0, "--set", "encode.augmented=3"),
    "generator": ("train-generator", "--fold", 0, "--steps", 3, "--set", "generator.checkpoint_seconds=0"),
    "expand": ("expand", "--fold", 0, "--factor", 1),
    "report": ("report", "--force"),
}


def lasting(run: RunDirectory) -> dict[str, str]:
    """Every file that counts, by its name in the run: a hash, of records their marks. No log, which knows the time."""
    found = {}
    for name, digest in contents(run.root).items():
        path = run.root / name
        if digest == "folder" or any(part.startswith(".") for part in Path(name).parts) or path.name == LOG_FILE:
            continue
        found[name] = json.loads(path.read_text())["made"] if path.name == RECORD else digest
    return {name: digest for name, digest in found.items() if name != "recipe.toml"}


@pytest.fixture(scope="module")
def reported(finished: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Everything up to the synthetic images, and a report of it. To be read only."""
    run = copied(finished, tmp_path_factory.mktemp("reported") / "run")
    done("report", "--run", run.root)
    return run


@pytest.fixture(scope="module")
def expected(reported: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, str], int]]:
    """What each command leaves on a disk that works, and how often it changes something on it."""
    found = {}
    for name, words in COMMANDS.items():
        run = copied(reported, tmp_path_factory.mktemp(name) / "run")
        with failing() as count:
            done(*words, at=run.root)
        found[name] = (lasting(run), count())
    return found


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, NUMBERS[(turn + more) % 4]) for turn, name in enumerate(COMMANDS) for more in (0, 1)],
    ids=lambda value: errno.errorcode.get(value, value),
)
def test_a_disk_that_begins_to_fail_leaves_what_was_good_and_then_it_goes_on(
    name: str,
    number: int,
    reported: RunDirectory,
    expected: dict[str, tuple[dict[str, str], int]],
    tmp_path: Path,
) -> None:
    before, (after, changes) = lasting(reported), expected[name]
    dice = np.random.default_rng([number, *name.encode()])
    # The last three changes put the old one aside, the new one in its place, and sync the folder of both.
    for at, once in ((int(dice.integers(1, changes - 1)), False), (changes - 1, True)):
        run = copied(reported, tmp_path / f"run-{at}")
        with failing(number, at, once=once):
            failed = medsynth(*COMMANDS[name], at=run.root)
        assert failed.code == 1, (at, failed.err)
        assert os.strerror(number) in failed.err
        assert "then the same command" in failed.err
        assert "Traceback" not in failed.err
        assert "unexpected" not in failed.err
        assert lasting(run) == before, at
        done(*COMMANDS[name], at=run.root)
        assert lasting(run) == after, at


def test_images_that_cannot_be_stored_make_no_run(drawn: Path, tmp_path: Path) -> None:
    words = ("ingest", drawn, "--labels", LABELS, "--mask", "mask", "--image-size", 16, "--folds", 2, *TINY)
    done(*words, "--run", tmp_path / "good")
    with failing() as count:
        done(*words, "--run", tmp_path / "counted")
    for number, at in ((errno.ENOSPC, 1), (errno.EIO, count() // 2), (errno.EACCES, count() - 30)):
        with failing(number, at):
            failed = medsynth(*words, "--run", tmp_path / "run")
        assert (failed.code, os.strerror(number) in failed.err) == (1, True), failed.err
        assert not (tmp_path / "run" / "recipe.toml").exists()
        assert not (tmp_path / "run" / "ingest").exists()
    done(*words, "--run", tmp_path / "run")
    assert lasting(RunDirectory(tmp_path / "run")) == lasting(RunDirectory(tmp_path / "good"))


def test_a_training_whose_record_finds_no_room_is_not_trained_again(
    expanded: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record is the last file of all; until it is there the checkpoint stays."""
    before, replace = lasting(expanded), os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == RECORD:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    words = ("train-generator", "--fold", 0, "--steps", 4, "--set", "generator.checkpoint_seconds=0")
    monkeypatch.setattr(os, "replace", full)
    failed = medsynth(*words, at=expanded.root)
    assert failed.code == 1
    assert f"{RECORD}: No space left on device" in failed.err
    (scratch,) = (expanded.root / "fold-0" / "generator").glob(".geca-*")
    state = checkpoint.load(scratch)
    assert state is not None
    assert state.facts["step"] == 4
    assert lasting(expanded) == before


# Real disks


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not may_mount(tmp_path_factory.mktemp("may") / "disk"):
        pytest.skip("only root may mount a small disk")


@pytest.mark.parametrize("name", ["encode", "generator", "expand"])
def test_a_disk_that_is_really_full_is_said_and_more_room_is_all_it_takes(
    mounts: None,
    name: str,
    reported: RunDirectory,
    expected: dict[str, tuple[dict[str, str], int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "free", lambda _: 1 << 40)  # or it would not even be begun
    with small_disk(tmp_path / "disk", 64_000_000) as mounted:
        run = copied(reported, tmp_path / "disk" / "run")
        before = lasting(run)
        used = shutil.disk_usage(run.root).used
        for more in (0, 16_000):
            mounted(f"size={used + more}")
            failed = medsynth(*COMMANDS[name], at=run.root)
            assert failed.code == 1, failed.err
            assert "No space left on device" in failed.err or "not written whole" in failed.err
            assert "make room there" in failed.err or "then the same command" in failed.err
            assert "Traceback" not in failed.err
            assert "unexpected" not in failed.err
            assert lasting(run) == before
        mounted("size=64000000")
        done(*COMMANDS[name], at=run.root)
        assert lasting(run) == expected[name][0]


def test_a_run_on_a_read_only_disk_can_be_looked_at_and_is_not_written_to(
    mounts: None, reported: RunDirectory, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 64_000_000) as mounted:
        run = copied(reported, tmp_path / "disk" / "run")
        mounted("ro")
        before = contents(run.root)
        for words in (("expand", "--factor", 3), ("report", "--force"), ("classify", "--arms", "real")):
            failed = medsynth(*words, at=run.root)
            assert (failed.code, "Read-only file system" in failed.err) == (1, True), failed.err
            assert "allow writing there" in failed.err
        shown = done("status", at=run.root).out
        assert "running" not in shown
        assert done("expand", at=run.root).out.count("up to date") == 2
        taken = medsynth("export", tmp_path / "given", "--fold", 0, "--acknowledge-risk", "a test", at=run.root)
        assert (taken.code, "exports.jsonl: Read-only file system" in taken.err) == (1, True), taken.err
        assert not (tmp_path / "given").exists()  # a risk that cannot be written down is not taken
        assert contents(run.root) == before


@contextmanager
def longest_file(bytes_in_all: int) -> Iterator[None]:
    """For any user: no file may become longer than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_in_all, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@given(st.integers(0, 40_000))
def test_an_array_that_is_cut_off_is_told_with_its_name_and_the_old_one_stays(
    tmp_path_factory: pytest.TempPathFactory, limit: int
) -> None:
    path = tmp_path_factory.mktemp("array") / "latents.npy"
    path.write_bytes(b"the old one")
    with longest_file(limit), pytest.raises(DiskFailed, match=r"latents\.npy"):
        arrays.save(path, np.zeros(5001))  # of 40 136 bytes
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == [("latents.npy", b"the old one")]


@given(st.integers(0, 400), st.integers(1, 30))
def test_a_line_of_a_log_is_there_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, limit: int, lines: int
) -> None:
    folder, written = tmp_path_factory.mktemp("log"), 0
    with longest_file(limit), suppress(DiskFailed):
        for step in range(lines):
            log.append(folder, {"step": step, "loss": 0.5})
            written += 1
    log.append(folder, {"step": lines})
    assert [entry["step"] for entry in log.load(folder)] == [*range(written), lines]
    assert len((folder / LOG_FILE).read_text().splitlines()) == written + 1


def test_a_file_is_synced_before_it_gets_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut could leave an empty file under a name that counts."""
    seen: list[tuple[str, object]] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        seen.append(("sync", os.fstat(handle).st_ino))
        sync(handle)

    def replaced(source: Path, target: Path) -> None:
        seen.append(("rename", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    files.write_text(tmp_path / "a", "text")
    file, folder = (tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino
    assert seen == [("sync", file), ("rename", file), ("sync", folder)]


def test_new_folders_are_synced_into_those_that_hold_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(os.fstat(handle).st_ino))
    files.make_folder(tmp_path / "fold-0" / "codec")
    assert set(seen) == {tmp_path.stat().st_ino, (tmp_path / "fold-0").stat().st_ino}


def test_what_nobody_expected_on_a_full_disk_shows_no_traceback(
    expanded: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the file that is to take it can be written."""
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    folder = expanded.artifact("codec", 0, "kl").folder
    (folder / "facts.json").write_text('{"Mrs Example": 1950}')
    record = json.loads((folder / RECORD).read_text())
    record["outputs"]["facts.json"] = files.sha256(folder / "facts.json")  # as if it had always been so
    (folder / RECORD).write_text(json.dumps(record))
    failed = medsynth("expand", "--fold", 0, "--force", "--run", expanded.root)
    assert failed.code == 1
    assert "there was no place for the details" in failed.err
    assert "Traceback" not in failed.err
    assert "Mrs Example" not in failed.err


@pytest.mark.parametrize("stage", ["ingest", "expand"])
def test_every_file_that_counts_is_synced_before_it_is_put_in_place(
    expanded: RunDirectory, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    seen: set[int] = set()
    missing: list[str] = []
    sync, rename = os.fsync, os.rename
    place = expanded.artifact(stage) if stage == "ingest" else expanded.artifact(stage, 0, "geca")

    def synced(handle: int) -> None:
        seen.add(os.fstat(handle).st_ino)
        sync(handle)

    def renamed(source: Path, target: Path) -> None:
        if Path(target) == place.folder:
            inside = [path for path in Path(source).rglob("*") if not path.name.startswith(".")]
            missing.extend(path.name for path in inside if path.stat().st_ino not in seen)
            assert len(inside) > 20
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    words = ("ingest",) if stage == "ingest" else ("expand", "--fold", 0)
    done(*words, "--force", "--run", expanded.root)
    assert missing == []
    assert seen
