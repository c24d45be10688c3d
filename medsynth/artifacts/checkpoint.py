"""The state of an unfinished training: two files taken in turn, so that one is always whole.

Each is a safetensors file with the tensors of the model, its running mean and the optimiser; plain facts (step,
seconds, rollbacks) stand as JSON in its header, and a hash of the tensors and of these facts. The facts have one of
their own, too: which file is the newer one is read from the header alone, and a wrong bit must not decide it unnoticed.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from medsynth.artifacts import files, weights

FOLDER = ".checkpoint"
OF_FACTS = "facts_sha256"


@dataclass
class State:
    """Tensors by name, and facts that JSON can hold. `facts["step"]` says how far it is."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def save(folder: Path, state: State) -> None:
    """Replace the older of the two files; the new one is read back before it does.

    A file that says it is as far as this state, or further, was passed over by load(): it goes first.
    """
    files.make_folder(folder / FOLDER)
    steps = {path: _step(path) for path in _files(folder)}
    oldest = min(steps, key=lambda path: (steps[path] < state.facts["step"], steps[path]))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
    said = json.dumps(state.facts)
    weights.save_tensors(oldest, tensors, {"facts": said, OF_FACTS: _digest({}, said), "whole": _digest(tensors, said)})


def load(folder: Path, say: Callable[[str], object] = lambda _sentence: None) -> State | None:
    """The newest whole state; None when there is none. `say` is told of a file that is damaged and passed over."""
    there = sorted((path for path in _files(folder) if path.exists()), key=_step, reverse=True)
    found, damaged = None, [path for path in there if _step(path) < 0]
    for path in there:
        if path not in damaged and (found := _whole(path)):
            break
        damaged = [*dict.fromkeys([*damaged, path])]
    for path in damaged:
        on = f"it goes on from the other one, after step {found.facts['step']}" if found else "no other one is whole"
        say(f"the checkpoint {path} is damaged: {on}")
    return found


def remove(folder: Path) -> None:
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / FOLDER / "even.safetensors", folder / FOLDER / "odd.safetensors"


def _step(path: Path) -> int:
    """The step that a file holds; -1 when it is not there, cut off (safetensors checks header against length), or its
    facts are not those that were written."""
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata()
        return int(json.loads(said["facts"])["step"]) if _is_told(said) else -1
    except Exception:
        return -1


def _whole(path: Path) -> State | None:
    """What a file holds; None where that is not what was written. Earlier ones have a hash of the tensors, or none."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            said = file.metadata()
        known = {"whole": _digest(tensors, said["facts"]), "digest": _digest(tensors)}
        # By the names that are there, one of which may be what a wrong bit made of another.
        rest = {name: digest for name, digest in said.items() if name not in ("facts", OF_FACTS)}
        is_whole = _is_told(said) and rest in ({"whole": known["whole"]}, {"digest": known["digest"]}, {})
        return State(tensors, json.loads(said["facts"])) if is_whole else None
    except Exception:
        return None


def _is_told(said: dict[str, str]) -> bool:
    """Whether the facts are those that were written. Earlier files do not tell."""
    return said.get(OF_FACTS) in (None, _digest({}, said["facts"]))


def _digest(tensors: dict[str, Tensor], facts: str = "") -> str:
    """A hash of names, types, shapes and bytes, and of the facts. Tensors are on the CPU, each in one piece."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update(facts.encode())
    return digest.hexdigest()
