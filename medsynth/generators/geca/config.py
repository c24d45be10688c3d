"""Settings of GeCA."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.sampling import Prediction
from medsynth.settings import Denoising, Positive, Share


class Config(Denoising):
    """Settings of GeCA."""

    # Elbatel et al. 2024, section 3.
    PARITY: ClassVar[dict[str, Any]] = {"size": "s", "updates": 12, "fire_rate": 0.5, "heredity": 0.0}

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
    heredity: Share = 0.0
    """Share of training examples that grow from the hidden state which a pass before left, as they do in sampling; 0:
    none, as in the paper, where hundreds of small diffusion steps make up for it."""
    recompute: bool = False
    """Keep only the states between updates and compute the rest again backwards: less than half the memory, a third
    more time."""

    # Of what was tried, what its pictures came nearest to real ones by: docs/benchmarks/objectives.md.
    prediction: Prediction = "flow"
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
