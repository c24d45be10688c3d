"""Random numbers that belong to rows, so that no row depends on the batch, the worker or the process it is in.

Everything that is random in training or sampling is asked of a `Draws`. It has two forms: `step_draws` for a training
step, where the numbers of the whole global batch are drawn in one go and each process keeps its own rows, and
`row_draws` for sampling, where each row has a seed of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

SEEDS = 2**63 - 1


class Draws(Protocol):
    """A source of random numbers for `rows` rows."""

    @property
    def rows(self) -> int: ...

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (rows, *shape), float32 on the CPU."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), (rows, *shape), float32 on the CPU."""
        ...

    def apart(self, device: torch.device) -> "RowDraws":
        """A generator a row, on a device: for numbers of which there are too many to bring them there."""
        ...


@dataclass(frozen=True)
class StepDraws:
    """Rows `first` to `first + rows` of a global batch of `batch_size`, from one generator."""

    generator: torch.Generator
    batch_size: int
    first: int
    rows: int

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.batch_size, *shape, generator=self.generator)[self.first : self.first + self.rows]

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(self.batch_size, *shape, generator=self.generator)[self.first : self.first + self.rows]

    def apart(self, device: torch.device) -> "RowDraws":
        seeds = torch.randint(SEEDS, (self.batch_size,), generator=self.generator)
        return row_draws(seeds[self.first : self.first + self.rows].tolist(), device)


@dataclass(frozen=True)
class RowDraws:
    """One generator a row."""

    generators: list[torch.Generator]

    @property
    def rows(self) -> int:
        return len(self.generators)

    def normal(self, *shape: int) -> Tensor:
        return self._filled(Tensor.normal_, shape)

    def uniform(self, *shape: int) -> Tensor:
        return self._filled(Tensor.uniform_, shape)

    def exponential(self, *shape: int) -> Tensor:
        """Exponential with mean 1, (rows, *shape), float32 where the generators are."""
        return self._filled(Tensor.exponential_, shape)

    def words(self, count: int) -> Tensor:
        """Random bits, (rows, count), int64 where the generators are."""
        return self._filled(_random_bits, (count,), torch.int64)

    def apart(self, device: torch.device) -> "RowDraws":
        return row_draws([int(torch.randint(SEEDS, (), generator=own)) for own in self.generators], device)

    def _filled(
        self, fill: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Each row filled in its place, which takes half as long as drawing rows and putting them together."""
        numbers = torch.empty(self.rows, *shape, dtype=dtype, device=self.generators[0].device if self.rows else None)
        for row, generator in zip(numbers.unbind(), self.generators, strict=True):
            fill(row, generator=generator)
        return numbers


def step_draws(seed: int, batch_size: int, *, first: int = 0, rows: int | None = None) -> StepDraws:
    """The random numbers of one training step; `seed` must depend on the step."""
    kept = batch_size - first if rows is None else rows
    return StepDraws(torch.Generator().manual_seed(seed), batch_size, first, kept)


def row_draws(seeds: list[int], device: torch.device | str = "cpu") -> RowDraws:
    """The random numbers of rows that each have a seed."""
    return RowDraws([torch.Generator(device).manual_seed(seed) for seed in seeds])


def _random_bits(words: Tensor, generator: torch.Generator) -> Tensor:
    return words.random_(-(2**63), None, generator=generator)
