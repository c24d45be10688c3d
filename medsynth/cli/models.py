"""What learns from images and draws new ones."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from medsynth import kinds, sampling
from medsynth.cli.app import absolute, app, names
from medsynth.command import Common, bring_up_to_date, changed
from medsynth.errors import BadUsage
from medsynth.options import CODECS, GENERATORS, SIZES, with_common
from medsynth.report.words import listed

PANEL = "Learn and draw"

Codec = Annotated[str | None, typer.Option(help=f"{CODECS}.")]
Weights = Annotated[Path | None, typer.Option(help="Import this folder (diffusers' format) instead of training.")]
Steps = Annotated[int | None, typer.Option(help="Optimiser steps.")]
Minutes = Annotated[float | None, typer.Option(help="Train for so long instead of a number of steps.")]
WithMasks = Annotated[
    bool | None,
    typer.Option("--with-masks/--without-masks", help="Learn the mask of each image's lesions as one more channel."),
]


def of_masks(asked: bool | None, codec: str) -> dict[str, Any]:
    """The setting of a codec that --with-masks is. Raises BadUsage for a codec that cannot learn masks."""
    if asked is None:
        return {}
    if "with_masks" not in kinds.config("codecs", codec).model_fields:
        able = [kind for kind in kinds.names("codecs") if "with_masks" in kinds.config("codecs", kind).model_fields]
        raise BadUsage(
            f"the codec {codec} learns no masks; {listed(able, 'and')} do", hint="--with-masks with --model geca or ldm"
        )
    return {f"codec.{codec}.with_masks": asked}


@app.command("train-codec", rich_help_panel=PANEL)
@with_common
def train_codec(
    common: Common,
    codec: Codec = None,
    weights: Weights = None,
    with_masks: WithMasks = None,
    steps: Steps = None,
    minutes: Minutes = None,
) -> None:
    """Train or import the autoencoder."""
    run = common.directory()
    flags = {"codec.kind": codec, "codec.weights": absolute(weights), "codec.steps": steps, "codec.minutes": minutes}
    recipe = changed(common, run, flags)
    flags |= of_masks(with_masks, recipe.codec.kind)
    bring_up_to_date(common, run, changed(common, run, flags), "codec", next_command="encode")


@app.command(rich_help_panel=PANEL)
@with_common
def encode(
    common: Common,
    codec: Codec = None,
    weights: Weights = None,
    with_masks: WithMasks = None,
) -> None:
    """Turn images into latents; trains the codec first if the run has none."""
    run = common.directory()
    flags = {"codec.kind": codec, "codec.weights": absolute(weights)}
    recipe = changed(common, run, flags)
    flags |= of_masks(with_masks, recipe.codec.kind)
    bring_up_to_date(common, run, changed(common, run, flags), "encode", next_command="train-generator")


@app.command(rich_help_panel=PANEL)
@with_common
def tokenize(
    common: Common,
    codec: Annotated[str, typer.Option(help="A codec with a codebook.")] = "vq",
    weights: Annotated[Path | None, typer.Option(help="Import this safetensors file instead of training.")] = None,
) -> None:
    """Turn images into discrete tokens: `encode` with a codec that has a codebook; the run's own codec stays."""
    run = common.directory()
    recipe = changed(common, run, {f"codec.{codec}.weights": absolute(weights)})
    if not hasattr(recipe.settings("codec", codec), "codebook"):
        raise BadUsage(f"the codec {codec} has no codebook: its latents are continuous", hint=f"encode --codec {codec}")
    next_command = "train-generator --model llamagen"
    bring_up_to_date(common, run, recipe, "encode", kinds=[codec], next_command=next_command)


@app.command("train-generator", rich_help_panel=PANEL)
@with_common
def train_generator(
    common: Common,
    model: Annotated[str | None, typer.Option(help=f"{GENERATORS}.")] = None,
    size: Annotated[str | None, typer.Option(help=f"{SIZES}.")] = None,
    with_masks: WithMasks = None,
    steps: Steps = None,
    minutes: Minutes = None,
) -> None:
    """Train the generator on the latents; makes codec and latents first if the run has none."""
    run = common.directory()
    flags = {"generator.kind": model, "generator.size": size, "generator.steps": steps, "generator.minutes": minutes}
    recipe = changed(common, run, flags)
    flags |= of_masks(with_masks, recipe.codec_of(recipe.generator.kind))
    bring_up_to_date(common, run, changed(common, run, flags), "generator", next_command="expand")


@app.command(rich_help_panel=PANEL)
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
        "expand.guidance_interval": names(guidance_interval), "expand.guide_updates": guide_updates,
        "expand.inherit": inherit, "expand.temperature": temperature, "expand.top_k": top_k, "expand.top_p": top_p,
        "expand.arithmetic": arithmetic,
    }  # fmt: skip
    bring_up_to_date(common, run, changed(common, run, flags), "expand", next_command="classify")
