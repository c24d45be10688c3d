"""DICOM files that nobody meant to write are read or refused, in seconds and little memory, and give nobody away."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fuzz_dicom import DICOM
from fuzzing import apart, fuzz, mutated

CORPUS = Path(__file__).parent / "data" / "fuzz-dicom"  # what they found is mended
FEW, MANY = 400, 10_000


def found(inputs: Callable[[Sequence[bytes]], Iterable[bytes]]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return apart(lambda: fuzz(DICOM, inputs, None))


def made(seed: int, count: int) -> dict[str, Any]:
    return found(lambda whole: (mutated(DICOM, whole, seed, number) for number in range(count)))


def test_a_few_hundred_mutated_files_are_read_or_refused() -> None:
    said = made(1, FEW)
    assert said["failures"] == []
    assert said["read"] + said["refused"] == FEW
    assert min(said["read"], said["refused"]) > FEW // 10  # neither is everything


def test_what_once_asked_for_all_memory_does_so_no_more() -> None:
    """Lengths of four gigabytes: room for them was made before a byte was read."""
    files = sorted(CORPUS.iterdir())
    said = found(lambda _: [path.read_bytes() for path in files])
    assert said["failures"] == []
    assert said["inputs"] == len(files) == 3
    assert said["megabytes"] < 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_ten_thousand_mutated_files_are_read_or_refused(seed: int) -> None:
    said = made(seed, MANY)
    assert said["failures"] == []
    assert said["read"] + said["refused"] == MANY
