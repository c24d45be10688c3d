"""docs/trust.md promises nothing that no test keeps."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
SECTIONS = (
    "Killed anywhere", "Full and broken disks", "Two at once", "Bad files", "Nothing executable is ever loaded",
    "No network", "No tested patient is learned from", "No patient in the output", "Harmless output", "Supply chain",
    "Formats are a contract", "Deterministic", "Tests of the tests",
)  # fmt: skip
A_TEST = re.compile(r"`(tests/\w+\.py)::(\w+)`")


def rows() -> list[tuple[str, list[str]]]:
    """Section and cells of every row of every table."""
    found, section = [], ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("|") and not re.match(r"\| promise|\|[-|:]+$", line):
            found.append((section, [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]))
    return found


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def kept(name: str) -> dict[str, Any]:
    """What the page's own command wrote."""
    return dict(json.loads((ROOT / "docs" / f"trust-{name}.json").read_text(encoding="utf-8")))


def test_the_page_has_a_section_for_each_kind_of_promise() -> None:
    assert tuple(re.findall(r"^## (.+)$", PAGE, re.MULTILINE)) == SECTIONS


@pytest.mark.parametrize(("section", "cells"), rows(), ids=lambda value: value if isinstance(value, str) else value[0])
def test_every_promise_names_a_test_that_is_there(section: str, cells: list[str]) -> None:
    promise, tests, _limit = cells
    named = A_TEST.findall(tests)
    assert promise, section
    assert named, f"no test keeps: {promise}"
    for file, name in named:
        assert (ROOT / file).is_file(), f"{promise}: there is no {file}"
        assert name.startswith("test_"), name
        assert name in functions(ROOT / file), f"{promise}: {file} has no {name}"


def test_the_figures_on_the_page_are_those_of_the_files_beside_it() -> None:
    mutants, coverage = kept("mutants"), kept("coverage")
    tried, found = (sum(module[each] for module in mutants.values()) for each in ("mutants", "found"))
    assert f"All {tried} mutants of " in PAGE
    assert f"were tried: {found} fail a test, {tried - found} change nothing. " in PAGE
    assert f"| {coverage['percent']} % of {coverage['lines']:,} statements, " in PAGE
