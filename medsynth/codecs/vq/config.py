"""Settings of the vq codec."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Below1, Fitting, Positive, Schedule

Weight = Annotated[float, Field(ge=0)]


class Config(Fitting):
    """Settings of the vq codec."""

    # The tokenizer VQ-8 of Sun et al. 2024 as it was trained on ImageNet: 40 epochs of 1.28 million images. The loss
    # on features is LPIPS there, of weights that `lpips_weights` names.
    PARITY: ClassVar[dict[str, Any]] = {
        "factor": 8, "width": 128, "blocks": 2, "codebook": 16384, "dimension": 8, "shortcut": False, "revive": False,
        "edge_weight": 0.0, "pixel_weight": 1.0, "perceptual_weight": 1.0, "adversary_weight": 0.5,
        "adversary_start": 20000, "adversary_norm": "batch", "steps": 400_000, "batch_size": 128,
        "learning_rate": 1e-4, "betas": (0.9, 0.95), "warmup_steps": 0, "schedule": "constant", "ema": 0.9999,
    }  # fmt: skip

    kind: Literal["vq"] = "vq"
    """An autoencoder with a codebook: discrete tokens."""
    factor: Literal[2, 4, 8, 16] = 4
    """Pixels per token, a side."""
    width: Annotated[int, Field(ge=4, multiple_of=4)] = 16
    """Channels of the autoencoder's first level; those of the lowest are four times as many."""
    blocks: Positive = 1
    """Residual blocks a level."""
    codebook: Annotated[int, Field(ge=2, le=65536)] = 1024
    """Entries of the codebook: so many different tokens there are."""
    dimension: Annotated[int, Field(ge=2)] = 8
    """Numbers an entry consists of."""
    shortcut: bool = True
    """Begin as a linear code of small patches with a codebook made for it; without it, from nothing."""
    commitment: Weight = 0.25
    """Weight of the term that draws features towards their entries."""
    entropy_weight: Weight = 0.0
    """Weight of the term that makes features sure of their entries and uses all entries alike; 0 spares its cost."""
    usage_steps: Positive = 50
    """Steps over which the use of the codebook is counted."""
    revive: bool = True
    """Put entries that no token took in these steps beside those most used."""
    pixel_weight: Weight = 1.0
    """Weight of the squared error of pixels."""
    edge_weight: Weight = 0.3
    """Weight of the absolute error of differences between neighbouring pixels."""
    perceptual_weight: Weight = 0.0
    """Weight of the error of features: of LPIPS where its weights are given, else of a small ResNet that first learns
    the labels of the fold's training images."""
    perceptual_steps: Positive = 200
    """Optimiser steps of that ResNet."""
    lpips_weights: str | None = None
    """A local safetensors file with the weights of LPIPS (VGG16); nothing is ever fetched."""
    adversary_weight: Weight = 0.0
    """Weight of a discriminator's verdict on patches; 0: there is none."""
    adversary_start: Annotated[int, Field(ge=0)] = 300
    """The step in which the discriminator comes in; it costs nothing before."""
    adversary_loss: Literal["hinge", "vanilla", "non-saturating"] = "hinge"
    """What the discriminator and its opponent minimise."""
    adversary_adaptive: bool = True
    """Weigh the verdict by the gradients at the last layer, so that it moves it as much as the other errors do."""
    adversary_norm: Literal["group", "batch"] = "group"
    """What the discriminator's layers are normalised over: each image alone, or a process's batch, as published."""
    adversary_learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Step size of the discriminator."""
    adversary_betas: tuple[Below1, Below1] = (0.5, 0.9)
    """As betas, of the discriminator."""
    weights: str | None = None
    """Import this local safetensors file (a published tokenizer's names) instead of training."""
    fine_tune: bool = False
    """Train on from the imported weights."""

    steps: Positive = 400
    batch_size: Positive = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 20
    schedule: Schedule = "cosine"
    ema: Annotated[float, Field(ge=0, le=1)] = 0.98
