"""A trained network: its weights, and the facts needed to build it again without any flag."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor, nn

from medsynth.artifacts import files
from medsynth.errors import BadData

WEIGHTS, FACTS = "weights.safetensors", "facts.json"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors, and read them back before they count."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)
    files.write(path, lambda file: file.write(content), check=lambda written: files.compare(written, content))


def save_module(folder: Path, module: nn.Module, facts: dict[str, Any]) -> None:
    save_tensors(folder / WEIGHTS, module.state_dict())
    files.write_json(folder / FACTS, facts)


def facts(folder: Path) -> dict[str, Any]:
    """Raises BadData for a damaged file."""
    with files.whole(folder / FACTS):
        return dict(files.read_json(folder / FACTS))


def load_into(folder: Path, module: nn.Module) -> nn.Module:
    """Fill `module` and put it into evaluation mode. Raises BadData when the file does not fit it."""
    try:
        module.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:
        raise BadData(f"{folder / WEIGHTS} does not fit the model that {FACTS} describes: {error}") from error
    return module.eval()
