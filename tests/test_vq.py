"""The vq codec: learns, begins well, says when it collapsed, is imported, and plays with an adversary."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.testing import assert_close

from medsynth import codecs
from medsynth.artifacts import cohort, log
from medsynth.codecs import Picture
from medsynth.codecs.vq.config import Config
from medsynth.codecs.vq.model import Model
from medsynth.codecs.vq.perceptual import FoldFeatures
from medsynth.data.loading import ImageSet
from medsynth.draws import Draws, row_draws
from medsynth.errors import BadUsage, MissingWeights
from medsynth.player import Player
from medsynth.rundir import RunDirectory
from medsynth.shapes import Images, Loss
from medsynth.training import Place, fit

QUICK: dict[str, Any] = {
    "width": 8, "codebook": 64, "steps": 8, "batch_size": 4, "warmup_steps": 2, "usage_steps": 3, "log_every": 1,
}  # fmt: skip
DUEL: dict[str, Any] = {"adversary_weight": 0.1, "adversary_start": 4}


@pytest.fixture(scope="module")
def images(pristine: RunDirectory) -> Images:
    """Twenty-four drawn retinas of 16 pixels."""
    samples = cohort.load(pristine.artifact("ingest").folder).samples[:24]
    return avg_pool2d(ImageSet(samples).tensor(range(24)), 2)


def built(images: Images, **changes: Any) -> Model:
    """A codec before its first step, the same whenever it is asked for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Model = codecs.build(Config(**QUICK | changes), Picture(images.shape[1], images.shape[2]))
        model.begin(images)
        model.prepare(FoldFeatures(images.shape[1], 2, one_class=False) if model.config.perceptual_weight else None)
    return model


def train(model: Model, images: Images, folder: Path, change: Callable[[Player], Player] = lambda p: p) -> None:
    """As the stage does it."""

    def shown(player: Player) -> Player:
        def loss(rows: Tensor, draws: Draws, step: int) -> Loss:
            return player.loss(images[rows], draws, step)

        return replace(player, loss=loss)

    folder.mkdir(exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        players = [change(shown(player)) for player in model.players()]
    fit(model, players, items=len(images), settings=model.config, place=Place(folder, 3, "vq"))
    with torch.no_grad():
        model.measure(model.encode(images))


def error(model: Model, images: Images) -> float:
    """Root of the mean squared error of pixels, there and back."""
    with torch.no_grad():
        return (model.eval().decode(model.encode(images)) - images).square().mean().sqrt().item()


@pytest.mark.parametrize("channels", [1, 3])
def test_it_learns_eight_images_by_heart(images: Images, channels: int, tmp_path: Path) -> None:
    eight = images[:8, :channels]
    model = built(eight, codebook=128, steps=120, batch_size=8, usage_steps=50)
    before = error(model, eight)
    train(model, eight, tmp_path)
    assert error(model, eight) < 0.6 * before
    assert error(model, eight) < 0.35 * (eight - eight.mean(0)).square().mean().sqrt().item()


def test_it_begins_at_a_linear_code_whose_entries_are_used(images: Images) -> None:
    begun, bare = built(images), built(images, shortcut=False)
    assert error(begun, images) < 0.35 * error(bare, images)
    begun.measure(begun.encode(images))
    assert begun.quantize.usage > 0.8


def test_it_begins_at_pictures_of_one_grey_level_too() -> None:
    flat = torch.full((4, 1, 16, 16), 0.25)
    model = built(flat, codebook=4)
    assert error(model, flat) < 1e-3


def _saving(model: Model) -> Model:
    """Its training saves after every step."""
    model.config = model.config.model_copy(update={"checkpoint_seconds": 0.0})
    return model


@pytest.mark.parametrize("changes", [DUEL | {"perceptual_weight": 0.1}, {"shortcut": False}], ids=str)
def test_a_training_that_is_cut_off_ends_with_the_same_bits(
    images: Images, changes: dict[str, Any], tmp_path: Path
) -> None:
    class Cut(Exception):
        """The power went."""

    def cut(player: Player) -> Player:
        def loss(seen: Tensor, draws: Draws, step: int) -> Loss:
            if step == 5 and (player.name != "codec" or "shortcut" in changes):
                raise Cut
            return player.loss(seen, draws, step)

        return replace(player, loss=loss)

    def bits(model: Model) -> dict[str, bytes]:
        return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}

    whole, *others = (built(images, **changes) for _ in range(3))
    killed, again = (_saving(model) for model in others)
    train(whole, images, tmp_path / "whole")
    with pytest.raises(Cut):
        train(killed, images, tmp_path / "cut", cut)
    train(again, images, tmp_path / "cut")
    assert bits(again) == bits(whole)


