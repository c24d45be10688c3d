"""Several players in one training: each in its turn, and whatever interrupts them changes no bit."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_training as toy
from safetensors.torch import load_file, save_file
from shell import ROOT
from torch import Tensor, nn

from medsynth.artifacts import log
from medsynth.distributed import joined, leave
from medsynth.draws import Draws
from medsynth.player import Player
from medsynth.shapes import Loss
from medsynth.training import Fitted, Hooks, Place, fit, foretell

PAINTER, CRITIC = "painter", "critic"
Change = Callable[[Player], Player]


class Cut(Exception):
    """The power went."""


def pair() -> dict[str, nn.Module]:
    """A painter of one number, and a critic who says how much a number looks like the target's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return {
            PAINTER: nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1)),
            CRITIC: nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1)),
        }


def players(modules: dict[str, nn.Module]) -> list[Player]:
    painter, critic = modules[PAINTER], modules[CRITIC]

    def seen(rows: Tensor, draws: Draws) -> Tensor:
        return toy.POINTS[rows] + 0.1 * draws.normal(3)

    def judged(points: Tensor, values: Tensor) -> Tensor:
        return critic(torch.cat([points, values], 1))

    def paint(rows: Tensor, draws: Draws, step: int) -> Loss:
        points = seen(rows, draws)
        made = painter(points)
        praise = judged(points, made).mean() if step >= 4 else made.new_zeros(())
        return (made - toy.TARGETS[rows]).square().mean() - 0.1 * praise

    def criticise(rows: Tensor, draws: Draws, _step: int) -> Loss:
        points = seen(rows, draws)
        wrong = judged(points, painter(points).detach()).relu()
        return (wrong + (1 - judged(points, toy.TARGETS[rows])).relu()).mean()

    return [
        Player(PAINTER, painter, paint),
        Player(CRITIC, critic, criticise, learning_rate=3e-2, betas=(0.5, 0.9), start=4),
    ]


def train(
    folder: Path, *changes: Change, hooks: Hooks | None = None, **settings: Any
) -> tuple[dict[str, nn.Module], Fitted]:
    folder.mkdir(parents=True, exist_ok=True)
    modules = pair()
    playing = players(modules)
    for change in changes:
        playing = [change(player) for player in playing]
    fitted = fit(
        modules[PAINTER], playing, items=toy.ITEMS, settings=toy.QUICK.model_copy(update=settings),
        place=Place(folder, seed=5, name="toy"), hooks=hooks,
    )  # fmt: skip
    return modules, fitted


def bits(modules: dict[str, nn.Module]) -> dict[str, dict[str, bytes]]:
    return {name: toy.bits(module) for name, module in modules.items()}


def at(step: int, name: str, do: Callable[[Loss], Loss]) -> Change:
    """When a player has its turn in a step, something is done to its loss, once."""
    done = False

    def change(player: Player) -> Player:
        def loss(rows: Tensor, draws: Draws, now: int) -> Loss:
            nonlocal done
            value = player.loss(rows, draws, now)
            if player.name == name and now == step and not done:
                done = True
                return do(value)
            return value

        return replace(player, loss=loss)

    return change


def cut(_: Loss) -> Loss:
    raise Cut


def test_one_player_is_what_a_model_and_its_loss_are(tmp_path: Path) -> None:
    expected, _ = toy.train(tmp_path)
    model = toy.network()
    loss = toy.error_of(model)
    alone = Player("model", model, lambda rows, draws, _step: loss(rows, draws))
    (tmp_path / "alone").mkdir()
    place = Place(tmp_path / "alone", seed=5, name="toy")
    fit(model, [alone], items=toy.ITEMS, settings=toy.QUICK, place=place)
    assert toy.bits(model) == toy.bits(expected)


def test_each_plays_in_its_turn_from_its_first_step_on_and_is_told_the_step(tmp_path: Path) -> None:
    turns: list[tuple[str, int]] = []

    def watch(player: Player) -> Player:
        def loss(rows: Tensor, draws: Draws, step: int) -> Loss:
            turns.append((player.name, step))
            return player.loss(rows, draws, step)

        return replace(player, loss=loss)

    train(tmp_path, watch)
    assert turns == [(name, step) for step in range(12) for name in (PAINTER, CRITIC) if name == PAINTER or step >= 4]


