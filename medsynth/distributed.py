"""The processes of one command, as `torchrun` starts them. One process, when it was not used.

Nothing is launched here: rank and world size are read from the environment that torchrun sets.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from medsynth.errors import BadUsage

LEFT_OVER = "unset RANK WORLD_SIZE LOCAL_RANK, unless torchrun has set them"


@dataclass(frozen=True)
class World:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, batch_size: int) -> range:
        """The rows of a global batch that belong to this process: as even as it goes, in order."""
        return range(batch_size * self.rank // self.size, batch_size * (self.rank + 1) // self.size)

    def agree(self, value: Any) -> Any:
        """The first process's value, in every process. JSON, so that nothing executable travels."""
        if self.size == 1:
            return value
        import torch
        from torch import distributed

        text = json.dumps(value).encode() if self.is_first else b""
        length = torch.tensor([len(text)])
        distributed.broadcast(length, 0, group=_control())
        buffer = (
            torch.frombuffer(bytearray(text), dtype=torch.uint8)
            if self.is_first
            else torch.empty(int(length), dtype=torch.uint8)
        )
        distributed.broadcast(buffer, 0, group=_control())
        return json.loads(buffer.numpy().tobytes())

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers, in every process."""
        if self.size == 1:
            return number
        import torch
        from torch import distributed

        found = torch.tensor([number])
        distributed.all_reduce(found, distributed.ReduceOp.MAX, group=_control())
        return int(found)

    def mean(self, number: float) -> float:
        """The mean of the processes' numbers, in every process."""
        if self.size == 1:
            return number
        import torch
        from torch import distributed

        found = torch.tensor([number], dtype=torch.float64)
        distributed.all_reduce(found, group=_control())
        return float(found) / self.size

    def wait(self) -> None:
        """Return when every process has come here."""
        self.agree(None)


def world() -> World:
    """What torchrun says, else one process. Raises BadUsage for variables that it would not set."""
    rank, size = _number("RANK", 0), _number("WORLD_SIZE", 1)
    if not 0 <= rank < size:
        raise BadUsage(f"process RANK={rank} cannot be one of WORLD_SIZE={size}", hint=LEFT_OVER)
    return World(rank, size)


def _number(name: str, alone: int) -> int:
    text = os.environ.get(name, str(alone))
    try:
        return int(text)
    except ValueError:
        raise BadUsage(f"{name}={text!r} is no number of a process", hint=LEFT_OVER) from None


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the other processes, if there are any. Once joined they stay so: a group cannot be joined a second time."""
    here = world()
    if here.size == 1:
        yield here
        return
    import torch
    from torch import distributed

    if distributed.is_initialized():
        yield here
        return
    if device == "cuda":
        torch.cuda.set_device(_number("LOCAL_RANK", 0))
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    # Ranks other than the first wait while it does what is not shared, which may take hours.
    distributed.init_process_group(backend, timeout=timedelta(days=7))
    yield here


def leave(code: int) -> None:
    """End this process with `code` if it has joined others; return if it has not.

    The interpreter is not taken down piece by piece: threads of the process group and of sharded weights let go of
    Python objects when they like, and one that does so while the interpreter goes away aborts a process whose work is
    done (torch 2.14: one in three with FSDP2 on gloo). Nothing is lost: what has to be kept was written and synced.
    """
    distributed = sys.modules.get("torch.distributed")  # who has joined has loaded it
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return
    distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _control() -> Any:
    from torch import distributed

    return distributed.group.WORLD