def test_the_discriminator_comes_in_at_its_step_and_is_not_asked_before(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medsynth.codecs.vq import duel

    seen: list[int] = []
    plain = duel.Discriminator.forward
    monkeypatch.setattr(duel.Discriminator, "forward", lambda self, x: [seen.append(len(x)), plain(self, x)][1])
    train(built(images, **DUEL), images, tmp_path)
    assert len(seen) == 3 * (8 - 4)  # of the codec's images once, of real and painted ones once each
    assert ["discriminator_loss" in entry for entry in log.load(tmp_path)] == [False] * 4 + [True] * 4


def test_until_the_discriminator_comes_in_nothing_is_changed_by_it(images: Images, tmp_path: Path) -> None:
    with_it, without = built(images, adversary_weight=0.5, adversary_start=8), built(images)
    train(with_it, images, tmp_path / "with")
    train(without, images, tmp_path / "without")
    for name, value in without.state_dict().items():
        assert with_it.state_dict()[name].equal(value), name


def test_the_discriminator_learns_to_tell_and_is_no_part_of_the_codec(images: Images, tmp_path: Path) -> None:
    model = built(images, adversary_start=0, adversary_weight=1e-9, adversary_learning_rate=1e-3, steps=16)
    train(model, images, tmp_path)
    losses = [entry["discriminator_loss"] for entry in log.load(tmp_path)]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert not [name for name in model.state_dict() if "discriminator" in name or "critic" in name]


@pytest.mark.parametrize("loss", ["hinge", "vanilla", "non-saturating"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_every_adversary_plays_with_every_codec(images: Images, loss: str, adaptive: bool, tmp_path: Path) -> None:
    changes = {"adversary_loss": loss, "adversary_adaptive": adaptive, "adversary_norm": "batch", "steps": 6}
    model = built(images[:, :1], **DUEL | changes)
    train(model, images[:, :1], tmp_path)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_features_are_compared_only_where_they_have_a_weight(images: Images) -> None:
    model = built(images)
    assert model.preparation(2, one_class=False) is None
    assert model.sights == ()
    seeing = built(images, perceptual_weight=0.5)
    asked = seeing.preparation(2, one_class=True)
    assert asked is not None
    assert isinstance(asked[0], FoldFeatures)
    draws = row_draws([*range(8)])
    assert seeing.loss(images[:8], draws) > model.loss(images[:8], draws)
    assert not [name for name in seeing.state_dict() if "sight" in name or "stages" in name]


def test_a_codebook_that_collapsed_is_said_to_be_with_what_to_change(images: Images) -> None:
    model = built(images, revive=False)
    model.measure(model.encode(images))
    numbers, notes = model.findings()
    assert numbers["codebook"] == 64
    assert numbers["codebook_used"] > 0.8
    assert notes == []
    tokens = torch.zeros(24, 4, 4, dtype=torch.int64)
    tokens[0, 0, 0] = 5
    model.measure(tokens)
    numbers, (note,) = model.findings()
    assert numbers["codebook_used"] == pytest.approx(2 / 64, abs=1e-3)
    assert numbers["perplexity"] == pytest.approx(1, abs=0.1)
    assert "has collapsed: training images use 2 of its 64 entries" in note
    for change in ("codec.vq.revive=true", "codec.vq.codebook=16", "codec.vq.entropy_weight=0.1"):
        assert f"--set {change}" in note
    assert "shortcut" not in note


def test_an_image_size_that_cannot_be_divided_is_refused_with_one_that_can() -> None:
    with pytest.raises(BadUsage, match="images of 30 pixels cannot be divided into cells of 4") as failure:
        codecs.build(Config(**QUICK), Picture(3, 30))
    assert "--image-size 28" in failure.value.hint


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_every_factor_makes_a_token_of_that_many_pixels(factor: int) -> None:
    codec = codecs.build(Config(**QUICK | {"factor": factor}), Picture(1, 32))
    assert codec.code.shape == (32 // factor, 32 // factor)
    assert codec.encode(torch.zeros(2, 1, 32, 32)).shape == (2, *codec.code.shape)


# Import


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tokenizer under the published names, with the counter that published files have."""
    torch.manual_seed(5)
    model = Model(Config(factor=4, width=8, blocks=2, codebook=32, dimension=6, shortcut=False), Picture(3, 32))
    own = {"quantize.counts", "quantize.before", "quantize.steps"}
    tensors = {name: value for name, value in model.state_dict().items() if name not in own}
    path = tmp_path_factory.mktemp("published") / "tokenizer.safetensors"
    save_file(tensors | {"quantize.codebook_used": torch.zeros(65536)}, path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_an_imported_tokenizer_has_the_files_sizes_and_weights(
    published: Path, images: Images, channels: int, tmp_path: Path
) -> None:
    settings, picture = Config(weights=str(published)), Picture(channels, 16)
    codec = Model.imported(settings, picture, published).eval()
    assert (codec.code.shape, codec.code.vocabulary, codec.sizes.blocks, codec.sizes.dimension) == ((4, 4), 32, 2, 6)
    for name, value in load_file(published).items():
        assert name == "quantize.codebook_used" or codec.state_dict()[name].equal(value)
    some = images[:4, :channels]
    tokens = codec.encode(some)
    colour = Model.imported(settings, Picture(3, 16), published).eval()
    assert tokens.equal(colour.encode(some.expand(-1, 3, -1, -1)))
    expected = colour._decode(colour.quantize.look_up(tokens)).mean(1, keepdim=True) if channels == 1 else None
    assert_close(codec.decode(tokens), colour.decode(tokens) if expected is None else expected.clamp(-1, 1))
    codecs.save(tmp_path, codec, settings, picture)
    published_again = codecs.load(tmp_path)  # from its own folder alone
    assert published_again.encode(some).equal(tokens)
    assert published_again.code == codec.code


def test_what_was_trained_here_can_be_imported(images: Images, tmp_path: Path) -> None:
    model = built(images).eval()
    codecs.save(tmp_path, model, model.config, model.picture)
    again = Model.imported(Config(), model.picture, tmp_path / "weights.safetensors").eval()
    assert again.sizes == model.sizes
    assert again.encode(images).equal(model.encode(images))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("nowhere", "there are no weights"), ("text", "holds no tokenizer"),
        ("no codebook", "quantize.embedding.weight"), ("a tensor is missing", "decoder.conv_out.weight is nothing"),
        ("another shape", r"decoder.norm_out.bias is \[7\] there and \[8\] here"),
        ("one too many", "and nothing here"),
        ("no numbers", "values that are not numbers"), ("grey", "pictures of 1 channels, not of 3"),
        ("one level", "1 levels"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_tokenizer_is_refused(published: Path, tmp_path: Path, how: str, said: str) -> None:
    tensors, path = load_file(published), tmp_path / "weights.safetensors"
    if how == "no codebook":
        tensors.pop("quantize.embedding.weight")
    elif how == "a tensor is missing":
        tensors.pop("decoder.conv_out.weight")
    elif how == "another shape":
        tensors["decoder.norm_out.bias"] = torch.zeros(7)
    elif how == "one too many":
        tensors["decoder.extra.weight"] = torch.zeros(7)
    elif how == "no numbers":
        tensors["quant_conv.bias"] = torch.full((6,), math.nan)
    elif how == "grey":
        tensors["encoder.conv_in.weight"] = tensors["encoder.conv_in.weight"][:, :1].contiguous()
    elif how == "one level":
        tensors = {name: value for name, value in tensors.items() if not name.startswith("encoder.conv_blocks.")}
        tensors["encoder.conv_blocks.0.res.0.norm1.weight"] = torch.ones(8)
    if how == "text":
        path.write_text("not weights")
    elif how != "nowhere":
        save_file(tensors, path)
    with pytest.raises(MissingWeights, match=said) as failure:
        Model.imported(Config(weights=str(path)), Picture(3, 32), path)
    assert str(path) in str(failure.value)
    assert len(str(failure.value)) < 600
    assert "--weights FILE" in failure.value.hint
