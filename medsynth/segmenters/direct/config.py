"""Settings of the direct automaton."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from medsynth.settings import Positive, Segmenting


class Config(Segmenting):
    """Settings of the direct automaton."""

    # Kalkhof et al. 2023, section 3, and its code. Its Adam forgets fast.
    PARITY: ClassVar[dict[str, Any]] = {
        "filters": "dense", "norm": "none", "shrinks": (4, 1), "rollouts": (64, 64), "patch": 64,
        "learning_rate": 1.6e-3, "betas": (0.5, 0.5), "batch_size": 20, "epochs": 1000, "warmup_steps": 0,
        "schedule": "exponential", "rate_decay": 0.9999, "clip_norm": 0.0, "ema": 0.0,
    }  # fmt: skip

    kind: Literal["direct"] = "direct"
    """Automata that draw a mask in one rollout, on a coarse grid and then on the image's own, as in Med-NCA."""
    channels: Annotated[int, Field(ge=8)] = 32
    """Channels of a cell, those of the image among them."""
    hidden: Positive = 128
    """Width of a cell's hidden layer."""
    filters: Literal["depthwise", "dense"] = "depthwise"
    """What a cell sees of its neighbours: two filters a channel, or two that mix all channels, as in the paper."""
    norm: Literal["none", "layer", "rms"] = "rms"
    """Norm of a cell's hidden layer; none: as in the paper."""
    fire_rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Probability with which a cell takes part in a step."""
    shrinks: tuple[Positive, ...] = (4, 1)
    """How many times coarser the grid of each level is than the image; the last is 1."""
    rollouts: tuple[Positive, ...] = (16, 12)
    """Steps on each level."""
    patch: Annotated[int, Field(ge=0)] = 0
    """Train the finest level on a square of so many pixels a side, cut out at random; 0: on the whole image."""
    ensemble: Positive = 5
    """Runs that a mask is combined from: which cells fire differs from run to run."""

    @field_validator("shrinks")
    @classmethod
    def _ends_fine(cls, shrinks: tuple[int, ...]) -> tuple[int, ...]:
        if not shrinks or shrinks[-1] != 1:
            raise ValueError("the last level is the image itself: 1, as in 4,1")
        return shrinks

    @field_validator("rollouts")
    @classmethod
    def _one_a_level(cls, rollouts: tuple[int, ...], others: Any) -> tuple[int, ...]:
        levels = len(others.data.get("shrinks", rollouts))
        if len(rollouts) != levels:
            raise ValueError(f"there are {levels} levels, and a number of steps is meant for each")
        return rollouts
