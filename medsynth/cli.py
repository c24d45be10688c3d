"""The command line: words in, one call, result out."""

import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from medsynth import __version__, command, console, plan, sampling, sections
from medsynth import recipe as recipes
from medsynth.command import Common, bring_up_to_date, changed, show
from medsynth.errors import BadUsage, Refused
from medsynth.options import CODECS, GENERATORS, SIZES, Preset, with_common
from medsynth.report.words import listed
from medsynth.rundir import RunDirectory

app = typer.Typer(
    no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="Synthetic medical images, from a folder of scans to a report: do they help on patients never seen?",
)  # fmt: skip


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
def demo(
    common: Common,
    model: Annotated[list[str], typer.Option(help=f"This generator; may be repeated: {GENERATORS}.")] = [],  # noqa: B006
) -> None:
    """Draw a cohort, run the whole chain on it, write the report: minutes on two CPU cores."""
    from medsynth import demo as demonstration

    demonstration.run(common, model)


@app.command()
@with_common
def new(
    common: Common,
    directory: Annotated[Path, typer.Argument(help="The run directory to make.")],
    recipe: Annotated[str | None, typer.Option(help="A shipped recipe's name, or a TOML file.")] = None,
    preset: Preset = None,
) -> None:
    """Start an empty run from a recipe."""
    run = RunDirectory(directory)
    if run.exists():
        raise Refused(f"{directory} already holds a run", hint=f"medsynth status --run {directory}")
    words = [*([f"preset={preset}"] if preset else []), *common.changes]
    chosen = recipes.load(recipes.locate(recipe), words) if recipe else recipes.parse("", words)
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
    classes: Annotated[str | None, typer.Option(metavar="A=0,B=2+3", help="Classes of values of --label.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds that patients are dealt to.")] = None,
    split: Annotated[str | None, typer.Option(metavar="A,B,C", help="Shares to train, select and test on.")] = None,
    crop: Annotated[str | None, typer.Option(help=f"{listed(get_args(sections.Crop), 'or')}.")] = None,
    modality: Annotated[
        str | None, typer.Option(help="fundus, oct, dermoscopy or other: of a fundus mirror images are used, too.")
    ] = None,
    mirror: Annotated[
        bool | None, typer.Option("--mirror/--no-mirror", help="Whether a mirrored image is as plausible.")
    ] = None,
    every_image_is_a_patient: Annotated[
        bool, typer.Option("--every-image-is-a-patient", help="There are no patient ids.")
    ] = False,
    allow_bad: Annotated[int | None, typer.Option(help="How many images may be unreadable.")] = None,
    preset: Preset = None,
) -> None:
    """Read and check the images, deal patients to folds."""
    run = RunDirectory.named(common.run) or common.directory()
    flags = {
        "source": str(source.resolve()) if source else None, "image": image, "patient": patient, "eye": eye,
        "mask": mask, "label": label, "labels": _names(labels), "classes": _names(classes), "split": _names(split),
        "image_size": image_size, "folds": folds, "crop": crop, "mirror": mirror, "allow_bad": allow_bad,
        "modality": modality, "every_image_is_a_patient": every_image_is_a_patient or None,
    }  # fmt: skip
    recipe = changed(common, run, {"preset": preset} | {f"ingest.{key}": value for key, value in flags.items()})
    bring_up_to_date(common, run, recipe, "ingest", next_command="train-generator")


@app.command("train-codec")
@with_common
def train_codec(
    common: Common,
    codec: Annotated[str | None, typer.Option(help=f"{CODECS}.")] = None,
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
    codec: Annotated[str | None, typer.Option(help=f"{CODECS}.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Import this folder (diffusers' format) instead of training.")
    ] = None,
) -> None:
    """Turn images into latents; trains the codec first if the run has none."""
    run = common.directory()
    flags = {"codec.kind": codec, "codec.weights": _path(weights)}
    bring_up_to_date(common, run, changed(common, run, flags), "encode", next_command="train-generator")


