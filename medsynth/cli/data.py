"""Where a run begins: the recipe, the images."""

import shlex
from pathlib import Path
from typing import Annotated, get_args

import typer

from medsynth import recipe as recipes
from medsynth import sections
from medsynth.cli.app import absolute, app, names
from medsynth.command import Common, bring_up_to_date, changed, show
from medsynth.errors import Refused
from medsynth.options import Preset, with_common
from medsynth.report.words import listed
from medsynth.rundir import RunDirectory

PANEL = "Begin"


@app.command(rich_help_panel=PANEL)
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
        raise Refused(f"{directory} already holds a run", hint=f"medsynth status --run {shlex.quote(str(directory))}")
    words = [*([f"preset={preset}"] if preset else []), *common.changes]
    chosen = recipes.load(recipes.locate(recipe), words) if recipe else recipes.parse("", words)
    if not common.dry_run:
        run.save_recipe(recipes.dump(chosen))
    source = shlex.quote(chosen.ingest.source or "SOURCE")
    show(common, run, [], f"medsynth ingest {source} --run {shlex.quote(str(directory))}")


@app.command(rich_help_panel=PANEL)
@with_common
def ingest(
    common: Common,
    source: Annotated[
        Path | None, typer.Argument(help="CSV file, MedMNIST .npz, or folder of class folders or of DICOM files.")
    ] = None,
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
    table: Annotated[Path | None, typer.Option(help="Labels of a folder of DICOM files, if not in it.")] = None,
    frame: Annotated[int | None, typer.Option(help="Frame to take of DICOM files with several, from 1.")] = None,
    checked_for_burned_in_text: Annotated[
        bool,
        typer.Option("--checked-for-burned-in-text", help="Somebody looked: no text in pixels of DICOM files."),
    ] = False,
    allow_bad: Annotated[int | None, typer.Option(help="How many images may be unreadable.")] = None,
    preset: Preset = None,
) -> None:
    """Read and check the images, deal patients to folds."""
    run = RunDirectory.named(common.run) or common.directory()
    flags = {
        "source": str(source.resolve()) if source else None, "image": image, "patient": patient, "eye": eye,
        "mask": mask, "label": label, "labels": names(labels), "classes": names(classes), "split": names(split),
        "image_size": image_size, "folds": folds, "crop": crop, "mirror": mirror, "allow_bad": allow_bad,
        "modality": modality, "every_image_is_a_patient": every_image_is_a_patient or None,
        "table": absolute(table), "frame": frame, "checked_for_burned_in_text": checked_for_burned_in_text or None,
    }  # fmt: skip
    recipe = changed(common, run, {"preset": preset} | {f"ingest.{key}": value for key, value in flags.items()})
    bring_up_to_date(common, run, recipe, "ingest", next_command="train-generator")
