"""Settings of the parrot."""

from typing import Literal

from medsynth.settings import Positive, Share, Watched


class Config(Watched):
    """Settings of the parrot."""

    kind: Literal["parrot"] = "parrot"
    """It says again what it has heard."""
    codec: str | None = None
    """Codec whose latents are learnt; left out: the run's codec.kind."""
    honest_steps: int = 6
    """Steps after which it begins to say again what it has heard."""
    sound_steps: int = 99
    """Steps after which what it says is no number."""

    steps: Positive = 12
    batch_size: Positive = 4
    ema: Share = 0.0
    watch_every: int = 2
    """Steps between two looks."""
    watch_images: Positive = 6
    log_every: Positive = 1
    preview_every: int = 0
    """Steps between two preview pictures."""
