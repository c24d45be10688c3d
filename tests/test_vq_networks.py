"""The published sizes, and the losses beside the squared error: discriminator, LPIPS and its substitute."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.testing import assert_close

from medsynth import presets
from medsynth.codecs import Picture
from medsynth.codecs.vq.config import Config
from medsynth.codecs.vq.discriminator import Discriminator, critic_loss, painter_loss
from medsynth.codecs.vq.duel import adaptive
from medsynth.codecs.vq.model import Model
from medsynth.codecs.vq.perceptual import FoldFeatures
from medsynth.errors import MissingWeights
from medsynth.perceptual import VGG16, Lpips, distance


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("factor", "total", "encoder", "decoder", "tensors"),
    [(8, 70_109_835, 28_559_232, 41_415_171, 299), (16, 71_883_403, 29_298_176, 42_449_795, 343)],
)
def test_the_published_sizes_have_the_published_parameters(
    factor: int, total: int, encoder: int, decoder: int, tensors: int
) -> None:
    config = presets.filled(Config, "parity", {"factor": factor})
    with torch.device("meta"):
        model = Model(config, Picture(3, 256))
    assert parameters(model) == total
    assert (parameters(model.encoder), parameters(model.decoder)) == (encoder, decoder)
    assert parameters(model.quantize) == 131_072
    assert (parameters(model.quant_conv), parameters(model.post_quant_conv)) == (2_056, 2_304)
    assert len(list(model.parameters())) == tensors
    assert (model.code.shape, model.code.vocabulary) == ((256 // factor,) * 2, 16384)


def test_parameters_have_the_published_names() -> None:
    with torch.device("meta"):
        names = Model(presets.filled(Config, "parity", {}), Picture(3, 256)).state_dict().keys()
    expected = {
        "encoder.conv_in.weight", "encoder.conv_out.bias",
        "encoder.conv_blocks.0.res.1.norm2.weight", "encoder.conv_blocks.1.res.0.nin_shortcut.weight",
        "encoder.conv_blocks.3.attn.1.proj_out.weight", "encoder.conv_blocks.2.downsample.conv.weight",
        "encoder.mid.1.q.weight", "encoder.norm_out.weight", "decoder.conv_blocks.0.attn.2.k.bias",
        "decoder.conv_blocks.0.upsample.conv.bias", "decoder.conv_blocks.3.res.2.conv2.weight",
        "quantize.embedding.weight", "quant_conv.weight", "post_quant_conv.bias",
    }  # fmt: skip
    assert expected <= names
    assert "encoder.conv_blocks.3.downsample.conv.weight" not in names
    assert "decoder.conv_blocks.3.upsample.conv.weight" not in names


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_discriminator_has_the_published_parameters_and_patches(norm: str) -> None:
    with torch.device("meta"):
        critic = Discriminator(3, 256, norm)  # type: ignore[arg-type]
        assert critic(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 30, 30)
    assert parameters(critic) == 2_765_633


@pytest.mark.parametrize("size", [16, 28, 32, 64])
def test_the_discriminator_takes_small_pictures_each_on_its_own(size: int) -> None:
    critic, images = Discriminator(1, size, "group"), torch.randn(3, 1, size, size)
    logits = critic(images)
    assert logits.shape[2] >= 1
    assert_close(critic(images[1:2]), logits[1:2])


def of(number: float) -> Tensor:
    return torch.tensor([number], requires_grad=True)


@pytest.mark.parametrize(
    ("logit", "hinge", "vanilla"),
    [(-3.0, (4.0, 0.0), (3.0486, 0.0486)), (0.0, (1.0, 1.0), (0.6931, 0.6931)), (3.0, (0.0, 4.0), (0.0486, 3.0486))],
)
def test_the_losses_of_both_sides_by_hand(
    logit: float, hinge: tuple[float, float], vanilla: tuple[float, float]
) -> None:
    """Of a real and of a made image with this logit."""
    sure = torch.tensor([60.0])  # a logit that costs nothing
    for kind, (real, made) in {"hinge": hinge, "vanilla": vanilla, "non-saturating": vanilla}.items():
        assert critic_loss(kind, torch.tensor([logit]), -sure).item() == pytest.approx(real / 2, abs=1e-4)  # type: ignore[arg-type]
        assert critic_loss(kind, sure, torch.tensor([logit])).item() == pytest.approx(made / 2, abs=1e-4)  # type: ignore[arg-type]
    assert painter_loss("hinge", torch.tensor([logit])).item() == -logit
    assert painter_loss("vanilla", torch.tensor([logit])).item() == -logit
    assert painter_loss("non-saturating", torch.tensor([logit])).item() == pytest.approx(vanilla[0], abs=1e-4)


@pytest.mark.parametrize("kind", ["hinge", "vanilla", "non-saturating"])
def test_both_sides_pull_in_opposite_directions(kind: str) -> None:
    real, made, painted = of(0.2), of(-0.3), of(-0.3)
    critic_loss(kind, real, made).backward()  # type: ignore[arg-type]
    painter_loss(kind, painted).backward()  # type: ignore[arg-type]
    assert real.grad < 0 < made.grad  # type: ignore[operator]
    assert painted.grad < 0  # type: ignore[operator]


def test_the_adaptive_weight_is_the_ratio_of_gradients_within_bounds() -> None:
    layer = nn.Parameter(torch.tensor([1.0, 2.0]))
    error, verdict = (3 * layer).sum(), (0.5 * layer).sum()
    assert adaptive(error, verdict, layer).item() == pytest.approx(6, rel=1e-3)
    assert adaptive(1e9 * error, 0 * verdict, layer).item() == 1e4
    assert not adaptive(error, verdict, layer).requires_grad


WIDTHS = (2, 3, 4, 4, 5)  # of VGG16's five rows of convolutions, made small


@pytest.fixture(scope="module")
def lpips_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small random weights under the names that LPIPS is read from, and a head that is of no use."""
    dice, tensors, before = torch.Generator().manual_seed(0), {}, 3
    for level, convolutions in enumerate(VGG16):
        for i in convolutions:
            tensors[f"features.{i}.weight"] = 0.5 * torch.randn(WIDTHS[level], before, 3, 3, generator=dice)
            tensors[f"features.{i}.bias"] = 0.1 * torch.randn(WIDTHS[level], generator=dice)
            before = WIDTHS[level]
        tensors[f"lin{level}.model.1.weight"] = torch.rand(1, before, 1, 1, generator=dice)
    tensors["classifier.6.bias"] = torch.zeros(1000)
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    save_file(tensors, path)
    return path


