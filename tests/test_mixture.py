"""The mixture around generated images is fitted as the paper has it."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from medsynth.metrics import euclidean, mixture
from medsynth.metrics.mixture import Mixture, fit


def drawn(seed: int, images: int, dimensions: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(images, dimensions))


def test_a_loss_is_that_of_scipys_gaussians() -> None:
    centres, points = drawn(0, 5), drawn(1, 7)
    variances = np.array([0.2, 0.5, 1.0, 2.0, 3.0])
    density = np.mean(
        [multivariate_normal(c, v * np.eye(6)).pdf(points) for c, v in zip(centres, variances, strict=True)], axis=0
    )
    np.testing.assert_allclose(Mixture(centres, np.log(variances)).losses(points), -np.log(density) / 6, rtol=1e-10)


def test_far_points_have_a_finite_loss() -> None:
    assert np.isfinite(Mixture(drawn(0, 3), np.full(3, -40.0)).losses(drawn(1, 4) + 1000)).all()


def by_torch(centres: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The same fit, with the slopes and the Adam of torch."""
    squared = torch.tensor(((points[:, None] - centres) ** 2).sum(axis=2))
    background = torch.tensor(0.81 * ((points - points.mean(axis=0)) ** 2).sum(axis=1, keepdims=True))
    both, d = torch.cat([squared, background], dim=1), points.shape[1]
    log_s = torch.log((both.min(dim=0).values + 1e-3) / d).requires_grad_()
    weights = torch.tensor([1 / len(centres)] * len(centres) + [1.0]).log()
    adam, losses = torch.optim.Adam([log_s], lr=0.5), []
    for epoch in range(1, 51):
        logs = -both / (2 * log_s.exp()) - d / 2 * (log_s + np.log(2 * np.pi)) + weights
        loss = -torch.logsumexp(logs, dim=1).mean() / d
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            log_s.clamp_(-40, 40)
        losses.append(loss.item())
        if epoch > 5 and abs(losses[-1] - losses[-6]) < 5e-4:
            break
    return log_s.detach().numpy()[:-1]


@pytest.mark.parametrize("copies", [0, 5])
def test_variances_are_those_that_torch_finds(copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    centres, points = drawn(0, 12), drawn(1, 40)
    centres[:copies] = points[:copies]
    monkeypatch.setattr(euclidean, "BLOCK", 7)
    np.testing.assert_allclose(fit(centres, points).log_variances, by_torch(centres, points), rtol=1e-6, atol=1e-6)


def test_a_copy_has_a_tiny_variance_but_none_below_what_the_digits_bear_out() -> None:
    centres, points = drawn(0, 12), drawn(1, 40)
    centres[3] = points[20]
    free, held = fit(centres, points), fit(centres, points, finest=1e-3)
    assert free.log_variances.argmin() == 3
    assert free.log_variances[3] < np.log(1e-4)
    assert held.log_variances[3] == pytest.approx(np.log(1e-3))
    assert free.memorised(points).argmax() == 3


def test_memory_is_the_best_density_at_any_training_point() -> None:
    found = Mixture(drawn(0, 5), np.log(np.full(5, 0.7)))
    points = drawn(1, 9)
    expected = [max(multivariate_normal(c, 0.7 * np.eye(6)).logpdf(points)) / 6 for c in found.centres]
    np.testing.assert_allclose(found.memorised(points), expected, rtol=1e-10)


def test_fitting_makes_the_points_likelier() -> None:
    centres, points = drawn(0, 30), drawn(1, 100)
    start = np.log((euclidean.squared_distances(points, centres).min(axis=0) + mixture.START) / 6)
    assert fit(centres, points).losses(points).mean() < Mixture(centres, start).losses(points).mean()


def test_nothing_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="0 centres"):
        fit(drawn(0, 0), drawn(1, 4))
