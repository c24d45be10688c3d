"""The state of an unfinished training: two files taken in turn, so that one is always whole.

Each is a safetensors file with the tensors of the model, its running mean and the optimiser; plain facts (step,
seconds, rollbacks) stand as JSON in its header.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from medsynth.artifacts import weights

FOLDER = ".checkpoint"


@dataclass
class State:
    """Tensors by name, and facts that JSON can hold. `facts["step"]` says how far it is."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def save(folder: Path, state: State) -> None:
    """Replace the older of the two files, and read it back before it counts."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    first, second = _files(folder)
    steps = [_step(path) for path in (first, second)]
    path = first if steps[0] <= steps[1] else second
    weights.save_tensors(path, state.tensors, {"facts": json.dumps(state.facts)})
    if _step(path) != state.facts["step"]:
        raise OSError(f"{path} did not read back as it was written")


def load(folder: Path) -> State | None:
    """The newest whole state; None when there is none. A file that cannot be read is passed over."""
    for path in sorted(_files(folder), key=_step, reverse=True):
        if _step(path) < 0:
            continue
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return State(tensors, json.loads(file.metadata()["facts"]))
    return None


def remove(folder: Path) -> None:
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / FOLDER / "even.safetensors", folder / FOLDER / "odd.safetensors"


def _step(path: Path) -> int:
    """The step that a file holds; -1 when it is not there or not whole (safetensors checks header against length)."""
    try:
        with safe_open(path, "pt") as file:
            return int(json.loads(file.metadata()["facts"])["step"])
    except Exception:
        return -1
