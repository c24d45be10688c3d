"""Intervals draw patients, never images."""

import numpy as np
import pytest

from medsynth.metrics.measured import Bootstrap, PerImage


def mean_of(values: np.ndarray) -> object:
    return lambda weights: float(weights @ values / weights.sum())


def width(values: np.ndarray, patients: np.ndarray, seed: int = 0) -> float:
    found = Bootstrap(seed).measured(mean_of(values), (patients,), n=len(values))  # type: ignore[arg-type]
    assert found.ci_low is not None
    assert found.ci_high is not None
    return found.ci_high - found.ci_low


def test_an_interval_is_as_wide_as_the_mean_of_patients_is_unsure() -> None:
    per_patient = np.random.default_rng(0).normal(size=200)
    values, patients = np.repeat(per_patient, 5), np.repeat(np.arange(200), 5)
    theory = 2 * 1.96 * per_patient.std() / np.sqrt(200)
    assert width(values, patients) == pytest.approx(theory, rel=0.1)
    assert width(values, np.arange(1000)) == pytest.approx(theory / np.sqrt(5), rel=0.1)  # as if they were a thousand


def test_a_seed_gives_one_interval_and_the_value_needs_none() -> None:
    values, patients = np.random.default_rng(0).normal(size=30), np.arange(30) // 2
    assert width(values, patients, 1) == width(values, patients, 1) != width(values, patients, 2)
    plain = Bootstrap(0, 0).measured(mean_of(values), (patients,), n=30)  # type: ignore[arg-type]
    assert (plain.value, plain.ci_low, plain.ci_high) == (pytest.approx(values.mean()), None, None)


def test_one_patient_says_nothing_about_how_patients_differ() -> None:
    values = np.arange(4.0)
    found = Bootstrap(0).measured(mean_of(values), (np.full(4, "ann"),), n=4)  # type: ignore[arg-type]
    assert (found.value, found.ci_low) == (1.5, None)


def test_sets_are_drawn_independently_of_each_other() -> None:
    patients = np.arange(50)
    values = PerImage(np.random.default_rng(0).normal(size=50), patients)

    def difference(one: np.ndarray, other: np.ndarray) -> float:
        return float((one - other) @ values.values)

    assert Bootstrap(0).replicates_of(difference, (patients, patients)).std() > 1
