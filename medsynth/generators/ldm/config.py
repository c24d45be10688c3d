"""Settings of LDM."""

from typing import Any, ClassVar, Literal

from medsynth.settings import Denoising


class Config(Denoising):
    """Settings of LDM."""

    # Rombach et al. 2022, trained as the baseline of Elbatel et al. 2024.
    PARITY: ClassVar[dict[str, Any]] = {"size": "b", "noise_schedule": "scaled-linear"}

    kind: Literal["ldm"] = "ldm"
    """A U-Net that denoises latents."""
    size: Literal["tiny", "b"] = "tiny"
    """b: 17.2 million parameters, as the GeCA paper's LDM-B; tiny: 5.0 million, for two CPU cores."""
    codec: str | None = None
    """Codec whose latents are learnt; left out: the run's codec.kind."""
