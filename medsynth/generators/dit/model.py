"""DiT as a generator: a transformer over patches of latents that learns to remove noise and is told the labels."""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.codecs import Code
from medsynth.draws import Draws, RowDraws
from medsynth.errors import BadUsage
from medsynth.generators.dit.config import Config
from medsynth.nn.block import Block, Final
from medsynth.nn.diffusion import Diffusion
from medsynth.nn.embeddings import LabelEmbedding, TimeEmbedding, sinusoidal_positions_2d
from medsynth.nn.labelled import Labelled
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Latents, Loss

PATCH_FROM = 16  # cells a side from which on two by two of them make a token


@dataclass(frozen=True)
class Shape:
    """Sizes of the transformer."""

    width: int  # of a token
    depth: int  # blocks
    heads: int
    mlp: int = 4  # the hidden layer, as a multiple of the width


# s and b: table 1 of the paper.
SHAPES = {
    "b": Shape(width=768, depth=12, heads=12),
    "s": Shape(width=384, depth=12, heads=6),
    "tiny": Shape(width=128, depth=4, heads=4),
}


class Transformer(nn.Module):
    """The network of DiT with adaLN-zero blocks (Peebles & Xie 2023, section 3.2)."""

    def __init__(self, shape: Shape, code: tuple[int, ...], out: int, patch: int) -> None:
        """code: (channel, row, column) of a latent, rows and columns multiples of `patch`; out: channels answered."""
        super().__init__()
        channels, rows, columns = code
        self.shape, self.patch, self.grid = shape, patch, (rows // patch, columns // patch)
        self.patch_embedding = nn.Linear(channels * patch**2, shape.width)
        self.time = TimeEmbedding(shape.width)
        self.blocks = nn.ModuleList(
            Block(shape.width, shape.mlp * shape.width, affine=False, qkv_bias=True, eps=1e-6, gelu="tanh")
            for _ in range(shape.depth)
        )
        self.final = Final(shape.width, patch**2 * out)
        # Fixed, but a parameter: the 32,731,424 of the GeCA paper's DiT-S/2 count the table.
        self.positions = nn.Parameter(sinusoidal_positions_2d(*self.grid, shape.width), requires_grad=False)
        self._initialise()

    def forward(self, x_t: Latents, t: Tensor, condition: Tensor, *, weaker: bool = False) -> Tensor:
        """x_t (batch, channel, row, column), t (batch,), condition (batch, width) -> (batch, out, row, column).

        `weaker` leaves out the middle third of the blocks. Blocks change little each, so that what remains still
        denoises, only worse: a weaker self as in Karras et al. 2024, without training one of its own.
        """
        c = F.silu(self.time(t) + condition)
        e = self.patch_embedding(F.pixel_unshuffle(x_t, self.patch).flatten(2).transpose(1, 2)) + self.positions
        for block in self._stack(weaker=weaker):
            attention, mlp = block.modulations(c)
            attention = attention.over_tokens()
            e = block.with_attention(e, self._attend(block.qkv(block.seen(e, attention))), attention)
            e = block.with_mlp(e, mlp.over_tokens())
        factor, shift = self.final.modulations(c)
        return self._unpatched(self.final(e, factor[:, None], shift[:, None]))

    def macs(self) -> int:
        """Multiply-accumulates of one forward pass for one image: linear layers, and attention's two products."""
        tokens, width = self.grid[0] * self.grid[1], self.shape.width
        blocks = self._stack()
        once = [self.time.first, self.time.second, self.final.modulation, *(b.modulation for b in blocks)]
        per_token = [self.patch_embedding, self.final.linear]
        per_token += [cast(nn.Linear, layer) for b in blocks for layer in (b.qkv, b.attention_out, *b.mlp)]
        linear = sum(layer.weight.numel() for layer in once) + tokens * sum(layer.weight.numel() for layer in per_token)
        return linear + 2 * tokens**2 * width * self.shape.depth

    def _attend(self, qkv: Tensor) -> Tensor:
        """Every token to every token. qkv (batch, token, 3 * width) -> (batch, token, width)."""
        query, key, value = qkv.unflatten(2, (3, self.shape.heads, -1)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    def _unpatched(self, tokens: Tensor) -> Tensor:
        """(batch, token, patch row x patch column x channel) -> (batch, channel, row, column)"""
        (rows, columns), patch = self.grid, self.patch
        squares = tokens.view(len(tokens), rows, columns, patch, patch, -1)
        return squares.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), -1, rows * patch, columns * patch)

    def _stack(self, *, weaker: bool = False) -> list[Block]:
        blocks = cast(list[Block], list(self.blocks))
        left_out = round(len(blocks) / 3) if weaker else 0
        first = (len(blocks) - left_out) // 2
        return blocks[:first] + blocks[first + left_out :]

    def _initialise(self) -> None:
        """As published: Xavier's uniform weights and no bias; time with a deviation of 0.02; modulations and the final
        layer stay zero, so that every block begins as the identity (section 3.2)."""
        zero = {self.final.linear, self.final.modulation, *(block.modulation for block in self._stack())}
        for layer in self.modules():
            if isinstance(layer, nn.Linear) and layer not in zero:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        for layer in (self.time.first, self.time.second):
            nn.init.normal_(layer.weight, std=0.02)


class Model(nn.Module):
    """Diffusion with a transformer (Peebles & Xie, ICCV 2023, arXiv 2212.09748), several labels an image."""

    def __init__(self, config: Config, *, code: Code, labels: int) -> None:
        """Raises BadUsage for latents that `patch` does not divide."""
        super().__init__()
        self.config = config
        shape, channels = SHAPES[config.size], code.shape[0]
        diffusion = Diffusion(config.prediction, config.noise_schedule, learns_variance=True, min_snr=config.min_snr)
        out = 2 * channels if diffusion.has_variance else channels
        self.transformer = Transformer(shape, code.shape, out, _patch(config.patch, code.shape))
        self.label = LabelEmbedding(labels, shape.width, config.label_dropout, augment=config.augment)
        self.labelled = Labelled(self.transformer, self.label, diffusion, code.shape)

    def loss(self, latents: Latents, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        """The diffusion's loss, the labels hidden now and then."""
        return self.labelled.loss(latents, labels, draws, self.config.label_dropout_rate, augmentation)

    def sample(self, labels: Labels, draws: RowDraws, sampling: Sampling) -> Latents:
        """Latents for labels, (row, channel, row, column)."""
        return self.labelled.sample(labels, draws, sampling)

    def evaluations(self, sampling: Sampling) -> float:
        """Forward passes that one image takes."""
        return self.labelled.evaluations(sampling)

    def macs(self) -> int:
        """Multiply-accumulates of one forward pass for one image."""
        return self.transformer.macs()


def _patch(wanted: int | None, code: tuple[int, ...]) -> int:
    """The side of a token in cells; chosen by the grid where none is given."""
    _, rows, columns = code
    if wanted is None:
        return 2 if min(rows, columns) >= PATCH_FROM and rows % 2 == columns % 2 == 0 else 1
    if rows % wanted or columns % wanted:
        fits = max(side for side in range(1, wanted) if rows % side == columns % side == 0)
        raise BadUsage(
            f"latents of {rows} x {columns} cells cannot be divided into patches of {wanted}",
            hint=f"--set generator.dit.patch={fits}",
        )
    return wanted
