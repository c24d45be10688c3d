"""The training loop: what it looks at, what it leaves, and that nothing which interrupts it changes a bit."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_training as toy
from hypothesis import given
from hypothesis import strategies as st
from shell import ROOT
from torch import Tensor, nn

from medsynth import interrupt
from medsynth.artifacts import checkpoint, log
from medsynth.distributed import World
from medsynth.draws import Draws, row_draws, step_draws
from medsynth.errors import BadUsage, MedsynthError
from medsynth.interrupt import Interrupted
from medsynth.learner import precision
from medsynth.order import batch_rows
from medsynth.sections import Classify
from medsynth.settings import Fitting, Watched
from medsynth.shapes import Loss
from medsynth.training import Hooks, Look, LossOf, Place, Verdict, fit, foretell


class Cut(Exception):
    """The power went."""


def from_step(step: int, spoil: Callable[[Loss], Loss], times: int = 1) -> Callable[[LossOf], LossOf]:
    """Spoil the loss, a number of times, from the step with this number on; the first is 0."""

    def change(loss: LossOf) -> LossOf:
        calls, spoilt = 0, 0

        def spoiling(rows: Tensor, draws: Draws) -> Loss:
            nonlocal calls, spoilt
            value, calls = loss(rows, draws), calls + 1
            if calls > step and spoilt < times:
                spoilt += 1
                return spoil(value)
            return value

        return spoiling

    return change


def cut(_: Loss) -> Loss:
    raise Cut


# What a step looks at


@given(st.integers(0, 9), st.integers(1, 40), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_the_order_of_items_depends_on_the_position_and_not_on_the_batches(
    seed: int, items: int, cuts: list[int]
) -> None:
    firsts = [sum(cuts[:i]) for i in range(len(cuts))]
    parts = [batch_rows(seed, items, first, count) for first, count in zip(firsts, cuts, strict=True)]
    assert torch.cat(parts).equal(batch_rows(seed, items, 0, sum(cuts)))


@given(st.integers(0, 9), st.integers(1, 40), st.integers(0, 5))
def test_every_epoch_is_a_permutation_of_the_items(seed: int, items: int, epoch: int) -> None:
    assert sorted(batch_rows(seed, items, epoch * items, items).tolist()) == list(range(items))


def test_epochs_and_seeds_differ() -> None:
    orders = [batch_rows(seed, 50, epoch * 50, 50).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


@given(st.integers(0, 2**63 - 1), st.integers(1, 12), st.data())
def test_the_random_numbers_of_any_split_of_a_batch_are_those_of_the_whole(
    seed: int, rows: int, data: st.DataObject
) -> None:
    border = data.draw(st.integers(0, rows))
    whole = step_draws(seed, rows)
    parts = [step_draws(seed, rows, rows=border), step_draws(seed, rows, first=border)]
    assert [part.rows for part in parts] == [border, rows - border]
    for draw in (lambda d: d.normal(2, 3), lambda d: d.uniform(), lambda d: d.normal(4)):  # a second time, too
        assert torch.cat([draw(part) for part in parts]).equal(draw(whole))


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5))
def test_the_random_numbers_of_a_row_depend_on_its_seed_alone(seeds: list[int]) -> None:
    together = row_draws(seeds)
    alone = [row_draws([seed]) for seed in seeds]
    for draw in (lambda d: d.normal(3), lambda d: d.uniform(2, 2), lambda d: d.uniform()):
        assert draw(together).equal(torch.cat([draw(d) for d in alone]))


# What it leaves


def test_weights_are_left_in_evaluation_mode_with_a_line_of_log_a_step(tmp_path: Path) -> None:
    model, fitted = toy.train(tmp_path)
    assert not any(module.training for module in model.modules())
    assert (fitted.steps, fitted.rollbacks, fitted.notes()) == (toy.STEPS, 0, ())
    assert [entry["step"] for entry in log.load(tmp_path)] == [*range(1, toy.STEPS + 1)]


def test_nothing_is_written_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(Cut):
        toy.train(tmp_path, from_step(0, cut))
    assert not list(tmp_path.iterdir())


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    toy.train(tmp_path, steps=200, checkpoint_seconds=1e9)
    losses = [entry["loss"] for entry in log.load(tmp_path)]
    assert sum(losses[-20:]) < sum(losses[:20]) / 2


def test_the_running_mean_warms_up_so_that_early_weights_do_not_count_for_long(tmp_path: Path) -> None:
    lasts = [toy.train(tmp_path / f"{steps}", steps=steps, ema=0, schedule="constant")[0] for steps in range(1, 6)]
    expected = toy.network().state_dict()
    for step, last in enumerate(lasts, 1):
        decay = min(0.3, step / (9 + step))
        for name, value in last.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value if value.is_floating_point() else value
    model, _ = toy.train(tmp_path / "mean", steps=5, ema=0.3, schedule="constant")
    torch.testing.assert_close(dict(model.state_dict()), dict(expected))


@pytest.mark.parametrize(
    ("schedule", "fall"),
    [
        ("constant", lambda _: 1.0),
        ("cosine", lambda p: 0.5 + 0.5 * math.cos(math.pi * p)),
        ("exponential", lambda p: 0.9 ** (8 * p)),
    ],
)
def test_the_learning_rate_rises_then_stays_or_falls(
    tmp_path: Path, schedule: str, fall: Callable[[float], float]
) -> None:
    toy.train(tmp_path, schedule=schedule, rate_decay=0.9, steps=8, warmup_steps=4, learning_rate=0.1)
    expected = [0.1 * min(1, (step + 1) / 4) * fall(step / 8) for step in range(8)]
    assert [entry["learning_rate"] for entry in log.load(tmp_path)] == pytest.approx(expected)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    model, _ = toy.train(tmp_path, lambda loss: lambda rows, draws: 1e6 * loss(rows, draws), steps=1, clip_norm=0.5)
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_a_norm_of_0_leaves_gradients_as_they_are(tmp_path: Path) -> None:
    def grown(loss: LossOf) -> LossOf:
        return lambda rows, draws: 1e3 * loss(rows, draws)

    off, far = (toy.train(tmp_path / str(norm), grown, steps=1, clip_norm=norm)[0] for norm in (0.0, 1e9))
    grads = [torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]) for model in (off, far)]
    assert grads[0].norm() > 10
    assert grads[0].equal(grads[1])


def test_epochs_count_instead_of_steps(tmp_path: Path) -> None:
    _, fitted = toy.train(tmp_path, epochs=2, steps=1)
    assert fitted.steps == round(2 * toy.ITEMS / 4)


def test_minutes_count_instead_of_steps(tmp_path: Path) -> None:
    _, fitted = toy.train(tmp_path, minutes=0.15 / 60, steps=1)
    assert fitted.steps > 1
    assert fitted.seconds >= 0.15


def keep(steps: Iterable[int], stop: int | None = None) -> Callable[[list[Look]], Verdict]:
    """Keep the weights of some steps, and stop after a step."""
    return lambda looks: Verdict(keep=looks[-1]["step"] in steps, stop=looks[-1]["step"] == stop)


def test_the_weights_that_a_verdict_kept_last_are_left(tmp_path: Path) -> None:
    seen: dict[int, dict[str, bytes]] = {}

    def look(model: nn.Module) -> Look:
        assert not model.training
        assert not torch.is_grad_enabled()
        seen[2 * len(seen) + 2] = toy.bits(model)
        return {"found": 0.5 * len(seen)}

    model, fitted = toy.train(tmp_path, hooks=Hooks(look=look, judge=keep([2, 6]), look_every=2))
    assert (fitted.kept_step, fitted.stopped, fitted.steps) == (6, False, toy.STEPS)
    assert toy.bits(model) == seen[6] != seen[12]
    assert fitted.looks == tuple({"found": 0.5 * n, "step": 2 * n} for n in range(1, 7))
    assert [e["found"] for e in log.load(tmp_path) if "found" in e] == [0.5, 1, 1.5, 2, 2.5, 3]


def test_a_verdict_judges_all_looks_so_far(tmp_path: Path) -> None:
    judged: list[list[float]] = []

    def judge(looks: list[Look]) -> Verdict:
        judged.append([look["step"] for look in looks])
        return Verdict(keep=True)

    toy.train(tmp_path, hooks=Hooks(look=lambda _: {}, judge=judge, look_every=5))
    assert judged == [[5], [5, 10], [5, 10, 12]]  # the last step even out of turn


def test_a_verdict_ends_training_with_a_last_preview_and_a_last_line_of_log(tmp_path: Path) -> None:
    drawn: list[int] = []
    hooks = Hooks(lambda _, step: drawn.append(step), lambda _: {}, keep([2, 4], stop=6), 2)
    _, fitted = toy.train(tmp_path, hooks=hooks, log_every=100, preview_every=100)
    assert (fitted.steps, fitted.kept_step, fitted.stopped) == (6, 4, True)
    assert [entry["step"] for entry in log.load(tmp_path)] == [2, 4, 6]
    assert drawn == [6]


def test_numbers_that_are_none_stay_out_of_the_log(tmp_path: Path) -> None:
    toy.train(tmp_path, hooks=Hooks(look=lambda _: {"found": math.nan, "other": 1.0}, look_every=6))
    assert [sorted(e.keys() & {"found", "other"}) for e in log.load(tmp_path) if "other" in e] == [["other"]] * 2


def test_previews_are_drawn_from_the_running_mean_every_so_often_and_at_the_end(tmp_path: Path) -> None:
    drawn: list[int] = []

    def preview(model: nn.Module, step: int) -> None:
        assert not model.training
        drawn.append(step)

    model, _ = toy.train(tmp_path / "drawn", hooks=Hooks(preview=preview), preview_every=5)
    assert drawn == [5, 10, 12]
    plain, _ = toy.train(tmp_path / "plain", preview_every=0)
    assert toy.bits(model) == toy.bits(plain)  # looking changes nothing


def test_what_a_training_would_take_is_foretold_without_writing(tmp_path: Path) -> None:
    model = toy.network()
    found = foretell(model, toy.error_of(model), items=toy.ITEMS, settings=toy.QUICK, place=Place(tmp_path, 0, "toy"))
    assert (found["steps"], found["images"], found["parameters"]) == (toy.STEPS, toy.ITEMS, 57)
    assert found["seconds_per_step"] >= 0
    assert not list(tmp_path.iterdir())


def test_the_room_that_is_foretold_counts_the_weights_that_looks_keep(tmp_path: Path) -> None:
    model = nn.Linear(1000, 1000)

    def megabytes(settings: Fitting) -> float:
        loss: LossOf = lambda rows, draws: model(draws.normal(1000)).square().mean()  # noqa: E731
        return foretell(model, loss, items=4, settings=settings, place=Place(tmp_path, 0, "toy"))["megabytes"]

    weights = 4 * 1001 * 1000 / 1e6
    assert megabytes(Fitting()) == pytest.approx(12 * weights, rel=0.01)
    assert megabytes(Watched()) == megabytes(Classify()) == pytest.approx(15 * weights, rel=0.01)
    assert megabytes(Watched(watch_every=0)) == megabytes(Fitting())


def test_auto_is_full_precision_on_a_cpu() -> None:
    assert [precision(word, "cpu") for word in ("auto", "bf16", "fp16")] == [
        torch.float32,
        torch.bfloat16,
        torch.float16,
    ]


def test_a_batch_that_cannot_be_shared_by_all_processes_is_refused(tmp_path: Path) -> None:
    model, place = toy.network(), Place(tmp_path, 0, "toy", world=World(rank=0, size=5))
    with pytest.raises(BadUsage, match="4 images cannot be shared by 5 processes"):
        fit(model, toy.error_of(model), items=toy.ITEMS, settings=toy.QUICK, place=place)


# What interrupts it


def test_a_training_that_is_killed_and_repeated_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole, _ = toy.train(tmp_path / "whole")
    program = [sys.executable, toy.__file__, str(tmp_path / "killed")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "7":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    again, fitted = toy.train(tmp_path / "killed")
    assert toy.bits(again) == toy.bits(whole)
    assert fitted.steps == toy.STEPS
    assert [entry["step"] for entry in log.load(tmp_path / "killed")] == [*range(1, toy.STEPS + 1)]


@pytest.mark.parametrize(
    "changes", [{}, {"precision": "bf16"}, {"precision": "fp16"}, {"ema": 0.0}, {"checkpoint_seconds": 1e9}], ids=str
)
def test_a_training_may_be_cut_off_before_any_step(tmp_path: Path, changes: dict[str, Any]) -> None:
    def hooks() -> Hooks:
        return Hooks(look=lambda model: {"found": float(model(toy.POINTS)[0])}, judge=keep([5], stop=10), look_every=5)

    whole, fitted = toy.train(tmp_path / "whole", hooks=hooks(), **changes)
    for step in range(0, 9, 2):
        with pytest.raises(Cut):
            toy.train(tmp_path / f"cut-{step}", from_step(step, cut), hooks=hooks(), **changes)
        with pytest.raises(Cut):
            toy.train(tmp_path / f"cut-{step}", from_step(1, cut), hooks=hooks(), **changes)  # and once more
        again, found = toy.train(tmp_path / f"cut-{step}", hooks=hooks(), **changes)
        assert toy.bits(again) == toy.bits(whole)
        assert (found.looks, found.kept_step, found.stopped) == (fitted.looks, 5, True)
        assert [entry["step"] for entry in log.load(tmp_path / f"cut-{step}")] == [*range(1, 11)]


def test_with_both_checkpoints_broken_training_starts_anew_and_so_does_the_log(tmp_path: Path) -> None:
    whole, _ = toy.train(tmp_path / "whole")
    with pytest.raises(Cut):
        toy.train(tmp_path / "cut", from_step(5, cut))
    for path in (tmp_path / "cut" / checkpoint.FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:100])
    again, _ = toy.train(tmp_path / "cut")
    assert toy.bits(again) == toy.bits(whole)
    assert [entry["step"] for entry in log.load(tmp_path / "cut")] == [*range(1, toy.STEPS + 1)]


def test_a_signal_ends_training_after_the_step_and_keeps_it(tmp_path: Path) -> None:
    def ask(value: Loss) -> Loss:
        os.kill(os.getpid(), signal.SIGTERM)
        return value

    with interrupt.listening(), pytest.raises(Interrupted) as stop:
        toy.train(tmp_path / "asked", from_step(4, ask), checkpoint_seconds=1e9)
    assert stop.value.exit_code == 143
    state = checkpoint.load(tmp_path / "asked")
    assert state is not None
    assert state.facts["step"] == 5
    whole, _ = toy.train(tmp_path / "whole")
    again, _ = toy.train(tmp_path / "asked")
    assert toy.bits(again) == toy.bits(whole)


# A loss that is not a number


def not_a_number(value: Loss) -> Loss:
    return value * math.nan


def test_training_goes_back_to_the_last_good_state_and_says_so(tmp_path: Path) -> None:
    model, fitted = toy.train(tmp_path, from_step(6, not_a_number), schedule="constant", warmup_steps=0)
    assert (fitted.steps, fitted.rollbacks) == (toy.STEPS, 1)
    assert "went back to the last good state" in fitted.notes()[0]
    assert all(value.isfinite().all() for value in model.state_dict().values())
    entries = log.load(tmp_path)
    assert [entry["step"] for entry in entries if "event" in entry] == [6]
    rates = [entry["learning_rate"] for entry in entries if "event" not in entry]
    assert rates == pytest.approx([1e-2] * 6 + [0.5e-2] * 6)


def test_without_a_checkpoint_training_goes_back_to_the_start(tmp_path: Path) -> None:
    model, fitted = toy.train(tmp_path, from_step(3, not_a_number), checkpoint_seconds=1e9)
    assert (fitted.steps, fitted.rollbacks) == (toy.STEPS, 1)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    steps = [entry["step"] for entry in log.load(tmp_path)]
    assert steps == [0, *range(1, toy.STEPS + 1)]  # what happened, then every step


def test_after_going_back_other_random_numbers_are_tried(tmp_path: Path) -> None:
    draws_of: list[Tensor] = []

    def change(loss: LossOf) -> LossOf:
        def watching(rows: Tensor, draws: Draws) -> Loss:
            draws_of.append(draws.normal(2))
            return loss(rows, draws) * (math.nan if len(draws_of) == 4 else 1)

        return watching

    toy.train(tmp_path, change)
    assert not draws_of[3].equal(draws_of[4])  # step 3, before and after


def test_going_back_is_exact_too(tmp_path: Path) -> None:
    whole, _ = toy.train(tmp_path / "whole", from_step(6, not_a_number))
    with pytest.raises(Cut):
        toy.train(tmp_path / "cut", lambda loss: from_step(8, cut)(from_step(6, not_a_number)(loss)))
    again, fitted = toy.train(tmp_path / "cut")
    assert fitted.rollbacks == 1
    assert toy.bits(again) == toy.bits(whole)


def test_training_gives_up_when_the_loss_stays_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(MedsynthError, match=r"toy: the loss is not a number again and again \(step 6\)") as failure:
        toy.train(tmp_path, from_step(6, not_a_number, times=10**6))
    assert "learning rate (0.0025)" in failure.value.hint
    state = checkpoint.load(tmp_path)
    assert state is not None
    assert all(tensor.isfinite().all() for tensor in state.tensors.values())


def test_the_log_stays_json_whatever_the_loss_is(tmp_path: Path) -> None:
    def endless(value: Loss) -> Loss:
        return value + math.inf  # its gradients are finite

    toy.train(tmp_path, from_step(2, endless, times=10**6), steps=4)
    for line in (tmp_path / log.LOG).read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
