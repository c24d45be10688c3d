"""Segmenters make masks from images. One folder each; the folder's name is its kind."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medsynth import kinds

if TYPE_CHECKING:
    from torch import Tensor

    from medsynth.draws import Draws, RowDraws
    from medsynth.shapes import Images, Loss, Masks


class Segmenter(Protocol):
    """An nn.Module that learns masks of images, and then finds them in others, of any size."""

    def loss(self, images: "Images", masks: "Masks", draws: "Draws") -> "Loss": ...

    def predict(self, images: "Images", draws: "RowDraws", runs: int | None = None) -> "Tensor":
        """Probabilities of independent runs, (batch, run, row, column); left out: as many runs as in the settings.

        A row depends on its image and its own random numbers, not on its batch. What has nothing random in it has one
        run, however many are asked for.
        """
        ...

    def sample(self, images: "Images", draws: "RowDraws", *, fast: bool = True) -> "Tensor":
        """One run, (batch, 1, row, column); without `fast` in a form that can be exported."""
        ...

    def round(self, images: "Images", draws: "RowDraws") -> object:
        """The part of a run that takes the most memory, once: of a diffusion one answer of its network."""
        ...

    def macs(self, grid: tuple[int, int]) -> int:
        """Multiply-accumulates of one run for one image of so many rows and columns."""
        ...


def build(config: Any, *, channels: int) -> Any:
    """An untrained segmenter for images of 1 or 3 channels."""
    return kinds.model("segmenters", config.kind)(config, channels=channels)


def save(folder: Path, segmenter: Any, config: Any, *, channels: int, facts: dict[str, Any] | None = None) -> None:
    """Write what is needed to build the segmenter again without any flag, and more facts about it."""
    from medsynth.artifacts import weights

    known = {"config": config.model_dump(mode="json"), "channels": channels}
    weights.save_module(folder, segmenter, (facts or {}) | known)


def load(folder: Path, device: str = "cpu") -> Any:
    """Rebuild a trained segmenter from its folder alone, on a device, in evaluation mode."""
    from medsynth.artifacts import weights

    facts = weights.facts(folder)
    config = kinds.config("segmenters", facts["config"]["kind"])(**facts["config"])
    return weights.load_into(folder, build(config, channels=facts["channels"])).to(device)
