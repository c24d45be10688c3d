"""Settings of the kl codec."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Fitting, Masked, Positive, Schedule


class Config(Masked, Fitting):
    """Settings of the kl codec."""

    # The shape of sd-vae-ft, which Elbatel et al. 2024 took as it came: `weights` imports it.
    PARITY: ClassVar[dict[str, Any]] = {"factor": 8, "channels": 4, "width": 128, "blocks": 2}

    kind: Literal["kl"] = "kl"
    """A variational autoencoder with continuous latents."""
    factor: Literal[2, 4, 8, 16] = 8
    """Pixels per latent cell, a side."""
    channels: Positive = 32
    """Channels of the latent; with masks there are half as many more, so that the picture loses nothing to its mask."""
    width: Positive = 16
    """Channels of the autoencoder's first level; the next has twice as many, those below four times."""
    blocks: Positive = 1
    """Residual blocks a level."""
    shortcut: bool = True
    """Begin as the best linear code of small patches, which the network then refines; without it, from nothing."""
    kl_weight: Annotated[float, Field(ge=0)] = 1e-6
    """Weight of the Kullback-Leibler term against the reconstruction error of a pixel."""
    mask_weight: Annotated[float, Field(ge=0)] = 1.0
    """With masks: weight of the mask's loss against the reconstruction error of a pixel."""
    weights: str | None = None
    """Import this local folder (config.json and safetensors, diffusers' format) instead of training."""

    steps: Positive = 600
    batch_size: Positive = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 20
    schedule: Schedule = "cosine"
    ema: Annotated[float, Field(ge=0, le=1)] = 0.99
