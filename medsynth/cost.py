"""What training and drawing take -> seconds, images and peak memory, as numbers for a record."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from medsynth.artifacts import files

FILE = ".spent-{rank}.json"  # hidden: what is published does not depend on how long it took


def forget_peak(device: str) -> None:
    """Let the peak of memory start anew from here. Where the system has no way to, it stays the process's."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: str) -> dict[str, int]:
    """Megabytes of tensors on the GPU; on the CPU of the whole process, libraries and all: an upper bound.

    Nothing on a system that does not say.
    """
    if device == "cuda":
        import torch

        return {"peak_gpu_megabytes": round(torch.cuda.max_memory_allocated() / 1e6)}
    try:
        import resource
    except ImportError:
        return {}
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, the others kibibytes
    return {"peak_process_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)}


def peak_of(work: Callable[[], object], device: str) -> float:
    """Megabytes that the work has in use at most beside what was there before, as torch counts them.

    Unlike the peak of a process it holds neither libraries nor anybody else's arrays.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    # The profiler's own log calls a machine without a GPU an error, among the lines of progress.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    assert seen.profiler is not None
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(accumulate(changes), default=0) / 1e6


class Lap:
    """A time that begins now. On a GPU it is measured there, since work is only queued for it here."""

    def __init__(self, device: str) -> None:
        self.marks: list[Any] = []
        self.on_gpu = device == "cuda"
        self.mark()

    def mark(self) -> None:
        """Now, or as soon as the GPU has done what it was given so far. The second mark is the end."""
        if self.on_gpu:
            import torch

            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())

    def beside(self) -> AbstractContextManager[Any]:
        """For what may run on a GPU after the second mark, beside the next lap: a stream of its own."""
        if not self.on_gpu:
            return nullcontext()
        import torch

        stream = torch.cuda.Stream()
        stream.wait_event(self.marks[1])
        return torch.cuda.stream(stream)

    def seconds(self) -> float:
        """Between the two marks."""
        first, last = self.marks
        if not self.on_gpu:
            return last - first
        last.synchronize()
        return first.elapsed_time(last) / 1000


@dataclass
class Spent:
    """What drawing images took, over every attempt at the same folder."""

    images: int = 0
    network_seconds: float = 0.0  # while the generator ran
    seconds: float = 0.0  # from labels to files
    peak: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, rank: int) -> "Spent":
        """What earlier attempts of this process took; nothing where there were none."""
        path = folder / FILE.format(rank=rank)
        return cls(**files.read_json(path)) if path.is_file() else cls()

    @classmethod
    def together(cls, folder: Path) -> "Spent":
        """The sum over all processes that drew here, and the highest of their peaks."""
        total = cls()
        for path in folder.glob(FILE.format(rank="*")):
            one = cls(**files.read_json(path))
            total.add(one.images, one.network_seconds, one.seconds)
            total.rise(one.peak)
        return total

    def add(self, images: int, network_seconds: float, seconds: float) -> None:
        self.images += images
        self.network_seconds += network_seconds
        self.seconds += seconds

    def rise(self, peak: dict[str, int]) -> None:
        """The peak, if it is higher than any before."""
        self.peak = self.peak | {key: max(value, self.peak.get(key, 0)) for key, value in peak.items()}

    def save(self, folder: Path, rank: int) -> None:
        files.write_json(folder / FILE.format(rank=rank), asdict(self))

    def facts(self) -> dict[str, float]:
        """Seconds of one process for one image, the network's among them, and the peak of memory."""
        if not self.images:
            return {}
        return {
            "seconds_per_image": float(f"{self.seconds / self.images:.4g}"),
            "network_seconds_per_image": float(f"{self.network_seconds / self.images:.4g}"),
            "network_share": round(self.network_seconds / self.seconds, 3),
            **self.peak,
        }


def of_network(generator: Any) -> dict[str, float]:
    """Parameters of a generator, and multiply-accumulates of one forward pass of one image."""
    return {
        "parameters": sum(p.numel() for p in generator.parameters()),
        "mega_macs_per_forward": round(generator.macs() / 1e6, 1),
    }
