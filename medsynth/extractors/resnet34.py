"""The fold's own classifier of real images as an extractor: it has seen this fold's training patients and no other."""

from pathlib import Path

from torch import Tensor, nn

from medsynth import arms, classifier
from medsynth.artifacts import files, weights
from medsynth.classifier import Classifier
from medsynth.errors import Refused
from medsynth.extractors.view import exactly
from medsynth.shapes import Images

DIGITS = 12  # of the hash of its weights, in its name
ARM = "real"


class Model(nn.Module):
    """What its last layer sees, (image, 512), and its maps on the way there."""

    def __init__(self, network: Classifier, name: str) -> None:
        super().__init__()
        self.network, self.name = network.eval().requires_grad_(False), name

    def features(self, images: Images) -> Tensor:
        with exactly(images.device):
            return self.network.features(images).float()

    def maps(self, images: Images) -> list[Tensor]:
        """Of each of the four groups of blocks, (image, channel, row, column)."""
        with exactly(images.device):
            return self.network.maps(images)

    def weigh(self, level: int, difference: Tensor) -> Tensor:
        """Channels count alike."""
        return difference.sum(dim=1)


def load(folder: Path, fold: int | None) -> Model:
    """From the folder of a fold's arm `real`. Raises Refused for another arm or fold, BadData for damaged files."""
    facts = weights.facts(folder)
    if arms.without_repeat(str(facts.get("arm"))) != ARM or facts.get("fold") != fold:
        raise Refused(
            f"{folder} is the classifier {facts.get('arm')} of fold {facts.get('fold')}, not of fold {fold}'s real",
            hint=f"medsynth classify --arms {ARM} --fold {fold}",
        )
    digest = files.sha256(folder / weights.WEIGHTS)
    return Model(classifier.load(folder), f"resnet34-fold{fold}:{digest[:DIGITS]}")
