"""Features to the nearest entries of a codebook, on the unit sphere (Yu et al. 2022, section 3.2; van den Oord et al.
2017).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from medsynth.shapes import Loss, Tokens

CHUNK, CHUNK_OF_GPU = 2**20, 2**27  # products that are held at a time
TEMPERATURE = 0.01  # of the softmax over distances in the entropy term
ASIDE = 0.02  # how far an entry that nobody used is put from one of the most used, against their unit length


@dataclass(frozen=True)
class Quantised:
    """What becomes of features."""

    codes: Tensor  # (batch, dimension, row, column), of unit length; gradients pass to the features
    tokens: Tokens
    loss: Loss


@dataclass(frozen=True)
class Terms:
    """Weights of the terms beside the codebook's own, which is 1."""

    commitment: float = 0.25
    entropy: float = 0.0


class Quantiser(nn.Module):
    """A codebook, and how much of it is used.

    Features and entries count by their direction alone. In training the tokens are counted: over the block of steps
    that is under way, and over the whole block before it.
    """

    counts: Tensor
    before: Tensor
    steps: Tensor

    def __init__(self, entries: int, dimension: int, terms: Terms, *, block: int, revive: bool) -> None:
        super().__init__()
        self.terms, self.block, self.revive = terms, block, revive
        self.embedding = nn.Embedding(entries, dimension)
        with torch.no_grad():
            self.embedding.weight.copy_(F.normalize(self.embedding.weight.uniform_(-1 / entries, 1 / entries)))
        self.register_buffer("counts", torch.zeros(entries, dtype=torch.int64))
        self.register_buffer("before", torch.zeros(entries, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Tensor) -> Quantised:
        """Features (batch, dimension, row, column) in any precision; the search is in float32 whatever that is."""
        if self.training:
            self._end_block()
        with torch.autocast(features.device.type, enabled=False):
            grid = features.float().movedim(1, -1)  # (batch, row, column, dimension)
            unit = F.normalize(grid.flatten(0, 2), dim=1)
            book = F.normalize(self.embedding.weight, dim=1)
            tokens = nearest(unit.detach(), book.detach())
            chosen = F.embedding(tokens, book)
            loss = F.mse_loss(chosen, unit.detach()) + self.terms.commitment * F.mse_loss(unit, chosen.detach())
            if self.terms.entropy > 0:
                loss = loss + self.terms.entropy * spread(unit, book)
            passed = unit + (chosen - unit).detach()  # straight through
        if self.training:
            self._count(tokens)
        return Quantised(passed.view_as(grid).movedim(-1, 1), tokens.view(grid.shape[:-1]), loss)

    @torch.no_grad()
    def find(self, features: Tensor) -> Tokens:
        """Features (batch, dimension, row, column) -> tokens."""
        with torch.autocast(features.device.type, enabled=False):
            grid = features.float().movedim(1, -1)
            unit, book = F.normalize(grid.flatten(0, 2), dim=1), F.normalize(self.embedding.weight, dim=1)
            return nearest(unit, book).view(grid.shape[:-1])

    def look_up(self, tokens: Tokens) -> Tensor:
        """Tokens -> their entries, of unit length, (batch, dimension, row, column)."""
        return F.normalize(F.embedding(tokens, self.embedding.weight).float(), dim=-1).movedim(-1, 1)

    @torch.no_grad()
    def fill(self, features: Tensor) -> None:
        """Take the entries from features of the first images, (batch, dimension, row, column)."""
        unit = F.normalize(features.float().movedim(1, -1).flatten(0, 2), dim=1)
        self.embedding.weight.copy_(centres(unit, len(self.embedding.weight)))

    @torch.no_grad()
    def set_use(self, tokens: Tokens) -> None:
        """Count these tokens and no others."""
        self.counts.copy_(torch.bincount(tokens.flatten(), minlength=len(self.counts)))
        self.before.zero_()

    @property
    def counted(self) -> int:
        """How many tokens usage and perplexity are of."""
        return int((self.counts + self.before).sum())

    @property
    def usage(self) -> float:
        """Share of the entries that were used."""
        return ((self.counts + self.before) > 0).double().mean().item()

    @property
    def perplexity(self) -> float:
        """So many entries, used equally often, would carry as much; 0 before anything was counted."""
        used = (self.counts + self.before).double()
        share = used / used.sum().clamp(min=1)
        return torch.special.entr(share).sum().exp().item() if used.any() else 0.0

    @torch.no_grad()
    def _count(self, tokens: Tensor) -> None:
        self.counts += torch.bincount(tokens, minlength=len(self.counts))
        self.steps += 1

    @torch.no_grad()
    def _end_block(self) -> None:
        """When its steps are over. Before an entry is looked at: between a loss and its gradients none may move."""
        if int(self.steps) < self.block:
            return
        if distributed.is_initialized():
            distributed.all_reduce(self.counts)
        if self.revive:
            self._split()
        self.before.copy_(self.counts)
        self.counts.zero_()
        self.steps.zero_()

    def _split(self) -> None:
        """Put each entry that nobody used in this block beside one of the most used (Linde, Buzo and Gray 1980)."""
        order = self.counts.argsort(descending=True, stable=True)
        used = int((self.counts > 0).sum())
        unused = order[used:][:used]  # where there are more, the others wait for the next block
        busy = order[: len(unused)]
        dice = torch.Generator().manual_seed(0)  # the same in every process
        weight = self.embedding.weight
        aside = torch.randn(len(unused), weight.shape[1], generator=dice).to(weight)
        weight[unused] = F.normalize(weight[busy], dim=1) + ASIDE * aside


@torch.no_grad()
def nearest(unit: Tensor, book: Tensor) -> Tensor:
    """For each row of `unit` (row, dimension) the index of the nearest row of `book`; both float32, of unit length.

    On the unit sphere the nearest is the one with the largest product. Rows go in chunks: what the textbook's matrix
    of distances holds at once does not fit into a cache, and for large images not into memory.
    """
    chunk = max(1, (CHUNK_OF_GPU if unit.is_cuda else CHUNK) // len(book))
    return torch.cat([(rows @ book.T).argmax(dim=1) for rows in unit.split(chunk)])


def spread(unit: Tensor, book: Tensor) -> Loss:
    """Each feature sure of its entry, all used alike: mean entropy less the entropy of the mean (Yu et al. 2024)."""
    p = (2 * unit @ book.T / TEMPERATURE).softmax(dim=1)
    mean = p.mean(0)
    return torch.special.entr(p).sum(1).mean() + (mean * (mean + 1e-5).log()).sum()


def centres(unit: Tensor, count: int, rounds: int = 10) -> Tensor:
    """`count` centres of rows of unit length, by spherical k-means (Dhillon and Modha 2001), (centre, dimension).

    It begins at rows taken evenly from all, so that nothing is random. A centre that no row is nearest to stays.
    """
    found = unit[torch.linspace(0, len(unit) - 1, count).long()]
    for _ in range(rounds):
        sums = torch.zeros_like(found).index_add_(0, nearest(unit, found), unit)
        found = torch.where(sums.norm(dim=1, keepdim=True) > 0, F.normalize(sums, dim=1), found)
    return found
