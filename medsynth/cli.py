"""The command line: words in, one call, result out."""

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from medsynth import __version__, command, console, plan
from medsynth import recipe as recipes
from medsynth.command import Common, bring_up_to_date, changed, show
from medsynth.errors import Refused
from medsynth.rundir import RunDirectory

app = typer.Typer(
    no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="Synthetic medical images, from a folder of scans to a report: do they help on patients never seen?",
)  # fmt: skip

COMMON: dict[str, Any] = {
    "run": (
        Path | None,
        typer.Option("--run", "-r", help="Run directory (left out: MEDSYNTH_RUN, else the one around here)."),
        None,
    ),
    "fold": (list[int], typer.Option("--fold", help="Only this fold; may be repeated."), []),
    "set": (list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting of the recipe."), []),
    "json": (bool, typer.Option("--json", help="One JSON object on stdout."), False),
    "quiet": (bool, typer.Option("--quiet", "-q", help="Results and errors only."), False),
    "verbose": (bool, typer.Option("--verbose", "-v", help="Also say what is usually left out."), False),
    "device": (str, typer.Option("--device", help="auto, cpu or cuda."), "auto"),
    "threads": (int | None, typer.Option("--threads", min=1, max=1024, help="CPU threads for tensor products."), None),
    "dry_run": (bool, typer.Option("--dry-run", help="Say what would be done; write nothing."), False),
    "force": (bool, typer.Option("--force", help="Do it again although nothing changed."), False),
}


def with_common(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all have; the command gets them as one `Common`, its first argument."""
    own = list(inspect.signature(function).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
        for name, (kind, option, default) in COMMON.items()
    ]

    @functools.wraps(function)
    def wrapped(**words: Any) -> None:
        asked = {name: words.pop(name) for name in COMMON}
        changes = tuple(asked.pop("set"))
        function(Common(**asked | {"fold": tuple(asked["fold"]), "changes": changes}), **words)

    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    wrapped.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*keyword, *shared]}
    return wrapped


def version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def medsynth(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Synthetic medical images, from a folder of scans to a report: do they help on patients never seen?"""


@app.command()
@with_common
def demo(common: Common) -> None:
    """Draw a cohort, run the whole chain on it, write the report: minutes on two CPU cores."""
    from medsynth import demo as demonstration

    demonstration.run(common)


@app.command()
@with_common
def new(
    common: Common,
    directory: Annotated[Path, typer.Argument(help="The run directory to make.")],
    recipe: Annotated[str | None, typer.Option(help="A shipped recipe's name, or a TOML file.")] = None,
) -> None:
    """Start an empty run from a recipe."""
    run = RunDirectory(directory)
    if run.exists():
        raise Refused(f"{directory} already holds a run", hint=f"medsynth status --run {directory}")
    chosen = recipes.load(recipes.locate(recipe), [*common.changes]) if recipe else recipes.parse("", [*common.changes])
    if not common.dry_run:
        run.save_recipe(recipes.dump(chosen))
    show(common, run, [], f"medsynth ingest {chosen.ingest.source or 'SOURCE'} --run {directory}")


@app.command()
@with_common
def ingest(
    common: Common,
    source: Annotated[Path | None, typer.Argument(help="CSV file, MedMNIST .npz, or folder of class folders.")] = None,
    image: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with the image's path.")] = None,
    patient: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with the patient's id.")] = None,
    eye: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that says which eye.")] = None,
    mask: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with the path of a lesion mask.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="One class an image.")] = None,
    labels: Annotated[str | None, typer.Option(metavar="A,B,C", help="Several 0/1 labels an image.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds that patients are dealt to.")] = None,
    crop: Annotated[str | None, typer.Option(help="centre or pad.")] = None,
    mirror: Annotated[
        bool | None, typer.Option("--mirror/--no-mirror", help="A mirrored image is as plausible.")
    ] = None,
    every_image_is_a_patient: Annotated[
        bool, typer.Option("--every-image-is-a-patient", help="There are no patient ids.")
    ] = False,
    allow_bad: Annotated[int | None, typer.Option(help="How many images may be unreadable.")] = None,
) -> None:
    """Read and check the images, deal patients to folds."""
    run = RunDirectory.named(common.run) or common.directory()
    flags = {
        "source": str(source.resolve()) if source else None, "image": image, "patient": patient, "eye": eye,
        "mask": mask, "label": label, "labels": tuple(name.strip() for name in labels.split(",")) if labels else None,
        "image_size": image_size, "folds": folds, "crop": crop, "mirror": mirror, "allow_bad": allow_bad,
        "every_image_is_a_patient": every_image_is_a_patient or None,
    }  # fmt: skip
    recipe = changed(common, run, {f"ingest.{key}": value for key, value in flags.items()})
    bring_up_to_date(common, run, recipe, "ingest", next_command="train-generator")


@app.command("train-codec")
@with_common
def train_codec(
    common: Common,
    codec: Annotated[str | None, typer.Option(help="identity or kl.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Import this folder (diffusers' format) instead of training.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long instead of a number of steps.")] = None,
) -> None:
    """Train or import the autoencoder."""
    run = common.directory()
    flags = {"codec.kind": codec, "codec.weights": _path(weights), "codec.steps": steps, "codec.minutes": minutes}
    bring_up_to_date(common, run, changed(common, run, flags), "codec", next_command="encode")


