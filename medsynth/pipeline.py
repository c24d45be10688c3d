"""Doing a stage: are its inputs there, is it up to date, would it leak; then run it and put the result in place."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from medsynth import distributed, guards, interrupt, locks, plan, room
from medsynth.artifacts import files
from medsynth.chain import BY_NAME, WITHOUT_TORCH, Stage
from medsynth.data import sources
from medsynth.errors import MissingStep
from medsynth.installed import versions
from medsynth.interrupt import Interrupted
from medsynth.job import Job, Progress, Result
from medsynth.recipe import Recipe
from medsynth.rundir import LEAK, Artifact, RunDirectory

FREE = "megabytes_free"  # of a forecast: what the disk has


@dataclass(frozen=True)
class Options:
    """How a command wants its stages run."""

    force: bool = False
    leak: str = ""  # why inputs that may have seen tested patients are used all the same
    device: str = "cpu"
    threads: int | None = None
    progress: Progress = lambda _name, _done, _total: None
    say: Callable[[str], None] = lambda _sentence: None  # what somebody should know now


@dataclass(frozen=True)
class Outcome:
    """What became of one artifact."""

    artifact: Artifact
    state: str  # "done" or "up to date"
    summary: dict[str, Any]
    notes: tuple[str, ...] = ()


def execute(
    run: RunDirectory,
    recipe: Recipe,
    name: str,
    *,
    folds: Iterable[int] = (),
    kinds: Iterable[str] = (),
    options: Options | None = None,
) -> list[Outcome]:
    """Do one stage, for some folds or all, for some kinds or the recipe's own, where it is not up to date.

    Raises MissingStep when an earlier one has to be done first, Refused when an input has seen a patient of the fold.
    """
    stage, options = BY_NAME[name], options or Options()
    outcomes = []
    with distributed.joined(options.device) as world:
        for fold, kind in wanted(run, recipe, stage, folds, kinds):
            outcomes += _Step(run, recipe, stage, fold, kind, options, world).bring_up_to_date()
    return outcomes


def forecast(
    run: RunDirectory,
    recipe: Recipe,
    name: str,
    *,
    folds: Iterable[int] = (),
    kinds: Iterable[str] = (),
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """What execute() would do: the state of each artifact, and for what would be made, what its stage foretells."""
    stage, found = BY_NAME[name], []
    for fold, kind in wanted(run, recipe, stage, folds, kinds):
        artifact = run.artifact(name, fold, kind)
        entry: dict[str, Any] = {"name": artifact.name, "state": plan.state_of(run, recipe, artifact)}
        if entry["state"] != "done":
            entry |= _foretold(run, recipe, stage, artifact, device)
        found.append(entry)
    return found


def wanted(
    run: RunDirectory, recipe: Recipe, stage: Stage, folds: Iterable[int], kinds: Iterable[str]
) -> list[tuple[int | None, str | None]]:
    """The folds and kinds that a command is about."""
    if not stage.per_fold:
        return [(None, None)]
    return [
        (fold, kind)
        for fold in plan.folds_of(run, recipe, folds)
        for kind in list(kinds) or plan.kinds_of(run, recipe, stage, fold)
    ]


def _foretold(run: RunDirectory, recipe: Recipe, stage: Stage, artifact: Artifact, device: str) -> dict[str, Any]:
    inputs = plan.needs_of(run, recipe, stage, artifact.fold, artifact.kind)
    missing = [need.name for need in inputs if not need.exists()]
    if missing:
        return {"needs first": missing}
    job = Job(
        recipe=recipe, inputs=tuple(inputs), out=artifact.folder, fold=artifact.fold, kind=artifact.kind,
        progress=lambda _name, _done, _total: None, device=device, settings=recipe.settings(stage.name, artifact.kind),
    )  # fmt: skip
    foretell = getattr(import_module(f"medsynth.stages.{stage.name}"), "forecast", None)
    found = foretell(job) if foretell else {}
    return found | ({FREE: round(room.free(artifact.folder) / 1e6, 1)} if "megabytes" in found else {})


@dataclass(frozen=True)
class _Step:
    """One artifact on its way to being up to date."""

    run: RunDirectory
    recipe: Recipe
    stage: Stage
    fold: int | None
    kind: str | None
    options: Options
    world: distributed.World

    @property
    def artifact(self) -> Artifact:
        return self.run.artifact(self.stage.name, self.fold, self.kind)

    def bring_up_to_date(self) -> list[Outcome]:
        if signal := self.world.largest(interrupt.asked()):  # whatever did not stop for it is done now
            raise Interrupted(signal)
        before = self._prepare()
        # The first process decides for all: another might look while the folder is being put in place.
        fresh = self.world.is_first and not self.options.force and self._is_current()
        if self.world.agree(fresh):
            return [*before, self._outcome("up to date")]
        id = self.world.agree(plan.asked_id(self.run, self.recipe, self.artifact) if self.world.is_first else None)
        return [*before, self._make(id)]

    def _is_current(self) -> bool:
        return plan.is_current(self.run, self.recipe, self.artifact)

    def _outcome(self, state: str) -> Outcome:
        record = self.artifact.record()
        return Outcome(self.artifact, state, record["summary"], tuple(record["notes"]))

    def _prepare(self) -> list[Outcome]:
        """Do on the way what this stage may do on the way; refuse what is missing otherwise."""
        outcomes = []
        for need in plan.needs_of(self.run, self.recipe, self.stage, self.fold, self.kind):
            stage = BY_NAME[need.stage]
            state = self.world.agree(plan.state_of(self.run, self.recipe, need) if self.world.is_first else None)
            if state == "done":
                continue
            if state == "stale" and self.options.leak and guards.leaking(self.run, [need], self.fold):
                continue
            if state == "stale" and need.record()["inputs"].get("ingest") == self.run.artifact("ingest").made:
                guards.refuse_leaks(self.run, [need], self.fold)  # of the same images, and yet of other patients
            if need.stage in self.stage.prepares:
                self.options.say(f"{self.stage.command} needs {need.name}, which is {state}: it is made first.")
                options = replace(self.options, force=False)
                step = _Step(self.run, self.recipe, stage, need.fold, need.kind, options, self.world)
                outcomes += step.bring_up_to_date()
            elif not self.stage.gathers or not need.exists():
                raise MissingStep(
                    f"{self.stage.command} needs {need.name}, which is {state}",
                    hint=self.run.typed(plan.command_for(need)),
                )
        return outcomes

    def _make(self, id: str) -> Outcome:
        inputs = plan.needs_of(self.run, self.recipe, self.stage, self.fold, self.kind)
        references = plan.references_of(self.run, self.recipe, self.stage, self.fold, self.kind)
        if self.world.is_first:
            guards.refuse_busy(self.run, self.recipe, self.artifact)
            for artifact in [*inputs, *references]:
                artifact.verify(hint=self.run.typed(f"{plan.command_for(artifact)} --force"))
            if not self.options.leak:
                guards.refuse_leaks(self.run, inputs, self.fold)
            if self.artifact.exists():
                self.options.say(
                    f"{self.artifact.name} is made again: {plan.why_stale(self.run, self.recipe, self.artifact)}."
                )
        self.world.wait()
        if not self.stage.parallel and not self.world.is_first:
            self.world.wait()
            return self._outcome("done")
        with self._locked():
            # Another process may have made it between the look and the lock.
            made = self.world.is_first and not self.options.force and self._is_current()
            if self.world.agree(made) if self.stage.parallel else made:
                self.world.wait()
                return self._outcome("up to date")
            return self._fill(id, inputs, references)

    def _fill(self, id: str, inputs: list[Artifact], references: list[Artifact]) -> Outcome:
        scratch = self.artifact.scratch(id)
        ready = self.artifact.is_ready(id) and not self.options.force
        if self.world.agree(ready) if self.stage.parallel else ready:
            if self.world.is_first:
                self.artifact.put_in_place(id)
            self.world.wait()
            return self._outcome("done")
        if self.options.force and self.world.is_first:
            shutil.rmtree(scratch, ignore_errors=True)
        if self.stage.parallel:
            self.world.wait()
        files.make_folder(scratch)
        started, used = time.monotonic(), self._marks([*inputs, *references])
        job = Job(
            recipe=self.recipe, inputs=tuple(inputs), out=scratch, fold=self.fold, kind=self.kind,
            progress=self.options.progress, device=self.options.device,
            world=self.world if self.stage.parallel else distributed.World(),
            settings=self.recipe.settings(self.stage.name, self.kind), references=tuple(references),
            before=self.artifact if self.artifact.exists() else None, say=self.options.say,
        )  # fmt: skip
        limit_threads(self.options.threads, self.stage)
        result: Result = import_module(f"medsynth.stages.{self.stage.name}").run(job)
        leak = guards.leak_of(self.run, inputs, self.fold, self.options.leak)
        if leak:
            told = guards.about_leak(leak)
            result = Result({**result.summary, LEAK: leak["reason"]}, notes=(told, *result.notes))
        if self.stage.parallel:
            self.world.wait()
        if self.world.is_first:
            guards.refuse_changed(self.run, self.artifact, used)
            record = self._record(result, used, round(time.monotonic() - started, 1))
            self.artifact.publish(id, record | ({LEAK: leak} if leak else {}))
        self.world.wait()
        return Outcome(self.artifact, "done", result.summary, result.notes)

    def _marks(self, artifacts: list[Artifact]) -> dict[str, str]:
        """Which answer each of them is, by its folder in the run."""
        return {a.folder.relative_to(self.run.root).as_posix(): a.made for a in artifacts}

    def _record(self, result: Result, used: dict[str, str], seconds: float) -> dict[str, Any]:
        settings = self.recipe.asked(self.stage.name, self.kind)
        return {
            "summary": result.summary,
            "notes": list(result.notes),
            "trained_on": result.trained_on,
            "preset": self.recipe.preset,
            "settings": sources.recorded(settings) if self.stage.name == "ingest" else settings,
            "seed": self.recipe.seed,
            "inputs": used,
            "files": plan.from_outside(self.recipe, self.artifact),
            "versions": versions(),
            "device": self.options.device,
            "processes": self.world.size,
            "seconds": seconds,
        }

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.world.is_first:
            yield
            return
        with locks.held(self.run.locks(), self.artifact.name):
            yield


def limit_threads(count: int | None, stage: Stage) -> None:
    """Limit the threads of tensor products for the rest of the command. The stages without tensors never load torch."""
    if count is not None and stage.name not in WITHOUT_TORCH:
        import torch

        torch.set_num_threads(count)
