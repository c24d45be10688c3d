"""Settings of the identity codec: there are none."""

from typing import Literal

from pydantic import BaseModel

from medsynth.settings import STRICT


class Config(BaseModel):
    """Settings of the identity codec."""

    model_config = STRICT

    kind: Literal["identity"] = "identity"
    """Pixels as they are."""
