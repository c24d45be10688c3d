"""The promises every segmenter keeps, over all kinds; a new folder in segmenters/ is picked up here by itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from medsynth import cost, kinds, segmenters, variants
from medsynth.draws import row_draws, step_draws
from medsynth.nn.masks import overlap_loss, soft_dice
from medsynth.segmenters.levels import coloured, grids, shrunk

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"size": "tiny"},
    "direct": {"channels": 16, "hidden": 32, "rollouts": (6, 4)},
    "medsegdiffnca": {"rollout": 4, "levels": 2, "sampling_steps": 2, "ensemble": 2},
}
VARIANTS = [
    *((kind, {}) for kind in kinds.names("segmenters")),
    *(("medsegdiffnca", {"variant": variant}) for variant in ("basic", "cbam", "multicbam")),
    ("medsegdiffnca", {"frozen": False, "prediction": "epsilon", "guidance_loss": "mse", "sampler": "ddpm"}),
    ("medsegdiffnca", {"prediction": "v", "sampling_start": 0.5}),
    ("direct", {"patch": 8}),
]
variant_of = pytest.mark.parametrize(("kind", "changes"), VARIANTS, ids=str)


def built(kind: str, changes: dict[str, Any], channels: int = 3) -> Any:
    torch.manual_seed(0)
    return segmenters.build(
        kinds.config("segmenters", kind)(**SMALL.get(kind, {}) | changes), channels=channels
    ).train()


def shaken(kind: str, changes: dict[str, Any], channels: int = 3) -> Any:
    """A segmenter whose answer depends on everything: automata and residual branches begin by saying nothing."""
    model = built(kind, changes, channels).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def blobs(count: int, side: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Dark discs on a bright ground, in colour, and where they are."""
    numbers = step_draws(seed, count).uniform(3)
    at = torch.linspace(0, 1, side)
    down, across = (at.view(1, *shape) - (0.25 + 0.5 * numbers[:, i, None, None])
                    for i, shape in ((0, (side, 1)), (1, (1, side))))  # fmt: skip
    masks = ((down**2 + across**2).sqrt() < 0.12 + 0.12 * numbers[:, 2, None, None]).float()[:, None]
    noise = 0.1 * step_draws(seed + 1, count).normal(3, side, side)
    return (0.5 - masks + noise).clamp(-1, 1), masks


@variant_of
def test_a_loss_is_one_number_that_every_weight_has_a_part_in(kind: str, changes: dict[str, Any]) -> None:
    model, (images, masks) = shaken(kind, changes).train(), blobs(3)
    loss = model.loss(images, masks, step_draws(0, 3))
    assert loss.shape == ()
    loss.backward()
    used = {name: p.grad is not None and bool(p.grad.isfinite().all()) for name, p in model.named_parameters()}
    assert all(used.values()), used


@variant_of
@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (13, 22)])
def test_masks_are_probabilities_for_images_of_any_size(
    kind: str, changes: dict[str, Any], rows: int, columns: int
) -> None:
    model = shaken(kind, changes)
    found = model.predict(2 * torch.rand(2, 3, rows, columns) - 1, row_draws([0, 1]), runs=3)
    assert found.shape == (2, 1 if kind == "unet" else 3, rows, columns)
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.std() > 1e-4


@variant_of
def test_a_mask_depends_on_its_image_and_seed_and_not_on_its_batch(kind: str, changes: dict[str, Any]) -> None:
    model, (images, _) = shaken(kind, changes), blobs(3)
    together = model.predict(images, row_draws([5, 6, 7]))
    alone = model.predict(images[1:2], row_draws([6]))
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)
    if kind != "unet":
        assert together.shape[1] == model.config.ensemble
        assert (together[:, 0] - together[:, 1]).abs().max() > 1e-4
        more = model.predict(images, row_draws([5, 6, 7]), runs=model.config.ensemble + 1)
        torch.testing.assert_close(more[:, :-1], together, atol=1e-6, rtol=1e-6)


