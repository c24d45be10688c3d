"""How far two images are from each other, by a network's maps: LPIPS, or the fold's own classifier by another name."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.byhand import store
from medsynth.byhand.store import Seen
from medsynth.extractors.view import exactly
from medsynth.perceptual import TRUNKS, Lpips, distances
from medsynth.shapes import Images

ENLARGED = 64  # pixels a side, of images that are too small for a trunk


class PairDistance(nn.Module):
    """A distance, and the name of whatever is measured by it: `LPIPS[alex:7be5be79, enlarged to 64]`."""

    def __init__(self, name: str, sight: nn.Module, *, side: int | None = None, remark: str = "") -> None:
        super().__init__()
        self.name, self.remark = name, remark
        self.sight: Any = sight.eval().requires_grad_(False)
        self.side = side  # what images are enlarged to

    def distances(self, one: Images, other: Images) -> Tensor:
        """Two sets of images -> (pair,), float32."""
        with exactly(one.device):
            return distances(self.sight, self._enlarged(one), self._enlarged(other)).float()

    def _enlarged(self, images: Images) -> Images:
        if self.side is None:
            return images
        return F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)


def key_of(net: str) -> str:
    """The key of a trunk's file."""
    return TRUNKS[net].key


def file_of(net: str, named: str | None, *, unverified: bool) -> Seen:
    """A trunk's file, checked. Raises MissingWeights."""
    return store.find(key_of(net), named, unverified=unverified)


def lpips(net: str, file: Seen, size: int) -> PairDistance:
    """LPIPS for images of `size` pixels a side. Raises MissingWeights for a file that does not fit."""
    assert file.path is not None
    small = size < TRUNKS[net].smallest
    name = f"LPIPS[{net}:{file.mark}{f', enlarged to {ENLARGED}' if small else ''}]"
    return PairDistance(name, Lpips(file.path, net), side=ENLARGED if small else None)


def of_features(own: Any, *, remark: str = "") -> PairDistance:
    """The formula of LPIPS without its weights, on the maps of the extractor resnet34."""
    return PairDistance(f"deep-feature distance[{own.name}]", own, remark=remark)
