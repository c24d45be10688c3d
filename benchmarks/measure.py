"""Two ways of doing one thing -> seconds of each and their ratio; results -> docs/benchmarks/NAME.json and NAME.md.

Both sides run in one process, turn by turn, and who goes first changes from round to round, so that a busy or a hot
machine slows both alike. The ratio is that of the medians; its spread is that of the rounds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

DOCS = Path(__file__).parents[1] / "docs" / "benchmarks"
Clock = Callable[[], float]


@dataclass(frozen=True)
class Comparison:
    """Median seconds of both sides, how many times faster `b` is, and the lowest and highest such ratio of a round."""

    a_seconds: float
    b_seconds: float
    ratio: float  # a / b: above 1 where b is faster
    lowest: float
    highest: float
    rounds: int

    def shown(self) -> str:
        """`2.9 (2.7 to 3.1)`."""
        return f"{self.ratio:.2f} ({self.lowest:.2f} to {self.highest:.2f})"

    def facts(self) -> dict[str, float]:
        return {key: float(f"{value:.5g}") for key, value in asdict(self).items()}


def interleaved(a: Callable[[], object], b: Callable[[], object], rounds: int = 7, warm_up: int = 1) -> Comparison:
    """Time two ways of doing one thing, in turns. The rounds of the warm-up are not counted."""
    return compared(*in_turns((a, b), rounds, warm_up))


def in_turns(
    ways: Sequence[Callable[[], object]], rounds: int = 7, warm_up: int = 1, clock: Clock = time.perf_counter
) -> list[list[float]]:
    """Seconds of each way, round by round; each round goes through them in the other order."""
    took: list[list[float]] = [[] for _ in ways]
    for turn in range(warm_up + rounds):
        for side in range(len(ways)) if turn % 2 else reversed(range(len(ways))):
            seconds = timed(ways[side], clock)
            if turn >= warm_up:
                took[side].append(seconds)
    return took


def compared(a: Sequence[float], b: Sequence[float]) -> Comparison:
    """Two ways by their seconds in the same rounds."""
    each = [x / y for x, y in zip(a, b, strict=True)]
    return Comparison(median(a), median(b), median(a) / median(b), min(each), max(each), len(each))


def options(description: str | None, quick: str, **parts: Sequence[str]) -> argparse.Namespace:
    """What a benchmark of speed was asked for: --quick, --device, --threads; the threads are set.

    `parts`: options that choose one part of it, None where none is chosen.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    for name, choices in parts.items():
        parser.add_argument(f"--{name}", choices=choices, help="this part alone; the rest stays as it was measured")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    return asked


def timed(work: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Seconds until the work is done, on a GPU too."""
    settle()
    started = clock()
    work()
    settle()
    return clock() - started


def clock_of(device: str) -> Clock:
    """What a busy machine disturbs least: on a CPU the processor's own time, of all threads together."""
    return time.process_time if device == "cpu" else time.perf_counter


def gemm_rate(
    linear: Callable[..., object], dtype: torch.dtype, device: str, clock: Clock = time.perf_counter
) -> float:
    """Floating point operations a second in a product of large matrices, by linear(rows, weight, bias)."""
    rows, inner, columns = 1024, 768, 3072
    x, weight = torch.randn(rows, inner).to(device, dtype), torch.randn(columns, inner).to(device, dtype)
    with torch.no_grad():
        took = [timed(lambda: linear(x, weight, None), clock) for _ in range(16)]
    return 2 * rows * inner * columns / median(took[1:])


def peak_megabytes(work: Callable[[], object], device: str) -> float:
    """What the work has in use at most beside what was there before, as torch counts it."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))) / 1e6


def settle() -> None:
    """Wait for what a GPU was given to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def machine() -> dict[str, Any]:
    """What the numbers were measured on, as far as it tells readers something."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__, **gpu}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same keys as a Markdown table, the keys as its head."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" for _ in head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(row[key]) for key in head) + " |" for row in rows])


def command() -> str:
    """What was typed, to be typed again: without this machine's folders."""
    words = (part.rpartition("=") for part in sys.argv[1:])
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *(a + b + _placeless(c) for a, b, c in words)])


def _placeless(word: str) -> str:
    """`RUN` for a run directory, `FOLDER` for another path; every other word as it is."""
    if os.sep not in word and not Path(word).is_dir():
        return word
    return "RUN" if (Path(word) / "recipe.toml").is_file() else "FOLDER"


def kept(name: str) -> dict[str, Any]:
    """The facts that were kept last, nothing where there are none."""
    path = DOCS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def write(name: str, text: str, rows: Sequence[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Keep a result: `facts` as JSON, `text` and the table of `rows` as Markdown. The table is printed, too.

    Of a quick trial (--quick) nothing is kept.
    """
    print(table(rows))
    if "--quick" in sys.argv:
        return
    DOCS.mkdir(parents=True, exist_ok=True)
    found = {"command": command(), "machine": machine(), **facts}
    (DOCS / f"{name}.json").write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    where = ", ".join(f"{key} {value}" for key, value in machine().items())
    page = f"{text.strip()}\n\n{table(rows)}\n\nMeasured by `{found['command']}` on: {where}.\n"
    (DOCS / f"{name}.md").write_text(page, encoding="utf-8")
