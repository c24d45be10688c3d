"""Settings of the identity codec: whether it has masks, and no others."""

from typing import Literal

from medsynth.settings import Masked


class Config(Masked):
    """Settings of the identity codec."""

    kind: Literal["identity"] = "identity"
    """Pixels as they are."""
