"""How much faster GeCA is than its textbook form, and how near to what the machine can do -> docs/benchmarks/geca.*

    python benchmarks/geca.py [--quick] [--device cuda] [--threads 2]

The textbook form is in float32. Both have the same weights and are checked to be equal before they are timed.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import measure
import torch
from textbook import textbook
from torch import Tensor, nn

from medsynth.codecs import Code
from medsynth.draws import step_draws
from medsynth.generators.geca.config import Config
from medsynth.generators.geca.model import Model
from medsynth.generators.geca.rule import Rule

UPDATES, FIRE_RATE = 12, 0.5
CASES = (("xs", 16, 4), ("xs", 32, 1), ("s", 16, 2), ("s", 32, 1))  # size, cells a side, batch

TEXT = f"""# GeCA against its textbook form

Once and again the same {UPDATES} updates, {FIRE_RATE:.0%} of the cells firing: in float32 as the paper tells them (all
cells, nine one-hot convolutions, nothing kept from update to update), and as medsynth does them. Ratio: how many times
faster, of the medians, and in brackets the lowest and highest of a round. Training: loss and gradients. Memory: the
most that a training step has in use at a time, as torch counts it, textbook over medsynth; `again` is
generator.recompute.

Bound: what a form that leaves out cells that do not fire has to multiply, at the rate at which this machine multiplies
large matrices, measured before and after; the share of that. medsynth multiplies still less, since keys and values
follow from the state; `own` is the share of the bound for what it does multiply.
"""


@dataclass(frozen=True)
class Case:
    """A model that is awake (no layer is zero) and what it is given."""

    model: Model
    z: Tensor
    t: Tensor
    labels: Tensor
    state: Tensor
    fires: Tensor

    @classmethod
    def of(cls, size: str, side: int, batch: int, device: str, recompute: bool = False) -> "Case":
        torch.manual_seed(0)
        config = Config(size=size, updates=UPDATES, fire_rate=FIRE_RATE, recompute=recompute)
        model = Model(config, code=Code((4, side, side)), labels=11)
        for layer in (model.rule.block.modulation, model.rule.final.modulation, model.rule.final.linear):
            nn.init.normal_(layer.weight, std=0.05)
        draws = step_draws(0, batch)
        given = draws.normal(4, side, side), torch.arange(batch) * 97, draws.uniform(11).round()
        state, fires = model.seed_state(draws), model.fires(draws, UPDATES)
        return cls(model.to(device), *(x.to(device) for x in (*given, state, fires)))

    def plain(self) -> Tensor:
        return textbook(self.model.rule, self.z, self.t, self.model.rule.label(self.labels), self.state, self.fires)

    def fast(self, dtype: torch.dtype = torch.float32) -> Tensor:
        with torch.autocast(self.z.device.type, dtype, enabled=dtype != torch.float32):
            step = self.model.form.of(self.model.rule, self.z, self.t, self.model.rule.label(self.labels))
            return self.model.grow(self.state, self.fires, step)

    def forward(self, way: Callable[[], Tensor]) -> None:
        with torch.no_grad():
            way()

    def training(self, way: Callable[[], Tensor]) -> None:
        self.model.zero_grad(set_to_none=True)
        way().square().mean().backward()


def main() -> None:
    asked = measure.options(__doc__, quick="xs with 16 x 16 cells alone, three rounds, nothing kept")
    rows, facts = [], []
    for size, side, batch in CASES[:1] if asked.quick else CASES:
        fact = measured(size, side, batch, asked.device, rounds=3 if asked.quick or size == "s" else 5)
        facts.append(fact)
        rows += shown(fact)
        print(*rows[-2:], sep="\n", file=sys.stderr, flush=True)
    measure.write("geca", TEXT, rows, {"cases": facts})


def measured(size: str, side: int, batch: int, device: str, rounds: int) -> dict[str, Any]:
    """All numbers of one case."""
    case = Case.of(size, side, batch, device)
    with torch.no_grad():
        torch.testing.assert_close(case.fast(), case.plain(), atol=1e-4, rtol=1e-4)
    fact: dict[str, Any] = {"size": size, "side": side, "batch": batch}
    least, own = multiplications(case.model.rule, FIRE_RATE)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found: dict[str, Any] = {}
        for what, passes in ((case.forward, 1), (case.training, 3)):
            rates = [measure.gemm_rate(nn.functional.linear, dtype, device)]
            took = measure.interleaved(partial(what, case.plain), partial(what, partial(case.fast, dtype)), rounds)
            rates.append(measure.gemm_rate(nn.functional.linear, dtype, device))
            possible = 2 * passes * batch / (sum(rates) / 2)
            found[what.__name__] = took.facts() | {
                "shown": took.shown(),
                "bound": least * possible / took.b_seconds,
                "own": own * possible / took.b_seconds,
                "gflops": sum(rates) / 2e9,
            }
        fact[name] = found
    ways = ("plain", "fp32", "again", "bf16", "bf16-again")
    fact["megabytes"] = {way: megabytes(way, size, side, batch, device) for way in ways}
    return fact


def shown(fact: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each precision."""
    memory, rows = fact["megabytes"], []
    for name, again in (("fp32", "again"), ("bf16", "bf16-again")):
        row = {"case": f"{fact['size']}, {fact['side']} x {fact['side']}, batch {fact['batch']}", "products in": name}
        for what in ("forward", "training"):
            of = fact[name][what]
            row |= {what: of["shown"], f"{what}: bound (own)": f"{of['bound']:.0%} ({of['own']:.0%})"}
        row["memory"] = f"{memory['plain'] / memory[name]:.1f}"
        row["memory, again"] = f"{memory['plain'] / memory[again]:.1f}"
        rows.append(row)
    return rows


def multiplications(rule: Rule, fire_rate: float) -> tuple[float, float]:
    """Multiply-accumulates of a forward pass of one image: firing cells only, and as `Firing` does it."""
    cells, width, state = rule.grid[0] * rule.grid[1], rule.width, rule.state
    fires = width * (width + 2 * rule.mlp + state + 18)  # output projection, MLP, final layer, the attention itself
    least = UPDATES * cells * (width * (2 * width + state) + fire_rate * (fires + width * width))
    once = (cells + state) * 3 * width**2 + cells * width * state
    updates = UPDATES * cells * (state * (2 * width + state) + fire_rate * (fires + 2 * width * state))
    return least, once + updates


def megabytes(way: str, size: str, side: int, batch: int, device: str) -> float:
    """What one training step has in use at most beside weights and images, gradients included."""
    case = Case.of(size, side, batch, device, recompute=way.endswith("again"))
    dtype = torch.bfloat16 if way.startswith("bf16") else torch.float32
    step = partial(case.training, case.plain if way == "plain" else partial(case.fast, dtype))
    return measure.peak_megabytes(step, device)


if __name__ == "__main__":
    main()
