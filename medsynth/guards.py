"""What has to hold before a stage is run, and still when its result is put in place."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from medsynth import locks, plan
from medsynth.artifacts import cohort, files
from medsynth.chain import BY_NAME
from medsynth.errors import Refused
from medsynth.recipe import Recipe
from medsynth.rundir import LEAK, RECORD, Artifact, RunDirectory


def refuse_leaks(run: RunDirectory, inputs: list[Artifact], fold: int | None) -> None:
    """Raise Refused if an input does not say that it was trained on the fold's training patients and on nobody else."""
    for artifact in leaking(run, inputs, fold) if fold is not None else []:
        raise Refused(
            f"{artifact.name} does not carry the mark of the training patients of fold {fold}: "
            "it may have seen patients that this fold tests",
            hint=run.typed(f"{plan.command_for(artifact)} --force"),
        )


def leaking(run: RunDirectory, inputs: list[Artifact], fold: int | None) -> list[Artifact]:
    """The inputs that do not say so; of what is about all folds, those that were made with such ones."""
    if fold is None:
        return [artifact for artifact in inputs if LEAK in artifact.record()]
    allowed = cohort.load(run.artifact("ingest").folder).training(fold).patients_hash()
    return [a for a in inputs if a.stage != "ingest" and a.record().get("trained_on") != allowed]


def leak_of(run: RunDirectory, inputs: list[Artifact], fold: int | None, reason: str) -> dict[str, Any] | None:
    """The mark of what is made although it leaks, for its record: from what, and why. None where nothing leaks."""
    found = leaking(run, inputs, fold)
    if not found:
        return None
    before = [artifact.record().get(LEAK, {}).get("reason", "") for artifact in found]
    reasons = dict.fromkeys(text for text in (*before, reason) if text)
    return {"from": [artifact.name for artifact in found], "reason": "; ".join(reasons)}


def about_leak(leak: dict[str, Any]) -> str:
    """What has to be read beside whatever was made with it."""
    return (
        f"Made with {', '.join(leak['from'])}, which may have seen patients that are tested: somebody forced it "
        f"({leak['reason']}). Scores of it are no valid evidence."
    )


def refuse_held(run: RunDirectory, artifacts: Iterable[Artifact]) -> None:
    """Raise Refused if another process is making one of these."""
    for artifact in artifacts:
        locks.refuse_held(run.locks(), artifact.name)


def refuse_busy(run: RunDirectory, recipe: Recipe, artifact: Artifact) -> None:
    """Raise Refused if another process is making this artifact, or something from the one that is there now.

    What gathers whatever the run holds is no reason to wait: it is done in seconds.
    """
    refuse_held(run, [artifact])
    if artifact.stage == "expand" and locks.is_held(run.locks(), _export(artifact)):
        holder = locks.who(run.locks(), _export(artifact))
        raise Refused(f"{artifact.name} cannot be made again now: {holder} exports it", hint=locks.WAIT)
    for other in plan.everything(run, recipe) if artifact.exists() else []:
        stage = BY_NAME[other.stage]
        if stage.gathers or not locks.is_held(run.locks(), other.name):
            continue
        asked = (run, recipe, stage, other.fold, other.kind)
        if artifact in (*plan.needs_of(*asked), *plan.references_of(*asked)):
            holder = locks.who(run.locks(), other.name)
            raise Refused(
                f"{artifact.name} cannot be made again now: {holder} makes {other.name} from it", hint=locks.WAIT
            )


@contextmanager
def exporting(run: RunDirectory, expansion: Artifact) -> Iterator[None]:
    """While the block runs, nobody makes these images again. Raises Refused if somebody else exports them.

    A run that may not be written to is held by nobody, nor made again from here.
    """
    if not os.access(run.root, os.W_OK):
        yield
        return
    with locks.held(run.locks(), _export(expansion)):
        yield


def _export(expansion: Artifact) -> str:
    return f"export {expansion.kind}, fold {expansion.fold}"


def refuse_changed(run: RunDirectory, artifact: Artifact, used: dict[str, str]) -> None:
    """Raise Refused if what an artifact was made from (folder in the run -> mark) is not there as it was."""
    for name, made in used.items():
        record = run.root / name / RECORD
        with files.whole(record):
            same = record.is_file() and files.read_json(record)["made"] == made
        if not same:
            raise Refused(
                f"{name} was made again while {artifact.name} was being made from it", hint="the same command"
            )
