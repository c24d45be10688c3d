"""Settings of iDDPM."""

from typing import Any, ClassVar, Literal

from medsynth.sampling import NoiseSchedule, Prediction
from medsynth.settings import Denoising


class Config(Denoising):
    """Settings of iDDPM."""

    # Nichol & Dhariwal 2021, section 3 and table 1, on 64 x 64 pixels. Labels are hidden here, too, which the paper
    # does not do: without it guidance had nothing to lead away from.
    PARITY: ClassVar[dict[str, Any]] = {"size": "paper", "noise_schedule": "cosine", "steps": 1_500_000, "epochs": None}

    kind: Literal["iddpm"] = "iddpm"
    """A U-Net that denoises pixels and learns its variance."""
    size: Literal["tiny", "paper"] = "tiny"
    """paper: the 121 million parameters of the paper's model for 64 x 64 pixels; tiny: 0.7, for two CPU cores."""
    codec: str | None = "identity"
    """Codec whose latents are learnt; identity: pixels, as in the paper."""
    prediction: Prediction = "v"
    """What the U-Net predicts: the noise, as in the paper, the velocity, the image, or the way of a rectified flow, of
    which no variance is learnt. The cosine schedule ends in noise alone, of which the noise says nothing about the
    image: short trainings need the velocity."""
    noise_schedule: NoiseSchedule = "cosine"
