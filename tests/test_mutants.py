"""The tool that changes code a little does as it says, and what no test finds is explained on the page of trust."""

import ast
import json
from pathlib import Path

import mutants
import pytest

ROOT = Path(__file__).parents[1]
KNOWN = json.loads((ROOT / "docs" / "trust-mutants.json").read_text(encoding="utf-8"))
SOURCE = '''
"""Words."""
LIMIT = 3
def few(count: "int", fresh: bool = True) -> "str | None":
    """Words."""
    if count < LIMIT and not fresh:
        raise ValueError("words " + "and words")
    log(f"{count + 1}")
    return min(n for n in range(count) if n)
'''


def test_each_change_is_one_change_and_is_taken_back() -> None:
    tree = ast.parse(SOURCE)
    before = ast.unparse(tree)
    found = [(old, new, ast.unparse(tree)) for _, old, new in mutants.mutants(tree)]
    assert ast.unparse(tree) == before
    assert len({now for _, _, now in found} | {before}) == len(found) + 1
    changed = {(old, new) for old, new, _ in found}
    assert {
        ("3", "4"), ("True", "False"), ("count < LIMIT", "count <= LIMIT"), ("not fresh", "fresh"), ("min", "max"),
        ("count < LIMIT and (not fresh)", "count < LIMIT or not fresh"), ("log(f'{count + 1}')", "pass"),
        ("if count < LIMIT and (not fresh):", "if False:"), (" for n in range(count) if n", " for n in range(count)"),
        ("raise ValueError('words ' + 'and words')", "pass"),
        ("return min((n for n in range(count) if n))", "return None"),
    } <= changed  # fmt: skip
    assert not {old for old, _ in changed} & {"'Words.'", "'int'", "'words '", "count + 1"}


def test_a_mutant_is_what_the_tests_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "twice.py").write_text("def twice(n):\n    return 2 * n\n")
    (tmp_path / "tests" / "test_it.py").write_text(
        "from twice import twice\ndef test_it():\n    assert twice(2) == 4\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "TESTS", {"twice.py": "tests/test_it.py"})
    monkeypatch.syspath_prepend(tmp_path)
    tree = ast.parse((tmp_path / "twice.py").read_text())
    assert not mutants.fails("twice.py", tree)
    found = [(old, new, mutants.fails("twice.py", tree)) for _, old, new in mutants.mutants(tree)]
    assert found == [("return 2 * n", "return None", True), ("2 * n", "2 / n", True), ("2", "3", True)]


@pytest.mark.parametrize("module", mutants.TESTS)
def test_what_no_test_finds_is_explained(module: str) -> None:
    page = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8").partition("## Tests of the tests")[2]
    known = KNOWN[module]
    assert known["tests"] == mutants.TESTS[module]
    assert known["mutants"] == known["found"] + len(known["left"]) > 40
    for mutant in known["left"]:
        assert f"\n- `{module.removeprefix('medsynth/')}`, `{mutant['was']}` to `{mutant['is']}`" in page, mutant
