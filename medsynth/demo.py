"""The whole chain on a cohort that is drawn on the spot: what a newcomer runs first."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean

from medsynth import command, console, interrupt
from medsynth import recipe as recipes
from medsynth.artifacts import scores
from medsynth.command import Common
from medsynth.errors import MedsynthError
from medsynth.rundir import RunDirectory

RECIPE = "demo"
HERE = Path("medsynth-demo")
PATIENTS, PIXELS = 60, 96


def run(common: Common) -> None:
    """Draw, train, expand, classify and report; folds side by side, the processor's cores shared between them.

    Killed and repeated, it goes on. Everything shown was trained by this very command.
    """
    run = RunDirectory(common.run or HERE)
    common = replace(common, run=run.root)
    source = run.root.resolve() / "drawn" / "labels.csv"
    recipe = recipes.load(recipes.locate(RECIPE), [f"ingest.source='{source}'", *common.changes])
    if common.dry_run:
        console.say(
            f"would draw {PATIENTS} patients, train and compare in {recipe.ingest.folds} folds, all in {run.root}"
        )
        return
    if not source.is_file():
        _draw(source.parent, common)
    ingested = command.carry_out(common, run, recipe, "ingest")
    folds = list(common.fold) or list(range(recipe.ingest.folds))
    if not common.quiet:
        console.say(f"{len(folds)} folds are trained side by side; stopped, the same command goes on")
    _side_by_side(common, run, folds)
    outcomes = [*ingested, *command.carry_out(common, run, recipe, "report")]
    command.show(
        common,
        run,
        outcomes,
        report=str(run.artifact("report").folder.resolve() / "index.html"),
        auc=_areas(run, folds),
    )


def _draw(folder: Path, common: Common) -> None:
    from medsynth.data.drawn import draw_cohort

    with console.progress(common.quiet) as progress:
        draw_cohort(folder, patients=PATIENTS, seed=0, size=PIXELS, progress=progress)


def _side_by_side(common: Common, run: RunDirectory, folds: list[int]) -> None:
    """One process a fold: small models gain more from that than from many threads in each product."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = [sys.executable, "-m", "medsynth", "run", "--run", str(run.root), "--device", common.device]
    words += ["--threads", str(common.threads or max(1, cores // len(folds)))]
    words += ["--quiet"] if common.quiet else []
    children = [subprocess.Popen([*words, "--fold", str(fold)], stdout=subprocess.DEVNULL) for fold in folds]
    try:
        while any(child.poll() is None for child in children):
            interrupt.check()
            if any(child.poll() for child in children):
                break
            for child in children:
                try:
                    child.wait(timeout=0.2)
                except subprocess.TimeoutExpired:
                    continue
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
        codes = [child.wait() for child in children]
    failed = next((fold for fold, code in zip(folds, codes, strict=True) if code), None)
    if failed is not None:
        raise MedsynthError(
            f"fold {failed} did not come to its end", hint=f"medsynth run --run {run.root} --fold {failed}"
        )


def _areas(run: RunDirectory, folds: list[int]) -> dict[str, float]:
    """The mean macro AUC of each arm on the eyes of patients that nothing has seen."""
    found: dict[str, list[float]] = {}
    for fold in folds:
        for arm in run.kinds("classify", fold):
            found.setdefault(arm, []).append(scores.load(run.artifact("classify", fold, arm).folder)["eye.auc"].value)
    return {arm: round(mean(values), 4) for arm, values in found.items()}
