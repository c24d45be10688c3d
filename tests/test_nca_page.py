"""The page of the automata is true: its code runs, it names everything there is, its example writes what it says."""

import re
import subprocess
import sys
from pathlib import Path

from shell import ROOT

from medsynth import nca
from medsynth.data import png

PAGE = (ROOT / "docs" / "nca.md").read_text(encoding="utf-8")


def test_the_code_on_the_page_runs_and_learns() -> None:
    found: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], found)
    assert all(each.grad.abs().max() > 0 for each in found["update"].parameters())


def test_the_page_names_everything_that_the_library_has() -> None:
    assert set(nca.__all__) <= set(re.findall(r"\w+", PAGE))


def test_the_example_grows_two_lesions_and_writes_its_pictures(tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / "examples" / "grow_a_lesion.py"), str(tmp_path / "grown"), "--steps", "2"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "% grown back" in ended.stdout
    growth, regrowth = (png.read(tmp_path / "grown" / f"{name}.png") for name in ("growth", "regrowth"))
    assert growth.shape == (2 * 60, 9 * 60, 3)
    assert regrowth.shape == (2 * 60, 4 * 60, 3)
