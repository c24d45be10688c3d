"""Independent runs of a segmenter on the same images."""

from collections.abc import Callable

import torch
from torch import Tensor

from medsynth.draws import RowDraws


def run_by_run(predict: Callable[[RowDraws], Tensor], draws: RowDraws, runs: int) -> Tensor:
    """What each run makes, side by side: (batch, 1, row, column) of each -> (batch, run, row, column).

    Every run has random numbers of its own, and the first runs are the same however many there are.
    """
    return torch.cat([predict(draws.apart(torch.device("cpu"))) for _ in range(runs)], dim=1)
