"""Distances of pairs: LPIPS as its authors compute it, and what stands in for it by another name."""

from pathlib import Path
from typing import Any

import lpips
import pytest
import torch
from drawn_networks import images, own
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from medsynth import extractors
from medsynth.artifacts import files
from medsynth.errors import MissingWeights
from medsynth.perceptual import TRUNKS, Lpips, distance, distances


@pytest.fixture(autouse=True)
def nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSYNTH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))


@pytest.fixture(scope="module", params=["alex", "vgg"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Path]:
    """A net's name, LPIPS of the package lpips on a random trunk, and both in a file with torchvision's names."""
    torch.manual_seed(0)
    reference = lpips.LPIPS(net=request.param, pnet_rand=True, verbose=False)
    path = tmp_path_factory.mktemp(request.param) / "lpips.safetensors"
    # The package numbers layers as torchvision does, inside slices of its own: slice2.3.weight.
    tensors = {f"features.{name.partition('.')[2]}": value for name, value in reference.net.state_dict().items()}
    linear = {f"lin{level}.model.1.weight": lin.model[1].weight for level, lin in enumerate(reference.lins)}
    save_file({name: value.detach() for name, value in (tensors | linear).items()}, path)
    return request.param, reference, path


def lpips_of(net: Any, path: Path, size: int) -> Any:
    return extractors.load_distance(
        net, size, fold=0, classifier=Path("nowhere"), weights=str(path), unverified=True
    )  # fmt: skip


def far(count: int = 3, channels: int = 3, size: int = 64) -> tuple[Tensor, Tensor]:
    both = images(2 * count, channels, size)
    return both[:count], both[count:]


@pytest.mark.parametrize("size", [32, 64])
def test_lpips_is_that_of_its_authors(published: tuple[str, Any, Path], size: int) -> None:
    net, reference, path = published
    one, other = far(size=size)
    with torch.no_grad():
        expected = reference(one, other).flatten()
    found = lpips_of(net, path, size)
    assert_close(found.distances(one, other), expected, atol=1e-6, rtol=1e-4)
    assert found.name == f"LPIPS[{net}:{files.sha256(path)[:8]}, unverified]"
    assert expected.min() > 0


def test_a_trunk_alone_gets_the_linear_weights_that_the_package_lpips_brings(
    published: tuple[str, Any, Path], tmp_path: Path
) -> None:
    net, _, path = published
    whole = load_file(path)
    trunk = {name: value for name, value in whole.items() if name.startswith("features.")}
    save_file(trunk | {"classifier.6.bias": torch.zeros(1000)}, tmp_path / "trunk.safetensors")
    found = Lpips(tmp_path / "trunk.safetensors", net)
    for level in range(5):
        name = f"lin{level}.model.1.weight"
        assert_close(found.get_buffer(name.replace(".", "_")), whole[name])


def test_images_that_are_too_small_are_enlarged_and_the_name_says_so(published: tuple[str, Any, Path]) -> None:
    net, reference, path = published
    size = TRUNKS[net].smallest - 1
    one, other = far(channels=1, size=size)
    large = [F.interpolate(x, size=(64, 64), mode="bilinear").expand(-1, 3, -1, -1) for x in (one, other)]
    with torch.no_grad():
        expected = reference(*large).flatten()
    found = lpips_of(net, path, size)
    assert_close(found.distances(one, other), expected, atol=1e-6, rtol=1e-4)
    assert found.name.endswith(", enlarged to 64]")
    enough = lpips_of(net, path, size + 1)
    assert "enlarged" not in enough.name
    assert torch.isfinite(enough.distances(*far(size=size + 1))).all()


def test_a_pair_is_measured_on_its_own_and_both_ways_alike(published: tuple[str, Any, Path]) -> None:
    net, _, path = published
    found, (one, other) = lpips_of(net, path, 64), far()
    together = found.distances(one, other)
    assert together.shape == (3,)
    assert not together.requires_grad
    assert_close(found.distances(one[1:2], other[1:2])[0], together[1], atol=1e-6, rtol=1e-5)
    assert_close(found.distances(other, one), together)
    assert found.distances(one, one).abs().max() == 0
    sight = Lpips(path, net)
    assert_close(distance(sight, one, other), distances(sight, one, other).mean())


def test_without_a_file_the_folds_own_features_stand_in_by_another_name(tmp_path: Path) -> None:
    folder = own(tmp_path / "real", channels=1)
    for net in ("auto", "features"):
        found = extractors.load_distance(net, 32, fold=0, classifier=folder)  # type: ignore[arg-type]
        assert (
            found.name == f"deep-feature distance[resnet34-fold0:{files.sha256(folder / 'weights.safetensors')[:12]}]"
        )
        assert ("alexnet-owt-7be5be79.pth" in found.remark) == (net == "auto")
        one, other = far(channels=1, size=32)
        measured = found.distances(one, other)
        assert measured.shape == (3,)
        assert measured.min() > 0
        assert found.distances(one, one).abs().max() == 0
        near = found.distances(one, one + 0.01 * (other - one))
        assert bool((near < measured).all())
    with pytest.raises(MissingWeights, match="LPIPS-alex needs alexnet-owt"):
        extractors.load_distance("alex", 32, fold=0, classifier=folder)


def test_auto_is_lpips_by_the_file_that_is_named_and_another_one_is_refused(
    published: tuple[str, Any, Path], tmp_path: Path
) -> None:
    net, _, path = published
    folder = own(tmp_path / "real")
    asked = {"fold": 0, "classifier": folder, "weights": str(path)}
    with pytest.raises(MissingWeights, match="7be5be79"):
        extractors.load_distance("auto", 64, **asked)  # type: ignore[arg-type]
    if net == "alex":
        sure = extractors.load_distance("auto", 64, **asked, unverified=True)  # type: ignore[arg-type]
        assert sure.name.startswith("LPIPS[alex:")
        assert not sure.remark


def test_the_trunk_of_another_network_is_refused(published: tuple[str, Any, Path]) -> None:
    net, _, path = published
    with pytest.raises(MissingWeights, match="holds no weights of LPIPS") as failure:
        lpips_of("vgg" if net == "alex" else "alex", path, 64)
    assert "medsynth weights check" in failure.value.hint
