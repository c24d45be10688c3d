"""Settings of the toy generator."""

from typing import Literal

from medsynth.settings import Positive, Watched


class Config(Watched):
    """Settings of the toy generator."""

    kind: Literal["toy"] = "toy"
    """A mean for each label, and noise."""
    codec: str | None = None
    """Codec whose latents are learnt; left out: the run's codec.kind."""

    steps: Positive = 2
    batch_size: Positive = 4