@app.command()
@with_common
def tokenize(
    common: Common,
    codec: Annotated[str, typer.Option(help="A codec with a codebook.")] = "vq",
    weights: Annotated[Path | None, typer.Option(help="Import this safetensors file instead of training.")] = None,
) -> None:
    """Turn images into discrete tokens: `encode` with a codec that has a codebook; the run's own codec stays."""
    run = common.directory()
    recipe = changed(common, run, {f"codec.{codec}.weights": _path(weights)})
    if not hasattr(recipe.settings("codec", codec), "codebook"):
        raise BadUsage(f"the codec {codec} has no codebook: its latents are continuous", hint=f"encode --codec {codec}")
    next_command = "train-generator --model llamagen"
    bring_up_to_date(common, run, recipe, "encode", kinds=[codec], next_command=next_command)


@app.command("train-generator")
@with_common
def train_generator(
    common: Common,
    model: Annotated[str | None, typer.Option(help=f"{GENERATORS}.")] = None,
    size: Annotated[str | None, typer.Option(help=f"{SIZES}.")] = None,
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
    model: Annotated[str | None, typer.Option(help=f"Whose images: {GENERATORS}.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Scale of guidance by labels; 1 is none.")] = None,
    guidance_interval: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Where guidance works, as shares of time: 0 clean, 1 noise.")
    ] = None,
    guide: Annotated[
        str | None, typer.Option(help=f"What guidance leads away from: {listed(get_args(sampling.Guide), 'or')}.")
    ] = None,
    guide_updates: Annotated[int | None, typer.Option(metavar="M", help="GeCA: updates of the weaker self.")] = None,
    sampler: Annotated[str | None, typer.Option(help=f"{listed(get_args(sampling.Sampler), 'or')}.")] = None,
    sampling_steps: Annotated[int | None, typer.Option(help="Diffusion steps from noise to an image.")] = None,
    updates: Annotated[int | None, typer.Option(metavar="M", help="GeCA: updates in one diffusion step.")] = None,
    inherit: Annotated[
        str | None,
        typer.Option(
            help=f"GeCA: what a diffusion step leaves to the next: {listed(get_args(sampling.Inherit), 'or')}."
        ),
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="LlamaGen: of the softmax over tokens.")] = None,
    top_k: Annotated[int | None, typer.Option(help="LlamaGen: draw among so many of the likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="LlamaGen: draw among the likeliest tokens of this probability together.")
    ] = None,
    arithmetic: Annotated[
        str | None, typer.Option(help=f"LlamaGen: {listed(get_args(sampling.Arithmetic), 'or')}.")
    ] = None,
) -> None:
    """Draw synthetic images: `factor` for every real training image, with its labels."""
    run = common.directory()
    flags = {
        "generator.kind": model, "expand.factor": factor, "expand.guidance": guidance, "expand.sampler": sampler,
        "expand.sampling_steps": sampling_steps, "expand.updates": updates, "expand.guide": guide,
        "expand.guidance_interval": _names(guidance_interval), "expand.guide_updates": guide_updates,
        "expand.inherit": inherit, "expand.temperature": temperature, "expand.top_k": top_k, "expand.top_p": top_p,
        "expand.arithmetic": arithmetic,
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
    bring_up_to_date(common, run, recipe, "classify", kinds=list(_names(arms) or ()), next_command="report")


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
    preset: Preset = None,
    model: Annotated[
        list[str], typer.Option(help=f"Only this generator; may be repeated to compare: {GENERATORS}.")
    ] = [],  # noqa: B006
) -> None:
    """Do everything that the recipe asks for and that is not up to date."""
    command.run_chain(common, recipe, preset, model)


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


def _names(text: str | None) -> tuple[str, ...] | None:
    """`a, b` -> ("a", "b")."""
    return tuple(name.strip() for name in text.split(",")) if text else None


def _path(path: Path | None) -> str | None:
    return str(path.resolve()) if path else None


def run() -> None:
    """Run the command line; every bad ending is a sentence and an exit code."""
    json_asked = "--json" in sys.argv
    with command.ending(json_asked):
        # On its own, Typer prints what it does not understand; with --json that, too, has to be an object.
        sys.exit(app(prog_name="medsynth", standalone_mode=not json_asked))
