"""Time for an image: the whole ensemble of a diffusion, a direct automaton, a U-Net -> docs/benchmarks/segmenters.*

    python benchmarks/segmenters.py [--quick] [--device cuda] [--threads 1]

Networks are as a run has them by default, and untrained: what they find does not change what it takes.
"""

from statistics import median
from typing import Any

import measure
import torch

from medsynth import presets, segmenters, variants
from medsynth.draws import row_draws

NAMES = ("unet", "direct", "basic", "multi", "multicbam", "multi-compat")
SIDES = (64, 128)  # pixels
TOO_MUCH = 2e12  # multiply-accumulates that are worked out instead of waited for, from one run of the ensemble

TEXT = """# What a mask takes

Seconds for one colour image, everything that a mask is combined from included, in float32: the U-Net, which has one
run; the direct automaton, a rollout on a coarse grid and one on the image's own; and MedSegDiffNCA, a diffusion whose
every step is a rollout. `compat`: as published, ten runs of a hundred steps with two dense filters; of it one step of
one run is timed, and counted as often as there are steps and runs. GMAC: multiply-accumulates in thousand millions, as
if all cells fired. Times: how many times the U-Net's seconds. Seconds are the processor's own, of all threads together,
on a GPU those of the clock; medians of the rounds.
"""


def main() -> None:
    asked = measure.options(__doc__, quick="the smaller image once, nothing kept")
    facts = [
        measured(name, side, asked.device, rounds=3 if side == SIDES[0] and not asked.quick else 1)
        for side in SIDES[: 1 if asked.quick else None]
        for name in NAMES
    ]
    measure.write("segmenters", TEXT, [shown(fact, facts) for fact in facts], {"cases": facts})


def settings_of(name: str, **changes: Any) -> Any:
    """What a run has by default under this name."""
    variant = variants.named("segmenters", name)
    config = variants.config("segmenters", name)
    return presets.filled(config, variant.preset or "recommended", variant.fixed | changes)


def measured(name: str, side: int, device: str, rounds: int) -> dict[str, Any]:
    """Seconds, runs, parameters and products of one segmenter and one image."""
    settings = settings_of(name)
    model = _built(settings, device)
    runs = getattr(settings, "ensemble", 1)
    products, part = model.macs((side, side)) * runs, 1
    if products > TOO_MUCH:
        part = runs * settings.sampling_steps
        settings = settings_of(name, ensemble=1, sampling_steps=1)
        model = _built(settings, device)
    image = torch.randn(1, 3, side, side, device=device)

    def mask() -> None:
        model.predict(image, row_draws([0]))

    (seconds,) = measure.in_turns([mask], rounds, warm_up=int(rounds > 1 and part == 1), clock=measure.clock_of(device))
    parameters = sum(each.numel() for each in model.parameters())
    return {
        "segmenter": name, "side": side, "runs": runs, "parameters": parameters, "gmacs": products / 1e9,
        "seconds": median(seconds) * part, "timed_part": 1 / part,
    }  # fmt: skip


def _built(settings: Any, device: str) -> Any:
    torch.manual_seed(0)
    return segmenters.build(settings, channels=3).to(device).eval()


def shown(fact: dict[str, Any], facts: list[dict[str, Any]]) -> dict[str, Any]:
    (unet,) = (other["seconds"] for other in facts if (other["segmenter"], other["side"]) == ("unet", fact["side"]))
    return {
        "segmenter": fact["segmenter"], "pixels": f"{fact['side']} x {fact['side']}", "runs": fact["runs"],
        "parameters": f"{fact['parameters']:,}", "GMAC": f"{fact['gmacs']:,.1f}", "seconds": f"{fact['seconds']:.3g}",
        "times": f"{fact['seconds'] / unet:,.0f}",
    }  # fmt: skip


if __name__ == "__main__":
    main()
