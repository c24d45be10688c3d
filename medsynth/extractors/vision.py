"""Any network of timm as an extractor, DINOv2 among them (Oquab et al. 2024), with weights from a local file.

timm changes names and sizes of what is in the file to those of the network, as it does with files of its own: DINOv2's
positions, of 37 x 37 patches, are resized to the 16 x 16 of an image of 224 pixels.
"""

import sys
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from medsynth.byhand.store import Seen
from medsynth.errors import BadUsage, MissingWeights
from medsynth.extractors.view import exactly, resized, standardised
from medsynth.shapes import Images

SIDE_OF_DINOV2 = 224  # pixels; its file is of 518


class Model(nn.Module):
    """What the network's head would see."""

    def __init__(self, network: Any, name: str) -> None:
        super().__init__()
        self.network, self.name = network.eval().requires_grad_(False), name
        about = network.pretrained_cfg
        self.side = SIDE_OF_DINOV2 if _is_dinov2(name) else int(about["input_size"][1])
        self.mean, self.deviation = tuple(about["mean"]), tuple(about["std"])

    def features(self, images: Images) -> Tensor:
        with exactly(images.device):
            return self.network(standardised(resized(images, self.side), self.mean, self.deviation)).float()


def load(file: Seen, model: str) -> Model:
    """A model by timm's name. Raises BadUsage for one timm does not know, MissingWeights for another one's file."""
    import timm

    if not timm.is_model(model):
        raise BadUsage(f"timm knows no model {model!r}", hint="python -c 'import timm; print(timm.list_models())'")
    size = {"img_size": SIDE_OF_DINOV2} if _is_dinov2(model) else {}
    network = timm.create_model(model, pretrained=False, num_classes=0, **size)
    assert file.path is not None
    try:
        found = load_file(file.path)
        fitting = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        found = fitting(found, network) if fitting else found
        _fill(network, found)
    except Exception as error:  # the file is anybody's: whatever goes wrong with it, it is the reason
        raise MissingWeights(
            f"{file.path} is not the model {model}: {' '.join(str(error).split())[:300]}",
            hint=f"medsynth weights check {file.published.key}",
        ) from error
    return Model(network, f"{model}:{file.mark}")


def _fill(network: nn.Module, found: dict[str, Tensor]) -> None:
    """Every tensor of the network has to be there; of a head, which is left out here, the file may know more."""
    own = network.state_dict()
    head = tuple(f"{name}." for name in ("head", "fc", "classifier", "head_dist"))
    wanted = {name: value for name, value in found.items() if name in own or not name.startswith(head)}
    counts = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(counts | {name: value.float() for name, value in wanted.items()})
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise ValueError("it has values that are not numbers")


def _is_dinov2(model: str) -> bool:
    return "_dinov2" in model.partition(":")[0]
