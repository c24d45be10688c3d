"""Codecs turn images into latents, and back. One folder each; the folder's name is its kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medsynth import kinds
from medsynth.settings import said

if TYPE_CHECKING:
    from torch import Tensor

    from medsynth.draws import Draws
    from medsynth.shapes import Images, Latents, Loss, Posterior


@dataclass(frozen=True)
class Picture:
    """What a codec is made for."""

    channels: int  # 1 is grey, 3 is RGB
    size: int  # pixels a side
    masks: bool = False  # the mask of its lesions is one channel more, the last

    @property
    def planes(self) -> int:
        """Channels, that of the mask included."""
        return self.channels + self.masks


@dataclass(frozen=True)
class Code:
    """What a codec makes of one image."""

    shape: tuple[int, ...]  # (channel, row, column) of a latent; (row, column) of tokens
    bounds: tuple[tuple[float, float], ...] | None = None  # of each channel's values, where the code knows them
    vocabulary: int = 0  # how many different tokens there are; 0: latents are continuous


class Codec(Protocol):
    """An nn.Module with a way in, a way out and something to minimise.

    Three words: an image; its *posterior*, raw, as it is stored; its *latent*, drawn from the posterior and scaled to
    zero mean and unit deviation in every channel, as a generator sees it. The scale is the codec's own: it is measured
    once, on training images, and no other module knows it.

    A discrete codec's posterior is tokens, and so is its latent: there is nothing to draw and nothing to scale.

    A codec may have more, which the codec stage uses where it is there: `imported` (a file or folder instead of a
    training), `preparation` and `prepare` (what is to learn the labels first), `players` (who learns beside it) and
    `findings` (numbers and notes once it has learnt).
    """

    picture: Picture
    code: Code
    trains: bool  # False: there is nothing to learn but the scale

    def begin(self, images: "Images") -> None:
        """Set what can be set from training images before any step is taken."""
        ...

    def loss(self, images: "Images", draws: "Draws") -> "Loss": ...

    def encode(self, images: "Images") -> "Posterior": ...

    def latents(self, posterior: "Posterior", noise: "Tensor") -> "Latents":
        """Draw latents. `noise` is standard normal, (batch, channel, row, column)."""
        ...

    def measure(self, posterior: "Posterior") -> None:
        """Set the scale from the posteriors of training images."""
        ...

    def decode(self, latents: "Latents") -> "Images": ...

    def embed(self, latents: "Latents") -> "Tensor":
        """What distances between images are measured in, (batch, dimension)."""
        ...


def build(config: Any, picture: Picture) -> Any:
    """An untrained codec for pictures of one kind. Raises BadUsage for a size that it cannot divide."""
    return kinds.model("codecs", config.kind)(config, picture)


def reconstruct(codec: Any, images: "Images") -> "Images":
    """Images through a codec and back, by the means of their posteriors."""
    posterior = codec.encode(images)
    return codec.decode(codec.latents(posterior, images.new_zeros(len(images), *codec.code.shape)))


def colours(codec: Any, images: "Images") -> "Images":
    """What a codec knows of images or gives back, without the mask where there is one."""
    return images[:, : codec.picture.channels]


def lesions(codec: Any, images: "Images") -> "Images":
    """The mask alone, (batch, 1, row, column) in [-1, 1]; of a codec without masks it has no channels."""
    return images[:, codec.picture.channels :]


def save(folder: Path, codec: Any, config: Any, picture: Picture) -> None:
    """Write what is needed to build the codec again without any flag."""
    from medsynth.artifacts import weights

    of_picture = {"channels": picture.channels, "size": picture.size} | ({"masks": True} if picture.masks else {})
    facts = {"config": said(config), "picture": of_picture}
    weights.save_module(folder, codec, facts | {"code": list(codec.code.shape)} | codec.facts())


def load(folder: Path, device: str = "cpu") -> Any:
    """Rebuild a trained codec from its folder alone, on a device, in evaluation mode."""
    from medsynth.artifacts import weights

    facts = weights.facts(folder)
    config = kinds.config("codecs", facts["config"]["kind"])(**facts["config"])
    built = kinds.model("codecs", config.kind).from_facts(config, Picture(**facts["picture"]), facts)
    return weights.load_into(folder, built).to(device)
