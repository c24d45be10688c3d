"""What generators cost: passes are counted as they happen, time and memory as the record says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import draws_tokens
from torch import Tensor, nn

from medsynth import cost, generators, kinds
from medsynth.codecs import Code
from medsynth.cost import Lap, Spent
from medsynth.draws import row_draws
from medsynth.nn.diffusion import Diffusion
from medsynth.nn.embeddings import LabelEmbedding
from medsynth.nn.labelled import Labelled
from medsynth.sampling import Sampling

CODE, LABELS, ROWS = Code((3, 4, 4)), 2, 3

WAYS = [
    Sampling(steps=4),
    Sampling(steps=4, guidance=1.0),
    Sampling(steps=5, guidance=3.0, interval=(0.2, 0.7)),
    Sampling(steps=5, sampler="ddpm", interval=(0.0, 0.5)),
    Sampling(steps=5, sampler="unipc", interval=(0.9, 1.0)),
    Sampling(steps=4, guide="weaker"),
    Sampling(steps=4, guide="weaker", interval=(0.5, 1.0), sampler="ddim"),
]


class Counting(nn.Module):
    """A network that counts the rows that pass through it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def forward(self, x_t: Tensor, t: Tensor, condition: Tensor, *, weaker: bool = False) -> Tensor:
        self.rows += len(x_t)
        return x_t.repeat(1, 2, 1, 1) if not weaker else x_t.repeat(1, 2, 1, 1) * 0.9


def draw(model: Any, sampling: Sampling) -> None:
    model.sample(torch.eye(ROWS)[:, :LABELS], row_draws([*range(ROWS)]), sampling)


@pytest.mark.parametrize("sampling", WAYS)
def test_every_row_that_passes_through_a_network_is_an_evaluation(sampling: Sampling) -> None:
    network = Counting()
    labelled = Labelled(network, LabelEmbedding(LABELS, 4, "whole"), Diffusion(), CODE.shape)
    draw(labelled, sampling)
    assert network.rows == ROWS * labelled.evaluations(sampling)


@pytest.mark.parametrize(
    "sampling",
    [
        *WAYS,
        Sampling(steps=3, inherit="hidden", interval=(0.5, 0.6)),
        Sampling(steps=3, inherit="both", guide="weaker"),
        Sampling(steps=3, updates=5),
        Sampling(steps=3, updates=1, guidance=1.0),
    ],
)
def test_every_update_of_geca_is_its_part_of_an_evaluation(sampling: Sampling) -> None:
    config = kinds.config("generators", "geca")(size="tiny", updates=4, prediction="v")
    model = generators.build(config, code=CODE, labels=LABELS)
    cells = []
    model.rule.final.register_forward_hook(lambda _module, given, _: cells.append(given[0].shape[:-1].numel()))
    draw(model, sampling)
    assert sum(cells) / (4 * 4) / config.updates == pytest.approx(ROWS * model.evaluations(sampling))


@pytest.mark.parametrize("kind", kinds.names("generators"))
def test_every_generator_says_how_often_its_network_runs(kind: str) -> None:
    code = Code((2, 3), vocabulary=5) if draws_tokens(kind) else Code((3, 8, 8))
    model = generators.build(kinds.config("generators", kind)(), code=code, labels=LABELS)
    once, twice = (model.evaluations(Sampling(steps=6, guidance=scale)) for scale in (1.0, 2.0))
    assert (once, twice) == (6, 12)  # six steps of diffusion, or six tokens
    facts = cost.of_network(model)
    assert facts["parameters"] == sum(p.numel() for p in model.parameters())
    assert facts["mega_macs_per_forward"] == pytest.approx(model.macs() / 1e6, abs=0.05)


def test_attempts_and_processes_add_up(tmp_path: Path) -> None:
    first = Spent.load(tmp_path, 0)
    first.add(8, 3.0, 4.0)
    first.rise({"peak_process_megabytes": 70})
    first.save(tmp_path, 0)
    again, other = Spent.load(tmp_path, 0), Spent.load(tmp_path, 1)
    again.add(8, 2.0, 4.0)
    again.rise({"peak_process_megabytes": 50})
    again.save(tmp_path, 0)
    other.add(4, 4.0, 4.0)
    other.rise({"peak_process_megabytes": 60})
    other.save(tmp_path, 1)
    assert Spent.together(tmp_path).facts() == {
        "seconds_per_image": 0.6, "network_seconds_per_image": 0.45, "network_share": 0.75,
        "peak_process_megabytes": 70,
    }  # fmt: skip
    assert Spent().facts() == {}


def test_a_lap_lasts_from_mark_to_mark() -> None:
    lap = Lap("cpu")
    lap.mark()
    assert lap.seconds() == lap.marks[1] - lap.marks[0] >= 0


def test_the_peak_of_some_work_is_what_it_held_at_once_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    held = torch.ones(30_000_000)

    def work() -> None:
        for _ in range(3):
            (torch.ones(1_000_000) + 1).sum()

    assert cost.peak_of(work, "cpu") == pytest.approx(8, rel=0.01)
    assert cost.peak_of(lambda: None, "cpu") == 0
    assert held.numel() > 0
    assert capfd.readouterr() == ("", "")  # nor does what measures it speak among the lines of progress


def test_the_peak_of_memory_holds_what_was_held() -> None:
    cost.forget_peak("cpu")
    held = np.ones(60_000_000, np.uint8)
    (megabytes,) = cost.peak_memory("cpu").values()
    assert megabytes > held.nbytes / 1e6
