"""The promises every codec keeps, over all kinds; a new folder in codecs/ is picked up here by itself."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from medsynth import codecs, kinds
from medsynth.artifacts import weights
from medsynth.codecs import Picture
from medsynth.codecs.kl.config import Config as Kl
from medsynth.codecs.kl.model import Model
from medsynth.codecs.scale import Scale
from medsynth.draws import row_draws
from medsynth.errors import BadData, BadUsage, MissingWeights

SIZE = 16
SMALL: dict[str, dict[str, Any]] = {
    "kl": {"width": 8, "factor": 4, "channels": 4},
    "identity": {},
    "vq": {"width": 8, "factor": 2, "codebook": 256},
}


def config(kind: str, **changes: Any) -> Any:
    return kinds.config("codecs", kind)(**SMALL.get(kind, {}) | changes)


def some_images(rows: int, channels: int, seed: int = 0) -> Tensor:
    """Smooth pictures in [-1, 1]: a bright blob somewhere on a dark ramp, each channel of another strength."""
    dice = torch.Generator().manual_seed(seed)
    centre = torch.rand(rows, 2, 1, 1, generator=dice) * 2 - 1
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    blob = (-4 * ((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2)).exp()
    plain = (blob + 0.2 * y - 0.5)[:, None]
    strength = torch.tensor([1.0, 0.6, 0.3])[:channels, None, None]
    return (plain * strength + 0.02 * torch.randn(rows, channels, SIZE, SIZE, generator=dice)).clamp(-1, 1)


def trained(kind: str, channels: int, **changes: Any) -> Any:
    """A codec as the stage leaves it: begun, a few steps taken, its scale measured."""
    torch.manual_seed(0)
    images = some_images(48, channels)
    codec = codecs.build(config(kind, **changes), Picture(channels, SIZE))
    codec.begin(images)
    if codec.trains:
        optimizer = torch.optim.AdamW(codec.parameters(), lr=1e-3)
        for step in range(3):
            optimizer.zero_grad()
            codec.loss(images[:8], row_draws([step * 8 + row for row in range(8)])).backward()
            optimizer.step()
    codec.eval().requires_grad_(False)
    codec.measure(codec.encode(images))
    return codec


@pytest.fixture(
    scope="module", params=[(kind, channels) for kind in kinds.names("codecs") for channels in (1, 3)], ids=str
)
def known(request: pytest.FixtureRequest) -> tuple[str, int, Any]:
    kind, channels = request.param
    return kind, channels, trained(kind, channels)


@pytest.fixture
def continuous(known: tuple[str, int, Any]) -> tuple[str, int, Any]:
    if known[2].code.vocabulary:
        pytest.skip("its code is discrete")
    return known


@pytest.fixture
def discrete(known: tuple[str, int, Any]) -> tuple[str, int, Any]:
    if not known[2].code.vocabulary:
        pytest.skip("its code is continuous")
    return known


def test_there_and_back_keeps_the_shape_and_the_range(known: tuple[str, int, Any]) -> None:
    _, channels, codec = known
    images = some_images(5, channels, seed=1)
    posterior = codec.encode(images)
    latents = codec.latents(posterior, torch.randn(5, *codec.code.shape))
    decoded, embedded = codec.decode(latents), codec.embed(latents)
    assert latents.shape == (5, *codec.code.shape)
    assert decoded.shape == images.shape
    assert decoded.min() >= -1
    assert decoded.max() <= 1
    assert decoded.dtype == embedded.dtype == torch.float32
    assert (embedded.ndim, len(embedded)) == (2, 5)


def test_a_continuous_posterior_is_means_and_log_variances(continuous: tuple[str, int, Any]) -> None:
    _, channels, codec = continuous
    posterior = codec.encode(some_images(5, channels, seed=1))
    assert posterior.shape == (5, 2 * codec.code.shape[0], *codec.code.shape[1:])
    assert codec.latents(posterior, torch.randn(5, *codec.code.shape)).dtype == torch.float32


def test_tokens_are_whole_numbers_of_the_vocabulary_and_stay_what_they_are(discrete: tuple[str, int, Any]) -> None:
    kind, channels, codec = discrete
    tokens = codec.encode(some_images(5, channels, seed=1))
    assert tokens.dtype == torch.int64
    assert tokens.min() >= 0
    assert tokens.max() < codec.code.vocabulary == config(kind).codebook <= 2**16
    stored = tokens.numpy().astype("uint16")  # as they lie on the disk
    assert codec.latents(torch.from_numpy(stored), torch.randn(5, *codec.code.shape)).equal(tokens)
    before = codec.decode(tokens)
    codec.measure(tokens)
    assert codec.decode(tokens).equal(before)
    assert codec.encode(some_images(5, channels, seed=1)).equal(tokens)


def test_tokens_that_say_the_same_are_near_to_each_other(discrete: tuple[str, int, Any]) -> None:
    _, channels, codec = discrete
    tokens = codec.encode(some_images(6, channels))
    away = torch.cdist(codec.embed(tokens), codec.embed(tokens))
    assert away.diagonal().max() < 1e-2
    assert (away + 9 * torch.eye(6)).min() > 0.1


def test_a_picture_is_recognised_after_there_and_back(known: tuple[str, int, Any]) -> None:
    _, channels, codec = known
    images = some_images(24, channels, seed=1)
    made = codec.decode(codec.latents(codec.encode(images), torch.zeros(24, *codec.code.shape)))
    assert (made - images).abs().mean() < 0.25 * (images - images.mean(0)).abs().mean()


def test_latents_have_zero_mean_and_unit_deviation_on_what_was_measured(continuous: tuple[str, int, Any]) -> None:
    _, channels, codec = continuous
    posterior = codec.encode(some_images(48, channels))
    noise = torch.randn(20, *posterior[:, : codec.code.shape[0]].shape, generator=torch.Generator().manual_seed(0))
    latents = torch.cat([codec.latents(posterior, part) for part in noise])
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(codec.code.shape[0]), atol=0.03, rtol=0)
    torch.testing.assert_close(latents.std(dim=(0, 2, 3)), torch.ones(codec.code.shape[0]), atol=0.03, rtol=0)


def test_the_posterior_is_raw_and_does_not_know_the_scale(continuous: tuple[str, int, Any]) -> None:
    kind, channels, codec = continuous
    images = some_images(6, channels, seed=2)
    before, noise = codec.encode(images), torch.zeros(6, *codec.code.shape)
    other = trained(kind, channels)
    other.measure(10 * before + 3)
    assert other.encode(images).equal(before)
    assert not other.latents(before, noise).allclose(codec.latents(before, noise))
    torch.testing.assert_close(
        other.decode(other.latents(before, noise)), codec.decode(codec.latents(before, noise)), atol=1e-4, rtol=0
    )


def test_latents_are_drawn_from_the_posterior(continuous: tuple[str, int, Any]) -> None:
    _, channels, codec = continuous
    posterior, noise = codec.encode(some_images(2, channels)), torch.randn(2, *codec.code.shape)
    middle, deviation = codec.latents(posterior, torch.zeros_like(noise)), posterior.chunk(2, dim=1)[1].mul(0.5).exp()
    torch.testing.assert_close(codec.latents(posterior, noise), middle + noise * deviation / codec.scale.deviation)


def test_saved_and_loaded_it_is_the_same(known: tuple[str, int, Any], tmp_path: Path) -> None:
    kind, channels, codec = known
    codecs.save(tmp_path, codec, config(kind), Picture(channels, SIZE))
    again = codecs.load(tmp_path)
    images = some_images(3, channels, seed=3)
    assert not again.training
    assert again.code == codec.code
    assert again.encode(images).equal(codec.encode(images))
    latents = codec.latents(codec.encode(images), torch.zeros(3, *codec.code.shape))
    assert again.decode(latents).equal(codec.decode(latents))
    assert json.loads((tmp_path / weights.FACTS).read_text())["code"] == list(codec.code.shape)


def test_an_image_is_encoded_alike_in_any_batch(known: tuple[str, int, Any]) -> None:
    _, channels, codec = known
    images = some_images(6, channels)
    torch.testing.assert_close(codec.encode(images)[4:5], codec.encode(images[4:5]), atol=1e-5, rtol=1e-5)


def test_weights_that_do_not_fit_the_facts_are_refused(known: tuple[str, int, Any], tmp_path: Path) -> None:
    kind, channels, codec = known
    codecs.save(tmp_path, codec, config(kind), Picture(channels, SIZE))
    tensors = load_file(tmp_path / weights.WEIGHTS)
    save_file(tensors | {"one.too.many": torch.zeros(1)}, tmp_path / weights.WEIGHTS)
    with pytest.raises(BadData, match="does not fit"):
        codecs.load(tmp_path)


def test_a_channel_that_never_changes_is_not_blown_up() -> None:
    scale, raw = Scale(2), torch.randn(8, 2, 4, 4)
    raw[:, 1] = 0.25 + 1e-8 * torch.randn(8, 4, 4)
    scale.measure(raw)
    assert scale(raw)[:, 1].abs().max() < 1e-5
    torch.testing.assert_close(scale.undo(scale(raw)), raw)


# kl


def test_an_image_size_that_cannot_be_divided_is_refused_with_one_that_can() -> None:
    with pytest.raises(BadUsage, match="images of 30 pixels cannot be divided into cells of 4") as failure:
        codecs.build(config("kl"), Picture(3, 30))
    assert "--image-size 28" in failure.value.hint


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_every_factor_makes_cells_of_that_many_pixels(factor: int) -> None:
    codec = codecs.build(config("kl", factor=factor, channels=5), Picture(1, SIZE))
    assert codec.code.shape == (5, SIZE // factor, SIZE // factor)


def test_training_starts_from_the_linear_code_and_gets_better() -> None:
    images, losses = some_images(48, 3), []
    torch.manual_seed(0)
    codec = codecs.build(config("kl"), Picture(3, SIZE))
    codec.begin(images)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=1e-3)
    for step in range(30):
        loss = codec.loss(images[:16], row_draws([step * 16 + row for row in range(16)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    blind = images.sub(images.mean(dim=(0, 2, 3), keepdim=True)).abs().mean().item()
    assert losses[0] < blind
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as diffusers' save_pretrained writes it, of a colour autoencoder."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    network = AutoencoderKL(
        block_out_channels=[8, 16], down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=3, norm_num_groups=4, layers_per_block=1,
    )  # fmt: skip
    network.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_an_imported_codec_is_the_published_one(published: Path, channels: int, tmp_path: Path) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    settings = Kl(weights=str(published))
    codec = Model.imported(settings, Picture(channels, SIZE), published).eval().requires_grad_(False)
    network = (
        AutoencoderKL.from_pretrained(published, local_files_only=True, use_safetensors=True)
        .eval()
        .requires_grad_(False)
    )
    images = some_images(4, channels)
    colour = images.expand(-1, 3, -1, -1)
    torch.testing.assert_close(codec.encode(images), network.encode(colour).latent_dist.parameters)
    codec.measure(codec.encode(images))
    decoded = network.decode(network.encode(colour).latent_dist.mean).sample
    expected = decoded.mean(1, keepdim=True) if channels == 1 else decoded
    made = codec.decode(codec.latents(codec.encode(images), torch.zeros(4, *codec.code.shape)))
    torch.testing.assert_close(made, expected.clamp(-1, 1), atol=1e-5, rtol=1e-4)

    codecs.save(tmp_path, codec, settings, Picture(channels, SIZE))
    again = codecs.load(tmp_path)  # from its own folder alone
    assert again.encode(images).equal(codec.encode(images))


def broken(published: Path, folder: Path, how: str) -> Path:
    shutil.copytree(published, folder)
    path = folder / "diffusion_pytorch_model.safetensors"
    if how == "no weights":
        path.unlink()
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "config is no JSON":
        (folder / "config.json").write_text("{")
    elif how == "config of something else":
        (folder / "config.json").write_text('{"_class_name": "UNet2DModel", "block_out_channels": [8, 16, 32]}')
    elif how == "weights cut off":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "weights are text":
        path.write_text("not weights")
    elif how == "a tensor is missing":
        tensors = load_file(path)
        tensors.pop("decoder.conv_out.weight")
        save_file(tensors, path)
    elif how == "a tensor of another shape":
        save_file(load_file(path) | {"decoder.conv_out.bias": torch.zeros(7)}, path)
    elif how == "numbers that are none":
        save_file(load_file(path) | {"decoder.conv_out.bias": torch.full((3,), torch.nan)}, path)
    return folder


@pytest.mark.parametrize(
    "how",
    [
        "no weights", "no config", "config is no JSON", "config of something else", "weights cut off",
        "weights are text", "a tensor is missing", "a tensor of another shape", "numbers that are none",
    ],
)  # fmt: skip
def test_a_broken_folder_of_weights_is_said_to_be_broken(published: Path, tmp_path: Path, how: str) -> None:
    folder = broken(published, tmp_path / "weights", how)
    with pytest.raises(MissingWeights) as failure:
        Model.imported(Kl(weights=str(folder)), Picture(3, SIZE), folder)
    assert str(folder) in str(failure.value)
    assert len(str(failure.value)) < 600
    assert "--weights" in failure.value.hint


def test_a_codec_for_other_channels_is_refused(tmp_path: Path) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    AutoencoderKL(in_channels=1, out_channels=1, block_out_channels=[8], norm_num_groups=4).save_pretrained(tmp_path)
    with pytest.raises(MissingWeights, match="pictures of 1 channel, not of 3"):
        Model.imported(Kl(weights=str(tmp_path)), Picture(3, SIZE), tmp_path)


def test_a_code_of_pixels_lies_between_black_and_white_after_measuring_loading_and_copying() -> None:
    grey, white = torch.zeros(4, 1, 8, 8), torch.ones(4, 1, 8, 8)
    measured = codecs.build(kinds.config("codecs", "identity")(), Picture(1, 8))
    assert measured.code.bounds == ((-1, 1),)
    measured.measure(measured.encode(torch.cat([grey, white])))
    ((low, high),) = measured.code.bounds
    assert low == pytest.approx(-1.5 / 0.5, rel=1e-2)
    assert high == pytest.approx(0.5 / 0.5, rel=1e-2)
    loaded = codecs.build(kinds.config("codecs", "identity")(), Picture(1, 8))
    copy.deepcopy(loaded).load_state_dict(measured.state_dict())
    assert loaded.code.bounds == ((-1, 1),)
    loaded.load_state_dict(measured.state_dict())
    assert loaded.code == measured.code
