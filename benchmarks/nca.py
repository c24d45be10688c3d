"""How much faster an automaton's step is than its textbook form -> docs/benchmarks/nca.*

    python benchmarks/nca.py [--quick] [--device cuda] [--threads 1] [--filters dense] [--use training]

The textbook form is in float32. Both have the same weights and the same cells fire; they are checked to be equal, to
the bit of rounding, before they are timed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import measure
import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth import nca
from medsynth.nca.linear import linear

CHANNELS, HIDDEN, TOLD, STEPS, FIRE_RATE = 64, 512, 5, 10, 0.5
TRAINED, USED = (4, 64), (1, 256)  # images, pixels a side
FILTERS, USES = ("depthwise", "dense"), ("training", "inference")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
AIMS = {"fp32": {"training": 3, "inference": 5}, "bf16": {"training": 5, "inference": 8}}  # times faster

TEXT = f"""# An automaton's step against its textbook form

Once and again the same {STEPS} steps of an automaton with {CHANNELS} channels, the first {TOLD} of which never change,
and a hidden layer of {HIDDEN}; {FIRE_RATE:.0%} of the cells fire. In float32 as it is usually written (channels last;
every cell perceives and is updated, what is not to change is put back, and gradients are torch's own), and as medsynth
does it, with the same weights: outputs differ by less than 1e-4, gradients too. `depthwise`: both 3 x 3 filters look at
one channel each; `dense`: they mix all channels, as published.

Training: loss and gradients of {TRAINED[0]} images of {TRAINED[1]} x {TRAINED[1]} pixels. Inference: {USED[0]} image of
{USED[1]} x {USED[1]} pixels. Ratio: how many times faster, of the medians, and in brackets the lowest and highest of a
round; seconds are the processor's own, of all threads together, on a GPU those of the clock. Fewer: how many times
fewer multiply-accumulates that is, since cells that do not fire are left out, and the way back makes the hidden layer
again. Textbook, medsynth: the share of the time that the products of each would take at the rate at which this machine
multiplies large matrices in that precision (textbook: in float32). Memory: the most that a training step has in use at
a time, as torch counts it, textbook over medsynth.

The parts, by `--filters` and `--use`, may be measured one at a time; those below were, each by a command of its own.
The rounds of one part agree better with each other than with those of another hour, for on a machine that others use,
caches and memory are shared.
"""


@dataclass(frozen=True)
class Case:
    """An automaton and what it is given."""

    automaton: nca.Automaton
    state: Tensor
    fires: Tensor  # (step, image, row, column)

    @classmethod
    def of(cls, depthwise: bool, images: int, side: int, device: str) -> "Case":
        torch.manual_seed(0)
        layout = nca.Layout(visible=1, hidden=CHANNELS - TOLD - 1, condition=TOLD)
        filters = nca.Filters(CHANNELS, depthwise=depthwise)
        form = nca.Form(slope=0.0, last_bias=False)
        automaton = nca.Automaton(layout, filters, nca.mlp(filters.outputs, layout.moving, (HIDDEN,), form))
        torch.nn.init.normal_(automaton.update.last.weight, std=0.02)
        state, fires = torch.randn(images, side, side, CHANNELS), torch.rand(STEPS, images, side, side) < FIRE_RATE
        return cls(automaton.to(device), state.to(device), fires.to(device))

    def plain(self) -> Tensor:
        return textbook(self.automaton, self.state, self.fires)

    def fast(self, dtype: torch.dtype = torch.float32) -> Tensor:
        state = self.state
        with torch.autocast(state.device.type, dtype, enabled=dtype != torch.float32):
            for mask in self.fires:
                state = self.automaton.step(state, mask, fast=True)
        return state

    def inference(self, way: Callable[[], Tensor]) -> None:
        with torch.no_grad():
            way()

    def training(self, way: Callable[[], Tensor]) -> None:
        self.automaton.zero_grad(set_to_none=True)
        way().square().mean().backward()


def textbook(automaton: nca.Automaton, state: Tensor, fires: Tensor) -> Tensor:
    """What every cell sees, a hidden layer with ReLU, a mask, and what never changes put back; state after all steps.

    state (image, row, column, channel); fires (step, image, row, column).
    """
    layer, last, told = automaton.update.inner.layers[0], automaton.update.last, automaton.layout.condition
    for mask in fires:
        around = F.pad(state.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="reflect")
        seen = [each(around).permute(0, 2, 3, 1) for each in automaton.perception.filters]
        hidden = F.relu(F.linear(torch.cat([state, *seen], dim=3), layer.weight, layer.bias))
        change = F.linear(hidden, last.weight) * mask[..., None]
        state = torch.cat([state[..., :told], state[..., told:] + change], dim=3)
    return state


def main() -> None:
    asked = measure.options(__doc__, quick="one round, nothing kept", filters=FILTERS, use=USES)
    uses = [asked.use] if asked.use else [*USES]
    for filters in [asked.filters] if asked.filters else FILTERS:
        found = measured(filters == "depthwise", asked.device, uses, rounds=1 if asked.quick else 3)
        facts = measure.kept("nca").get("cases", {})
        facts[filters] = facts.get(filters, {}) | found
        rows = [row for each in FILTERS for row in shown(each, facts.get(each, {}))]
        measure.write("nca", f"{TEXT}\n{aims(facts)}", rows, {"cases": facts})


def aims(facts: dict[str, Any]) -> str:
    """What was aimed at and what of it was not reached, in sentences."""
    lines = []
    for filters, use in ((filters, use) for filters in FILTERS for use in USES):
        for name, found in facts.get(filters, {}).get(use, {}).items():
            aim = AIMS[name][use]
            if found["ratio"] < aim:
                needed = found["medsynth"] * aim / found["ratio"]
                lines.append(
                    f"- {filters}, {use}, {name}: {found['ratio']:.2f} instead of {aim}. The products being "
                    f"{found['fewer']:.2f} times fewer, {aim} takes {needed:.0%} of the rate of large matrices; it is "
                    f"at {found['medsynth']:.0%}."
                )
    said = "Aimed at: training 3 and inference 5 times faster in float32, 5 and 8 in bfloat16, a fifth of the memory"
    return "\n".join([f"{said}. Not reached:" if lines else f"{said}. All of it was reached.", "", *lines])


def measured(depthwise: bool, device: str, uses: list[str], rounds: int) -> dict[str, Any]:
    """Use -> precision -> all numbers of one perception."""
    fact: dict[str, Any] = {}
    clock = measure.clock_of(device)
    for use in uses:
        case = Case.of(depthwise, *(TRAINED if use == "training" else USED), device)
        what = case.training if use == "training" else case.inference
        if use == "training":
            checked(case)
        rates = {name: [measure.gemm_rate(linear, dtype, device, clock)] for name, dtype in PRECISIONS.items()}
        fast = [partial(what, partial(case.fast, dtype)) for dtype in PRECISIONS.values()]
        plain, *ours = measure.in_turns([partial(what, case.plain), *fast], rounds, clock=clock)
        products = {way: multiplications(case, depthwise, use, way) for way in ("plain", "fast")}
        fact[use] = {}
        for (name, dtype), seconds in zip(PRECISIONS.items(), ours, strict=True):
            rate = (rates[name][0] + measure.gemm_rate(linear, dtype, device, clock)) / 2
            took = measure.compared(plain, seconds)
            fact[use][name] = took.facts() | {
                "shown": took.shown(),
                "fewer": products["plain"] / products["fast"],
                "textbook": 2 * products["plain"] / rates["fp32"][0] / took.a_seconds,
                "medsynth": 2 * products["fast"] / rate / took.b_seconds,
            }
        if use == "training":
            peaks = {way: megabytes(way, depthwise, device) for way in ("plain", *PRECISIONS)}
            for name in PRECISIONS:
                fact[use][name] |= {"megabytes": peaks[name], "memory": peaks["plain"] / peaks[name]}
    return fact


def checked(case: Case) -> None:
    """Raises where the two ways do not come to the same."""
    weights = [*case.automaton.parameters()]
    fast, plain = case.fast(), case.plain()
    ours, theirs = (torch.autograd.grad(each.square().mean(), weights) for each in (fast, plain))
    torch.testing.assert_close(fast, plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def shown(filters: str, fact: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each use and precision that was measured."""
    return [
        {
            "filters": filters, "use": use, "products in": name, "ratio": found["shown"],
            **{key: f"{found[key]:.2f}" for key in ("fewer", "textbook", "medsynth")},
            "memory": f"{found['memory']:.1f}" if "memory" in found else "",
        }
        for use in USES if use in fact for name, found in fact[use].items()
    ]  # fmt: skip


def multiplications(case: Case, depthwise: bool, use: str, way: str) -> float:
    """Multiply-accumulates of `training` or `inference` in the `plain` or the `fast` way."""
    cells, firing = float(case.fires.numel()), float(case.fires.sum())
    filters = 2 * 9 * CHANNELS * (1 if depthwise else CHANNELS)
    first, last = 3 * CHANNELS * HIDDEN, HIDDEN * case.automaton.layout.moving
    if way == "plain":
        return (3 if use == "training" else 1) * cells * (filters + first + last)
    once = (cells if depthwise else firing) * filters + firing * (first + last)
    if use == "inference":
        return once
    return once + 3 * cells * filters + firing * (3 * first + 2 * last)  # made again, and twice on the way back


def megabytes(way: str, depthwise: bool, device: str) -> float:
    """What one training step has in use at most beside weights and images, gradients included."""
    case = Case.of(depthwise, *TRAINED, device)
    step = partial(case.training, case.plain if way == "plain" else partial(case.fast, PRECISIONS[way]))
    return measure.peak_megabytes(step, device)


if __name__ == "__main__":
    main()
