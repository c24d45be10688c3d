"""Settings of DiT."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Positive, Share, Watched


class Config(Watched):
    """Settings of DiT."""

    # Peebles & Xie 2023, section 4, trained as the baseline of Elbatel et al. 2024.
    PARITY: ClassVar[dict[str, Any]] = {
        "size": "s", "patch": 2, "prediction": "epsilon", "noise_schedule": "linear", "min_snr": 0.0,
        "label_dropout": "per-label", "label_dropout_rate": 0.1, "augment": False,
        "epochs": 14000, "batch_size": 128, "learning_rate": 1e-4, "warmup_steps": 0, "schedule": "constant",
        "weight_decay": 0.0, "ema": 0.9999,
    }  # fmt: skip

    kind: Literal["dit"] = "dit"
    """A transformer that denoises latents."""
    size: Literal["tiny", "s", "b"] = "tiny"
    """Width and depth: s and b as in the paper (32.7 and 130 million parameters), tiny for two CPU cores."""
    codec: str | None = None
    """Codec whose latents are learnt; left out: the run's codec.kind."""
    patch: Positive | None = None
    """Side, in latent cells, of the square that makes one token; left out: 2 where latents have 16 x 16 cells and more,
    else 1."""
    prediction: Literal["epsilon", "v", "x0", "flow"] = "v"
    """What the transformer predicts: the noise, as in the paper, the velocity, the image, or the way of a rectified
    flow, of which no variance is learnt."""
    noise_schedule: Literal["linear", "scaled-linear", "cosine"] = "linear"
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
