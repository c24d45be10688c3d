"""Settings of iDDPM."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Positive, Share, Watched


class Config(Watched):
    """Settings of iDDPM."""

    # Labels are hidden here, too, which the paper does not do: without it guidance had nothing to lead away from.
    # As long as Nichol and Dhariwal 2021, table 1, on 64 x 64 pixels.
    PARITY: ClassVar[dict[str, Any]] = {
        "steps": 1_500_000,
        "size": "paper",
        "prediction": "epsilon",
        "noise_schedule": "cosine",
        "min_snr": 0.0,
        "batch_size": 128,
        "learning_rate": 1e-4,
        "warmup_steps": 0,
        "schedule": "constant",
        "ema": 0.9999,
    }

    kind: Literal["iddpm"] = "iddpm"
    """A U-Net that denoises pixels and learns its variance."""
    size: Literal["tiny", "paper"] = "tiny"
    """paper: the 121 million parameters of the paper's model for 64 x 64 pixels; tiny: 0.7, for two CPU cores."""
    codec: str | None = "identity"
    """Codec whose latents are learnt; identity: pixels, as in the paper."""
    prediction: Literal["epsilon", "v", "x0", "flow"] = "v"
    """What the U-Net predicts: the noise, as in the paper, the velocity, the image, or the way of a rectified flow, of
    which no variance is learnt. The cosine schedule ends in noise alone, of which the noise says nothing about the
    image: short trainings need the velocity."""
    noise_schedule: Literal["linear", "scaled-linear", "cosine"] = "cosine"
    """How noise grows over the 1000 diffusion steps."""
    min_snr: Annotated[float, Field(ge=0)] = 5.0
    """Gamma of the min-SNR loss weight; 0 weighs every noise level alike, as in the paper."""
    label_dropout: Literal["whole", "per-label"] = "whole"
    """What is hidden for classifier-free guidance: all labels at once, for a learned null, or each label alone."""
    label_dropout_rate: Share = 0.1
    """How often labels are hidden."""
    augment: bool = False
    """Learn from moved images, too, and be told how they were moved; needs encode.augmented."""

    steps: Positive = 5000
    batch_size: Positive = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    schedule: Literal["constant", "cosine"] = "cosine"
    ema: Share = 0.998
    preview_every: Annotated[int, Field(ge=0)] = 1000
