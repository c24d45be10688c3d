"""Images -> one number for each label: the ResNet-34 that measures whether synthetic images help.

The only module that knows timm. The network is timm's, built without its weights: these come from a local file or not
at all, and nothing is ever fetched.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from medsynth.artifacts import weights
from medsynth.errors import MissingWeights
from medsynth.shapes import Images, Labels, Loss

HEAD = "fc."
FROM_WHERE = (
    "fetch model.safetensors of timm/resnet34.a1_in1k where there is a network, compare its sha256sum with the one "
    "published, then: medsynth classify --weights FILE   (without it: from scratch)"
)


@dataclass(frozen=True)
class Plan:
    """All that a classifier is built from. It is kept beside the weights."""

    channels: int  # of the images
    outputs: int  # labels
    one_class: bool  # exactly one label is true of an image
    mean: tuple[float, ...]  # of the pixels it learned from, a channel each; pixels are standardised by it
    deviation: tuple[float, ...]


class Classifier(nn.Module):
    """ResNet-34 behind a standardisation of its pixels."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, plan: Plan) -> None:
        import timm

        super().__init__()
        self.plan = plan
        self.net = timm.create_model("resnet34", pretrained=False, in_chans=plan.channels, num_classes=plan.outputs)
        self.register_buffer("mean", torch.tensor(plan.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(plan.deviation).view(-1, 1, 1), persistent=False)

    def forward(self, images: Images) -> Tensor:
        """Images in [-1, 1] -> logits, (image, label)."""
        return self.net((images - self.mean) / self.deviation)

    def features(self, images: Images) -> Tensor:
        """Images in [-1, 1] -> what the last layer sees of them, (image, 512)."""
        return self.net.forward_head(self.net.forward_features((images - self.mean) / self.deviation), pre_logits=True)

    def maps(self, images: Images) -> list[Tensor]:
        """Images in [-1, 1] -> what each of its four groups of blocks sees, (image, channel, row, column)."""
        found = self.net.forward_intermediates((images - self.mean) / self.deviation, intermediates_only=True)
        return found[1:]  # the first is that of the stem

    def loss(self, logits: Tensor, labels: Labels) -> Loss:
        """Cross-entropy for one class, the mean of the labels' binary cross-entropies for several."""
        if self.plan.one_class:
            return nn.functional.cross_entropy(logits.float(), labels.argmax(dim=1))
        return nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits -> probabilities, (image, label); they add up to 1 for one class."""
        return logits.softmax(dim=1) if self.plan.one_class else logits.sigmoid()


def build(plan: Plan, seed: int) -> Classifier:
    """A classifier with random weights that depend on the seed and the plan's sizes alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(plan)


def save(folder: Path, model: Classifier, more: dict[str, Any]) -> None:
    """Write the weights, the plan, and whatever else is to be known of it."""
    weights.save_module(folder, model, {"plan": asdict(model.plan), **more})


def load(folder: Path) -> Classifier:
    """A trained classifier, ready to predict, from its folder alone. Raises BadData when the files do not fit."""
    known = weights.facts(folder)["plan"]
    plan = Plan(**known | {"mean": tuple(known["mean"]), "deviation": tuple(known["deviation"])})
    model = Classifier(plan)
    weights.load_into(folder, model)
    return model


def recalibrate(model: Classifier, batches: Iterable[Images]) -> None:
    """Measure the means and deviations of the batch-norm layers anew, for the weights as they are now.

    What training leaves there belongs to the weights of some steps ago, and never to their running mean: after a short
    training the ranking of images survives that, probabilities at a threshold do not.
    """
    was_training = model.training
    torch.optim.swa_utils.update_bn(batches, model)
    model.train(was_training)


def import_weights(model: Classifier, path: Path) -> None:
    """Fill `model` from a safetensors file of a ResNet-34, with timm's or torchvision's names, or one of our own.

    A head for other labels is left out. Colour weights are summed over the channels for grey images: the answer is that
    to three equal channels. Raises MissingWeights when there is no such file or it does not fit.
    """
    found, own = _read(path), model.net.state_dict()
    if "conv1.weight" in found:
        found["conv1.weight"] = _for_channels(found["conv1.weight"], model.plan.channels)
    if any(name in found and found[name].shape != own[name].shape for name in own if name.startswith(HEAD)):
        found = {name: value for name, value in found.items() if not name.startswith(HEAD)}
    optional = {name for name in own if name.startswith(HEAD) or name.endswith("num_batches_tracked")}
    for name in sorted((own.keys() - optional) | found.keys()):
        has, wants = (str(list(part[name].shape)) if name in part else "nothing" for part in (found, own))
        if has != wants:
            raise MissingWeights(f"{path} is not a ResNet-34: {name} is {has} there and {wants} here", hint=FROM_WHERE)
        if not found[name].isfinite().all():
            raise MissingWeights(f"{path} has values in {name} that are not numbers", hint="fetch the file again")
    model.net.load_state_dict(own | found)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise MissingWeights(f"there are no weights at {path.absolute()}", hint=FROM_WHERE)
    try:
        found = load_file(path)
    except Exception as error:
        raise MissingWeights(f"{path} is not a safetensors file: {error}", hint=FROM_WHERE) from error
    return {name.removeprefix("net."): value for name, value in found.items()}


def _for_channels(kernel: Tensor, channels: int) -> Tensor:
    """First-layer weights, (out, channel, row, column), for another number of image channels."""
    if kernel.ndim != 4 or kernel.shape[1] == channels:
        return kernel
    return kernel.sum(dim=1, keepdim=True).repeat(1, channels, 1, 1) / channels
