"""How images are learnt and sampled, in words that every generator shares. What a generator has no use for it leaves
alone."""

from dataclasses import dataclass
from typing import Any, Literal

TIMESTEPS = 1000  # levels of noise of a diffusion; 0 is almost clean, TIMESTEPS - 1 almost nothing but noise

Prediction = Literal["epsilon", "v", "x0", "flow"]
NoiseSchedule = Literal["linear", "scaled-linear", "cosine"]
Sampler = Literal["ddpm", "ddim", "dpm++", "unipc"]
Guide = Literal["unlabelled", "weaker"]
Arithmetic = Literal["exact", "int8"]
Inherit = Literal["nothing", "output", "hidden", "both"]


@dataclass(frozen=True)
class Sampling:
    """Solver, guidance, and what is special to cellular automata or to tokens."""

    guidance: float = 1.5
    sampler: Sampler = "dpm++"
    steps: int = 25
    updates: int | None = None  # cellular automata: updates a step; None: as in training
    inherit: Inherit = "nothing"  # cellular automata: what a step leaves
    interval: tuple[float, float] = (0.0, 1.0)  # of t / TIMESTEPS: where guidance works
    guide: Guide = "unlabelled"  # what a prediction is led away from: the one without labels, or a weaker self's
    guide_updates: int | None = None  # cellular automata: updates of the weaker self; None: half
    temperature: float = 1.0  # tokens: of the softmax
    top_k: int = 0  # tokens: so many of the likeliest may be drawn; 0: all
    top_p: float = 1.0  # tokens: the likeliest that together have this probability may be drawn
    arithmetic: Arithmetic = "exact"  # tokens: int8 rounds weights and activations of linear layers

    @classmethod
    def of(cls, settings: Any) -> "Sampling":
        """As the section [expand] of a recipe has it."""
        return cls(
            guidance=settings.guidance,
            sampler=settings.sampler,
            steps=settings.sampling_steps,
            updates=settings.updates,
            inherit=settings.inherit,
            interval=settings.guidance_interval,
            guide=settings.guide,
            guide_updates=settings.guide_updates,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            arithmetic=settings.arithmetic,
        )

    def scale_at(self, t: float) -> float:
        """The scale of guidance at a level of noise; 1 is none (Kynkäänniemi et al. 2024: only where it helps)."""
        low, high = self.interval
        return self.guidance if low <= t / TIMESTEPS <= high else 1.0
