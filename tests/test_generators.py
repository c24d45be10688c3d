"""The promises every generator keeps, over all kinds; a new folder in generators/ is picked up here by itself."""

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import draws_tokens
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medsynth import generators, kinds
from medsynth.artifacts import weights
from medsynth.codecs import Code
from medsynth.draws import Draws, row_draws, step_draws
from medsynth.errors import BadData
from medsynth.sampling import Sampling
from medsynth.settings import Fitting
from medsynth.training import Place, fit

CODE, TOKENS, LABELS = Code((3, 4, 4)), Code((4, 4), vocabulary=16), 2
SMALL: dict[str, dict[str, Any]] = {"geca": {"size": "tiny", "updates": 3}, "dit": {"size": "tiny"}}
QUICK = Sampling(steps=4)
MORE: dict[str, dict[str, Any]] = {"geca": {"heredity": 0.5}}  # settings that change what a step of training does
BY_HEART = {
    "geca": (300, 3e-3),
    "ldm": (300, 1e-3),
    "iddpm": (300, 3e-3),
}  # steps and their size where the usual ones do not do
VECTORS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])

kind_of = pytest.mark.parametrize("kind", kinds.names("generators"))


def config(kind: str, **changes: Any) -> Any:
    return kinds.config("generators", kind)(**SMALL.get(kind, {}) | changes)


def code_of(kind: str) -> Code:
    """Tokens for a kind whose codec is discrete, continuous latents for the others."""
    return TOKENS if draws_tokens(kind) else CODE


def built(kind: str, seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    return generators.build(config(kind, **changes), code=code_of(kind), labels=LABELS)


def shaken(kind: str, **changes: Any) -> Any:
    """A generator whose answer depends on everything: many begin as networks that say nothing."""
    model = built(kind, **changes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    return model


def latents_of(kind: str, labels: Tensor, seed: int = 0) -> Tensor:
    """Noise about a plane that the labels tilt; tokens are its steps."""
    noise = torch.randn(len(labels), *CODE.shape, generator=torch.Generator().manual_seed(seed))
    ramp = torch.linspace(-1.5, 1.5, 4)
    plane = labels[:, 0, None, None] * ramp[:, None] + labels[:, 1, None, None] * ramp
    latents = 0.3 * noise + plane[:, None]
    return latents if code_of(kind) == CODE else (2.5 * latents[:, 0] + 8).round().clamp(0, 15).long()


@lru_cache
def fitted(kind: str, steps: int = 120) -> tuple[Any, list[float]]:
    """Some steps of training, and the loss of each."""
    model, losses = built(kind), []
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    labels = VECTORS.repeat(4, 1)
    for step in range(steps):
        loss = model.loss(latents_of(kind, labels, step), labels, step_draws(step, len(labels)))
        assert loss.shape == ()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.eval(), losses


@kind_of
def test_the_loss_is_one_number_that_training_lowers(kind: str) -> None:
    _, losses = fitted(kind)
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])


@kind_of
def test_every_weight_learns(kind: str) -> None:
    model = shaken(kind)
    labels = VECTORS.repeat(16, 1)
    model.loss(latents_of(kind, labels), labels, step_draws(0, len(labels))).backward()
    idle = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert idle == []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [(kind, more) for kind in kinds.names("generators") for more in ({}, MORE.get(kind)) if more is not None],
)
def test_the_loss_is_the_mean_over_rows_whatever_the_split(kind: str, changes: dict[str, Any]) -> None:
    model, labels = shaken(kind, **changes), VECTORS.repeat(2, 1)
    latents, parts = latents_of(kind, labels), []
    for first, rows in ((0, 3), (3, 5)):
        some = slice(first, first + rows)
        draws = step_draws(7, len(labels), first=first, rows=rows)
        parts.append(model.loss(latents[some], labels[some], draws) * rows / len(labels))
    whole = model.loss(latents, labels, step_draws(7, len(labels)))
    assert whole.isfinite()
    torch.testing.assert_close(sum(parts), whole, rtol=1e-4, atol=1e-5)


