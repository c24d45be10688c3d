"""Generators make latents from labels. One folder each; the folder's name is its kind."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medsynth import kinds
from medsynth.codecs import Code

if TYPE_CHECKING:
    from torch import Tensor

    from medsynth.draws import Draws, RowDraws
    from medsynth.sampling import Sampling
    from medsynth.shapes import Labels, Latents, Loss


class Generator(Protocol):
    """An nn.Module that learns latents and then makes new ones."""

    def loss(
        self, latents: "Latents", labels: "Labels", draws: "Draws", augmentation: "Tensor | None" = None
    ) -> "Loss":
        """augmentation (batch, parameter): how each image was moved, for generators that are told so."""
        ...

    def macs(self) -> int:
        """Multiply-accumulates of one forward pass for one image."""
        ...

    def evaluations(self, sampling: "Sampling") -> float:
        """Forward passes that one sample takes, those of guidance among them; parts of a pass as parts."""
        ...

    def sample(self, labels: "Labels", draws: "RowDraws", sampling: "Sampling") -> "Latents":
        """One latent a row. A row depends on its labels and its own random numbers, not on its batch."""
        ...


def build(config: Any, *, code: Code, labels: int) -> Any:
    """An untrained generator for codes of one shape and a number of labels."""
    return kinds.model("generators", config.kind)(config, code=code, labels=labels)


def save(folder: Path, generator: Any, config: Any, *, code: Code, labels: int) -> None:
    """Write what is needed to build the generator again without any flag."""
    from medsynth.artifacts import weights

    made_for = {"code": code.shape, "bounds": code.bounds, "vocabulary": code.vocabulary, "labels": labels}
    weights.save_module(folder, generator, {"config": config.model_dump(mode="json")} | made_for)


def load(folder: Path, device: str = "cpu") -> Any:
    """Rebuild a trained generator from its folder alone, on a device, in evaluation mode."""
    from medsynth.artifacts import weights

    facts = weights.facts(folder)
    config = kinds.config("generators", facts["config"]["kind"])(**facts["config"])
    bounds = tuple((low, high) for low, high in facts["bounds"]) if facts["bounds"] else None
    code = Code(tuple(facts["code"]), bounds, facts.get("vocabulary", 0))
    built = build(config, code=code, labels=facts["labels"])
    return weights.load_into(folder, built).to(device)
