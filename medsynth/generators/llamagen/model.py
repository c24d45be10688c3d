"""LlamaGen as a generator: an image's tokens are learnt and drawn one after the other, the labels told before them."""

import torch
from torch import Tensor, nn

from medsynth.codecs import Code
from medsynth.draws import Draws, RowDraws
from medsynth.errors import BadUsage
from medsynth.generators.llamagen.config import Config
from medsynth.generators.llamagen.decoding import Decoder, guided_until, scales
from medsynth.generators.llamagen.objective import cross_entropy
from medsynth.generators.llamagen.transformer import DEVIATION, SHAPES, Transformer, nothing
from medsynth.nn.row_dropout import RowDropout
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Loss, Tokens

# From which on more than learning by heart is hardly to be expected: a judgement, between the 600 that GPT-XL has for
# each image of ImageNet and the 141,000 that it has for each of the 5,489 fundus images of the paper.
PARAMETERS_AN_IMAGE = 50_000


class Model(nn.Module):
    """Autoregressive images (Sun et al. 2024, arXiv 2406.06525), several labels an image."""

    def __init__(self, config: Config, *, code: Code, labels: int) -> None:
        """Raises BadUsage for a code that is not of tokens."""
        super().__init__()
        if not code.vocabulary:
            raise BadUsage(
                "llamagen draws tokens, and this codec's latents are continuous",
                hint="--set generator.llamagen.codec=vq",
            )
        self.config, self.code = config, code
        rows, columns = code.shape
        self.transformer = Transformer(SHAPES[config.size], (rows, columns), code.vocabulary)
        self.labels = LabelTable(labels, SHAPES[config.size].width)

    def loss(self, tokens: Tokens, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        """Nats a token, the labels hidden now and then. Tokens are not told how an image was moved."""
        hidden = (draws.uniform() < self.config.label_dropout_rate).to(labels.device)
        condition = torch.where(hidden[:, None], self.labels.null, self.labels(labels))
        drop = nothing
        if self.training and self.config.dropout:
            drop = RowDropout(self.config.dropout, draws.apart(tokens.device))
        wanted = tokens.flatten(1)
        found = self.transformer(condition, wanted[:, :-1], drop)
        return cross_entropy(found.flatten(0, 1), self.transformer.head, wanted.flatten(), self.code.vocabulary)

    @torch.no_grad()
    def sample(self, labels: Labels, draws: RowDraws, sampling: Sampling) -> Tokens:
        """Tokens for labels, (row, row of the grid, column)."""
        condition, decoder = (
            self.labels(labels.to(self.labels.null.device)),
            Decoder(self.transformer, sampling.arithmetic),
        )
        tokens = decoder.draw(condition, self.labels.null, draws.apart(condition.device), sampling)
        return tokens.unflatten(1, self.code.shape)

    def evaluations(self, sampling: Sampling) -> float:
        """Tokens that one image takes; two for one as long as those without labels are needed for guidance."""
        positions = self.transformer.positions
        return positions + guided_until(scales(sampling, positions))

    def macs(self) -> int:
        """Multiply-accumulates of one token of one image, the mean over all."""
        return self.transformer.macs()

    def notes(self, images: int) -> tuple[str, ...]:
        """What is to be said of a training on so many images."""
        with torch.device("meta"):
            made = {
                size: Transformer(shape, self.transformer.grid, self.code.vocabulary) for size, shape in SHAPES.items()
            }
        each = {size: sum(p.numel() for p in network.parameters()) / images for size, network in made.items()}
        size, fitting = self.config.size, [size for size, share in each.items() if share <= PARAMETERS_AN_IMAGE]
        if size in fitting or size == "tiny":
            return ()
        better = max(fitting, key=lambda size: each[size], default="tiny")
        whole = images * each[size] / 1e6
        return (
            f"{whole:,.0f} million parameters for {images:,} images, {each[size]:,.0f} an image, are enough to learn "
            f"all of them by heart. --set generator.llamagen.size={better} has {each[better]:,.0f}.",
        )


class LabelTable(nn.Module):
    """Labels (batch, label) -> (batch, width): the sum of a row for each label that is 1.

    With one class an image, that is the table of Sun et al. 2024, whose last row stands for labels that are hidden. An
    image without any label has a row of its own: nothing at all would tell as little as nothing can.
    """

    def __init__(self, labels: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(labels + 1, width).normal_(std=DEVIATION))
        self.none = nn.Parameter(torch.empty(width).normal_(std=DEVIATION))

    @property
    def null(self) -> Tensor:
        """In place of labels that are hidden, (width,)."""
        return self.table[-1]

    def forward(self, labels: Labels) -> Tensor:
        bare = 1 - labels.amax(dim=1, keepdim=True)
        return (labels[:, :, None] * self.table[:-1]).sum(dim=1) + bare * self.none
