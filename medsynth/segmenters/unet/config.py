"""Settings of the U-Net that segments."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Segmenting


class Config(Segmenting):
    """Settings of the U-Net that segments."""

    PARITY: ClassVar[dict[str, Any]] = {"size": "paper"}

    kind: Literal["unet"] = "unet"
    """diffusers' U-Net, which draws a mask at once."""
    size: Literal["tiny", "small", "paper"] = "small"
    """paper: 9.9 million parameters, about as many as the U-Net that light-weight networks are compared with; small:
    0.6; tiny: 0.07."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
