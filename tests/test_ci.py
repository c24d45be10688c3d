"""What .ci/run asks of the tests beside being green."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("lines", "code"), [(1, 2), (200, 0)])
def test_too_few_executed_lines_are_a_failure(lines: int, code: int, tmp_path: Path) -> None:
    """By the settings of the project, of a program that executes so many of its lines and never reaches 20."""
    counted, program = [sys.executable, "-m", "coverage"], tmp_path / "program.py"
    program.write_text("a = 0\n" * lines + "if a:\n" + "    a = 1\n" * 20)
    plain = ("--rcfile=/dev/null", f"--data-file={tmp_path / 'told'}")
    subprocess.run([*counted, "run", *plain, str(program)], check=True, cwd=tmp_path)
    rules = (f"--rcfile={ROOT / 'pyproject.toml'}", f"--data-file={tmp_path / 'told'}")
    assert subprocess.run([*counted, "report", *rules], cwd=tmp_path, capture_output=True).returncode == code
    *_, last = (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip().splitlines()
    assert last.startswith(".venv/bin/python -m coverage report")
