"""Settings of LlamaGen."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Below1, Positive, Schedule, Share, Watched


class Config(Watched):
    """Settings of LlamaGen."""

    # The paper on colour fundus images: GPT-XL on 32 x 32 tokens; no warm-up, schedule or running mean is told of.
    PARITY: ClassVar[dict[str, Any]] = {
        "size": "xl", "dropout": 0.1, "label_dropout_rate": 0.1, "epochs": 300, "batch_size": 32,
        "learning_rate": 1e-4, "warmup_steps": 0, "schedule": "constant", "betas": (0.9, 0.95), "weight_decay": 0.05,
        "clip_norm": 1.0, "ema": 0.0,
    }  # fmt: skip

    kind: Literal["llamagen"] = "llamagen"
    """A transformer that draws an image's tokens one after the other."""
    size: Literal["tiny", "s", "b", "l", "xl"] = "tiny"
    """Width and depth: b, l and xl as published (111, 343 and 775 million parameters), s for a thousand images, tiny
    for two CPU cores."""
    codec: str | None = "vq"
    """Codec whose tokens are learnt."""
    dropout: Below1 = 0.3
    """How much is hidden of the tokens' embeddings and of what attention and MLP answer, in training; 0.1 in the
    paper."""
    label_dropout_rate: Share = 0.1
    """How often labels are hidden."""

    # With 400 images the loss on new patients is lowest after 1000 steps of 16, and more dropout keeps it there.
    steps: Positive = 2000
    batch_size: Positive = 16
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    schedule: Schedule = "cosine"
    betas: tuple[Below1, Below1] = (0.9, 0.95)
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    ema: Share = 0.998
    preview_every: Annotated[int, Field(ge=0)] = 1000
