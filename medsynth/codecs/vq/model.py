"""Images to tokens and back: an autoencoder with a codebook, trained here or imported."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.codecs import Code, Picture
from medsynth.codecs.vq import duel, published
from medsynth.codecs.vq.beginning import Beginning
from medsynth.codecs.vq.config import Config
from medsynth.codecs.vq.networks import Decoder, Encoder, Sizes
from medsynth.codecs.vq.perceptual import FoldFeatures
from medsynth.codecs.vq.quantiser import Quantised, Quantiser, Terms
from medsynth.draws import Draws
from medsynth.errors import BadUsage
from medsynth.perceptual import Lpips, distance
from medsynth.player import Player
from medsynth.shapes import Images, Loss, Tokens

A_BATCH = 32
ROWS_PER_ENTRY = 32  # that many features of the first images are enough to place an entry
COLLAPSED_USAGE, COLLAPSED_PERPLEXITY = 0.25, 0.05  # of as many entries as could be used


class Model(nn.Module):
    """VQGAN with a codebook on the unit sphere (Esser et al. 2021; Yu et al. 2022), as Sun et al. 2024 size it."""

    trains = True

    def __init__(self, config: Config, picture: Picture, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.config, self.picture = config, picture
        self.sizes = sizes = sizes or _sizes(config, picture)
        if picture.size % sizes.factor:
            raise BadUsage(
                f"images of {picture.size} pixels cannot be divided into cells of {sizes.factor}",
                hint=f"--image-size {picture.size // sizes.factor * sizes.factor}, or --set codec.vq.factor=2",
            )
        side = picture.size // sizes.factor
        self.code = Code((side, side), vocabulary=sizes.codebook)
        self.encoder, self.decoder = Encoder(sizes), Decoder(sizes)
        self.quantize = Quantiser(
            sizes.codebook, sizes.dimension, Terms(config.commitment, config.entropy_weight),
            block=config.usage_steps, revive=config.revive,
        )  # fmt: skip
        self.quant_conv = nn.Conv2d(sizes.features, sizes.dimension, 1)
        self.post_quant_conv = nn.Conv2d(sizes.dimension, sizes.features, 1)
        self.beginning = Beginning(sizes.channels, sizes.dimension, sizes.factor) if sizes.shortcut else None
        if self.beginning:
            _silence(self.quant_conv, self.decoder.conv_out)
        # By what eyes errors are weighed. No modules of the codec: they neither learn with it nor are kept with it.
        self.sights: tuple[Any, ...] = ()

    @classmethod
    def from_facts(cls, config: Config, picture: Picture, facts: dict[str, Any]) -> "Model":
        return cls(config, picture, Sizes(**facts["sizes"]))

    @classmethod
    def imported(cls, config: Config, picture: Picture, file: Path) -> "Model":
        """Read a local safetensors file. Raises MissingWeights for one that is not whole or not for this."""
        sizes, tensors = published.read(file, picture)
        model = cls(config, picture, sizes)
        published.load(model, tensors, file)
        return model

    def facts(self) -> dict[str, Any]:
        return {"sizes": asdict(self.sizes)}

    @torch.no_grad()
    def begin(self, images: Images) -> None:
        """Fit the linear code that the networks refine, and place the entries where the images' features are."""
        if not self.beginning:
            return
        self.beginning.fit(images)
        cells = self.code.shape[0] * self.code.shape[1]
        some = images[:: len(images) // (ROWS_PER_ENTRY * self.sizes.codebook // cells + 1) + 1]
        self.quantize.fill(torch.cat([self._features(batch) for batch in some.split(A_BATCH)]))

    def loss(self, images: Images, draws: Draws) -> Loss:
        """Errors of pixels, of their differences to the neighbours and of what a network sees, and the codebook's."""
        decoded, found = self.reconstruct(images)
        return self.error(decoded, images) + found.loss

    def players(self) -> list[Player]:
        """The codec and, where one is asked for, its discriminator; losses take images, random numbers and the step."""
        return duel.players(self)

    def preparation(self, labels: int, *, one_class: bool) -> tuple[nn.Module, int] | None:
        """What is to learn the images' labels before the codec learns anything, and for how many steps."""
        if not self.config.perceptual_weight or self.config.lpips_weights:
            return None
        return FoldFeatures(self.picture.channels, labels, one_class=one_class), self.config.perceptual_steps

    def prepare(self, learned: nn.Module | None) -> None:
        """Take what `preparation` asked for, once it has learnt."""
        if self.config.perceptual_weight and self.config.lpips_weights:
            learned = Lpips(Path(self.config.lpips_weights).expanduser())
        self.sights = (learned.eval().requires_grad_(False),) if learned else ()

    def reconstruct(self, images: Images) -> tuple[Images, Quantised]:
        """There and back, and what the quantiser made of it."""
        found = self.quantize(self._features(images))
        return self._decode(found.codes), found

    def error(self, decoded: Images, images: Images) -> Loss:
        """Of a reconstruction, without the codebook's terms and without a discriminator's verdict."""
        config = self.config
        error = config.pixel_weight * F.mse_loss(decoded, images)
        if config.edge_weight:
            for side in (2, 3):
                error = error + config.edge_weight * F.l1_loss(decoded.diff(dim=side), images.diff(dim=side))
        for sight in self.sights:
            error = error + config.perceptual_weight * distance(sight.to(images.device), decoded, images)
        return error

    def encode(self, images: Images) -> Tokens:
        return self.quantize.find(self._features(images))

    def latents(self, posterior: Tokens, noise: Tensor) -> Tokens:
        """The tokens as they are: there is nothing to draw."""
        return posterior.long()

    def measure(self, posterior: Tokens) -> None:
        """Count how much of the codebook training images use; codes have no scale."""
        self.quantize.set_use(posterior.long())

    def decode(self, latents: Tokens) -> Images:
        return self._decode(self.quantize.look_up(latents)).clamp(-1, 1)

    def embed(self, latents: Tokens) -> Tensor:
        return self.quantize.look_up(latents).flatten(1)

    def findings(self) -> tuple[dict[str, Any], list[str]]:
        """Numbers and sentences that are worth telling once it has learnt and was measured."""
        used, perplexity = self.quantize.usage, self.quantize.perplexity
        numbers = {"codebook": self.sizes.codebook, "codebook_used": round(used, 3), "perplexity": round(perplexity, 1)}
        possible = min(self.sizes.codebook, self.quantize.counted)
        share = self.sizes.codebook * used / max(1, possible)
        if share >= COLLAPSED_USAGE and perplexity >= COLLAPSED_PERPLEXITY * possible:
            return numbers, []
        return numbers, [self._of_collapse()]

    def _of_collapse(self) -> str:
        entries, used = self.sizes.codebook, round(self.quantize.usage * self.sizes.codebook)
        ways = [
            *(["codec.vq.shortcut=true"] if not self.config.shortcut else []),
            *(["codec.vq.revive=true"] if not self.config.revive else []),
            f"codec.vq.codebook={max(2, entries // 4)}",
            f"codec.vq.entropy_weight={2 * self.config.entropy_weight or 0.1:g}",
        ]
        return (
            f"The codebook has collapsed: training images use {used} of its {entries} entries, no more evenly than "
            f"{self.quantize.perplexity:.0f} would be (perplexity). Try --set " + ", or --set ".join(ways) + "."
        )

    def _features(self, images: Images) -> Tensor:
        if self.sizes.channels == 3 and self.picture.channels == 1:
            images = images.expand(-1, 3, -1, -1)  # grey images for an imported colour codec
        features = self.quant_conv(self.encoder(images))
        return features + self.beginning.encode(images) if self.beginning else features

    def _decode(self, codes: Tensor) -> Images:
        images = self.decoder(self.post_quant_conv(codes))
        if self.beginning:
            images = images + self.beginning.decode(codes)
        return images.mean(dim=1, keepdim=True) if images.shape[1] > self.picture.channels else images


def _sizes(config: Config, picture: Picture) -> Sizes:
    return Sizes(
        picture.channels, config.factor, config.width, config.blocks, config.codebook, config.dimension, config.shortcut
    )


def _silence(*layers: nn.Conv2d) -> None:
    """Make networks add nothing at first."""
    for layer in layers:
        for part in layer.parameters():
            nn.init.zeros_(part)