@app.command()
@with_common
def encode(
    common: Common,
    codec: Annotated[str | None, typer.Option(help="identity or kl.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Import this folder (diffusers' format) instead of training.")
    ] = None,
) -> None:
    """Turn images into latents; trains the codec first if the run has none."""
    run = common.directory()
    flags = {"codec.kind": codec, "codec.weights": _path(weights)}
    bring_up_to_date(common, run, changed(common, run, flags), "encode", next_command="train-generator")


@app.command("train-generator")
@with_common
def train_generator(
    common: Common,
    model: Annotated[str | None, typer.Option(help="geca.")] = None,
    size: Annotated[str | None, typer.Option(help="tiny, xs or s.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long instead of a number of steps.")] = None,
) -> None:
    """Train the generator on the latents; makes codec and latents first if the run has none."""
    run = common.directory()
    flags = {"generator.kind": model, "generator.size": size, "generator.steps": steps, "generator.minutes": minutes}
    bring_up_to_date(common, run, changed(common, run, flags), "generator", next_command="expand")


@app.command()
@with_common
def expand(
    common: Common,
    factor: Annotated[int | None, typer.Option(help="Synthetic images for every real training image.")] = None,
    model: Annotated[str | None, typer.Option(help="Whose images: geca.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Scale of classifier-free guidance; 1 is none.")] = None,
    sampler: Annotated[str | None, typer.Option(help="ddpm, ddim or dpm++.")] = None,
    sampling_steps: Annotated[int | None, typer.Option(help="Diffusion steps from noise to an image.")] = None,
    updates: Annotated[int | None, typer.Option(metavar="M", help="GeCA: updates in one diffusion step.")] = None,
) -> None:
    """Draw synthetic images: `factor` for every real training image, with its labels."""
    run = common.directory()
    flags = {
        "generator.kind": model, "expand.factor": factor, "expand.guidance": guidance, "expand.sampler": sampler,
        "expand.sampling_steps": sampling_steps, "expand.updates": updates,
    }  # fmt: skip
    bring_up_to_date(common, run, changed(common, run, flags), "expand", next_command="classify")


@app.command()
@with_common
def classify(
    common: Common,
    folds: Annotated[int | None, typer.Option(help="How many folds the run has; refused if it has others.")] = None,
    arms: Annotated[str | None, typer.Option(metavar="A,B,C", help="Training sets to compare.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, the same for every arm.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Start from this safetensors file.")] = None,
) -> None:
    """Train classifiers with and without synthetic images; test them on patients that nothing has seen."""
    run = common.directory()
    recipe = changed(common, run, {"classify.steps": steps, "classify.weights": _path(weights)})
    if folds is not None:
        plan.refuse_other_folds(run, folds)
    kinds = [name.strip() for name in arms.split(",")] if arms else []
    bring_up_to_date(common, run, recipe, "classify", kinds=kinds, next_command="report")


@app.command()
@with_common
def report(common: Common) -> None:
    """Write the report: one self-contained page."""
    run = common.directory()
    bring_up_to_date(common, run, changed(common, run, {}), "report")


@app.command("run")
@with_common
def run_recipe(
    common: Common,
    recipe: Annotated[
        str | None, typer.Argument(help="A shipped recipe's name or a TOML file; left out: the run's own.")
    ] = None,
) -> None:
    """Do everything that the recipe asks for and that is not up to date."""
    command.run_chain(common, recipe)


@app.command()
@with_common
def status(common: Common) -> None:
    """Say what is done, running, stale or missing, fold by fold."""
    run = common.directory()
    recipe = recipes.parse(run.recipe_text(), [*common.changes])
    rows = [
        {
            "stage": a.stage,
            "kind": a.kind,
            "fold": a.fold,
            "state": plan.state_of(run, recipe, a),
            "command": run.typed(plan.command_for(a, "" if recipe.ingest.source else "SOURCE")),
        }
        for a in plan.everything(run, recipe)
        if not common.fold or a.fold is None or a.fold in common.fold
    ]
    if common.json:
        command.print_json({"run": str(run.root.resolve()), "stages": rows})
        return
    shown = [(r["stage"], r["kind"] or "", "" if r["fold"] is None else r["fold"], r["state"]) for r in rows]
    console.table(("stage", "kind", "fold", "state"), shown)
    todo = next((str(r["command"]) for r in rows if r["state"] not in ("done", "running")), None)
    if todo and not common.quiet:
        console.next_command(todo)


def _path(path: Path | None) -> str | None:
    return str(path.resolve()) if path else None


def run() -> None:
    """Run the command line; every bad ending is a sentence and an exit code."""
    json_asked = "--json" in sys.argv
    with command.ending(json_asked):
        # On its own, Typer prints what it does not understand; with --json that, too, has to be an object.
        sys.exit(app(prog_name="medsynth", standalone_mode=not json_asked))
