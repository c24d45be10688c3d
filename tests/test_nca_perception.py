"""Perceptions see what they are said to see, and have as many parameters as in the NCA review's tables."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth import nca

# Table 1: the image task with 16 channels that move and a channel for each emoji as condition, five in the text. The
# rows of the 5 x 5 and of the deformable perception fit six and four, and the table's own numbers are these rounded
# down: 8k, 23k, 27k, 51k, 71k, 80k. Table 6 has no condition.
TABLE_1 = (
    (nca.Sobel(21), 8_096),
    (nca.Convolution(21), 22_976),
    (nca.Deformable(20), 27_063),
    (nca.Deformable(22, weighs=False), 27_198),
    (nca.Convolution(22, size=5), 51_856),
    (nca.Parallel([nca.Convolution(21), nca.Convolution(21, size=5, dilation=2)]), 71_456),
    (nca.AttentionBlock(21, place_bias=False), 79_840),
    (nca.AttentionBlock(21), 79_876),
)
TABLE_6 = ((nca.Convolution(16), 19_376), (nca.LocalAttention(16), 18_132))


def counted(*modules: nn.Module) -> int:
    return sum(each.numel() for module in modules for each in module.parameters())


@pytest.mark.parametrize(("perception", "parameters"), [*TABLE_1, *TABLE_6])
def test_the_parameters_are_as_many_as_in_the_review(perception: nn.Module, parameters: int) -> None:
    assert counted(perception, nca.mlp(perception.outputs, 16)) == parameters


@pytest.mark.parametrize(("moving", "parameters"), [(20, 22_580), (19, 22_499)])
def test_a_classifier_of_digits_has_as_many_too_with_a_frozen_digit_and_without(moving: int, parameters: int) -> None:
    perception = nca.Convolution(20)
    assert counted(perception, nca.mlp(perception.outputs, moving)) == parameters


def test_the_automata_of_medsegdiffnca_have_as_many_parameters_as_published() -> None:
    """Without the norm over height, width and hidden layer that is not counted there, and holds 99 in 100 of them."""

    def level(hidden: int, attentive: bool) -> nca.Automaton:
        filters = nca.Filters(64, depthwise=False)
        perception = nca.Attentive(nca.CBAM(64, 16), filters) if attentive else filters
        form = nca.Form(slope=0.01, last="zero", last_bias=False)
        return nca.Automaton(nca.Layout(64, 0), perception, nca.mlp(filters.outputs, 64, (hidden,), form))

    assert counted(level(256, attentive=False)) == 139_648
    assert counted(level(512, attentive=True)) == 206_118
    assert counted(level(512, attentive=False), level(512, attentive=False)) == 410_880
    assert counted(level(512, attentive=True), level(512, attentive=True)) == 412_236


def reached(perception: nn.Module, side: int = 11) -> Tensor:
    """Which cells' perception changes when the middle cell does, (row, column)."""
    torch.manual_seed(0)
    cells = torch.randn(1, side, side, 4)
    other = cells.clone()
    other[0, side // 2, side // 2] += 1
    seen, changed = (torch.cat(perception(each), dim=3) for each in (cells, other))
    assert seen.shape == (1, side, side, perception.outputs)
    return (seen != changed).any(dim=3)[0]


@pytest.mark.parametrize(
    ("perception", "reach"),
    [
        (nca.Identity(4), 0),
        (nca.Convolution(4, 5), 1),
        (nca.Convolution(4, 5, size=5, border="reflect"), 2),
        (nca.Convolution(4, 5, size=5, dilation=2), 4),
        (nca.Sobel(4), 1),
        (nca.Residual(4, 5, border="zeros"), 2),
        (nca.LocalAttention(4, 8, size=5), 2),
        (nca.AttentionBlock(4, 8, width=8), 1),
        (nca.Filters(4), 1),
    ],
)
def test_a_cell_sees_as_far_as_its_perception_reaches(perception: nn.Module, reach: int) -> None:
    away = reached(perception).nonzero() - 5  # (cell, 2)
    assert away.amin(0).tolist() == [-reach, -reach]
    assert away.amax(0).tolist() == [reach, reach]


def test_with_cbam_in_front_a_cell_learns_of_the_whole_grid() -> None:
    perception = nca.Attentive(nca.CBAM(4, 1), nca.Filters(4))
    nn.init.ones_(perception.cbam.squeeze.bias)  # awake, whatever it is given
    assert reached(perception).all()


@pytest.mark.parametrize(("border", "mode"), [("circular", "circular"), ("reflect", "reflect"), ("zeros", "constant")])
def test_beyond_the_border_is_what_is_said(border: str, mode: str) -> None:
    perception, cells = nca.Convolution(3, 5, size=5, border=border), torch.randn(2, 6, 7, 3)
    around = F.pad(cells.permute(0, 3, 1, 2), (2, 2, 2, 2), mode=mode)
    expected = F.leaky_relu(perception.convolution(around), 0.2).permute(0, 2, 3, 1)
    torch.testing.assert_close(perception(cells)[0], expected)


def test_of_a_ramp_the_derivatives_are_one_and_the_laplacian_is_nothing() -> None:
    rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    own, down, across, laplacian = nca.Sobel(1)((rows + 2 * columns)[None, ..., None])
    inside = (0, slice(1, -1), slice(1, -1), 0)
    assert own[0, ..., 0].equal(rows + 2 * columns)
    torch.testing.assert_close(down[inside], torch.ones(5, 5))
    torch.testing.assert_close(across[inside], torch.full((5, 5), 2.0))
    torch.testing.assert_close(laplacian[inside], torch.zeros(5, 5))
    blurred = nca.Sobel(1, centre=-6.0)(torch.ones(1, 5, 5, 1))[3]
    torch.testing.assert_close(blurred, torch.full((1, 5, 5, 1), 0.75))


def test_a_deformable_perception_begins_as_a_convolution_and_reads_where_it_is_told() -> None:
    torch.manual_seed(0)
    perception, cells = nca.Deformable(3, 5), torch.randn(2, 8, 6, 3)
    kernel = perception.mix.weight.view(5, 3, 3, 3).permute(0, 3, 1, 2)
    convolved = F.leaky_relu(F.conv2d(cells.permute(0, 3, 1, 2), kernel, padding=1), 0.2).permute(0, 2, 3, 1)
    torch.testing.assert_close(perception(cells)[0], convolved, atol=1e-5, rtol=1e-5)
    nn.init.constant_(perception.offsets.bias, 1.0)  # every place one down and one to the right
    torch.testing.assert_close(perception(cells)[0][:, :-1, :-1], convolved[:, 1:, 1:], atol=1e-5, rtol=1e-5)
    nn.init.constant_(perception.offsets.bias, 100.0)  # held back at a quarter of the longer side
    shifted = perception(cells)[0]
    nn.init.constant_(perception.offsets.bias, 2.0)
    torch.testing.assert_close(perception(cells)[0], shifted)


def test_attention_to_a_window_is_attention_of_all_to_all_where_none_else_counts() -> None:
    torch.manual_seed(0)
    perception, cells = nca.LocalAttention(3, 8, border="circular"), torch.randn(1, 5, 6, 3)
    nn.init.normal_(perception.bias)
    query, key, value = (x.view(30, 4, 2).transpose(0, 1) for x in perception.qkv(cells).chunk(3, dim=3))
    mask = torch.full((4, 30, 30), -torch.inf)
    for cell in range(30):
        for place in range(9):
            row, column = (cell // 6 + place // 3 - 1) % 5, (cell % 6 + place % 3 - 1) % 6
            mask[:, cell, row * 6 + column] = perception.bias[:, place]
    heard = F.scaled_dot_product_attention(query, key, value, mask).transpose(0, 1).reshape(1, 5, 6, 8)
    expected = F.leaky_relu(perception.out(heard), 0.2)
    torch.testing.assert_close(perception(cells)[0], expected, atol=1e-6, rtol=1e-5)


def test_cbam_weighs_channels_by_the_grid_and_places_by_the_channels() -> None:
    torch.manual_seed(0)
    cbam, cells = nca.CBAM(8, 4), torch.randn(2, 5, 6, 8)
    weighed = cbam(cells)
    counts = torch.sigmoid(
        sum(cbam.stretch(F.relu(cbam.squeeze(x))) for x in (cells.amax((1, 2)), cells.mean((1, 2))))
    )  # (batch, channel)
    share = weighed / (cells * counts[:, None, None])
    torch.testing.assert_close(share, share[..., :1].expand_as(share), atol=1e-4, rtol=1e-4)
    assert ((share > 0) & (share < 1)).all()
    nn.init.zeros_(cbam.place.weight)
    torch.testing.assert_close(cbam(cells), 0.5 * cells * counts[:, None, None])


def test_what_is_told_reaches_the_grid_stretched_or_the_same_everywhere() -> None:
    assert nca.spread(torch.tensor([[1.0, 2.0]]), (3, 4)).equal(torch.tensor([1.0, 2.0]).expand(1, 3, 4, 2))
    maps = nca.spread(nca.ramps(1, (4, 4)), (8, 8))
    assert maps.shape == (1, 8, 8, 2)
    assert (maps[0, 1:, 0, 0] >= maps[0, :-1, 0, 0]).all()
    torch.testing.assert_close(nca.ramps(1, (3, 1))[0, :, 0], torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]))
