"""Logits of a token -> the token that is drawn: temperature, top-k, top-p, in this order, then chance."""

import torch
from torch import Tensor

from medsynth.sampling import Sampling


def drawn(logits: Tensor, chance: Tensor, sampling: Sampling) -> Tensor:
    """Tokens, (row,), each with its probability under what `allowed` leaves.

    logits (row, token); chance: exponential with mean 1, of the same shape. The smallest of chance / probability wins,
    which is how torch.multinomial draws. A row's choice changes with a rounding error of its logits as seldom as can
    be; drawn by a running sum of probabilities it would shift with the error of every token before.
    """
    return (allowed(logits, sampling) - chance.log()).argmax(dim=1)


def allowed(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits over the temperature; minus infinity where a token may not be drawn. Equals are treated alike.

    top_k: the k likeliest stay (Fan et al. 2018). top_p: of these, the likeliest stay up to the one with which they
    reach the probability p (Holtzman et al. 2020).
    """
    logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[1]:
        least = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p < 1:
        logits = logits.masked_fill(~_nucleus(logits.softmax(dim=1), sampling.top_p), -torch.inf)
    return logits


def _nucleus(probability: Tensor, top_p: float) -> Tensor:
    """Which tokens are in the smallest set of the likeliest that reaches top_p, and who is as likely as its last."""
    possible = int((probability > 0).sum(dim=1).max())  # no more than these need be sorted
    ordered = probability.topk(possible, dim=1).values
    before = ordered.cumsum(dim=1) - ordered
    return probability >= ordered.masked_fill(before > top_p, torch.inf).amin(dim=1, keepdim=True)
