"""Extractors: the published networks to the digit, images as they want them, and names that tell whose weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from cleanfid.resize import build_resizer
from drawn_networks import drawn, images, own
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from medsynth import classifier, extractors
from medsynth.artifacts import files
from medsynth.byhand import store
from medsynth.errors import BadUsage, MissingWeights, Refused
from medsynth.extractors import inception, view
from medsynth.extractors.resnet34 import Model


@dataclass(frozen=True)
class Wanted:
    extractor: str
    weights: str | None = None
    unverified: bool = False


@pytest.fixture(autouse=True)
def nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSYNTH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .pth as it is published, without the counters of batches, and the same in safetensors beside it."""
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    network = drawn(inception.Network())
    tensors = network.state_dict()
    torch.save(tensors, path)
    save_file({k: v for k, v in tensors.items() if not k.endswith("tracked")}, path.with_suffix(".safetensors"))
    return path


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """timm's smallest transformer, with the head that it was trained with."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vit") / "test_vit.safetensors"
    save_file(timm.create_model("test_vit", pretrained=False).state_dict(), path)
    return path


def load(extractor: str, file: Path | None = None, **more: Any) -> Any:
    wanted = Wanted(extractor, str(file) if file else None, unverified=file is not None)
    return extractors.load(wanted, **{"fold": 0, "classifier": Path("nowhere")} | more)


def test_inception_is_that_of_fid_to_the_digit(inception_file: Path) -> None:
    reference = FeatureExtractorInceptionV3("of FID", ["2048"], feature_extractor_weights_path=str(inception_file))
    pixels = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (expected,) = reference(pixels)
    found = load("inception", inception_file.with_suffix(".safetensors")).features(pixels.float() / 127.5 - 1)
    assert expected.std() > 0.1
    assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [28, 64, 300, 512])
def test_images_are_resized_as_clean_fid_does_it(size: int) -> None:
    pixels = np.random.default_rng(size).integers(0, 256, (size, size, 3), dtype=np.uint8)
    expected = build_resizer("clean")(pixels)
    found = view.resized(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1, inception.SIDE)
    assert np.abs(expected - (found[0].permute(1, 2, 0).numpy() + 1) * 127.5).max() < 0.02


def test_inception_sees_pixels_as_its_first_users_standardised_them(inception_file: Path) -> None:
    seen: list[Tensor] = []
    extractor = load("inception", inception_file.with_suffix(".safetensors"))
    extractor.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    extractor.features(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8))
    assert_close(seen[0][0], torch.full((3, 299, 299), -1.0))
    assert_close(seen[0][1], torch.full((3, 299, 299), 127 / 128))


@pytest.fixture(params=["resnet34", "inception", "timm/test_vit"])
def extractor(request: pytest.FixtureRequest, inception_file: Path, vit_file: Path, tmp_path: Path) -> Any:
    if request.param == "resnet34":
        return load("resnet34", classifier=own(tmp_path / "real"))
    return load(request.param, vit_file if "vit" in request.param else inception_file.with_suffix(".safetensors"))


def test_a_row_depends_on_its_image_alone_and_nothing_learns(extractor: Any) -> None:
    batch = images(3)
    found = extractor.features(batch)
    assert found.dtype == torch.float32
    assert found.shape[0] == 3
    assert found.ndim == 2
    assert not found.requires_grad
    assert not any(p.requires_grad for p in extractor.parameters())
    assert found.std(dim=0).max() > 1e-3
    size = float(found.abs().mean())
    for row in range(3):
        assert_close(extractor.features(batch[row : row + 1])[0], found[row], atol=1e-5 * size, rtol=1e-5)
    assert_close(extractor.features(batch.flip(0)), found.flip(0), atol=1e-5 * size, rtol=1e-5)


def test_grey_images_are_colour_images_of_three_equal_channels(inception_file: Path, vit_file: Path) -> None:
    grey = images(2, channels=1)
    for name, file in (("inception", inception_file.with_suffix(".safetensors")), ("timm/test_vit", vit_file)):
        seeing = load(name, file)
        assert_close(seeing.features(grey), seeing.features(grey.expand(-1, 3, -1, -1)))


def test_the_folds_own_classifier_gives_its_features_and_is_named_after_its_weights(tmp_path: Path) -> None:
    folder = own(tmp_path / "real", channels=1, fold=3)
    found = load("resnet34", fold=3, classifier=folder)
    assert found.name == f"resnet34-fold3:{files.sha256(folder / 'weights.safetensors')[:12]}"
    batch = images(2, channels=1)
    assert found.features(batch).shape == (2, 512)
    assert_close(found.features(batch), classifier.load(folder).eval().features(batch))
    assert [m.shape[1:] for m in found.maps(batch)] == [(64, 8, 8), (128, 4, 4), (256, 2, 2), (512, 1, 1)]
    assert_close(found.maps(batch)[-1].mean(dim=(2, 3)), found.features(batch))
    assert isinstance(found, Model)


@pytest.mark.parametrize("facts", [{"arm": "real+geca"}, {"arm": "synthetic-only"}, {"fold": 1}], ids=str)
def test_a_classifier_of_synthetic_images_or_of_another_fold_extracts_nothing(
    facts: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="not of fold 0") as failure:
        load("resnet34", classifier=own(tmp_path / "other", **facts))
    assert failure.value.hint == "medsynth classify --arms real --fold 0"


def test_dinov2_at_224_pixels_is_timms_own_whatever_size_it_was_trained_at(tmp_path: Path) -> None:
    """Its file is as Meta publishes it: positions of 518 pixels, and a token for masks that has no use here."""
    torch.manual_seed(0)
    path = tmp_path / "dinov2.safetensors"
    model = "vit_small_patch14_dinov2"
    published = timm.create_model(model, pretrained=False, num_classes=0).state_dict()
    save_file(published | {"mask_token": torch.zeros(1, 384)}, path)
    expected = timm.create_model(
        model, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, num_classes=0, img_size=224
    ).eval()
    found = load("dinov2-small", path)
    batch = images(1, size=224)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        assert_close(found.features(batch), expected(((batch + 1) / 2 - mean) / deviation), atol=1e-5, rtol=1e-4)
    assert found.features(batch).shape == (1, 384)
    assert found.name == f"{model}:{files.sha256(path)[:8]}"


def test_a_name_says_when_a_file_is_not_the_published_one(inception_file: Path) -> None:
    path = inception_file.with_suffix(".safetensors")
    assert load("inception", path).name == f"inception:{files.sha256(path)[:8]}, unverified"
    with pytest.raises(MissingWeights, match="6726825d"):
        extractors.load(Wanted("inception", str(path)), fold=0, classifier=Path("nowhere"))


def without_one(tensors: dict[str, Tensor]) -> None:
    tensors.pop(min(tensors))


def another_shape(tensors: dict[str, Tensor]) -> None:
    tensors[min(tensors)] = torch.zeros(3, 1)


def no_numbers(tensors: dict[str, Tensor]) -> None:
    tensors[min(tensors)] = torch.full_like(tensors[min(tensors)], math.nan)


def one_more(tensors: dict[str, Tensor]) -> None:
    tensors["layer99.weight"] = torch.zeros(1)


@pytest.mark.parametrize("spoil", [without_one, another_shape, no_numbers, one_more], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["inception", "timm/test_vit"])
def test_a_file_that_is_not_that_network_is_refused(
    name: str, spoil: Callable[[dict[str, Tensor]], None], inception_file: Path, vit_file: Path, tmp_path: Path
) -> None:
    tensors = load_file(vit_file if "vit" in name else inception_file.with_suffix(".safetensors"))
    spoil(tensors)
    save_file(tensors, tmp_path / "spoiled.safetensors")
    with pytest.raises(MissingWeights, match="is not") as failure:
        load(name, tmp_path / "spoiled.safetensors")
    assert failure.value.hint == f"medsynth weights check {name}"


def test_without_its_file_an_extractor_says_where_to_get_it_and_what_there_is_instead() -> None:
    for name in (*extractors.NAMES[1:], "timm/test_vit"):
        with pytest.raises(MissingWeights, match="is not here") as failure:
            extractors.load(Wanted(name), fold=0, classifier=Path("nowhere"))
        assert f"medsynth weights check {name}" in failure.value.hint
        assert "features.extractor=resnet34" in failure.value.hint


def test_an_extractor_that_there_is_not_is_answered_with_the_nearest(vit_file: Path) -> None:
    for name, meant in (("resnet", "resnet34"), ("dino-v2", "dinov2"), ("timm/", "timm/MODEL")):
        with pytest.raises(BadUsage) as failure:
            load(name)
        assert meant in failure.value.hint
    with pytest.raises(BadUsage, match="timm knows no model 'tset_vit'"):
        load("timm/tset_vit", vit_file)


def test_the_published_files_are_the_ones_that_are_looked_for(tmp_path: Path) -> None:
    assert store.destination(store.look("dinov2").published).name == "dinov2_vitb14_pretrain.safetensors"
    assert store.destination(store.look("timm/test_vit").published).name == "test_vit.safetensors"
