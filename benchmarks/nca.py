"""How much faster an automaton's step is than its textbook form -> docs/benchmarks/nca.*

    python benchmarks/nca.py [--quick] [--device cuda] [--threads 2]

The textbook form is in float32. Both have the same weights and the same cells fire; they are checked to be equal, to
the bit of rounding, before they are timed.
"""

import sys
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

TEXT = f"""# An automaton's step against its textbook form

Once and again the same {STEPS} steps of an automaton with {CHANNELS} channels, the first {TOLD} of which never change,
and a hidden layer of {HIDDEN}; {FIRE_RATE:.0%} of the cells fire. In float32 as it is usually written (channels last;
every cell perceives and is updated, what is not to change is put back, and gradients are torch's own), and as medsynth
does it, with the same weights: outputs differ by less than 1e-4, gradients too. `depthwise`: both 3 x 3 filters look at
one channel each; `dense`: they mix all channels, as published.

Training: loss and gradients of {TRAINED[0]} images of {TRAINED[1]} x {TRAINED[1]} pixels. Inference: {USED[0]} image of
{USED[1]} x {USED[1]} pixels. Ratio: how many times faster, of the medians, and in brackets the lowest and highest of a
round. Memory: the most that a training step has in use at a time, as torch counts it, textbook over medsynth. Bound:
the share of the time that the products of the cells that fire would take at the rate at which this machine multiplies
large matrices, measured before and after (dense filters are counted for all cells).
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
    asked = measure.options(__doc__, quick="three rounds, nothing kept")
    rows, facts = [], []
    for depthwise in (True, False):
        fact = measured(depthwise, asked.device, rounds=3 if asked.quick else 7)
        facts.append(fact)
        rows += shown(fact)
        print(*rows[-2:], sep="\n", file=sys.stderr, flush=True)
    measure.write("nca", TEXT, rows, {"cases": facts})


def measured(depthwise: bool, device: str, rounds: int) -> dict[str, Any]:
    """All numbers of one perception."""
    trained, used = (Case.of(depthwise, *size, device) for size in (TRAINED, USED))
    checked(trained)
    fact: dict[str, Any] = {"filters": "depthwise" if depthwise else "dense"}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found: dict[str, Any] = {}
        for case, what, passes in ((used, used.inference, 1), (trained, trained.training, 4)):
            rates = [measure.gemm_rate(linear, dtype, device)]
            took = measure.interleaved(partial(what, case.plain), partial(what, partial(case.fast, dtype)), rounds)
            rates.append(measure.gemm_rate(linear, dtype, device))
            possible = 2 * passes * multiplications(case, depthwise) / (sum(rates) / 2)
            found[what.__name__] = took.facts() | {"shown": took.shown(), "bound": possible / took.b_seconds}
        fact[name] = found
    fact["megabytes"] = {way: megabytes(way, depthwise, device) for way in ("plain", "fp32", "bf16")}
    return fact


def checked(case: Case) -> None:
    """Raises where the two ways do not come to the same."""
    weights = [*case.automaton.parameters()]
    fast, plain = case.fast(), case.plain()
    ours, theirs = (torch.autograd.grad(each.square().mean(), weights) for each in (fast, plain))
    torch.testing.assert_close(fast, plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def shown(fact: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each precision."""
    rows = []
    for name in ("fp32", "bf16"):
        row = {"filters": fact["filters"], "products in": name}
        for what in ("training", "inference"):
            of = fact[name][what]
            row |= {what: of["shown"], f"{what}: bound": f"{of['bound']:.0%}"}
        rows.append(row | {"memory": f"{fact['megabytes']['plain'] / fact['megabytes'][name]:.1f}"})
    return rows


def multiplications(case: Case, depthwise: bool) -> float:
    """Multiply-accumulates of one pass: the update of the cells that fire, and the filters."""
    cells, moving = case.fires[0].numel(), case.automaton.layout.moving
    filters = 2 * 9 * CHANNELS * (1 if depthwise else CHANNELS)
    return STEPS * cells * filters + float(case.fires.sum()) * (3 * CHANNELS * HIDDEN + HIDDEN * moving)


def megabytes(way: str, depthwise: bool, device: str) -> float:
    """What one training step has in use at most beside weights and images, gradients included."""
    case = Case.of(depthwise, *TRAINED, device)
    dtype = torch.bfloat16 if way == "bf16" else torch.float32
    step = partial(case.training, case.plain if way == "plain" else partial(case.fast, dtype))
    return measure.peak_megabytes(step, device)


if __name__ == "__main__":
    main()
