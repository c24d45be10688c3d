"""The distances that are our own agree with those of the libraries that papers use, on the same features."""

import inspect

import numpy as np
import pytest
import scipy.linalg
import torch

from medsynth.metrics.frechet import frechet
from medsynth.metrics.kid import kid, kid_of_parts

WIDE = {"rel": 1e-6, "abs": 1e-6}


class AsTheyAre(torch.nn.Module):
    """Features that come as images of one row: torchmetrics takes a network, and here it has nothing to do."""

    num_features = 24

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.reshape(len(images), -1)


@pytest.fixture(scope="module")
def features() -> tuple[np.ndarray, np.ndarray]:
    """Of two sets of equally many images; like those of a network, not below zero and correlated."""
    random = np.random.default_rng(0)
    axes = random.normal(size=(24, 24))
    x, y = random.normal(size=(150, 24)) @ axes, (0.3 + 1.1 * random.normal(size=(150, 24))) @ axes
    return np.maximum(x, 0), np.maximum(y, 0)


def fed(metric: object, features: tuple[np.ndarray, np.ndarray]) -> object:
    for rows, real in zip(features, (True, False), strict=True):
        metric.update(torch.from_numpy(rows), real=real)  # type: ignore[attr-defined]
    return metric.compute()  # type: ignore[attr-defined]


def test_kid_is_clean_fids(features: tuple[np.ndarray, np.ndarray]) -> None:
    from cleanfid.fid import kernel_distance

    assert kid(*features) == pytest.approx(kernel_distance(*features, num_subsets=1, max_subset_size=1000), **WIDE)


def test_kid_is_torch_fidelitys(features: tuple[np.ndarray, np.ndarray]) -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    found = kid_features_to_metric(
        *map(torch.from_numpy, features), kid_subsets=1, kid_subset_size=150, kid_kernel="poly",
        kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, verbose=False,
    )  # fmt: skip
    assert kid(*features) == pytest.approx(found["kernel_inception_distance_mean"], **WIDE)


def test_kid_is_that_of_torchmetrics(features: tuple[np.ndarray, np.ndarray]) -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    mean, _ = fed(KernelInceptionDistance(feature=AsTheyAre(), subsets=1, subset_size=150), features)
    assert kid(*features) == pytest.approx(mean.item(), **WIDE)


def test_kid_of_parts_is_that_of_torchmetrics_up_to_which_images_are_drawn(
    features: tuple[np.ndarray, np.ndarray],
) -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    torch.manual_seed(0)
    mean, deviation = fed(KernelInceptionDistance(feature=AsTheyAre(), subsets=2000, subset_size=37), features)
    found = kid_of_parts(features[1], features[0], seed=0, parts=2000)
    assert found.images == 37
    assert abs(found.mean - mean.item()) < 4 * found.deviation * (2 / 2000) ** 0.5
    assert found.deviation == pytest.approx(deviation.item(), rel=0.1)


@pytest.mark.skipif(
    "disp" not in inspect.signature(scipy.linalg.sqrtm).parameters,
    reason="clean-fid 0.1.35 passes `disp` to scipy.linalg.sqrtm, which SciPy 1.18 (Python 3.12 and later) has no more",
)
def test_the_frechet_distance_is_clean_fids(features: tuple[np.ndarray, np.ndarray]) -> None:
    from cleanfid.fid import fid_from_feats

    assert frechet(*features) == pytest.approx(fid_from_feats(*features), **WIDE)


def test_the_frechet_distance_is_torch_fidelitys(features: tuple[np.ndarray, np.ndarray]) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in features]
    found = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet(*features) == pytest.approx(found, **WIDE)


def test_the_frechet_distance_is_that_of_torchmetrics(features: tuple[np.ndarray, np.ndarray]) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=AsTheyAre(), input_img_size=(1, 1, 24)).set_dtype(torch.float64)
    assert frechet(*features) == pytest.approx(fed(metric, features).item(), **WIDE)  # type: ignore[attr-defined]
