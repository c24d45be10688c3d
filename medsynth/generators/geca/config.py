"""Settings of GeCA."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Positive, Share, Watched


class Config(Watched):
    """Settings of GeCA."""

    # Elbatel et al. 2024, section 3; its code hides each label alone.
    PARITY: ClassVar[dict[str, Any]] = {
        "size": "s", "updates": 12, "fire_rate": 0.5, "prediction": "epsilon", "noise_schedule": "linear",
        "min_snr": 0.0, "label_dropout": "per-label", "label_dropout_rate": 0.1, "augment": False, "heredity": 0.0,
        "epochs": 14000, "batch_size": 128, "learning_rate": 1e-4, "warmup_steps": 0, "schedule": "constant",
        "weight_decay": 0.0, "ema": 0.9999,
    }  # fmt: skip

    kind: Literal["geca"] = "geca"
    """A cellular automaton that denoises latents."""
    size: Literal["tiny", "xs", "s"] = "tiny"
    """Width of a cell's rule: s and xs as in the paper (13.3 and 2.3 million parameters), tiny for two CPU cores."""
    codec: str | None = None
    """Codec whose latents are learnt; left out: the run's codec.kind."""
    updates: Positive = 4
    """M, updates of the automaton in one diffusion step; 12 in the paper, with 32 x 32 cells."""
    fire_rate: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Probability with which a cell takes part in an update; 0.5 in the paper, where 12 updates make up for it."""
    prediction: Literal["epsilon", "v", "x0", "flow"] = "v"
    """What the automaton predicts: the noise, as in the paper, the velocity, which learns faster, the image, or the way
    of a rectified flow."""
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
    heredity: Share = 0.0
    """Share of training examples that grow from the hidden state which a pass before left, as they do in sampling; 0:
    none, as in the paper, where hundreds of small diffusion steps make up for it."""
    recompute: bool = False
    """Keep only the states between updates and compute the rest again backwards: far less memory, a third more time."""

    steps: Positive = 5000
    batch_size: Positive = 16
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    schedule: Literal["constant", "cosine"] = "cosine"
    ema: Share = 0.998
    preview_every: Annotated[int, Field(ge=0)] = 1000
