"""A pickle of weights -> a safetensors file, in a process of its own. Nothing else in the program opens a pickle.

torch reads it as tensors only and refuses whatever could execute something; should there be a way around that, it ends
with the process.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from medsynth.artifacts import files
from medsynth.byhand import identity
from medsynth.errors import MissingWeights

SAFE_TORCH = (2, 10)  # before, a file could make torch's reader of tensors write memory: CVE-2026-24747
INSIDE = ("state_dict", "model", "model_state_dict")  # where checkpoints keep the weights, beside other things
WHAT_IS_READ = "a file of tensors by name (a state dict) is read; a TorchScript file or a pickled model is a program"


def convert(source: Path, out: Path) -> None:
    """Write the tensors of a pickle to a safetensors file that says what it was made from.

    Raises MissingWeights for a file that is not there, not whole, or holds more than tensors.
    """
    if not source.is_file():
        raise MissingWeights(f"there is no file {source.absolute()}", hint="medsynth weights list")
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "medsynth.byhand.convert", str(source.absolute()), str(out.absolute())]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or [f"the process ended with {ended.returncode}"])[-1]
        raise MissingWeights(f"{source} is not converted: {reason}", hint=WHAT_IS_READ)


def _convert(source: Path, out: Path) -> None:
    """The work of the other process."""
    import torch

    from medsynth.artifacts import weights

    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < SAFE_TORCH:
        least = ".".join(map(str, SAFE_TORCH))
        raise ValueError(f"torch {torch.__version__} is too old to open it: pip install 'torch>={least}'")
    before = files.sha256(source)
    tensors = _tensors(torch.load(source, map_location="cpu", weights_only=True))
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        plain = Path(folder) / out.name
        weights.save_tensors(plain, tensors)
        content = identity.content_digest(plain)
    if files.sha256(source) != before:
        raise ValueError("the file changed while it was read")
    metadata = {identity.SOURCE: source.name, identity.SOURCE_SHA256: before, identity.CONTENT_SHA256: content}
    weights.save_tensors(out, tensors, metadata)


def _tensors(found: Any) -> dict[str, Any]:
    """The tensors by name, each with memory of its own; from within a checkpoint where they are there alone."""
    import torch

    for name in INSIDE:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            return _tensors(found[name])
    if not isinstance(found, dict) or not found:
        raise ValueError(f"it holds no tensors by name, but a {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"{name!r} is no tensor, but a {type(value).__name__}")
    return {name: value.detach().clone() for name, value in found.items()}


def _reason(error: Exception) -> str:
    """The first sentence of what torch says; of a pickle that would call something, what it would call."""
    text = " ".join(str(error).split()) or type(error).__name__
    if called := re.search(r"\bGLOBAL:? (\S+)", text):
        return f"it holds more than tensors: {called[1]}"
    return text.partition(". ")[0][:300]


if __name__ == "__main__":
    try:
        _convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as failure:  # the file is anybody's: whatever goes wrong with it, it is the reason
        sys.exit(_reason(failure))
