"""Masks: learn to make them, test them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from medsynth import command, console, pipeline, plan, variants
from medsynth.arms import Arm
from medsynth.arms import named as learned_from
from medsynth.chain import BY_NAME
from medsynth.cli.app import app, names
from medsynth.command import Common, bring_up_to_date, changed
from medsynth.errors import BadUsage
from medsynth.options import with_common
from medsynth.recipe import FAMILY_OF
from medsynth.report.words import listed
from medsynth.rundir import RunDirectory

PANEL = "Segment"
SMALLEST, LARGEST = 8, 8000  # pixels of --size
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
    apply: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Mask the pictures in it, as training saw such pictures.")
    ] = None,
    export: Annotated[
        str | None, typer.Option(metavar="onnx", help="Write one run as a file for small devices.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where --apply and --export write to.")] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="With --apply: look at whole pictures, so many pixels on the shorter side, 0: as they are, which "
            "takes memory (0.4 GB a megapixel for two runs of 16 channels); only the scale of training was tested. "
            "With --export: pixels a side of the file's images."
        ),
    ] = None,
) -> None:
    """Learn masks from training patients, test them on patients that nothing has seen; or mask new pictures."""
    run = common.directory()
    for name in variant:
        _refuse_unknown(name)
    if apply is not None or export is not None:
        _refuse_idle({"--steps": steps, "--minutes": minutes} | _of_training(common), "a segmenter that is trained")
        _use(common, run, Use(apply, export, out, size), _meant(common, run, variant, arms))
        return
    _refuse_idle({"--out": out, "--size": size}, "a training", "--apply FOLDER, or --export onnx, beside them")
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


def _refuse_unknown(variant: str) -> None:
    """Raise BadUsage for what is no segmenter's name."""
    plain, generator = variants.parted(variant)
    if generator:
        raise BadUsage(
            f"{variant!r} says what is learned from, too",
            hint=f"--variant {plain} --arms real{variants.WITH}{generator}",
        )
    variants.named(FAMILY_OF["segment"], variant)


def _of_training(common: Common) -> dict[str, Any]:
    return {"--set": common.changes or None, "--force": common.force or None, "--force-leak": common.force_leak}


def _refuse_idle(given: dict[str, Any], on: str, otherwise: str = "") -> None:
    """Raise BadUsage for options that were given and would change nothing; what was not given is None."""
    idle = [name for name, value in given.items() if value is not None]
    if idle:
        hint = f"leave {listed(idle, 'and')} out" + (f"; or {otherwise}" if otherwise else "")
        raise BadUsage(f"{listed(idle, 'and')} would have no effect on {on}", hint=hint)


@dataclass(frozen=True)
class Use:
    """What a trained segmenter is used for."""

    apply: Path | None
    export: str | None
    out: Path | None
    size: int | None

    def check(self, device: str) -> None:
        """Raise BadUsage for what contradicts itself or cannot be."""
        if self.apply is not None and self.export is not None:
            raise BadUsage("--apply and --export contradict each other", hint="leave one of them out")
        if self.export not in (None, "onnx"):
            raise BadUsage(f"there is no format {self.export!r}", hint="--export onnx")
        if self.out is None:
            raise BadUsage("it was not said where to", hint="--out FOLDER" if self.apply else "--out FILE.onnx")
        if self.export is not None and device == "cuda":
            raise BadUsage("a file is written by the CPU", hint="leave --device out")
        whole = self.apply is not None and self.size == 0
        if self.size is not None and not whole and not SMALLEST <= self.size <= LARGEST:
            hint = f"--size {SMALLEST} to {LARGEST}" + ("; 0: as it is" if self.apply is not None else "")
            raise BadUsage(f"--size {self.size} is no size of an image", hint=hint)


def _meant(common: Common, run: RunDirectory, named: list[str], arms: str) -> tuple[str, int]:
    """The one segmenter, and the one fold. Raises BadUsage for several, Refused for a fold that is not there."""
    asked = [*dict.fromkeys(names(arms) or [])]
    if len(named) > 1 or len(common.fold) > 1 or len(asked) != 1:
        raise BadUsage("one segmenter of one fold is meant", hint="one --variant, one of --arms, one --fold")
    recipe = changed(common, run, {})
    (fold,) = plan.folds_of(run, recipe, [common.fold[0] if common.fold else 0])
    return f"{named[0] if named else recipe.segment.kind}{_beside_real(asked[0])}", fold


def _use(common: Common, run: RunDirectory, use: Use, meant: tuple[str, int]) -> None:
    """Mask new pictures, or write a segmenter for other programs; nothing of the run changes."""
    use.check(common.device)
    name, fold = meant
    pipeline.limit_threads(common.threads, BY_NAME["segment"])
    facts = (_applied if use.apply is not None else _exported)(common, run, use, name, fold)
    if common.dry_run:
        command.show_forecast(common, run, [{"name": f"segment {name}, fold {fold}", "state": "to be used", **facts}])
    elif common.json:
        command.print_json({"run": str(run.root.resolve()), **facts})
    else:
        notes = facts.pop("notes")
        console.outcome(f"segment {name}, fold {fold}", "done", facts)
        for sentence in [] if common.quiet else notes:
            console.note(sentence)


def _applied(common: Common, run: RunDirectory, use: Use, name: str, fold: int) -> dict[str, Any]:
    from medsynth import applied  # reads pixels: not for --help

    assert use.apply is not None
    assert use.out is not None
    asked = applied.Asked(use.apply, use.out, name, fold, use.size, command.device(common.device, "segment"))
    if common.dry_run:
        return {"pictures": len(applied.found(run, asked)), "folder": str(use.out)}
    with console.progress(common.quiet) as progress:
        return applied.run(run, asked, progress)


def _exported(common: Common, run: RunDirectory, use: Use, name: str, fold: int) -> dict[str, Any]:
    from medsynth import portable

    assert use.out is not None
    if common.dry_run:
        portable.exportable(run, use.out, name, fold)
        return {"file": str(use.out)}
    size = (use.size, use.size) if use.size else None
    written = portable.export(run, use.out, name, fold, size)
    checked = "not checked: onnxruntime is not installed" if written.difference is None else f"{written.difference:.2g}"
    inputs = {name: list(shape) for name, shape in written.inputs.items()}
    facts = {"file": str(written.path), "inputs": inputs, "difference_from_torch": checked}
    return facts | {"about": written.about, "notes": [*written.marks, *_about_runs(written.about)]}


def _about_runs(about: dict[str, Any]) -> list[str]:
    """What whoever uses a file of one run has to know."""
    if about["runs"] == 1:
        return []
    return [
        f"The file is one run, and what was tested is the {about['combine']} of {about['runs']}, each with numbers of "
        f"its own, at the threshold {about['threshold']}. The file's metadata say so."
    ]
