"""Settings of LDM."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Positive, Share, Watched


class Config(Watched):
    """Settings of LDM."""

    # Rombach et al. 2022, trained as the baseline of Elbatel et al. 2024: as long as GeCA.
    PARITY: ClassVar[dict[str, Any]] = {
        "epochs": 14000,
        "size": "b",
        "prediction": "epsilon",
        "noise_schedule": "scaled-linear",
        "min_snr": 0.0,
        "label_dropout": "per-label",
        "batch_size": 128,
        "learning_rate": 1e-4,
        "warmup_steps": 0,
        "schedule": "constant",
        "ema": 0.9999,
    }

    kind: Literal["ldm"] = "ldm"
    """A U-Net that denoises latents."""
    size: Literal["tiny", "b"] = "tiny"
    """b: 17.2 million parameters, as the GeCA paper's LDM-B; tiny: 2.9 million, for two CPU cores."""
    codec: str | None = None
    """Codec whose latents are learnt; left out: the run's codec.kind."""
    prediction: Literal["epsilon", "v", "x0", "flow"] = "v"
    """What the U-Net predicts: the noise, as in the paper, the velocity, the image, or the way of a rectified flow."""
    noise_schedule: Literal["linear", "scaled-linear", "cosine"] = "linear"
    """How noise grows over the 1000 diffusion steps; scaled-linear in the paper."""
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