def test_players_of_a_step_see_the_same_items_and_random_numbers(tmp_path: Path) -> None:
    seen: dict[str, list[Tensor]] = {PAINTER: [], CRITIC: []}

    def watch(player: Player) -> Player:
        def loss(rows: Tensor, draws: Draws, step: int) -> Loss:
            value, number = player.loss(rows, draws, step), draws.uniform()
            seen[player.name].append(torch.cat([rows, number]))
            return value

        return replace(player, loss=loss, start=0)

    train(tmp_path, watch)
    assert torch.stack(seen[PAINTER]).equal(torch.stack(seen[CRITIC]))


def test_who_does_not_play_is_a_constant_and_stays_as_it_was(tmp_path: Path) -> None:
    trainable: list[tuple[str, bool, bool]] = []
    modules, _ = train(tmp_path / "never", lambda p: replace(p, start=0 if p.name == PAINTER else 99), ema=0.0)
    assert bits(modules)[CRITIC] == bits(pair())[CRITIC]
    assert bits(modules)[PAINTER] != bits(pair())[PAINTER]

    def watch(player: Player) -> Player:
        def loss(rows: Tensor, draws: Draws, step: int) -> Loss:
            moves = [all(p.requires_grad for p in modules[name].parameters()) for name in (PAINTER, CRITIC)]
            trainable.append((player.name, moves[0], moves[1]))
            return player.loss(rows, draws, step)

        return replace(player, loss=loss)

    modules = pair()
    (tmp_path / "both").mkdir()
    playing = [watch(player) for player in players(modules)]
    place = Place(tmp_path / "both", seed=5, name="toy")
    fit(modules[PAINTER], playing, items=toy.ITEMS, settings=toy.QUICK, place=place)
    assert set(trainable) == {(PAINTER, True, False), (CRITIC, False, True)}
    assert all(p.requires_grad for module in modules.values() for p in module.parameters())


def test_a_player_learns_at_its_own_rate(tmp_path: Path) -> None:
    """Adam's first step is as long as its rate, whatever the gradient; so is each further one, with betas of zero."""
    modules, _ = train(
        tmp_path, lambda p: replace(p, start=0, betas=(0.0, 0.0)), steps=1, ema=0.0, weight_decay=0.0,
        warmup_steps=0, schedule="constant",
    )  # fmt: skip
    before = pair()
    for name, rate in ((PAINTER, 1e-2), (CRITIC, 3e-2)):
        pairs = zip(modules[name].parameters(), before[name].parameters(), strict=True)
        moved = max((now - then).abs().max().item() for now, then in pairs)
        assert moved == pytest.approx(rate, rel=1e-3)


def test_decay_spares_biases_and_gains(tmp_path: Path) -> None:
    still = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Conv2d(1, 1, 3))
    before = toy.bits(still)
    none = lambda _rows, _draws: sum((0 * p.sum() for p in still.parameters()), torch.zeros(()))  # noqa: E731
    settings = toy.QUICK.model_copy(update={"ema": 0.0, "weight_decay": 0.5})
    fit(still, none, items=4, settings=settings, place=Place(tmp_path, 0, "still"))
    after = toy.bits(still)
    assert {name for name in before if after[name] != before[name]} == {"0.weight", "2.weight"}


def test_all_players_are_left_with_their_running_mean_in_evaluation_mode(tmp_path: Path) -> None:
    lasts = [train(tmp_path / f"{n}", steps=n, ema=0.0, schedule="constant")[0] for n in range(1, 7)]
    modules, _ = train(tmp_path / "mean", steps=6, ema=0.3, schedule="constant")
    for name, module in modules.items():
        expected = pair()[name].state_dict()
        for step, last in enumerate(lasts, 1):
            decay = min(0.3, step / (9 + step))
            expected = {key: decay * expected[key] + (1 - decay) * v for key, v in last[name].state_dict().items()}
        torch.testing.assert_close(dict(module.state_dict()), expected)
        assert not module.training


