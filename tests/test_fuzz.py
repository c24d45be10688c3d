"""No file makes a reader fall over: it is read or refused with words, within seconds and little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fuzz_readers import READERS

TESTS = Path(__file__).parent
CORPUS = TESTS / "data" / "fuzz"  # inputs that found something, and what was found with them is mended
RESULT = TESTS.parent / "docs" / "trust-fuzz.json"
ASKED = ("csv", "npz", "png", "jpeg", "tiff", "bmp", "safetensors", "recipe", "manifest.csv", "stage.json")
FEW, MANY = 60, 10_000

readers = pytest.mark.parametrize("name", [reader.name for reader in READERS])


def fuzzed(out: Path, *words: object) -> dict[str, Any]:
    """What the harness found in a process of its own."""
    variables = os.environ | {"PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TESTS / "fuzzing.py"), str(out), *map(str, words)]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(out.read_text()))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return fuzzed(tmp_path_factory.mktemp("fuzz") / "few.json", "--count", FEW, "--seed", 1)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return fuzzed(tmp_path_factory.mktemp("fuzz") / "stored.json", "--stored", CORPUS)


@readers
def test_a_file_that_nobody_meant_to_write_is_read_or_refused_with_words(few: dict[str, Any], name: str) -> None:
    found = few[name]
    assert found["failures"] == []
    assert found["read"] + found["refused"] == found["inputs"] == FEW


@pytest.mark.parametrize("name", sorted({path.name.rpartition("-")[0] for path in CORPUS.iterdir()}))
def test_what_once_made_a_reader_fall_over_does_so_no_more(stored: dict[str, Any], name: str) -> None:
    assert stored[name]["failures"] == []
    assert stored[name]["inputs"] == len([*CORPUS.glob(f"{name}-*")]) > 0


@pytest.mark.slow
@readers
def test_ten_thousand_files_that_nobody_meant_to_write_are_read_or_refused(tmp_path: Path, name: str) -> None:
    found = fuzzed(tmp_path / "many.json", "--count", MANY, "--readers", name)[name]
    assert found["failures"] == []
    assert found["read"] + found["refused"] == MANY


def test_the_page_of_trust_is_about_ten_thousand_files_of_every_reader() -> None:
    said = json.loads(RESULT.read_text())
    assert said.keys() == {reader.name for reader in READERS} >= set(ASKED)
    for name, found in said.items():
        assert found["inputs"] >= MANY, name
        assert found["failed"] == 0, name
        assert found["slowest_seconds"] <= 5, name
