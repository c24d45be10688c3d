"""Are the images good, are they new, and do they help?"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from medsynth import command, console, plan
from medsynth import recipe as recipes
from medsynth.arms import repeated
from medsynth.byhand import published, store
from medsynth.cli.app import absolute, app, names
from medsynth.command import Common, bring_up_to_date, changed
from medsynth.errors import BadUsage
from medsynth.extractors import OWN
from medsynth.options import GENERATORS, with_common
from medsynth.recipe import Recipe
from medsynth.rundir import RunDirectory

Model = Annotated[list[str], typer.Option(help=f"Whose images; may be repeated; left out: all. {GENERATORS}.")]
Extractor = Annotated[str | None, typer.Option(help="What sees the images: resnet34 is the fold's own classifier.")]
Weights = Annotated[
    list[str],
    typer.Option(metavar="KEY=PATH", help="A local file of weights, of the extractor or of LPIPS; may be repeated."),
]

PANEL = "Judge"


def judged_by(common: Common, run: RunDirectory, extractor: str | None, weights: list[str]) -> Recipe:
    """The run's recipe with an extractor and files of weights in it. Raises BadUsage for a file that nothing reads."""
    flags = {"features.extractor": extractor}
    recipe = changed(common, run, flags)
    reads = {recipe.features.extractor: "features.weights"} if recipe.features.extractor != OWN else {}
    if recipe.evaluate.perceptual in published.OF_LPIPS:
        reads[published.OF_LPIPS[recipe.evaluate.perceptual]] = "evaluate.weights"
    for key, path in store.named_on_the_line(weights).items():
        if key not in reads:
            nets = [net for net, file in published.OF_LPIPS.items() if file == key]
            another = f"--set evaluate.perceptual={nets[-1]}" if nets else f"--extractor {key}"
            raise BadUsage(f"--weights {key}={path}, but nothing that is asked for reads {key}", hint=another)
        flags[reads[key]] = absolute(path)
    return changed(common, run, flags)


@app.command(rich_help_panel=PANEL)
@with_common
def features(
    common: Common,
    extractor: Extractor = None,
    weights: Weights = [],  # noqa: B006
) -> None:
    """See real and synthetic images as a network sees them; once for all that is measured on them."""
    run = common.directory()
    bring_up_to_date(common, run, judged_by(common, run, extractor, weights), "features", next_command="evaluate")


@app.command(rich_help_panel=PANEL)
@with_common
def evaluate(
    common: Common,
    model: Model = [],  # noqa: B006
    extractor: Extractor = None,
    weights: Weights = [],  # noqa: B006
) -> None:
    """Measure how well synthetic images resemble those of new patients, and how different they are from each other."""
    run = common.directory()
    recipe = judged_by(common, run, extractor, weights)
    bring_up_to_date(common, run, recipe, "evaluate", kinds=model, next_command="audit")


@app.command(rich_help_panel=PANEL)
@with_common
def audit(
    common: Common,
    model: Model = [],  # noqa: B006
    extractor: Extractor = None,
    weights: Weights = [],  # noqa: B006
    threshold: Annotated[
        float | None, typer.Option(help="Share of synthetic images that may be closer than new patients' images are.")
    ] = None,
) -> None:
    """Look for training images and training patients among the synthetic images."""
    run = common.directory()
    typed = [] if threshold is None else [f"audit.threshold={threshold}"]
    recipe = judged_by(replace(common, changes=(*typed, *common.changes)), run, extractor, weights)
    bring_up_to_date(common, run, recipe, "audit", kinds=model, next_command="report")


@app.command(rich_help_panel=PANEL)
@with_common
def classify(
    common: Common,
    folds: Annotated[int | None, typer.Option(help="How many folds the run has; refused if it has others.")] = None,
    arms: Annotated[str | None, typer.Option(metavar="A,B,C", help="Training sets to compare.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, the same for every arm.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of every arm.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Start from this safetensors file.")] = None,
) -> None:
    """Train classifiers with and without synthetic images; test them on patients that nothing has seen."""
    run = common.directory()
    flags = {"classify.steps": steps, "classify.seeds": seeds, "classify.weights": absolute(weights)}
    recipe = changed(common, run, flags)
    if folds is not None:
        plan.refuse_other_folds(run, folds)
    asked = repeated(list(names(arms) or ()), recipe.classify.seeds)
    bring_up_to_date(common, run, recipe, "classify", kinds=asked, next_command="report")


@app.command(rich_help_panel=PANEL)
@with_common
def compare(common: Common) -> None:
    """Compare the classifiers: differences on the same patients, with intervals and p-values."""
    run = common.directory()
    bring_up_to_date(common, run, changed(common, run, {}), "compare", next_command="report")


@app.command(rich_help_panel=PANEL)
@with_common
def export(
    common: Common,
    directory: Annotated[Path, typer.Argument(help="The folder to make.")],
    model: Annotated[str | None, typer.Option(help=f"Whose images; left out: the recipe's. {GENERATORS}.")] = None,
    form: Annotated[str, typer.Option("--format", help="folder (images, metadata.csv), dicom or npz.")] = "folder",
    acknowledge_risk: Annotated[
        str | None, typer.Option(metavar="REASON", help="Export a set that has not passed its audit, and say why.")
    ] = None,
) -> None:
    """Write a fold's synthetic images as a data set of their own; they have to have passed the audit."""
    from medsynth import export as exports  # reads pixels: not for --help

    run = common.directory()
    kind, fold = model or recipes.parse(run.recipe_text()).generator.kind, common.fold[0] if common.fold else 0
    facts = exports.run(run, exports.Asked(directory, kind, fold, form, acknowledge_risk or ""))
    if common.json:
        command.print_json({"run": str(run.root.resolve()), "folder": str(directory.resolve()), **facts})
    else:
        console.outcome(f"export {kind}, fold {fold}", "done", facts)
        if not facts["audit_passed"] and not common.quiet:
            console.next_command(run.typed("report --force"))  # where the reason is to be read
