"""Settings of DiT."""

from typing import Any, ClassVar, Literal

from medsynth.settings import Denoising, Positive


class Config(Denoising):
    """Settings of DiT."""

    # Peebles & Xie 2023, section 4, trained as the baseline of Elbatel et al. 2024.
    PARITY: ClassVar[dict[str, Any]] = {"size": "s", "patch": 2}

    kind: Literal["dit"] = "dit"
    """A transformer that denoises latents."""
    size: Literal["tiny", "s", "b"] = "tiny"
    """Width and depth: s and b as in the paper (32.7 and 130 million parameters), tiny for two CPU cores."""
    codec: str | None = None
    """Codec whose latents are learnt; left out: the run's codec.kind."""
    patch: Positive | None = None
    """Side, in latent cells, of the square that makes one token; left out: 2 where latents have 16 x 16 cells and more,
    else 1."""
