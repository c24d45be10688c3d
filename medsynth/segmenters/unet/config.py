"""Settings of the U-Net that segments."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Fitting, Positive


class Config(Fitting):
    """Settings of the U-Net that segments."""

    PARITY: ClassVar[dict[str, Any]] = {"size": "paper"}

    kind: Literal["unet"] = "unet"
    """diffusers' U-Net, which draws a mask at once."""
    size: Literal["tiny", "small", "paper"] = "small"
    """paper: 9.9 million parameters, about as many as the U-Net that light-weight networks are compared with; small:
    0.6; tiny: 0.07."""

    steps: Positive = 1000
    batch_size: Positive = 8
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    schedule: Literal["constant", "cosine"] = "cosine"
    ema: Annotated[float, Field(ge=0, le=1)] = 0.99
    preview_every: Annotated[int, Field(ge=0)] = 0
