"""What every command has in common: which run, which folds, how it reports, how it ends."""

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from medsynth import console, distributed, guards, interrupt, pipeline, plan, presets
from medsynth import recipe as recipes
from medsynth.chain import BY_NAME, SKIPPABLE, STAGES, WITHOUT_TORCH
from medsynth.errors import DISK, BadUsage, MedsynthError, MissingStep, of_disk
from medsynth.pipeline import Options, Outcome
from medsynth.recipe import Recipe
from medsynth.rundir import RunDirectory


@dataclass(frozen=True)
class Common:
    """The options that every command takes."""

    run: Path | None = None
    fold: tuple[int, ...] = ()
    changes: tuple[str, ...] = ()  # section.key=value
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    device: str = "auto"
    threads: int | None = None
    dry_run: bool = False
    force: bool = False
    force_leak: str | None = None  # why

    def directory(self) -> RunDirectory:
        return RunDirectory.find(self.run)


def changed(common: Common, run: RunDirectory, flags: dict[str, Any]) -> Recipe:
    """The run's recipe (the default one for a run that is not there yet) with this command's flags and --set in it.

    Raises Refused for what contradicts the images that the run holds.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    words = [f"{key}={recipes.toml_value(value)}" for key, value in given.items()]
    for rivals in presets.RIVALS:
        typed = [f"--{name.replace('_', '-')}" for name in rivals if name in {key.rpartition(".")[2] for key in given}]
        if len(typed) > 1:
            raise BadUsage(f"{' and '.join(typed)} contradict each other", hint="leave one of them out")
    text = run.recipe_text() if run.exists() else ""
    recipe = recipes.parse(text, [*words, *common.changes])
    if run.exists():
        plan.refuse_contradiction(run, recipe)
    return recipe


def bring_up_to_date(
    common: Common,
    run: RunDirectory,
    recipe: Recipe,
    stage: str,
    *,
    kinds: list[str] | None = None,
    next_command: str = "",
) -> None:
    """One command: one stage of the run, and what became of it."""
    if common.dry_run:
        show_forecast(common, run, forecast(common, run, recipe, stage, kinds))
        return
    outcomes = carry_out(common, run, recipe, stage, kinds)
    show(common, run, outcomes, run.typed(next_command) if next_command else "")


def carry_out(
    common: Common, run: RunDirectory, recipe: Recipe, stage: str, kinds: list[str] | None = None
) -> list[Outcome]:
    """Do what is not up to date, with progress on stderr. The recipe is kept as soon as it cannot be wrong any more."""
    if stage == "ingest" and not recipe.ingest.source:
        raise BadUsage("no source of images was named", hint=run.typed("ingest labels.csv"))
    if run.exists():
        plan.refuse_contradiction(run, recipe)
    text = recipes.dump(recipe)
    first = distributed.world().is_first
    if first and stage != "ingest" and text != run.recipe_text():
        _refuse_held(common, run, recipe, stage, kinds)
        _say_of_another_codec(recipes.parse(run.recipe_text()).codec.kind, recipe.codec.kind)
        run.save_recipe(text)
    with console.progress(common.quiet or not first) as progress:
        say = (lambda _sentence: None) if common.quiet or not first else console.say
        place, leak = device(common.device, stage), (common.force_leak or "").strip()
        options = Options(common.force, leak, place, common.threads, progress, say)
        outcomes = pipeline.execute(run, recipe, stage, folds=common.fold, kinds=kinds or [], options=options)
    if first and stage == "ingest":
        run.save_recipe(text)
    return outcomes


def _refuse_held(common: Common, run: RunDirectory, recipe: Recipe, stage: str, kinds: list[str] | None) -> None:
    """Raise Refused if another process is at work on what this command is about: whoever is refused changes nothing."""
    with suppress(MissingStep):  # execute() says it
        wanted = pipeline.wanted(run, recipe, BY_NAME[stage], common.fold, kinds or [])
        guards.refuse_held(run, [run.artifact(stage, fold, kind) for fold, kind in wanted])


def _say_of_another_codec(before: str, now: str) -> None:
    """A run has one codec of its own: naming another one on the way changes what its generators learn from."""
    if before != now:
        console.note(
            f"{now} is the run's own codec from now on, {before} was: generators that name none learn its latents. "
            f"--set codec.kind={before} goes back."
        )


def run_chain(
    common: Common, recipe_name: str | None, preset: str | None, models: list[str], skipped: list[str]
) -> None:
    """Every stage in order but those that are skipped, for these kinds of generator; for the recipe's own where none
    is named. Raises BadUsage for a stage that others are made from."""
    for name in skipped:
        if name not in SKIPPABLE:
            raise BadUsage(f"--skip {name} cannot be left out", hint=f"--skip {' or --skip '.join(SKIPPABLE)}")
    if recipe_name:
        run = RunDirectory.named(common.run) or common.directory()
        words = [f"preset={preset}"] if preset else []
        asked = recipes.load(recipes.locate(recipe_name), [*words, *common.changes])
    else:
        run = common.directory()
        asked = changed(common, run, {"preset": preset})
    models = [*dict.fromkeys(models)] or [asked.generator.kind]
    asked = asked.with_generators(models)
    codecs = [*dict.fromkeys(asked.codec_of(kind) for kind in models)]
    kinds_of = {"codec": codecs, "encode": codecs, **dict.fromkeys(("generator", "expand", *SKIPPABLE), models)}
    if asked.ingest.source:
        source = str(Path(asked.ingest.source).resolve())
        asked = replace(asked, ingest=asked.ingest.model_copy(update={"source": source}))
    outcomes: list[Outcome] = []
    foretold: list[dict[str, Any]] = []
    for stage in STAGES:
        if stage.on_request or stage.name in skipped or (common.fold and stage.across_folds):  # what is about all folds
            continue
        kinds = kinds_of.get(stage.name)
        if common.dry_run:
            foretold += forecast(common, run, asked, stage.name, kinds)
        else:
            outcomes += carry_out(common, run, asked, stage.name, kinds)
    if common.dry_run:
        show_forecast(common, run, foretold)
    elif common.fold:
        show(common, run, outcomes, run.typed("report" if "audit" in skipped else "audit"))
    else:
        show(common, run, outcomes, report=str((run.artifact("report").folder / "index.html").resolve()))


def forecast(
    common: Common, run: RunDirectory, recipe: Recipe, stage: str, kinds: list[str] | None
) -> list[dict[str, Any]]:
    """What a command would do: counts, time, disk. Writes nothing."""
    try:
        place = device(common.device, stage)
        return pipeline.forecast(run, recipe, stage, folds=common.fold, kinds=kinds or [], device=place)
    except MissingStep as missing:  # nothing can be said of a stage before the one before it was done
        return [{"name": stage, "state": "missing", "needs first": missing.hint}]


def show_forecast(common: Common, run: RunDirectory, found: list[dict[str, Any]]) -> None:
    """A forecast for people, or as one JSON object."""
    if common.json:
        print_json({"run": str(run.root.resolve()), "dry_run": found})
        return
    for entry in found:
        facts = {key: value for key, value in entry.items() if key not in ("name", "state")}
        console.outcome(entry["name"], entry["state"], facts)
    if not common.quiet:
        console.say("a dry run: nothing was written")
    sized = [entry for entry in found if pipeline.FREE in entry]
    needed, free = sum(e["megabytes"] for e in sized), min((e[pipeline.FREE] for e in sized), default=0)
    if needed > free:
        console.note(f"about {needed:.0f} MB are needed together, but {free:.0f} MB are free there: make room first.")


def show(common: Common, run: RunDirectory, outcomes: list[Outcome], next_command: str = "", **more: Any) -> None:
    """Results for people, or one JSON object."""
    if not distributed.world().is_first:
        return
    if common.json:
        results = [
            {
                "stage": o.artifact.stage, "fold": o.artifact.fold, "kind": o.artifact.kind, "state": o.state,
                "folder": str(o.artifact.folder.resolve()), "summary": o.summary, "notes": list(o.notes),
            }
            for o in outcomes
        ]  # fmt: skip
        print_json(
            {
                "run": str(run.root.resolve()),
                "results": results,
                **more,
                **({"next": next_command} if next_command else {}),
            }
        )
        return
    for o in outcomes:
        console.outcome(o.artifact.name, o.state, o.summary)
        if common.verbose:
            record = o.artifact.record()
            marks = f"id {record['id']}, made {record['made']}, {record.get('seconds', '?')} s"
            console.say(f"  {o.artifact.folder}: {marks}, from {record['inputs']}")
    if not common.quiet:
        for name, value in more.items():
            console.say(f"{name}: {value}")
        for sentence in dict.fromkeys(note for o in outcomes for note in o.notes):
            console.note(sentence)
        if next_command:
            console.next_command(next_command)


def print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))


def device(asked: str, stage: str) -> str:
    """ "cpu" or "cuda". auto: the GPU if torch sees one. Raises BadUsage for a GPU that is not there."""
    if asked == "cpu" or (asked == "auto" and stage in WITHOUT_TORCH):
        return "cpu"
    if asked not in ("auto", "cuda"):
        raise BadUsage(f"--device {asked} is not known", hint="--device auto, cpu or cuda")
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise BadUsage("torch sees no GPU here", hint="--device cpu")
    return "cpu"


STOPPED = "the same command: what was done is kept, and it goes on from there"


@contextmanager
def ending(json_asked: bool) -> Iterator[None]:
    """Turn every way a command can end badly into a sentence and an exit code. No traceback reaches the terminal."""
    try:
        with interrupt.listening():
            yield
    except MedsynthError as failure:
        _end(json_asked, str(failure), failure.hint, failure.exit_code)
    except interrupt.Interrupted as stop:
        _end(json_asked, "stopped", STOPPED, stop.exit_code)
    except KeyboardInterrupt:
        _end(json_asked, "stopped", STOPPED, 130)
    except Exception as failure:
        if isinstance(failure, OSError) and failure.errno in DISK:
            told = of_disk(failure)
            _end(json_asked, str(told), told.hint, told.exit_code)
        if hasattr(failure, "format_message") and hasattr(failure, "exit_code"):  # the command line was not understood
            _end(json_asked, failure.format_message(), "medsynth --help", failure.exit_code)
        hint = f"{_diary(failure)}; the same command may go on from here"
        _end(json_asked, f"unexpected: {type(failure).__name__}", hint, 1)


def _end(json_asked: bool, message: str, hint: str, code: int) -> NoReturn:
    if json_asked:
        print_json({"error": message, "hint": hint, "exit_code": code})
    console.error(message, hint)
    sys.exit(code)


def _diary(failure: Exception) -> str:
    """Write the traceback to a file of its own, for those who mend the program."""
    try:
        handle, name = tempfile.mkstemp(prefix="medsynth-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_without_values(failure))
    except OSError as error:
        return f"there was no place for the details ({error.strerror})"
    return f"the details are in {name}"


def _without_values(failure: BaseException) -> str:
    """A traceback without the words of its exceptions: they may be names, ids or paths from the data."""
    first = failure.__cause__ or (None if failure.__suppress_context__ else failure.__context__)
    before = f"{_without_values(first)}\n" if first else ""
    known = f": {os.strerror(failure.errno)}" if isinstance(failure, OSError) and failure.errno else ""
    lines = "".join(traceback.format_tb(failure.__traceback__))
    return f"{before}Traceback (most recent call last):\n{lines}{type(failure).__name__}{known}\n"