def test_lpips_is_its_formula(lpips_file: Path) -> None:
    seen = Lpips(lpips_file)
    one, other = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    maps = [seen.maps(images) for images in (one, other)]
    assert [m.shape[1:] for m in maps[0]] == [(w, 32 // 2**i, 32 // 2**i) for i, w in enumerate(WIDTHS)]
    expected = torch.zeros(2)
    for level, (a, b) in enumerate(zip(*maps, strict=True)):
        a, b = (m / (m.square().sum(1, keepdim=True) + 1e-10).sqrt() for m in (a, b))
        weight = seen.get_buffer(f"lin{level}_model_1_weight")
        expected = expected + ((a - b).square() * weight).sum(1).mean(dim=(1, 2))
    assert_close(distance(seen, one, other), expected.mean())
    assert distance(seen, one, one) == 0
    assert_close(distance(seen.train(), one, other), distance(seen.eval(), one, other))
    assert not list(seen.parameters())
    grey = torch.rand(2, 1, 32, 32)
    assert_close(distance(seen, grey, -grey), distance(seen, *(g.expand(-1, 3, -1, -1) for g in (grey, -grey))))


def test_pixels_are_standardised_as_lpips_does_it(lpips_file: Path) -> None:
    seen = Lpips(lpips_file)
    image = torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None].expand(1, 3, 16, 16)
    biases = seen.get_buffer("features_0_bias").relu()  # nothing is left of that image
    first = torch.nn.functional.conv2d(
        biases[None, :, None, None].expand(1, -1, 16, 16), seen.get_buffer("features_2_weight"),
        seen.get_buffer("features_2_bias"), padding=1,
    ).relu()  # fmt: skip
    assert_close(seen.maps(image)[0], first, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("how", ["nowhere", "text", "without a tensor", "another shape", "no numbers"])
def test_a_file_that_is_not_lpips_is_refused(lpips_file: Path, tmp_path: Path, how: str) -> None:
    path, tensors = tmp_path / "lpips.safetensors", load_file(lpips_file)
    if how == "without a tensor":
        tensors.pop("lin3.model.1.weight")
    elif how == "another shape":
        tensors["features.5.weight"] = torch.zeros(4, 2, 3, 3)
    elif how == "no numbers":
        tensors["features.0.bias"] = torch.full((2,), math.nan)
    if how == "text":
        path.write_text("not weights")
    elif how != "nowhere":
        save_file(tensors, path)
    with pytest.raises(MissingWeights, match="no weights of LPIPS") as failure:
        Lpips(path)
    assert failure.value.hint.endswith("medsynth weights check vgg16")


@pytest.mark.parametrize("one_class", [False, True])
def test_the_folds_own_features_learn_labels_and_see_differences(one_class: bool) -> None:
    torch.manual_seed(0)
    seen = FoldFeatures(1, 2, one_class=one_class)
    images = torch.randn(8, 1, 16, 16) + torch.tensor([-1.0, 1.0]).repeat(4)[:, None, None, None]
    labels = torch.eye(2).repeat(4, 1)
    optimizer = torch.optim.AdamW(seen.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = seen.loss(images, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    near, far = images + 0.1 * torch.randn_like(images), images.roll(1, 0)
    assert 0 == distance(seen, images, images) < distance(seen, images, near) < distance(seen, images, far)
