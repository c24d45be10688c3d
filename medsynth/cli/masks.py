"""Masks: learn to make them, test them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from medsynth import command, console, variants
from medsynth.arms import Arm
from medsynth.arms import named as learned_from
from medsynth.cli.app import app, names
from medsynth.command import Common, bring_up_to_date, changed
from medsynth.errors import BadUsage
from medsynth.options import with_common
from medsynth.recipe import FAMILY_OF
from medsynth.report.words import listed
from medsynth.rundir import RunDirectory

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
    apply: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Mask the pictures in it, of any size.")] = None,
    export: Annotated[
        str | None, typer.Option(metavar="onnx", help="Write one run as a file for small devices.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where --apply and --export write to.")] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Pixels of the shorter side for --apply and --export; left out: as in training; 0: as it is."
        ),
    ] = None,
) -> None:
    """Learn masks from training patients, test them on patients that nothing has seen; or mask new pictures."""
    run = common.directory()
    if apply is not None or export is not None:
        _use(common, run, Use(apply, export, out, size), variant)
        return
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


@dataclass(frozen=True)
class Use:
    """What a trained segmenter is used for."""

    apply: Path | None
    export: str | None
    out: Path | None
    size: int | None


def _use(common: Common, run: RunDirectory, use: Use, named: list[str]) -> None:
    """Mask new pictures, or write a segmenter for other programs; nothing of the run changes."""
    if use.apply is not None and use.export is not None:
        raise BadUsage("--apply and --export contradict each other", hint="leave one of them out")
    if use.export not in (None, "onnx"):
        raise BadUsage(f"there is no format {use.export!r}", hint="--export onnx")
    if use.out is None:
        raise BadUsage("it was not said where to", hint="--out FOLDER" if use.apply else "--out FILE.onnx")
    if len(named) > 1 or len(common.fold) > 1:
        raise BadUsage("one segmenter of one fold is meant", hint="one --variant, one --fold")
    name = named[0] if named else changed(common, run, {}).segment.kind
    fold = common.fold[0] if common.fold else 0
    facts = _applied(common, run, use, name, fold) if use.apply else _exported(run, use, name, fold)
    if common.json:
        command.print_json({"run": str(run.root.resolve()), **facts})
    else:
        console.outcome(f"segment {name}, fold {fold}", "done", facts)


def _applied(common: Common, run: RunDirectory, use: Use, name: str, fold: int) -> dict[str, Any]:
    from medsynth import applied  # reads pixels: not for --help

    assert use.apply is not None
    assert use.out is not None
    asked = applied.Asked(use.apply, use.out, name, fold, use.size, command.device(common.device, "segment"))
    with console.progress(common.quiet) as progress:
        return applied.run(run, asked, progress)


def _exported(run: RunDirectory, use: Use, name: str, fold: int) -> dict[str, Any]:
    from medsynth import portable

    assert use.out is not None
    size = (use.size, use.size) if use.size else None
    written = portable.export(run, use.out, name, fold, size)
    checked = "not checked: onnxruntime is not installed" if written.difference is None else f"{written.difference:.2g}"
    inputs = {name: list(shape) for name, shape in written.inputs.items()}
    return {"file": str(written.path), "inputs": inputs, "difference_from_torch": checked}
