"""Holm's adjustment, against a case worked by hand and against what it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics.multiplicity import holm

probabilities = st.lists(st.floats(0, 1), max_size=8)


def test_holm_as_computed_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 raised to 0.06, 0.6 x 1.
    assert holm([0.02, 0.6, 0.01, 0.03]) == pytest.approx([0.06, 0.6, 0.04, 0.06])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.7, 0.8]) == [1, 1]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def rejected_step_by_step(p: list[float], level: float) -> set[int]:
    """Holm's procedure as he wrote it: go on from the smallest while p is at most level / (how many are left)."""
    left = sorted(range(len(p)), key=lambda i: p[i])
    rejected: set[int] = set()
    for i in left:
        if p[i] * (len(p) - len(rejected)) > level:
            break
        rejected.add(i)
    return rejected


@given(probabilities, st.sampled_from([0.01, 0.05, 0.2]))
def test_adjusted_values_below_a_level_are_those_that_the_procedure_rejects(p: list[float], level: float) -> None:
    assert {i for i, value in enumerate(holm(p)) if value <= level} == rejected_step_by_step(p, level)


@given(probabilities)
def test_no_value_falls_and_their_order_stays(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(raised >= value for raised, value in zip(adjusted, p, strict=True))
    for i in range(len(p)):
        assert all(adjusted[i] <= adjusted[j] for j in range(len(p)) if p[i] < p[j])


@pytest.mark.parametrize("bad", [[1.1], [-0.1], [float("nan")]])
def test_what_is_no_probability_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        holm(bad)
