"""Kill a stage of a drawn run at some moment, type the same command again, and look whether anything differs.

    python tests/kills.py --kills 100 --out docs/trust-kills.json

A stage runs in a fork of this process, so that libraries are loaded once. Moments are drawn from a seed: half of them
between two changes to files (before the k-th that the stage makes), half in the processor time that it took unkilled.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from conftest import LABELS, TINY, copied
from shell import contents, done, medsynth

from medsynth.data.drawn import draw_cohort
from medsynth.pipeline import versions
from medsynth.rundir import LOG_FILE, RECORD, RunDirectory

CHANGES = ("replace", "rename", "fsync", "mkdir", "unlink", "rmdir", "open")  # of os: what a stage does to files
OFTEN = ("codec", "generator", "classify", "segment.unet")  # what trains saves after every step
SEGMENTER = ("size=tiny", "steps=2", "batch_size=4", "selection_images=4", "tested_images=4")
SETTINGS = (
    *TINY,
    *(word for setting in SEGMENTER for word in ("--set", f"segment.unet.{setting}")),
    "--set",
    "classify.arms=['real', 'real+geca']",
)
STAGES: dict[str, tuple[object, ...]] = {
    "ingest": ("ingest", "labels.csv", "--labels", LABELS, "--mask", "mask", "--image-size", 16, "--mirror",
               "--folds", 2, *SETTINGS, *(w for s in OFTEN for w in ("--set", f"{s}.checkpoint_seconds=0"))),
    "codec": ("train-codec",),
    "encode": ("encode",),
    "generator": ("train-generator",),
    "expand": ("expand",),
    "classify": ("classify", "--arms", "real+geca"),
    "features": ("features",),
    "evaluate": ("evaluate",),
    "audit": ("audit",),
    "segment": ("segment", "--variant", "unet"),
    "compare": ("compare",),
    "report": ("report",),
}  # fmt: skip
# Or the first run of a stage would take longer than those that are killed.
LOADED = (
    "diffusers.models.autoencoders.autoencoder_kl", "timm", "torchvision.transforms.v2", "sklearn.metrics",
    "scipy.stats", "matplotlib.figure", *(f"medsynth.stages.{stage}" for stage in STAGES),
)  # fmt: skip
ALWAYS = ("id", "made", "outputs", "inputs", "notes", "trained_on", "settings")  # of a record: what no kill may change
OF_ALL_FOLDS = ("ingest", "compare", "report")


@dataclass(frozen=True)
class Kill:
    """One process that was killed."""

    stage: str
    moment: str  # before "change 7 of 31", or after "0.123 s" of the processor
    twice: bool  # and once more, at another moment of the second attempt
    found: str  # what it left: "nothing", "unfinished", "complete" but for its last rename, "done"
    again: int  # exit code of the same command
    same: bool  # every artifact, to the byte


@dataclass
class Chain:
    """A drawn run before and after every stage, made without a kill."""

    folder: Path
    changes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # of the processor

    def __post_init__(self) -> None:
        draw_cohort(self.folder / "clinic", patients=12, seed=2, size=32)
        self.run.root.mkdir()
        for library in LOADED:
            import_module(library)
        for stage in STAGES:
            if stage == "classify":  # whose judgement the features are
                done("classify", "--arms", "real", "--fold", 0, at=self.run.root)
            self._keep(f"before-{stage}")
            pid = self._forked(stage, report := self.folder / f"{stage}.json")
            assert os.waitpid(pid, 0)[1] == 0, stage
            counted = json.loads(report.read_text())
            self.changes[stage], self.seconds[stage] = counted["changes"], counted["seconds"]
            self._keep(f"after-{stage}")
            if stage == "generator":  # of another fold, too: an audit compares with it
                done("train-generator", "--fold", 1, at=self.run.root)

    @property
    def run(self) -> RunDirectory:
        """Where every stage runs: results may not depend on the place, but then this is not what is looked at here."""
        return RunDirectory(self.folder / "run")

    def moments(self, stage: str, number: int, dice: np.random.Generator) -> Iterator["Moment"]:
        """Moments spread over a stage, by turns between changes and in time."""
        for i in range(number):
            share = (i + dice.random()) / number
            if i % 2 == 0:
                yield Moment(change=1 + int(share * self.changes[stage]))
            else:
                yield Moment(seconds=share * self.seconds[stage])

    def kill(self, stage: str, moment: "Moment", *, twice: "Moment | None" = None) -> Kill:
        """Kill a stage, once or twice, and type its command again."""
        self._restore(f"before-{stage}")
        while not self._killed(stage, moment):  # it was faster than at first, and came to its end
            moment = replace(moment, seconds=(moment.seconds or 0) / 2)
            self._restore(f"before-{stage}")
        if twice:
            self._killed(stage, twice)
        found = self._found(stage)
        again = medsynth(*self._words(stage), at=self.run.root)
        told = f"change {moment.change} of {self.changes[stage]}" if moment.change else f"{moment.seconds:.3f} s"
        return Kill(
            stage, told, bool(twice), found, again.code, self._state() == _read(self.folder / f"after-{stage}.json")
        )

    def _killed(self, stage: str, moment: "Moment") -> bool:
        """Start a stage and kill it; False where it had ended."""
        pid = self._forked(stage, at=moment.change)
        status = 0
        if moment.seconds is not None:
            clock = (~pid << 3) | 2  # of that process's processor time, as clock_getcpuclockid(3) has it on Linux
            ended = 0
            while not ended and time.clock_gettime(clock) < moment.seconds:
                time.sleep(0.0005)
                ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return False
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    def _words(self, stage: str) -> tuple[object, ...]:
        words = tuple(self.folder / "clinic" / word if word == "labels.csv" else word for word in STAGES[stage])
        return (*words, "--run", self.run.root) if stage == "ingest" else (
            words if stage in OF_ALL_FOLDS else (*words, "--fold", 0)
        )  # fmt: skip

    def stop(self, stage: str, change: int, sent: int) -> tuple[int, Kill]:
        """Ask a stage to stop before one of its changes: its exit code, and what its command did then."""
        self._restore(f"before-{stage}")
        code = os.waitstatus_to_exitcode(os.waitpid(self._forked(stage, at=change, sent=sent), 0)[1])
        found = self._found(stage)
        again = medsynth(*self._words(stage), at=self.run.root)
        same = self._state() == _read(self.folder / f"after-{stage}.json")
        return code, Kill(stage, f"change {change}", False, found, again.code, same)

    def _forked(self, stage: str, report: Path | None = None, at: int | None = None, sent: int = signal.SIGKILL) -> int:
        """Type a stage's command in a fork; its process id."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            began = time.process_time()
            with counted(at, sent) as count:
                code = medsynth(*self._words(stage), at=self.run.root).code
            if report:
                report.write_text(json.dumps({"changes": count(), "seconds": time.process_time() - began}))
        finally:
            os._exit(code)

    def _keep(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        copied(self.run, self.folder / name)
        (self.folder / f"{name}.json").write_text(json.dumps(self._state()))

    def _restore(self, name: str) -> None:
        shutil.rmtree(self.run.root)
        copied(RunDirectory(self.folder / name), self.run.root)

    def _found(self, stage: str) -> str:
        below = self.run.root if stage in OF_ALL_FOLDS else self.run.root / "fold-0"
        before = _read(self.folder / f"before-{stage}.json")
        missing = _read(self.folder / f"after-{stage}.json").keys() - before.keys()
        if {name for name in missing if name.endswith(RECORD)} <= self._state().keys():
            return "done"
        left = [path for path in (*below.glob(f".{stage}-*"), *below.glob(f"{stage}/.*-*")) if path.is_dir()]
        if any((path / RECORD).is_file() for path in left):
            return "complete"
        return "unfinished" if left else "nothing"

    def _state(self) -> dict[str, Any]:
        """Everything in the run that may not depend on a kill: all but logs and what a record says of time."""
        found: dict[str, Any] = {}
        for name, digest in contents(self.run.root).items():
            path = self.run.root / name
            if name.startswith(".locks") or path.name == LOG_FILE:
                continue
            if path.name == RECORD:
                record = json.loads(path.read_text())
                record["outputs"].pop(LOG_FILE, None)
                found[name] = {
                    key: record[key] for key in ("id", "made", "outputs", "inputs", "trained_on", "settings")
                }
            else:
                found[name] = digest
        return found


@dataclass(frozen=True)
class Moment:
    """When a process is killed: before its change number so and so, or after so many seconds of the processor."""

    change: int | None = None
    seconds: float | None = None


@contextmanager
def counted(at: int | None = None, sent: int = signal.SIGKILL) -> Iterator[Callable[[], int]]:
    """Count what is done to files; send this process a signal before the change with this number."""
    number, real = 0, {name: getattr(os, name) for name in CHANGES}

    def counting(name: str) -> Callable[..., Any]:
        def change(*words: Any, **more: Any) -> Any:
            nonlocal number
            writes = name != "open" or words[1] & (os.O_WRONLY | os.O_RDWR)
            number += bool(writes)
            if writes and number == at:
                os.kill(os.getpid(), sent)
            return real[name](*words, **more)

        return change

    for name in CHANGES:
        setattr(os, name, counting(name))
    try:
        yield lambda: number
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def hundred(chain: Chain, kills: int, seed: int) -> list[Kill]:
    """So many kills, spread evenly over the stages; every fourth command is killed a second time."""
    dice, found = np.random.default_rng(seed), []
    for index, stage in enumerate(STAGES):
        number = kills * (index + 1) // len(STAGES) - kills * index // len(STAGES)
        moments = list(chain.moments(stage, number, dice))
        for turn, moment in enumerate(moments):
            twice = moments[int(dice.integers(number))] if turn % 4 == 3 else None
            found.append(chain.kill(stage, moment, twice=twice))
            print(found[-1], file=sys.stderr, flush=True)
    return found


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=100)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--out", type=Path, required=True)
    words = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = hundred(Chain(Path(folder)), words.kills, words.seed)
    result = {
        "command": f"python tests/kills.py --kills {words.kills} --seed {words.seed} --out {words.out}",
        "kills": len(found), "of_them_twice": sum(kill.twice for kill in found),
        "ended_the_same": sum(kill.same and kill.again == 0 for kill in found),
        "left_behind": dict(Counter(kill.found for kill in found)),
        "seed": words.seed, "versions": versions(), "each": [asdict(kill) for kill in found],
    }  # fmt: skip
    words.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(result["ended_the_same"] != result["kills"])


if __name__ == "__main__":
    main()
