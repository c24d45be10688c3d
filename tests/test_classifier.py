"""The network of the classifier, and weights for it from elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from arms import QUICK, Runs
from safetensors.torch import load_file, save_file

from medsynth import classifier
from medsynth.artifacts import weights
from medsynth.classifier import Plan
from medsynth.errors import MissingWeights

COLOUR = Plan(channels=3, outputs=5, one_class=True, mean=(0.0,) * 3, deviation=(1.0,) * 3)
GREY = replace(COLOUR, channels=1, outputs=2, mean=(0.0,), deviation=(1.0,))


def test_it_is_the_papers_resnet_34_with_a_head_for_the_labels():
    model = classifier.build(replace(COLOUR, outputs=1000), seed=0)
    assert sum(p.numel() for p in model.parameters()) == 21_797_672
    assert classifier.build(GREY, seed=0)(torch.zeros(2, 1, 32, 32)).shape == (2, 2)


def test_features_are_what_the_last_layer_sees():
    model, images = classifier.build(GREY, seed=0).eval(), torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        features = model.features(images)
        torch.testing.assert_close(model.net.fc(features), model(images))
    assert features.shape == (2, 512)


def test_building_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    classifier.build(GREY, seed=0)
    assert torch.rand(4).equal(expected)


def test_the_loss_is_that_of_the_task():
    logits, labels = torch.tensor([[0.0, 0.0], [0.0, 100.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    several = classifier.build(replace(GREY, one_class=False), seed=0)
    assert several.loss(logits, labels).item() == pytest.approx(3 * np.log(2) / 4)
    assert classifier.build(GREY, seed=0).loss(logits, labels).item() == pytest.approx(np.log(2) / 2)


# ---- imported weights


def published(path: Path, change: Callable[[dict[str, torch.Tensor]], None] = lambda _tensors: None) -> Path:
    """A file such as timm publishes: a colour network with its own head, here with random weights."""
    tensors = dict(classifier.build(COLOUR, seed=5).net.state_dict())
    change(tensors)
    save_file(tensors, path)
    return path


def test_imported_weights_replace_all_but_a_head_for_other_labels(tmp_path):
    path = published(tmp_path / "model.safetensors")
    model = classifier.build(replace(COLOUR, outputs=2), seed=0)
    head = model.net.fc.weight.clone()
    classifier.import_weights(model, path)
    theirs = load_file(path)
    assert model.net.layer3[0].conv1.weight.equal(theirs["layer3.0.conv1.weight"])
    assert model.net.fc.weight.equal(head)


def test_colour_weights_answer_to_a_grey_image_as_to_three_equal_channels(tmp_path):
    path = published(tmp_path / "model.safetensors")
    colour, grey = classifier.build(COLOUR, seed=0), classifier.build(replace(GREY, outputs=5), seed=0)
    for model in (colour, grey):
        classifier.import_weights(model, path)
        model.eval()
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def drop_a_layer(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["layer4.2.conv2.weight"]


def add_a_layer(tensors: dict[str, torch.Tensor]) -> None:
    tensors["layer5.0.conv1.weight"] = torch.zeros(1)


def widen_a_layer(tensors: dict[str, torch.Tensor]) -> None:
    tensors["layer1.0.conv1.weight"] = torch.zeros(128, 64, 3, 3)


def break_a_number(tensors: dict[str, torch.Tensor]) -> None:
    tensors["layer1.0.conv1.weight"][0, 0, 0, 0] = float("nan")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_a_layer, "layer4.2.conv2.weight is nothing there"),
        (add_a_layer, "layer5.0.conv1.weight is .* and nothing here"),
        (widen_a_layer, r"layer1.0.conv1.weight is \[128, 64, 3, 3\] there and \[64, 64, 3, 3\] here"),
        (break_a_number, "not numbers"),
    ],
)
def test_weights_of_another_network_are_refused_with_the_first_layer_that_differs(tmp_path, change, said):
    path = published(tmp_path / "model.safetensors", change)
    with pytest.raises(MissingWeights, match=said):
        classifier.import_weights(classifier.build(GREY, seed=0), path)


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(MissingWeights, match="not a safetensors file"):
        classifier.import_weights(classifier.build(GREY, seed=0), path)


def test_a_run_says_that_its_weights_were_imported_and_which(tmp_path):
    path = published(tmp_path / "model.safetensors")
    out, result = Runs(tmp_path / "run").train("real", QUICK.model_copy(update={"weights": str(path)}))
    assert result.summary["weights_at_start"].startswith("model.safetensors, sha256 ")
    assert weights.facts(out)["weights_at_start"] == result.summary["weights_at_start"]
    assert any("imported weights" in note for note in result.notes)


def test_missing_weights_are_named_with_the_place_where_they_were_looked_for(tmp_path):
    with pytest.raises(MissingWeights, match=str(tmp_path / "nowhere.safetensors")) as error:
        Runs(tmp_path / "run").train(
            "real", QUICK.model_copy(update={"weights": str(tmp_path / "nowhere.safetensors")})
        )
    assert error.value.exit_code == 6
    assert "medsynth classify --weights" in error.value.hint
