"""Extractors turn images into features that distances are measured in. One module each.

The extractor is part of the name of whatever is measured by it, as in `KID[resnet34-fold0:ab12cd34ef56]`: numbers by
different extractors are never compared or averaged.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from medsynth.byhand import store
from medsynth.byhand.published import TIMM
from medsynth.errors import BadUsage, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from medsynth.extractors.pairs import PairDistance
    from medsynth.shapes import Images

OWN = "resnet34"  # the fold's own classifier of real images: needs no file
DINOV2 = {  # key of the file -> model of timm
    "dinov2": "vit_base_patch14_dinov2",
    "dinov2-small": "vit_small_patch14_dinov2",
    "dinov2-large": "vit_large_patch14_dinov2",
    "dinov2-giant": "vit_giant_patch14_dinov2",
}
NAMES = (OWN, "inception", *DINOV2)  # and timm/MODEL


class Extractor(Protocol):
    """An nn.Module that learns nothing."""

    name: str  # what it is and, in hex, whose weights it has: `inception:6726825d`

    def features(self, images: "Images") -> "Tensor":
        """Images of any size, grey or colour -> (image, feature), float32. A row depends on its image alone."""
        ...


class Wanted(Protocol):
    """What settings say of an extractor."""

    @property
    def extractor(self) -> str:
        """One of NAMES, or timm/MODEL."""
        ...

    @property
    def weights(self) -> str | None:
        """The local file of its weights; None: the usual places are looked into."""
        ...

    @property
    def unverified(self) -> bool:
        """Whether a file with another hash than the published one is meant."""
        ...


def refuse_unknown(name: str) -> None:
    """Raise BadUsage for an extractor that there is not."""
    if name not in NAMES and not (name.startswith(TIMM) and name != TIMM):
        raise BadUsage(f"there is no extractor {name!r}", hint=nearest(name, [*NAMES, f"{TIMM}MODEL"]))


def is_own(name: str) -> bool:
    """Whether an extractor of this name is a fold's own classifier."""
    return name.startswith(f"{OWN}-fold")


def load(settings: Wanted, *, fold: int | None, classifier: Path) -> Any:
    """The extractor that settings name, on the CPU, ready.

    `classifier` is the folder of the classifier that learned this fold's real training images; no other one needs it.
    Raises BadUsage for an extractor that there is not, MissingWeights where its file is missing or another one, Refused
    for a classifier of another fold or of synthetic images.
    """
    refuse_unknown(settings.extractor)
    if settings.extractor == OWN:
        from medsynth.extractors import resnet34

        return resnet34.load(classifier, fold)
    file = store.find(settings.extractor, settings.weights, unverified=settings.unverified)
    if settings.extractor == "inception":
        from medsynth.extractors import inception

        return inception.load(file)
    from medsynth.extractors import vision

    return vision.load(file, DINOV2.get(settings.extractor) or settings.extractor.removeprefix(TIMM))


def load_distance(
    net: Literal["auto", "alex", "vgg", "features"], size: int, *, fold: int | None, classifier: Path,
    weights: str | None = None, unverified: bool = False,
) -> "PairDistance":  # fmt: skip
    """How far two images of `size` pixels a side are from each other, on the CPU: what diversity is measured by.

    alex and vgg are LPIPS, features is a distance in the fold's own classifier, which goes by another name; auto is
    alex where its file is ready, else features with a remark. `weights` is the file of the trunk, where it is not in
    one of the usual places: who names one means no other. Raises what `load` raises; of alex and vgg MissingWeights.
    """
    from medsynth.extractors import pairs, resnet34

    if net == "features":
        return pairs.of_features(resnet34.load(classifier, fold))
    net = "alex" if net == "auto" and weights else net
    if net != "auto":
        return pairs.lpips(net, pairs.file_of(net, weights, unverified=unverified), size)
    seen = store.look(pairs.key_of("alex"), weights, unverified=unverified)
    if seen.state == "ready":
        return pairs.lpips("alex", seen, size)
    return pairs.of_features(resnet34.load(classifier, fold), remark=f"It is not LPIPS: {seen.remark}.")
