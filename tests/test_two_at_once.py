"""Two commands on one run: the second is refused and changes nothing, or both work on what is theirs."""

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from conftest import copied
from shell import ROOT, contents, done, medsynth
from test_broken_disks import lasting

from medsynth import guards, locks, pipeline
from medsynth import recipe as recipes
from medsynth.errors import Refused
from medsynth.pipeline import Options
from medsynth.rundir import RECORD, RunDirectory

HOLDER = """
import sys, time
from pathlib import Path
from medsynth import locks
with locks.held(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def another(run: RunDirectory, name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work on an artifact."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.locks()), name], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_is_refused_naming_the_first_and_changes_nothing(expanded: RunDirectory) -> None:
    words = ("train-generator", "--fold", 0, "--steps", 7, "--run", expanded.root)
    with another(expanded, "generator geca, fold 0") as first:
        before = {name: digest for name, digest in contents(expanded.root).items() if ".lock" not in name}
        refused = medsynth(*words)
        assert refused.code == 4
        told = json.loads(next(expanded.locks().glob("*.json")).read_text())
        who = f"process {first.pid} on {platform.node()}, since {told['since']}"
        assert f"error: generator geca, fold 0 is being made by {who}\n  try: wait for it" in refused.err
        after = {name: digest for name, digest in contents(expanded.root).items() if ".lock" not in name}
        assert after == before  # nor does its number of steps stand in the recipe now


def test_two_who_want_the_same_lock_meet_and_the_second_is_refused_naming_the_first(tmp_path: Path) -> None:
    """Neither looked before: both have come as far as taking it."""
    met: list[str] = []

    def second() -> None:
        try:
            with locks.held(tmp_path / ".locks", "codec kl, fold 0"):
                met.append("took it")
        except Refused as refused:
            met.append(str(refused))

    with another(RunDirectory(tmp_path), "codec kl, fold 0") as first:
        thread = Thread(target=second, daemon=True)
        thread.start()
        thread.join(20)  # on a busy machine; it looks for LOOK_SECONDS
        (said,) = met
    assert said.startswith(f"codec kl, fold 0 is being made by process {first.pid} on {platform.node()}, since ")


def test_those_who_only_look_do_not_see_each_other(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with locks.held(run.locks(), "compare"):
        assert locks.is_held(run.locks(), "compare")
    path = next(run.locks().glob("*.lock"))
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not locks.is_held(run.locks(), "compare")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_lock_that_another_user_does_not_show_counts_as_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with locks.held(tmp_path, "compare"):
        pass

    def refuse(*_asked: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.open", refuse)
    assert locks.is_held(tmp_path, "compare")


def test_a_second_one_waits_less_than_a_second_for_the_first() -> None:
    assert locks.LOOK_SECONDS < 1


def test_the_lock_of_one_that_was_killed_is_taken_over(expanded: RunDirectory) -> None:
    with another(expanded, "expand geca, fold 0") as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert [*expanded.locks().glob("*.json")]  # it could not even clear that away
        assert not locks.is_held(expanded.locks(), "expand geca, fold 0")
        assert done("expand", "--fold", 0, "--factor", 1, "--run", expanded.root).out.count("done") == 1
    assert not [*expanded.locks().glob("*.json")]


def test_a_lock_that_came_along_from_another_machine_holds_nobody_up(expanded: RunDirectory, tmp_path: Path) -> None:
    told = {"host": "far-away", "pid": 1, "since": "2020-01-01T00:00:00+00:00"}
    expanded.locks().mkdir(exist_ok=True)
    (expanded.locks() / "expand-geca-fold-0.lock").touch()
    (expanded.locks() / "expand-geca-fold-0.json").write_text(json.dumps(told))
    moved = RunDirectory(tmp_path / "elsewhere" / "run")
    moved.root.parent.mkdir()
    expanded.root.rename(moved.root)
    assert done("expand", "--fold", 0, "--factor", 1, "--run", moved.root).out.count("done") == 1
    assert done("expand", "--fold", 1, "--factor", 1, "--run", moved.root).out.count("done") == 1


def test_what_something_is_being_made_from_is_not_made_again_meanwhile(expanded: RunDirectory) -> None:
    with another(expanded, "encode kl, fold 0") as first:
        before = lasting(expanded)
        refused = medsynth("train-codec", "--fold", 0, "--force", "--run", expanded.root)
        assert refused.code == 4
        assert "codec kl, fold 0 cannot be made again now: " in refused.err
        assert f"process {first.pid} on {platform.node()}" in refused.err
        assert "makes encode kl, fold 0 from it" in refused.err
        assert lasting(expanded) == before
        done("train-codec", "--fold", 1, "--force", "--run", expanded.root)  # another fold is another matter


def test_a_result_is_thrown_away_when_its_input_was_replaced_under_way(expanded: RunDirectory) -> None:
    """As by a machine that shares the disk and not the locks."""
    codec, before = expanded.artifact("codec", 0, "kl"), lasting(expanded)
    content = (codec.folder / RECORD).read_text()

    def meddle(_name: str, _done: int, _total: int) -> None:
        (codec.folder / RECORD).write_text(json.dumps(json.loads(content) | {"made": "0123456789ab"}))

    recipe = recipes.parse(expanded.recipe_text())
    recipe = replace(recipe, encode=recipe.encode.model_copy(update={"augmented": 2}))
    with pytest.raises(Refused, match="fold-0/codec/kl was made again while encode kl, fold 0 was being made from it"):
        pipeline.execute(expanded, recipe, "encode", folds=[0], options=Options(progress=meddle))
    (codec.folder / RECORD).write_text(content)
    assert lasting(expanded) == before
    guards.refuse_changed(expanded, expanded.artifact("encode", 0, "kl"), {"fold-0/codec/kl": codec.made})


def forked(*words: object) -> int:
    """Type a command in a fork of this process; its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = medsynth(*words).code
        finally:
            os._exit(code)
    return pid


def codes(*processes: int) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in processes]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_folds_trained_side_by_side_are_those_trained_one_after_the_other(
    ingested: RunDirectory, tmp_path: Path
) -> None:
    one_by_one = copied(ingested, tmp_path / "one-by-one")
    assert codes(*(forked("train-generator", "--fold", fold, "--run", ingested.root) for fold in (0, 1))) == [0, 0]
    done("train-generator", "--run", one_by_one.root)
    assert lasting(ingested) == lasting(one_by_one)
    assert ingested.recipe_text() == one_by_one.recipe_text()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_of_many_that_are_typed_at_once_one_does_it_and_the_others_do_no_harm(
    expanded: RunDirectory, tmp_path: Path
) -> None:
    alone = copied(expanded, tmp_path / "alone")
    words = ("expand", "--fold", 0, "--factor", 3)
    ended = codes(*(forked(*words, "--run", expanded.root) for _ in range(4)))
    assert set(ended) <= {0, 4}
    assert 0 in ended
    done(*words, "--run", alone.root)
    assert lasting(expanded) == lasting(alone)
    assert not [path for path in expanded.root.rglob(".*") if path != expanded.locks()]
