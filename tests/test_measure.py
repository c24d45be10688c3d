"""What a benchmark keeps can be typed again, and tells nothing of the machine's folders."""

import sys
from pathlib import Path

import pytest
from shell import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import measure


def test_the_command_is_what_was_typed_without_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.toml").touch()
    typed = ["--threads", "2", str(tmp_path), f"--out={tmp_path / 'other'}", "--device=cpu", "geca"]
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "steps.py"), *typed])
    assert measure.command() == "python benchmarks/steps.py --threads 2 RUN --out=FOLDER --device=cpu geca"


def test_of_a_quick_trial_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(sys, "argv", ["steps.py", "--quick"])
    measure.write("steps", "# Steps", [{"steps": 3}], {})
    assert "| 3 |" in capsys.readouterr().out
    assert not (tmp_path / "docs").exists()
    monkeypatch.setattr(sys, "argv", ["steps.py"])
    measure.write("steps", "# Steps", [{"steps": 3}], {})
    assert "Measured by `python benchmarks/steps.py` on: " in (tmp_path / "docs" / "steps.md").read_text()