@variant_of
def test_a_segmenter_is_rebuilt_from_its_folder_alone(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model, (images, _) = shaken(kind, changes), blobs(2)
    config = kinds.config("segmenters", kind)(**SMALL.get(kind, {}) | changes)
    segmenters.save(tmp_path, model, config, channels=3)
    again = segmenters.load(tmp_path)
    assert again.predict(images, row_draws([1, 2])).equal(model.predict(images, row_draws([1, 2])))


@variant_of
def test_a_step_s_loss_is_the_mean_of_those_of_the_processes_that_share_its_rows(
    kind: str, changes: dict[str, Any]
) -> None:
    """In some squares that are cut out there is nothing to be found."""
    model, (images, masks) = shaken(kind, changes), blobs(6, side=24)
    masks[[0, 1, 3]] = 0
    whole = model.loss(images, masks, step_draws(3, 6))
    parts = [model.loss(images[i : i + 2], masks[i : i + 2], step_draws(3, 6, first=i, rows=2)) for i in (0, 2, 4)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole, atol=1e-5, rtol=1e-5)


@variant_of
def test_the_memory_of_a_run_is_that_of_its_part(kind: str, changes: dict[str, Any]) -> None:
    model, (images, _) = shaken(kind, changes), blobs(1, side=32)
    with torch.no_grad():
        run, part = (
            cost.peak_of(lambda do=do: do(images, row_draws([0])), "cpu") for do in (model.sample, model.round)
        )
    assert part > images.nbytes / 1e6
    assert part <= run <= part + 8 * images.nbytes / 1e6


@variant_of
def test_what_a_run_costs_grows_with_the_image(kind: str, changes: dict[str, Any]) -> None:
    model = built(kind, changes)
    assert model.macs((64, 64)) > 0
    assert model.macs((128, 128)) == pytest.approx(4 * model.macs((64, 64)), rel=0.15)  # who attends to all costs more


SHORT = {"direct": {"rollouts": (3, 2)}, "medsegdiffnca": {"rollout": 2, "sampling_steps": 2}}


@pytest.mark.parametrize("name", variants.names("segmenters"))
def test_what_a_run_costs_is_what_torch_counts(name: str) -> None:
    """In double precision and in the plain form, all of whose products torch's counter knows."""
    known = variants.named("segmenters", name)
    config = kinds.config("segmenters", known.kind)
    published = config.PARITY if known.preset == "parity" else {}
    model = segmenters.build(config(**published | known.fixed | SHORT.get(known.kind, {})), channels=3).double().eval()
    images = torch.zeros(1, 3, 48, 48, dtype=torch.float64)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        model.sample(images, row_draws([0]), fast=False)
    assert model.macs((48, 48)) == pytest.approx(counted.get_total_flops() / 2, rel=0.01)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", kinds.names("segmenters"))
def test_grey_images_are_segmented_as_well(kind: str, channels: int) -> None:
    model, (images, masks) = shaken(kind, {}, channels), blobs(2)
    images = images[:, :channels]
    assert model.loss(images, masks, step_draws(0, 2)).isfinite()
    assert model.predict(images, row_draws([0, 1])).shape[2:] == images.shape[2:]


@pytest.mark.parametrize(("kind", "steps"), [("unet", 60), ("direct", 120), ("medsegdiffnca", 150)])
def test_dark_discs_are_found_after_some_steps_of_training(kind: str, steps: int) -> None:
    model = built(kind, {})
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(steps):
        loss = model.loss(*blobs(8, seed=100 + step), step_draws(step, 8))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    images, masks = blobs(16)
    found = model.eval().predict(images, row_draws([*range(16)])).mean(1, keepdim=True).round()
    assert soft_dice(found, masks).mean() > 0.85


def test_an_overlap_loss_compares_each_row_with_its_own_mask_and_refuses_other_shapes() -> None:
    masks = (torch.rand(3, 1, 5, 5) < 0.4).float()
    right, wrong = overlap_loss(20 * (2 * masks - 1), masks), overlap_loss(20 * (2 * masks.flip(0) - 1), masks)
    assert right.max() < 1e-4
    assert (wrong > right)[[0, 2]].all()
    assert wrong[1] == right[1]
    nothing = torch.zeros(1, 1, 5, 5)
    assert overlap_loss(nothing - 20, nothing).item() < 1e-4
    with pytest.raises(ValueError):
        overlap_loss(masks[:, 0], masks)


def test_a_coarse_grid_covers_an_image_that_it_does_not_divide() -> None:
    assert grids((64, 50), (8, 4, 1)) == [(8, 7), (16, 13), (64, 50)]
    assert grids((16, 16), (8, 1)) == [(3, 3), (16, 16)]
    image = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(shrunk(image, (2, 2))[0, 0, 0, 1], image[0, 0, :4, 4:].mean())
    assert shrunk(image, (8, 8)) is image
    assert coloured(image[:, :1], 3).equal(image[:, :1].expand(1, 3, 8, 8))
