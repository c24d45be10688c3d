"""GeCA's automaton is a composition of the library's parts."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from medsynth import nca
from medsynth.codecs import Code
from medsynth.draws import step_draws
from medsynth.generators.geca.config import Config
from medsynth.generators.geca.dense import Dense
from medsynth.generators.geca.firing import Firing
from medsynth.generators.geca.model import Model
from medsynth.generators.geca.rule import Rule

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from textbook import textbook


def composed(rule: Rule) -> nca.Automaton:
    """The automaton of a rule of GeCA, with the rule's own weights. A cell is told c and C_in."""
    hidden = rule.state - 2 * rule.channels
    layout = nca.Layout(visible=2 * rule.channels, hidden=hidden, condition=rule.width + rule.channels)
    positions = rule.positions.view(*rule.grid, rule.width)
    block = nca.ModulatedBlock(rule.cell_embedding, positions, rule.block, rule.heads, border="zeros")
    return nca.Automaton(layout, block, nca.Update(nca.Modulated(rule.final), rule.final.linear))


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("form", [Dense, Firing])
def test_geca_is_a_composition_of_the_librarys_parts(form: type, fast: bool) -> None:
    torch.manual_seed(0)
    model = Model(Config(updates=3, fire_rate=0.5), code=Code((4, 5, 7)), labels=3).double()
    rule, draws = model.rule, step_draws(0, 2)
    for layer in (rule.block.modulation, rule.final.modulation, rule.final.linear):
        nn.init.normal_(layer.weight, std=0.05)
    z, state, fires = draws.normal(4, 5, 7).double(), model.seed_state(draws).double(), model.fires(draws, 3)
    t, condition = torch.tensor([5, 900]), rule.label(torch.eye(3)[:2].double())

    automaton = composed(rule)
    told = torch.cat([nca.spread(rule.conditioned(t, condition), (5, 7)), z.permute(0, 2, 3, 1)], dim=3)
    grown = torch.cat([told, state.unflatten(1, (5, 7))], dim=3)
    for mask in fires:
        grown = automaton.step(grown, mask.view(2, 5, 7), fast=fast)
    found = grown[..., automaton.layout.condition :].flatten(1, 2)
    torch.testing.assert_close(found, textbook(rule, z, t, condition, state, fires), atol=1e-10, rtol=0)
    step = form.of(rule, z, t, condition)
    torch.testing.assert_close(found, model.grow(state, fires, step), atol=1e-6, rtol=0)

    weights = dict(rule.named_parameters())
    ours, theirs = (
        torch.autograd.grad(each.square().mean(), [*weights.values()], allow_unused=True, retain_graph=True)
        for each in (found, model.grow(state, fires, step))
    )
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
