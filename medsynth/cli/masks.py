"""Masks: learn to make them, test them."""

from typing import Annotated

import typer

from medsynth import variants
from medsynth.cli.app import app
from medsynth.command import Common, bring_up_to_date, changed
from medsynth.options import with_common
from medsynth.recipe import FAMILY_OF
from medsynth.report.words import listed

PANEL = "Segment"
VARIANTS = listed([name for name in variants.names(FAMILY_OF["segment"]) if not name.endswith(variants.COMPAT)], "or")


@app.command(rich_help_panel=PANEL)
@with_common
def segment(
    common: Common,
    variant: Annotated[
        list[str],
        typer.Option(
            help=f"Which segmenter; may be repeated; left out: the recipe's. {VARIANTS}; with {variants.COMPAT} behind "
            "it, as it was published."
        ),
    ] = [],  # noqa: B006
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long instead of a number of steps.")] = None,
) -> None:
    """Learn masks from training patients, test them on patients that nothing has seen."""
    run = common.directory()
    asked = [*dict.fromkeys(variant)] or [changed(common, run, {}).segment.kind]
    flags = {
        f"segment.{name}.{key}": value for name in asked for key, value in (("steps", steps), ("minutes", minutes))
    }
    bring_up_to_date(common, run, changed(common, run, flags), "segment", kinds=asked, next_command="report")
