"""The whole chain, what came of it, and how far it is."""

from typing import Annotated

import typer

from medsynth import command, console, plan
from medsynth import recipe as recipes
from medsynth.chain import SKIPPABLE
from medsynth.cli.app import app
from medsynth.command import Common, bring_up_to_date, changed
from medsynth.errors import BadUsage
from medsynth.options import GENERATORS, Preset, with_common
from medsynth.report import papers
from medsynth.report.collect import collect
from medsynth.report.words import listed

PANEL = "The whole of it"


@app.command(rich_help_panel=PANEL)
@with_common
def report(
    common: Common,
    form: Annotated[
        str | None, typer.Option("--format", help=f"Also print a table for papers: {listed(papers.FORMATS, 'or')}.")
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="With --format: of the segmenters.")] = False,
) -> None:
    """Write the report: one self-contained page."""
    run = common.directory()
    if form is not None and form not in papers.FORMATS:
        raise BadUsage(f"there is no format {form!r}", hint=f"--format {listed(papers.FORMATS, 'or')}")
    if masks and form is None:
        raise BadUsage("--masks says of whom the table is that --format prints", hint="--format markdown --masks")
    recipe = changed(common, run, {})
    if form is None:
        bring_up_to_date(common, run, recipe, "report")
    elif not common.dry_run:
        command.carry_out(common, run, recipe, "report")
        found = collect(a for a in plan.everything(run, recipe) if a.exists())
        print(papers.table(found, form, of_masks=masks), end="")


@app.command("run", rich_help_panel=PANEL)
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
    skip: Annotated[list[str], typer.Option(help=f"Leave this out; may be repeated: {listed(SKIPPABLE, 'or')}.")] = [],  # noqa: B006
) -> None:
    """Do everything that the recipe asks for and that is not up to date."""
    command.run_chain(common, recipe, preset, model, skip)


@app.command(rich_help_panel=PANEL)
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


@app.command(rich_help_panel=PANEL)
@with_common
def demo(
    common: Common,
    model: Annotated[
        list[str],
        typer.Option(help=f"This generator, or this variant of --task segment; may be repeated: {GENERATORS}."),
    ] = [],  # noqa: B006
    task: Annotated[
        str, typer.Option(help="classify: do synthetic images help? segment: how well are masks found?")
    ] = ("classify"),
) -> None:
    """Draw a cohort, run the whole chain on it, write the report: minutes on two CPU cores."""
    from medsynth import demo as demonstration

    demonstration.run(common, model, task)