@kind_of
def test_samples_look_like_codes(kind: str) -> None:
    made = built(kind).eval().sample(VECTORS, row_draws([1, 2, 3, 4]), QUICK)
    code = code_of(kind)
    assert made.shape == (4, *code.shape)
    assert made.dtype == (torch.int64 if code.vocabulary else torch.float32)
    assert not made.requires_grad
    assert made.isfinite().all()
    assert not code.vocabulary or {*made.flatten().tolist()} <= {*range(code.vocabulary)}


@kind_of
@pytest.mark.parametrize(
    "sampling",
    [
        *(Sampling(guidance, sampler, 4) for guidance in (1.0, 2.0) for sampler in ("ddpm", "ddim", "dpm++")),
        Sampling(2.0, "unipc", 4),
        Sampling(2.0, "dpm++", 4, guide="weaker"),
        Sampling(2.0, "ddpm", 4, interval=(0.2, 0.8)),
    ],
    ids=lambda sampling: f"{sampling.guidance}-{sampling.sampler}-{sampling.guide}-{sampling.interval}",
)  # fmt: skip
def test_a_sample_depends_on_its_labels_and_seed_and_not_on_its_batch(kind: str, sampling: Sampling) -> None:
    # A rectified flow has no ancestral sampler.
    takes = "prediction" in type(config(kind)).model_fields
    model = shaken(kind, **({"prediction": "v"} if takes and sampling.sampler == "ddpm" else {}))
    together = model.sample(VECTORS, row_draws([5, 6, 7, 8]), sampling)
    assert model.sample(VECTORS, row_draws([5, 6, 7, 8]), sampling).equal(together)
    for row in range(4):
        alone = model.sample(VECTORS[row : row + 1], row_draws([5 + row]), sampling)
        torch.testing.assert_close(alone, together[row : row + 1], atol=1e-4, rtol=1e-4)
    other_seed = model.sample(VECTORS[:1], row_draws([9]), sampling)
    other_labels = model.sample(VECTORS[1:2], row_draws([5]), sampling)
    assert not other_seed.allclose(together[:1], atol=1e-2)
    assert not other_labels.allclose(together[:1], atol=1e-4)


@kind_of
def test_guidance_steers(kind: str) -> None:
    model = shaken(kind)
    made = [model.sample(VECTORS, row_draws([1, 2, 3, 4]), Sampling(guidance, "ddim", 4)) for guidance in (1.0, 3.0)]
    assert not made[0].allclose(made[1], atol=1e-3)


@kind_of
def test_samples_follow_their_labels_after_training(kind: str) -> None:
    model, _ = fitted(kind)
    labels = VECTORS.repeat_interleave(16, dim=0)
    made = model.sample(labels, row_draws([*range(len(labels))]), Sampling(1.0, "dpm++", 12)).float()
    made = made if code_of(kind).vocabulary else made.mean(dim=1)  # image, row, column
    down = (made[:, 3] - made[:, 0]).mean(dim=1)
    across = (made[:, :, 3] - made[:, :, 0]).mean(dim=1)
    for tilt, label in ((down, 0), (across, 1)):
        assert tilt[labels[:, label] == 1].mean() > tilt[labels[:, label] == 0].mean() + 1


