"""The command line as a test types it: in this process, or in a process of its own that can be killed."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from medsynth import cli
from medsynth.artifacts import log

ROOT = Path(__file__).parents[1]
OFFLINE = ROOT / "tests" / "offline"  # a process that has it on its path cannot use the network
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")  # a launcher


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of stdout as one JSON value."""
        return json.loads(self.out)

    @property
    def hint(self) -> str:
        """What an error says to type next."""
        return self.err.partition("  try: ")[2].strip()

    def states(self) -> dict[str, str]:
        """Of a command with --json: what became of each artifact, by its folder in the run."""
        run = Path(self.json["run"])
        return {Path(r["folder"]).resolve().relative_to(run).as_posix(): r["state"] for r in self.json["results"]}


def medsynth(*words: object, at: Path | None = None) -> Ended:
    """Type a command in this process, in the directory `at`."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    typed = patch.object(sys, "argv", ["medsynth", *map(str, words)])
    with typed, contextlib.chdir(at or Path.cwd()), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.run()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, out.getvalue(), err.getvalue())


def done(*words: object, at: Path | None = None) -> Ended:
    """A command that has to succeed."""
    ended = medsynth(*words, at=at)
    assert ended.code == 0, ended.err
    return ended


def start(
    *words: object, at: Path | None = None, launcher: tuple[str, ...] = (), **environment: str
) -> subprocess.Popen[str]:
    """Type a command in a process of its own; under `torchrun`, say, as the launcher."""
    variables = {name: value for name, value in os.environ.items() if name != "MEDSYNTH_RUN"}
    variables |= {
        "PYTHONPATH": f"{OFFLINE}{os.pathsep}{ROOT}",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    } | environment
    command = [sys.executable, *launcher, "-m", "medsynth", *map(str, words)]
    return subprocess.Popen(command, cwd=at, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process."""
    out, err = process.communicate(timeout=240)
    return Ended(process.returncode, out, err)


def without_network() -> list[str]:
    """What a command begins with to have no network at all; nothing where the system does not let us."""
    asked = ["unshare", "--net", "--map-root-user"]
    there = shutil.which("unshare") and subprocess.run([*asked, "true"], capture_output=True, check=False)
    return asked if there and there.returncode == 0 else []


def stopped_by_both(*words: object, at: Path, folder: Path) -> Ended:
    """Type a training for two processes, and stop it once the first line of a log stands below a folder."""
    process = start(*words, at=at, launcher=TORCHRUN)
    deadline = time.monotonic() + 120
    while process.poll() is None and not [*folder.rglob(log.LOG)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    return ended(process)


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, with a hash of its bytes; every folder that is there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }
