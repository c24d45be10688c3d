"""A safetensors file of a tokenizer, published with Sun et al. 2024 or trained here -> its sizes and its weights."""

import re
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from medsynth.codecs import Picture
from medsynth.codecs.vq.networks import MULTIPLES, Sizes
from medsynth.errors import MissingWeights

# Of tokens that somebody counted: no part of what a tokenizer does.
COUNTS = {"quantize.codebook_used", "quantize.counts", "quantize.before", "quantize.steps"}
HINT = (
    "--weights FILE, a safetensors file with the names of a published tokenizer (encoder.conv_in.weight, "
    "quantize.embedding.weight ...); of a .pt file: medsynth weights convert PT --out FILE"
)


def read(file: Path, picture: Picture) -> tuple[Sizes, dict[str, Tensor]]:
    """Sizes as the tensors tell them, and the tensors. Raises MissingWeights where they tell none, or not for this."""
    if not file.is_file():
        raise MissingWeights(f"there are no weights at {file.absolute()}", hint=HINT)
    try:
        tensors = load_file(file)
    except Exception as error:  # the file is anybody's: whatever goes wrong with it, it is the reason
        raise _unusable(file, " ".join(str(error).split())[:300]) from error
    tensors = {name: value for name, value in tensors.items() if name not in COUNTS}
    try:
        width, channels = tensors["encoder.conv_in.weight"].shape[:2]
        codebook, dimension = tensors["quantize.embedding.weight"].shape
    except (KeyError, ValueError) as error:
        raise _unusable(file, f"{error} is missing or of another shape") from error
    levels, blocks = (
        1 + _last(pattern, tensors) for pattern in (r"\.conv_blocks\.(\d+)\.", r"\.conv_blocks\.0\.res\.(\d+)\.")
    )
    if 2 ** (levels - 1) not in MULTIPLES or not blocks:
        raise _unusable(file, f"its encoder has {levels} levels of {blocks} blocks")
    if channels not in (3, picture.channels):
        raise _unusable(file, f"it is for pictures of {channels} channels, not of {picture.channels}")
    shortcut = any(name.startswith("beginning.") for name in tensors)
    return Sizes(channels, 2 ** (levels - 1), width, blocks, codebook, dimension, shortcut), tensors


def load(model: nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    """Fill a model of these sizes. Raises MissingWeights unless every tensor is there, fits and holds numbers."""
    own = model.state_dict()
    for name in sorted((own.keys() - COUNTS) | tensors.keys()):
        has, wants = (str(list(part[name].shape)) if name in part else "nothing" for part in (tensors, own))
        if has != wants:
            raise _unusable(file, f"{name} is {has} there and {wants} here")
        if not tensors[name].isfinite().all():
            raise _unusable(file, f"{name} has values that are not numbers")
    model.load_state_dict(own | tensors)


def _last(pattern: str, names: dict[str, Tensor]) -> int:
    """The largest number that a name of the encoder holds; -1 without any."""
    found = (re.match("encoder" + pattern, name) for name in names)
    return max((int(match[1]) for match in found if match), default=-1)


def _unusable(file: Path, reason: str) -> MissingWeights:
    return MissingWeights(f"{file} holds no tokenizer that can be used: {reason}", hint=HINT)
