"""Who plays in a training: a module, what it minimises, how fast it learns, and from which step on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from medsynth.draws import Draws
    from medsynth.shapes import Loss


@dataclass(frozen=True)
class Player:
    """One of those that a training teaches, each in its turn within a step.

    All players of a step look at the same items and are given the same random numbers. While one plays, the parameters
    of the others are constants. What is None is as in the settings of the training.
    """

    name: str  # its losses stand under it in the log
    module: nn.Module  # whose parameters it moves
    loss: "Callable[[Any, Draws, int], Loss]"  # of what is looked at, random numbers, and the step, from 0
    learning_rate: float | None = None
    betas: tuple[float, float] | None = None
    start: int = 0  # the first step in which it plays; it costs nothing before
