"""The whole chain on a cohort that is drawn on the spot: what a newcomer runs first."""

import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from subprocess import DEVNULL, PIPE, Popen
from threading import Thread

from medsynth import command, console, distributed, interrupt, plan, room
from medsynth import recipe as recipes
from medsynth.artifacts import scores
from medsynth.command import Common
from medsynth.errors import BadUsage, MedsynthError
from medsynth.rundir import RunDirectory

PATIENTS, PIXELS = 60, 96


@dataclass(frozen=True)
class Task:
    """What is demonstrated."""

    recipe: str
    minutes: int  # about, on two cores
    megabytes: int  # about
    stage: str  # whose scores are shown in the end
    score: str
    name: str  # of the scores in the JSON object
    heads: tuple[str, ...]
    more: tuple[str, ...] = ()  # scores that are shown beside it, under the heads that follow


TASKS = {
    # The weights of sixteen classifiers are most of the megabytes.
    "classify": Task(
        "demo", 7, 1450, "classify", "eye.auc", "auc", ("classifier trained on", "AUC, eyes of unseen patients")
    ),
    "segment": Task(
        "demo-segment",
        5,
        60,
        "segment",
        "image.dice",
        "dice",
        ("segmenter", "Dice, images of unseen patients", "with a lesion", "images without one, a fold"),
        ("image.dice_lesions", "image.without_lesion"),
    ),
}


def run(common: Common, models: list[str], task_name: str = "classify") -> None:
    """Draw, train, test and report; folds side by side, the processor's cores shared between them.

    `models` are kinds of generator, or names of segmenters; none: the recipe's own. Killed and repeated, it goes on.
    Everything shown was trained by this very command. Raises BadUsage for a task that there is not.
    """
    if task_name not in TASKS:
        raise BadUsage(f"there is no task {task_name!r}", hint=f"--task {' or '.join(TASKS)}")
    task = TASKS[task_name]
    run = RunDirectory.named(common.run) or RunDirectory(Path(f"medsynth-{task.recipe}"))
    common = replace(common, run=run.root)
    source = run.root.resolve() / "drawn" / "labels.csv"
    place = f"ingest.source={recipes.toml_value(str(source))}"
    recipe = recipes.load(recipes.locate(task.recipe), [place, *common.changes])
    if task_name == "segment":
        commands = [["segment", *_each("--variant", models or [*recipe.segment.settings])]]
    else:
        recipe = recipe.with_generators(models or [recipe.generator.kind])
        # An audit asks the generators of other folds, too.
        commands = [[name, *_each("--model", models)] for name in ("run", "audit")]
    if run.exists():
        plan.refuse_contradiction(run, recipe)
    if common.dry_run:
        facts = {
            "patients": PATIENTS,
            "folds": recipe.ingest.tested_folds,
            "megabytes": task.megabytes,
            "minutes": task.minutes,
        }
        command.show_forecast(common, run, [{"name": "demo", "state": "missing", **facts}])
        return
    room.require(run.root, task.megabytes * 1e6, "the demo", distributed.World())
    if not source.is_file():
        _draw(source.parent, common)
    ingested = command.carry_out(common, run, recipe, "ingest")
    folds = list(common.fold) or list(range(recipe.ingest.tested_folds))
    if not common.quiet:
        console.say(f"{len(folds)} folds are trained side by side; stopped, the same command goes on")
    for words in commands:
        _side_by_side(common, run, folds, words)
    outcomes = [*ingested, *command.carry_out(common, run, recipe, "report")]
    page = run.artifact("report").folder.resolve() / "index.html"
    reached, *more = (_means(run, folds, task.stage, score) for score in (task.score, *task.more))
    if common.json:
        command.show(common, run, outcomes, "", report=str(page), **{task.name: reached})
    else:
        beside = {name: [f"{of[name]:.3g}" if name in of else "" for of in more] for name in reached}
        console.table(task.heads, [(name, f"{value:.3f}", *beside[name]) for name, value in reached.items()])
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
    words = [sys.executable, "-P", "-m", "medsynth", *asked, "--run", str(run.root), "--device", common.device]
    words += ["--threads", str(common.threads or max(1, cores // len(folds)))]
    words += ["--quiet"] if common.quiet else []
    children = [_start([*words, "--fold", str(fold)]) for fold in folds]
    tellers = [Thread(target=_tell, args=(child,)) for child in children]
    for teller in tellers:
        teller.start()
    first = {}  # fold -> code: whoever failed by itself, not those that are stopped because of it
    try:
        while any(child.poll() is None for child in children):
            if interrupt.asked() or any(child.poll() for child in children):
                break
            time.sleep(0.2)
        first = {fold: child.returncode for fold, child in zip(folds, children, strict=True) if child.poll()}
    finally:
        for child in children:
            child.terminate()  # once: it finishes its step, saves, and ends
        codes = [child.wait() for child in children]
        for teller in tellers:
            teller.join()
    interrupt.check()
    for fold, code in [*first.items(), *zip(folds, codes, strict=True)]:
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


def _each(option: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _means(run: RunDirectory, folds: list[int], stage: str, score: str) -> dict[str, float]:
    """The mean score of each arm or segmenter on patients that nothing has seen, where it is known."""
    found: dict[str, list[float]] = {}
    for fold in folds:
        for kind in run.kinds(stage, fold):
            if known := scores.load(run.artifact(stage, fold, kind).folder).get(score):
                found.setdefault(kind, []).append(known.value)
    return {kind: round(mean(values), 4) for kind, values in found.items()}