@kind_of
def test_eight_images_are_learned_by_heart_each_for_its_labels(kind: str) -> None:
    """Distances are root mean squares a value: between two of the eight 1.4, from noise to the nearest of them 1.2.

    Of tokens they are root shares of those that differ, times 1.4.
    """
    torch.manual_seed(0)
    code = code_of(kind)
    labels = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    coarse = torch.randn(8, CODE.shape[0], 2, 2, generator=torch.Generator().manual_seed(8))
    eight = coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    if code.vocabulary:
        eight = torch.randint(code.vocabulary, (8, *code.shape), generator=torch.Generator().manual_seed(8))
    model, (steps, rate) = generators.build(config(kind), code=code, labels=3), BY_HEART.get(kind, (150, 2e-3))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        loss = model.loss(torch.cat([eight, eight]), labels.repeat(2, 1), step_draws(step, 16))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        slower.step()
    made = model.eval().sample(labels, row_draws([*range(8)]), Sampling(1.0, "dpm++", 12, temperature=0.3))
    if code.vocabulary:
        made, eight = (4 * nn.functional.one_hot(x, code.vocabulary).float() for x in (made, eight))
    nearest = (torch.cdist(made.flatten(1), eight.flatten(1)) / eight[0].numel() ** 0.5).min(dim=1)
    assert nearest.indices.tolist() == [*range(8)]
    assert nearest.values.max() < 0.6


class Cut(Exception):
    """The power went."""


@kind_of
def test_a_training_that_is_cut_off_and_repeated_ends_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    labels = VECTORS.repeat(2, 1)
    latents = latents_of(kind, labels)

    def trained(folder: Path, steps: float = math.inf) -> dict[str, bytes]:
        folder.mkdir(exist_ok=True)
        model, seen = built(kind, **MORE.get(kind, {})), 0

        def loss(rows: Tensor, draws: Draws) -> Tensor:
            nonlocal seen
            seen += 1
            if seen > steps:
                raise Cut
            value: Tensor = model.loss(latents[rows], labels[rows], draws)
            return value

        settings = Fitting(steps=6, batch_size=3, learning_rate=1e-2, warmup_steps=2, ema=0.9, checkpoint_seconds=0)
        fit(model, loss, items=len(labels), settings=settings, place=Place(folder, 0, kind))
        return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}

    whole = trained(tmp_path / "whole")
    with pytest.raises(Cut):
        trained(tmp_path / "cut", 3)
    assert trained(tmp_path / "cut", 3) == whole  # the other three steps


@kind_of
def test_saved_and_loaded_it_is_the_same(kind: str, tmp_path: Path) -> None:
    model = shaken(kind)
    generators.save(tmp_path, model, config(kind), code=code_of(kind), labels=LABELS)
    again = generators.load(tmp_path)
    assert not again.training
    made = [m.sample(VECTORS, row_draws([1, 2, 3, 4]), QUICK) for m in (model, again)]
    assert made[0].equal(made[1])
    facts = json.loads((tmp_path / weights.FACTS).read_text())
    assert (facts["config"]["kind"], facts["code"], facts["labels"]) == (kind, [*code_of(kind).shape], LABELS)


@kind_of
def test_weights_of_another_size_are_refused(kind: str, tmp_path: Path) -> None:
    generators.save(tmp_path, built(kind), config(kind), code=code_of(kind), labels=LABELS)
    tensors = load_file(tmp_path / weights.WEIGHTS)
    name = next(name for name, value in tensors.items() if value.ndim == 2)
    save_file(tensors | {name: tensors[name][:1].contiguous()}, tmp_path / weights.WEIGHTS)
    with pytest.raises(BadData, match="does not fit"):
        generators.load(tmp_path)


@kind_of
def test_a_generator_begins_alike_for_a_seed(kind: str) -> None:
    first, again, other = (built(kind, seed).state_dict() for seed in (3, 3, 4))
    assert all(first[name].equal(again[name]) for name in first)
    assert any(not first[name].equal(other[name]) for name in first)


@kind_of
def test_an_image_without_any_label_can_be_drawn_and_learned_from(kind: str) -> None:
    model, none = shaken(kind), torch.zeros(3, LABELS)
    assert model.loss(latents_of(kind, none), none, step_draws(0, 3)).isfinite()
    assert model.sample(none, row_draws([1, 2, 3]), QUICK).isfinite().all()


@kind_of
def test_every_kind_names_a_codec_there_is_or_takes_the_run_s(kind: str) -> None:
    assert config(kind).codec in (None, *kinds.names("codecs"))