def test_every_player_has_its_losses_in_the_log(tmp_path: Path) -> None:
    train(tmp_path)
    entries = log.load(tmp_path)
    assert ["loss" in entry for entry in entries] == [True] * 12
    assert [f"{CRITIC}_loss" in entry for entry in entries] == [False] * 4 + [True] * 8


@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"checkpoint_seconds": 1e9}], ids=str)
def test_a_training_of_two_may_be_cut_off_in_anybodys_turn(tmp_path: Path, changes: dict[str, Any]) -> None:
    whole, _ = train(tmp_path / "whole", **changes)
    for step, name in ((3, PAINTER), (4, CRITIC), (8, PAINTER), (8, CRITIC)):
        folder = tmp_path / f"{step}-{name}"
        with pytest.raises(Cut):
            train(folder, at(step, name, cut), **changes)
        with pytest.raises(Cut):
            train(folder, at(10, CRITIC, cut), **changes)
        again, _ = train(folder, **changes)
        assert bits(again) == bits(whole)
        assert [entry["step"] for entry in log.load(folder)] == [*range(1, toy.STEPS + 1)]


def spoilt(name: str, times: int) -> Change:
    """A player's losses are not numbers, so many times, from step 6 on."""
    left = times

    def change(player: Player) -> Player:
        def loss(rows: Tensor, draws: Draws, step: int) -> Loss:
            nonlocal left
            value = player.loss(rows, draws, step)
            if player.name == name and step >= 6 and left:
                left -= 1
                return value * math.nan
            return value

        return replace(player, loss=loss)

    return change


@pytest.mark.parametrize("name", [PAINTER, CRITIC])
def test_all_go_back_together_when_the_loss_of_one_is_not_a_number(tmp_path: Path, name: str) -> None:
    modules, fitted = train(tmp_path / "one", spoilt(name, 1))
    assert fitted.rollbacks == 1
    with pytest.raises(Cut):
        train(tmp_path / "cut", spoilt(name, 1), at(10, CRITIC, cut))
    again, _ = train(tmp_path / "cut")
    assert bits(again) == bits(modules)
    assert all(v.isfinite().all() for module in modules.values() for v in module.state_dict().values())


@pytest.mark.parametrize("name", [PAINTER, CRITIC])
def test_half_precision_lowers_its_scale_before_it_goes_back(tmp_path: Path, name: str) -> None:
    _, fitted = train(tmp_path / "few", spoilt(name, 3), precision="fp16", steps=20)
    assert fitted.rollbacks == 0
    modules, fitted = train(tmp_path / "many", spoilt(name, 17), precision="fp16", steps=40)  # from 2 ** 16 on
    assert 1 <= fitted.rollbacks <= 3
    assert all(v.isfinite().all() for module in modules.values() for v in module.state_dict().values())


def test_what_several_would_take_counts_the_parameters_of_all(tmp_path: Path) -> None:
    modules = pair()
    found = foretell(
        modules[PAINTER], players(modules), items=toy.ITEMS, settings=toy.QUICK, place=Place(tmp_path, 0, "toy")
    )
    assert found["parameters"] == sum(p.numel() for module in modules.values() for p in module.parameters())
    assert not list(tmp_path.iterdir())


def test_two_processes_teach_two_players_what_one_does(tmp_path: Path) -> None:
    alone, _ = train(tmp_path / "alone")
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", __file__]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    subprocess.run([*program, str(tmp_path / "both")], env=environment, check=True, capture_output=True)
    both = load_file(tmp_path / "both" / "weights.safetensors")
    for name, module in alone.items():
        for key, value in module.state_dict().items():
            torch.testing.assert_close(both[f"{name}.{key}"], value, atol=1e-5, rtol=1e-4)


def _together(folder: Path) -> None:
    """What each of two processes does."""
    with joined("cpu") as world:
        folder.mkdir(parents=True, exist_ok=True)
        modules = pair()
        place = Place(folder, seed=5, name="toy", world=world)
        fit(modules[PAINTER], players(modules), items=toy.ITEMS, settings=toy.QUICK, place=place)
        if world.is_first:
            save_file(nn.ModuleDict(modules).state_dict(), folder / "weights.safetensors")


if __name__ == "__main__":
    _together(Path(sys.argv[1]))
    leave(0)
