"""The whole chain on a cohort that is drawn on the spot: what a newcomer runs first."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean
from subprocess import DEVNULL, PIPE, Popen
from threading import Thread

from medsynth import command, console, distributed, interrupt, plan, room
from medsynth import recipe as recipes
from medsynth.artifacts import scores
from medsynth.command import Common
from medsynth.errors import MedsynthError
from medsynth.rundir import RunDirectory

RECIPE = "demo"
HERE = Path("medsynth-demo")
PATIENTS, PIXELS = 60, 96
MINUTES, MEGABYTES = 7, 1450  # about, on two cores; the weights of sixteen classifiers are most of it


def run(common: Common, models: list[str]) -> None:
    """Draw, train, expand, classify and report; folds side by side, the processor's cores shared between them.

    `models` are kinds of generator; none: the recipe's own. Killed and repeated, it goes on. Everything shown was
    trained by this very command.
    """
    run = RunDirectory.named(common.run) or RunDirectory(HERE)
    common = replace(common, run=run.root)
    source = run.root.resolve() / "drawn" / "labels.csv"
    place = f"ingest.source={recipes.toml_value(str(source))}"
    recipe = recipes.load(recipes.locate(RECIPE), [place, *common.changes])
    recipe = recipe.with_generators(models or [recipe.generator.kind])
    if run.exists():
        plan.refuse_contradiction(run, recipe)
    if common.dry_run:
        facts = {"patients": PATIENTS, "folds": recipe.ingest.tested_folds, "megabytes": MEGABYTES, "minutes": MINUTES}
        command.show_forecast(common, run, [{"name": "demo", "state": "missing", **facts}])
        return
    room.require(run.root, MEGABYTES * 1e6, "the demo", distributed.World())
    if not source.is_file():
        _draw(source.parent, common)
    ingested = command.carry_out(common, run, recipe, "ingest")
    folds = list(common.fold) or list(range(recipe.ingest.tested_folds))
    if not common.quiet:
        console.say(f"{len(folds)} folds are trained side by side; stopped, the same command goes on")
    of_models = [word for kind in models for word in ("--model", kind)]
    for words in (["run", *of_models], ["audit", *of_models]):  # an audit asks the generators of other folds, too
        _side_by_side(common, run, folds, words)
    outcomes = [*ingested, *command.carry_out(common, run, recipe, "report")]
    page = run.artifact("report").folder.resolve() / "index.html"
    areas = _areas(run, folds)
    if common.json:
        command.show(common, run, outcomes, report=str(page), auc=areas)
    else:
        console.table(
            ("classifier trained on", "AUC, eyes of unseen patients"), [(a, f"{v:.3f}") for a, v in areas.items()]
        )
        command.show(common, run, outcomes, report=str(page))


def _draw(folder: Path, common: Common) -> None:
    from medsynth.data.drawn import draw_cohort

    with console.progress(common.quiet) as progress:

        def step(name: str, done: int, total: int) -> None:
            progress(name, done, total)
            interrupt.check()

        draw_cohort(folder, patients=PATIENTS, seed=0, size=PIXELS, progress=step)


def _side_by_side(common: Common, run: RunDirectory, folds: list[int], asked: list[str]) -> None:
    """A command, one process a fold: small models gain more from that than from many threads in each product."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = [sys.executable, "-m", "medsynth", *asked, "--run", str(run.root), "--device", common.device]
    words += ["--threads", str(common.threads or max(1, cores // len(folds)))]
    words += ["--quiet"] if common.quiet else []
    children = [_start([*words, "--fold", str(fold)]) for fold in folds]
    tellers = [Thread(target=_tell, args=(child,)) for child in children]
    for teller in tellers:
        teller.start()
    try:
        while any(child.poll() is None for child in children):
            if interrupt.asked() or any(child.poll() for child in children):
                break
            time.sleep(0.2)
    finally:
        for child in children:
            child.terminate()  # once: it finishes its step, saves, and ends
        codes = [child.wait() for child in children]
        for teller in tellers:
            teller.join()
    interrupt.check()
    for fold, code in zip(folds, codes, strict=True):
        if code:
            failure = MedsynthError(f"fold {fold} did not come to its end", hint=run.typed(f"{asked[0]} --fold {fold}"))
            failure.exit_code = code if code > 0 else 1
            raise failure


def _start(words: list[str]) -> Popen[str]:
    # A group of its own, so that Ctrl-C reaches it once, through the demo, and not twice.
    # Whoever kills the demo kills it, too, where the system can: or it would go on alone and be in the next one's way.
    return Popen(
        words, stdout=DEVNULL, stderr=PIPE, text=True, errors="replace", start_new_session=True,
        preexec_fn=interrupt.ends_with_its_parent(),
    )  # fmt: skip


def _tell(child: Popen[str]) -> None:
    """Pass on what a child says, line by line: two bars would write over each other."""
    assert child.stderr is not None
    for line in child.stderr:
        if not line.startswith("next:"):
            console.say(line.rstrip())


def _areas(run: RunDirectory, folds: list[int]) -> dict[str, float]:
    """The mean macro AUC of each arm on the eyes of patients that nothing has seen."""
    found: dict[str, list[float]] = {}
    for fold in folds:
        for arm in run.kinds("classify", fold):
            found.setdefault(arm, []).append(scores.load(run.artifact("classify", fold, arm).folder)["eye.auc"].value)
    return {arm: round(mean(values), 4) for arm, values in found.items()}
