"""Killed at any moment of any stage and typed again, a command ends in what it would have ended in without the kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import kills
import numpy as np
import pytest
from shell import ROOT

from medsynth import chain
from medsynth.artifacts import files
from medsynth.rundir import RunDirectory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and clocks of processes")


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> kills.Chain:
    """A drawn run before and after every stage."""
    return kills.Chain(tmp_path_factory.mktemp("chain"))


@pytest.mark.parametrize("stage", kills.STAGES)
def test_a_stage_that_is_killed_and_repeated_leaves_the_same_bytes(unkilled: kills.Chain, stage: str) -> None:
    dice = np.random.default_rng([*stage.encode()])
    moment = next(unkilled.moments(stage, 1, dice))
    killed = unkilled.kill(stage, moment)
    assert (killed.again, killed.same) == (0, True), killed


@pytest.mark.parametrize("stage", kills.STAGES)
def test_a_stage_that_is_asked_to_stop_stops_with_its_code_and_goes_on(unkilled: kills.Chain, stage: str) -> None:
    sent, code = ((signal.SIGTERM, 143), (signal.SIGINT, 130))[len(stage) % 2]
    change = min(10, unkilled.changes[stage] // 5)
    ended, again = unkilled.stop(stage, change, sent)
    assert ended == code
    assert again.found != "done"
    assert (again.again, again.same) == (0, True)


@pytest.mark.slow
def test_a_hundred_kills_change_nothing(unkilled: kills.Chain) -> None:
    found = kills.hundred(unkilled, 100, seed=int(os.environ.get("KILLS_SEED", 0)))
    assert len(found) == 100
    assert [kill for kill in found if kill.again or not kill.same] == []


def test_every_stage_is_killed() -> None:
    assert {stage.name for stage in chain.STAGES} == set(kills.STAGES)


def fill(run: RunDirectory, id: str, text: str) -> None:
    """Make an artifact as a stage does: files, pictures, a checkpoint that it goes on from."""
    artifact = run.artifact("generator", 0, "geca")
    scratch = artifact.scratch(id)
    if not artifact.is_ready(id):
        files.make_folder(scratch / "images")
        files.make_folder(scratch / ".checkpoint")
        files.write_text(scratch / ".checkpoint" / "even", "on from here")
        files.write_text(scratch / "images" / "a.png", text)
        files.write_text(scratch / "weights", text)
        artifact.publish(id, {"summary": {}})
    else:
        artifact.put_in_place(id)


def test_an_artifact_is_the_old_one_or_the_new_one_whichever_change_was_the_last(tmp_path: Path) -> None:
    """Every single moment between two changes to files, from the first write to the last removal."""
    run, number, seen = RunDirectory(tmp_path / "run"), 0, set()
    artifact = run.artifact("generator", 0, "geca")
    ended = False
    while not ended:
        number += 1
        fill(run, "0a", "old")
        pid = os.fork()
        if pid == 0:
            with kills.counted(number):
                fill(run, "0b", "new")
            os._exit(0)
        ended = os.WIFEXITED(os.waitpid(pid, 0)[1])
        if artifact.exists():
            texts = {(artifact.folder / name).read_text() for name in ("weights", "images/a.png")}
            assert (artifact.id, texts) in (("0a", {"old"}), ("0b", {"new"}))
            seen.add(artifact.id)
        else:
            assert artifact.is_ready("0b")  # between two renames: the same command puts it in place
        before_its_record = not artifact.is_ready("0b") and artifact.scratch("0b").is_dir()
        if before_its_record and (artifact.scratch("0b") / "weights").exists():
            assert (artifact.scratch("0b") / ".checkpoint" / "even").exists()  # or all of a training would be lost
        if not artifact.exists() or artifact.id == "0a":
            fill(run, "0b", "new")
        assert artifact.id == "0b"
        assert sorted(p.name for p in artifact.folder.rglob("*")) == ["a.png", "images", "stage.json", "weights"]
    assert seen == {"0a", "0b"}
    assert number > 15


PARENT = """
import subprocess, sys, time
from medsynth import interrupt
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True,
                         preexec_fn=interrupt.ends_with_its_parent())
print(child.pid, flush=True)
time.sleep(600)
"""


def test_the_folds_of_a_demo_that_is_killed_end_with_it() -> None:
    """Or they would go on unseen, and the same command would find its folds taken."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and "\nState:\tZ" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)
