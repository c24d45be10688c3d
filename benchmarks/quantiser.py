"""Training the codebook of vq against the textbook's matrix of distances -> docs/benchmarks/quantiser.*

python benchmarks/quantiser.py [--quick] [--device cuda] [--threads 2]
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import measure
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.codecs.vq.quantiser import TEMPERATURE, Quantiser, Terms
from medsynth.cost import forget_peak

IMAGES, SIDE, ENTRIES, DIMENSION, COMMITMENT = 2, 32, 16384, 8, 0.25

TEXT = f"""# The codebook in training

Two images of {SIDE} x {SIDE} tokens, a codebook of {ENTRIES} x {DIMENSION}, float32: loss and gradients of the
quantiser alone. The textbook's way holds the distance of every token to every entry, and works out the entropy term
though its weight is 0; medsynth looks for the largest product in smaller pieces, and asks for the entropy where it
counts. Ratio: how many times as fast, of the medians, and in brackets the lowest and highest of a round. Memory: by how
much one step on one thread lifts the peak of a process of its own. Both find the same entries, losses and gradients.
"""


class Textbook(nn.Module):
    """All distances at once, and the entropy term whatever its weight."""

    def __init__(self, book: Tensor) -> None:
        super().__init__()
        self.book = nn.Parameter(book.clone())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes, tokens and the loss."""
        grid = features.movedim(1, -1).contiguous()
        unit, book = F.normalize(grid.view(-1, DIMENSION), dim=-1), F.normalize(self.book, dim=-1)
        distances = unit.square().sum(1, keepdim=True) + book.square().sum(1) - 2 * unit @ book.T
        tokens = distances.argmin(dim=1)
        chosen = book[tokens]
        loss = F.mse_loss(chosen, unit.detach()) + COMMITMENT * F.mse_loss(chosen.detach(), unit)
        p, log_p = (part(-distances / TEMPERATURE, dim=-1) for part in (F.softmax, F.log_softmax))
        mean = p.mean(0)
        entropy = -(p * log_p).sum(1).mean() + (mean * (mean + 1e-5).log()).sum()
        return unit + (chosen - unit).detach(), tokens, loss + 0.0 * entropy


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--peak":
        print(peak(sys.argv[2]))
        return
    asked = measure.options(__doc__, quick="three rounds, nothing kept")
    features, ours, theirs = given(asked.device)
    check(features, ours, theirs)
    took = measure.interleaved(partial(step, theirs, features), partial(step, ours, features), 3 if asked.quick else 9)
    facts: dict[str, Any] = {"tokens": IMAGES * SIDE**2, "entries": ENTRIES, "step": took.facts()}
    row = {"textbook": f"{1000 * took.a_seconds:.0f} ms", "medsynth": f"{1000 * took.b_seconds:.1f} ms"}
    row |= {"ratio": took.shown()}
    if asked.device == "cpu":
        memory = {side: peaked(side) for side in ("textbook", "medsynth")}
        facts["megabytes"] = memory
        row["memory"] = " and ".join(f"{megabytes:.0f} MB" for megabytes in memory.values())
    measure.write("quantiser", TEXT, [row], facts)


def given(device: str) -> tuple[Tensor, Quantiser, Textbook]:
    """Features, and both sides with the same codebook."""
    torch.manual_seed(0)
    ours = Quantiser(ENTRIES, DIMENSION, Terms(COMMITMENT), block=1000, revive=True)
    theirs = Textbook(ours.embedding.weight.detach())
    features = torch.randn(IMAGES, DIMENSION, SIDE, SIDE, device=device, requires_grad=True)
    return features, ours.to(device), theirs.to(device)


def step(quantiser: nn.Module, features: Tensor) -> None:
    """Loss and gradients; the codes get one, too, as from a decoder."""
    quantiser.zero_grad()
    features.grad = None
    found = quantiser(features)
    codes, loss = (found.codes, found.loss) if isinstance(quantiser, Quantiser) else (found[0], found[2])
    (loss + codes.square().mean()).backward()


def check(features: Tensor, ours: Quantiser, theirs: Textbook) -> None:
    """Both find the same and learn the same."""
    codes, tokens, loss = theirs(features)
    found = ours(features)
    assert found.tokens.flatten().equal(tokens), "other entries"
    torch.testing.assert_close(found.loss, loss)
    torch.testing.assert_close(found.codes.movedim(1, -1).reshape(-1, DIMENSION), codes)
    step(theirs, features)
    wanted = features.grad
    step(ours, features)
    torch.testing.assert_close(features.grad, wanted)
    torch.testing.assert_close(ours.embedding.weight.grad, theirs.book.grad)


def peaked(side: str) -> float:
    """Megabytes by which one step lifts the peak of a process of its own."""
    found = subprocess.run([sys.executable, __file__, "--peak", side], check=True, capture_output=True, text=True)
    return float(found.stdout)


def peak(side: str) -> float:
    """As above, of this process."""
    torch.set_num_threads(1)
    features, ours, theirs = given("cpu")
    (features @ features.mT).sum().backward()  # what the first product of all takes is nobody's
    forget_peak("cpu")
    before = highest()
    step(ours if side == "medsynth" else theirs, features)
    return highest() - before


def highest() -> float:
    """Megabytes that this process held at most: Linux says it. What getrusage says counts the parent's, too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
