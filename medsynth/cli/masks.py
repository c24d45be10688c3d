"""Masks: learn to make them, test them."""

from typing import Annotated

import typer

from medsynth import variants
from medsynth.arms import Arm
from medsynth.arms import named as learned_from
from medsynth.cli.app import app, names
from medsynth.command import Common, bring_up_to_date, changed
from medsynth.errors import BadUsage
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
    arms: Annotated[
        str, typer.Option(help="What is learned from: real, or real+GENERATOR for its images and masks, too.")
    ] = "real",
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long instead of a number of steps.")] = None,
) -> None:
    """Learn masks from training patients, test them on patients that nothing has seen."""
    run = common.directory()
    asked = [*dict.fromkeys(variant)] or [changed(common, run, {}).segment.kind]
    flags = {
        f"segment.{name}.{key}": value for name in asked for key, value in (("steps", steps), ("minutes", minutes))
    }
    kinds = [f"{name}{_beside_real(arm)}" for name in asked for arm in dict.fromkeys(names(arms) or [])]
    bring_up_to_date(common, run, changed(common, run, flags), "segment", kinds=kinds, next_command="report")


def _beside_real(arm: str) -> str:
    """What an arm adds to a segmenter's name. Raises BadUsage for an arm that segmenters do not have."""
    found = learned_from(arm, main_generator="")
    if found == Arm(generator=found.generator) and found.generator != "":
        return f"{variants.WITH}{found.generator}" if found.generator else ""
    raise BadUsage(f"segmenters have no arm {arm!r}", hint="--arms real,real+geca")
