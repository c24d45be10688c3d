"""An automaton does what its formula says, and its fast step is the plain one."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth import nca
from medsynth.draws import row_draws, step_draws
from medsynth.nca.linear import linear

LAYOUT = nca.Layout(visible=3, hidden=4, condition=2)

PERCEPTIONS = {
    "convolution": lambda n: nca.Convolution(n, 12),
    "dilated": lambda n: nca.Convolution(n, 12, size=5, dilation=2),
    "sobel": nca.Sobel,
    "residual": lambda n: nca.Residual(n, 12),
    "deformable": lambda n: nca.Deformable(n, 12),
    "attention": lambda n: nca.LocalAttention(n, 12),
    "block": lambda n: nca.AttentionBlock(n, 12, width=8),
    "filters": lambda n: nca.Filters(n, depthwise=False),
    "depthwise": nca.Filters,
    "cbam": lambda n: nca.Attentive(nca.CBAM(n, 2), nca.Filters(n)),
    "combined": lambda n: nca.Parallel([nca.Identity(n), nca.Convolution(n, 6), nca.Convolution(n, 6, size=5)]),
}


def awake(
    perception: nn.Module, layout: nca.Layout = LAYOUT, form: nca.Form | None = None, **dynamics: object
) -> nca.Automaton:
    """An automaton in which no layer is silent."""
    update = nca.mlp(perception.outputs, layout.moving, (16,), form)
    for name, values in [*perception.named_parameters(), *update.named_parameters()]:
        if name.startswith(("last", "offsets", "weights")) or name == "bias":
            nn.init.normal_(values, std=0.2)
    return nca.Automaton(layout, perception, update, nca.Dynamics(**dynamics))


def both_ways(automaton: nca.Automaton, state: Tensor, steps: int | Tensor = 3) -> list[dict[str, Tensor]]:
    """What is grown and all gradients, by the fast step and by the plain one."""
    found = []
    for fast in (True, False):
        automaton.zero_grad()
        begun = state.clone().requires_grad_()
        grown = automaton.grow(begun, steps, row_draws([*range(len(state))]), fast=fast)
        grown.square().mean().backward()
        weights = {name: each.grad for name, each in automaton.named_parameters()}
        found.append({"grown": grown.detach(), "begun": begun.grad, **weights})
    return found


@pytest.mark.parametrize("kind", PERCEPTIONS)
def test_the_fast_step_is_the_plain_step_with_every_perception(kind: str) -> None:
    torch.manual_seed(0)
    automaton = awake(PERCEPTIONS[kind](LAYOUT.channels)).double()
    fast, plain = both_ways(automaton, torch.randn(2, 13, 12, LAYOUT.channels).double())
    torch.testing.assert_close(fast, plain, atol=1e-10, rtol=0)
    assert all(gradient.abs().max() > 0 for gradient in fast.values())


@settings(max_examples=20)
@given(
    grid=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    batch=st.integers(1, 3),
    rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    update=st.sampled_from(["mlp", "resnet"]),
    norm=st.sampled_from(["none", "layer", "rms"]),
    dropout=st.sampled_from([0.0, 0.3]),
    bounded=st.booleans(),
    extras=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_fast_step_is_the_plain_step_in_every_form(
    grid, batch, rate, update, norm, dropout, bounded, extras, seed
) -> None:
    """In float32 to 1e-6: sums are added up in another order. The cache is small, so that there are many pieces."""
    torch.manual_seed(seed)
    layout = nca.Layout(visible=3, hidden=4, condition=2, alive=3 if extras else None)
    more = {"noise": 0.02, "bounds": (-1.5, 1.5), "size": 0.7} if extras else {}
    form = nca.Form(norm=norm, dropout=dropout, bounded=bounded)
    automaton = awake(nca.Filters(layout.channels), layout, form, fire_rate=rate, **more)
    if update == "resnet":
        automaton.update = nca.resnet(automaton.perception.outputs, layout.moving, 16, 2, form)
    state, lengths = torch.randn(batch, *grid, layout.channels), torch.arange(batch) + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medsynth.nca.firing.CACHE", 4 * 48 * 64)
        fast, plain = both_ways(automaton, state, lengths)
    torch.testing.assert_close(fast, plain, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("fast", [True, False])
def test_weights_that_are_held_still_get_no_gradient(fast: bool) -> None:
    automaton = awake(nca.Filters(LAYOUT.channels))
    automaton.perception.requires_grad_(False)
    automaton.grow(torch.randn(1, 6, 6, LAYOUT.channels), 2, row_draws([0]), fast=fast).sum().backward()
    assert all(each.grad is None for each in automaton.perception.parameters())
    assert all(each.grad is not None for each in automaton.update.parameters())


@pytest.mark.parametrize("fast", [True, False])
def test_half_precision_is_the_same_to_its_precision(fast: bool) -> None:
    torch.manual_seed(0)
    automaton, state = awake(nca.Filters(LAYOUT.channels)), torch.randn(2, 8, 8, LAYOUT.channels)
    exact = automaton.grow(state, 3, row_draws([0, 1]), fast=fast)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = automaton.grow(state, 3, row_draws([0, 1]), fast=fast)
    rounded.square().mean().backward()  # outside of it, as a training does
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() < 0.02 * (exact - state).norm()
    assert all(each.grad.dtype == torch.float32 and each.grad.isfinite().all() for each in automaton.parameters())


@pytest.mark.parametrize("fast", [True, False])
def test_weights_that_were_changed_since_have_no_way_back(fast: bool) -> None:
    automaton = awake(nca.Filters(LAYOUT.channels))
    loss = automaton.grow(torch.randn(1, 6, 6, LAYOUT.channels), 2, row_draws([0]), fast=fast).square().sum()
    with torch.no_grad():
        for each in automaton.parameters():
            each.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_the_gradient_of_a_gradient_is_refused_where_it_would_be_wrong() -> None:
    automaton = awake(nca.Filters(LAYOUT.channels))
    state = torch.randn(1, 6, 6, LAYOUT.channels, requires_grad=True)
    loss = automaton.grow(state, 2, row_draws([0]), fast=True).square().sum()
    (slope,) = torch.autograd.grad(loss, [state], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        slope.square().sum().backward()


@pytest.mark.parametrize("outputs", [3, 5])
def test_the_gradient_of_a_gradient_of_a_linear_layer_is_torch_s(outputs: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((6, 4), (outputs, 4), (outputs,)))

    def twice(layer: Callable[..., Tensor]) -> list[Tensor]:
        first = torch.autograd.grad(layer(x, weight, bias).pow(3).sum(), [x, weight, bias], create_graph=True)
        return list(torch.autograd.grad(sum(each.square().sum() for each in first), [x, weight, bias]))

    torch.testing.assert_close(twice(linear), twice(F.linear), atol=1e-3, rtol=1e-5)


def test_a_rollout_keeps_nothing_but_its_states() -> None:
    automaton, kept = awake(nca.Filters(LAYOUT.channels)), []
    state, weights = torch.randn(1, 16, 16, LAYOUT.channels), {each.data_ptr() for each in automaton.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        automaton.grow(state, 5, row_draws([0]), fast=True)
    assert sum(each.numel() for each in kept if each.data_ptr() not in weights) == 5 * state.numel()


def test_large_grids_leave_out_the_cells_that_do_not_fire_and_small_ones_do_all() -> None:
    """By what a rollout keeps for the way back, weights left aside."""
    automaton, kept = awake(nca.Filters(LAYOUT.channels)), []
    weights = {each.data_ptr() for each in automaton.parameters()}
    for side in (8, 200):
        state, values = torch.randn(1, side, side, LAYOUT.channels), []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, v=values: v.append(x) or x, lambda x: x):
            automaton.grow(state, 1, row_draws([0]))
        kept.append(sum(each.numel() for each in values if each.data_ptr() not in weights) / state.numel())
    assert kept[0] > 5
    assert kept[1] == 1


@pytest.mark.parametrize("fast", [True, False])
def test_what_a_cell_is_told_stays_as_it_is_to_the_bit(fast: bool) -> None:
    layout = nca.Layout(visible=3, hidden=4, condition=2, alive=2)
    automaton = awake(nca.Filters(layout.channels), layout, noise=0.1, bounds=(-0.1, 0.1))
    state = torch.randn(2, 8, 8, layout.channels)
    state[0, 0, 0, :2] = torch.tensor([-0.0, 1e-42])
    grown = automaton.grow(state, 4, row_draws([0, 1]), fast=fast)
    assert layout.told(grown).contiguous().view(torch.int32).equal(layout.told(state).contiguous().view(torch.int32))
    assert not grown.equal(state)


@pytest.mark.parametrize("fast", [True, False])
def test_a_cell_that_does_not_fire_keeps_its_state(fast: bool) -> None:
    automaton, state = awake(nca.Filters(LAYOUT.channels)), torch.randn(2, 7, 9, LAYOUT.channels)
    fires = step_draws(0, 2).uniform(7, 9) < 0.5
    changed = (automaton.step(state, fires, fast=fast) != state).any(dim=3)
    assert changed.equal(fires)


def test_each_row_takes_its_own_number_of_steps_and_depends_on_no_other_row() -> None:
    torch.manual_seed(0)
    automaton = awake(nca.Filters(LAYOUT.channels), noise=0.05)
    state, lengths = torch.randn(3, 6, 6, LAYOUT.channels), torch.tensor([4, 1, 0])
    together = automaton.grow(state, lengths, row_draws([7, 8, 9]))
    for row, (length, seed) in enumerate(zip(lengths.tolist(), [7, 8, 9], strict=True)):
        alone = automaton.grow(state[row : row + 1], torch.tensor([length]), row_draws([seed]))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=1e-6)
    assert together[2].equal(state[2])


def test_however_long_the_others_went_on_a_row_s_next_numbers_are_the_same() -> None:
    torch.manual_seed(0)
    automaton, state = awake(nca.Filters(LAYOUT.channels), noise=0.05), torch.randn(4, 6, 6, LAYOUT.channels)
    lengths = torch.tensor([2, 3, 5, 7])
    for together, apart in ((row_draws([1, 2, 3, 4]), row_draws([1])), (step_draws(0, 4), step_draws(0, 4, rows=1))):
        grown = automaton.grow(state, lengths, together)
        alone = automaton.grow(state[:1], lengths[:1], apart)
        twice = automaton.grow(grown, 3, together)[:1]
        torch.testing.assert_close(twice, automaton.grow(alone, 3, apart), atol=1e-6, rtol=1e-6)


def test_the_seed_can_be_told_a_class_as_whole_numbers() -> None:
    layout = nca.Layout(visible=2, hidden=2, condition=3)
    seed = layout.seed(2, (5, 5), torch.eye(3, dtype=torch.int64)[:2])
    assert seed.dtype == torch.float32
    assert seed.equal(layout.seed(2, (5, 5), torch.eye(3)[:2]))


def test_attention_to_few_channels_still_looks_at_them() -> None:
    torch.manual_seed(0)
    cbam, cells = nca.CBAM(8), torch.randn(1, 5, 6, 8)
    torch.nn.init.ones_(cbam.squeeze.weight)
    cbam(cells.abs()).sum().backward()
    assert cbam.squeeze.weight.grad is not None
    assert cbam.squeeze.weight.grad.abs().max() > 0


def test_the_length_of_a_rollout_is_any_of_its_range_both_ends_included() -> None:
    found = nca.lengths(step_draws(0, 4000), 3, 6)
    assert torch.bincount(found)[3:].min() > 850
    assert found.unique().tolist() == [3, 4, 5, 6]
    assert nca.lengths(row_draws([5]), 4, 4).tolist() == [4]


def test_an_automaton_grows_on_grids_of_any_size_and_where_cells_see_alike_alike() -> None:
    """Trained at 32 cells, used at 64: in the middle of a repeated pattern nothing tells a large grid from a small."""
    torch.manual_seed(0)
    automaton = awake(nca.Convolution(LAYOUT.channels, 12), fire_rate=1.0)
    small = torch.randn(1, 6, 6, LAYOUT.channels)
    large = automaton.grow(small.repeat(1, 2, 2, 1), 3, row_draws([0]))
    torch.testing.assert_close(large, automaton.grow(small, 3, row_draws([0])).repeat(1, 2, 2, 1))


def test_life_is_needed_before_a_step_and_after_it() -> None:
    layout = nca.Layout(visible=4, hidden=3, alive=3)
    seed = layout.seed(1, (9, 9))
    automaton = awake(nca.Filters(layout.channels), layout, fire_rate=1.0)
    nn.init.constant_(automaton.update.last.bias, 1.0)
    grown = automaton.grow(seed, 1, row_draws([0]))[0]
    assert (grown[3:6, 3:6] != 0).all()  # life is in the middle, and the eight around it
    assert (grown != 0).sum() == 9 * layout.channels
    nn.init.constant_(automaton.update.last.bias, -100.0)
    assert automaton.grow(seed, 1, row_draws([0])).equal(torch.zeros_like(seed))


def test_moving_channels_stay_within_their_bounds() -> None:
    automaton = awake(nca.Filters(LAYOUT.channels), bounds=(-0.5, 0.25), fire_rate=0.5)
    moving = automaton.grow(3 * torch.randn(1, 6, 6, LAYOUT.channels), 1, row_draws([0]))[..., LAYOUT.condition :]
    assert (moving.min().item(), moving.max().item()) == (-0.5, 0.25)


def test_observers_see_every_step_and_change_nothing() -> None:
    torch.manual_seed(0)
    automaton, state = awake(nca.Filters(LAYOUT.channels)), torch.randn(2, 6, 6, LAYOUT.channels)
    seen = statistics, histogram, snapshots = nca.Statistics(), nca.Histogram(-2, 2, 8), nca.Snapshots(every=2)
    grown = automaton.grow(state, 5, row_draws([0, 1]), seen)
    assert grown.equal(automaton.grow(state, 5, row_draws([0, 1])))
    assert len(statistics.mean) == len(statistics.change) == 5
    torch.testing.assert_close(statistics.mean[-1], grown.mean((0, 1, 2)))
    torch.testing.assert_close(statistics.deviation[-1], grown.flatten(0, 2).std(0, correction=0))
    assert statistics.least[-1].equal(grown.flatten(0, 2).amin(0))
    assert statistics.largest[-1].equal(grown.flatten(0, 2).amax(0))
    assert histogram.counts.sum(1).tolist() == [5 * 2 * 36] * LAYOUT.channels
    assert len(snapshots.states) == 3
    assert snapshots.states[-1].equal(grown)


def test_a_state_has_what_it_is_told_then_what_it_shows_keeps_and_votes() -> None:
    layout = nca.Layout(visible=2, hidden=3, condition=1, classes=2)
    visible, hidden = torch.rand(1, 4, 6, 2), torch.rand(1, 4, 6, 3)
    state = layout.state(visible, torch.rand(1, 2, 3, 1), hidden)
    assert state.shape == (1, 4, 6, layout.channels)
    assert layout.shown(state).equal(visible)
    assert layout.kept(state).equal(hidden)
    assert layout.votes(state).equal(torch.zeros(1, 4, 6, 2))
    told = layout.with_told(state, torch.tensor([[7.0]]))
    assert (layout.told(told) == 7).all()
    assert told[..., 1:].equal(state[..., 1:])


@pytest.mark.parametrize("condition", [None, torch.rand(1, 3), torch.rand(1, 4, 4, 3), torch.rand(1, 4, 2)])
def test_a_condition_that_does_not_fit_is_refused(condition: Tensor | None) -> None:
    with pytest.raises(ValueError):
        LAYOUT.state(torch.zeros(1, 4, 4, 3), condition)


@pytest.mark.parametrize("wrong", [{"hidden": -1}, {"visible": 0, "hidden": 0}, {"alive": 9}])
def test_a_layout_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        nca.Layout(**({"visible": 3, "hidden": 4, "condition": 2} | wrong))


def test_overflow_is_what_lies_beyond_the_bounds() -> None:
    layout = nca.Layout(visible=1, hidden=1, condition=1)
    state = torch.tensor([[[[9.0, 1.5, -1.25], [9.0, -0.5, 0.5]]]])
    assert nca.overflow(state, layout).item() == pytest.approx((0.5 + 0.5) / 2 + 0.25 / 2)


def test_a_fine_level_goes_on_from_what_the_coarse_one_found() -> None:
    torch.manual_seed(0)
    coarse = awake(nca.Filters(LAYOUT.channels))
    cascade = nca.Cascade([coarse, awake(nca.Filters(LAYOUT.channels))], [3, 0])
    starts = [LAYOUT.state(torch.zeros(2, side, side, 3), torch.rand(2, side, side, 2)) for side in (4, 8)]
    grown = cascade.grow(starts, row_draws([0, 1]))
    assert LAYOUT.told(grown).equal(LAYOUT.told(starts[1]))
    found = coarse.grow(starts[0], 3, row_draws([0, 1]))[..., LAYOUT.condition :]
    assert grown[..., LAYOUT.condition :].equal(found.repeat_interleave(2, 1).repeat_interleave(2, 2))
