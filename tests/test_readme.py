"""The README tells of this program and of no other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from shell import without_network
from typer.main import get_command

from medsynth import kinds, presets, recipe
from medsynth.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted(p.relative_to(ROOT / "medsynth") for p in (ROOT / "medsynth").rglob("*.py"))


def package_tree() -> dict[str, str]:
    """Path in the package -> its phrase, as the README's tree has them."""
    tree = re.search(r"```\nmedsynth/\n(.*?)```", README, re.DOTALL)
    assert tree is not None
    found: dict[str, str] = {}
    above: list[str] = []
    for line in tree[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, phrase = line.split(maxsplit=1)
        above = [*above[: depth - 1], name.rstrip("/")]
        found["/".join(above)] = phrase
    return found


def test_the_package_tree_names_every_module_and_no_other():
    named = {name for name in package_tree() if name.endswith(".py")}
    there = {p.as_posix() for p in MODULES if p.name != "__init__.py" or p.parent == Path()}
    assert named == there


def test_every_command_is_known_to_the_readme_or_its_help():
    typed = set(re.findall(r"^\s*(?:\.venv/bin/)?medsynth ([a-z-]+)", README, re.MULTILINE))
    assert typed >= {"ingest", "train-generator", "expand", "classify", "report"}
    assert typed <= set(get_command(app).commands)


def test_every_option_in_the_readme_exists():
    options = {o for c in get_command(app).commands.values() for p in c.params for o in (*p.opts, *p.secondary_opts)}
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README)) - {"--nproc-per-node"}
    assert mentioned <= options


def test_every_recipe_and_every_kind_that_is_mentioned_is_shipped():
    named = re.findall(r"recipes/([\w-]+)\.toml", README) + re.findall(
        r"^medsynth run ([a-z]\w*)", README, re.MULTILINE
    )
    assert {"odir", "eyepacs"} <= set(named) <= set(recipe.shipped())
    compared = set(re.findall(r"--model (\w+)", README))
    assert {"geca", "dit"} <= compared <= set(kinds.names("generators"))
    assert set(re.findall(r"--preset (\w+)", README)) <= set(presets.PRESETS)


@pytest.mark.parametrize("word", ["safe", "anonymous"])
def test_nothing_is_promised_that_only_people_can_judge(word):
    assert word not in README.lower().split()


def test_the_demo_goes_from_nothing_to_a_report(tmp_path):
    """Without a network, and with hardly any training: what it shows is poor, but every step of the chain is real."""
    short = [
        "codec.steps=2",
        "codec.width=8",
        "generator.steps=2",
        "expand.factor=1",
        "expand.sampling_steps=2",
        "classify.steps=2",
    ]
    words = [word for change in short for word in ("--set", change)]
    command = [*without_network(), sys.executable, "-m", "medsynth", "demo", "--run", str(tmp_path / "demo"), "--json"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "demo" / "report" / "index.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert "synthetic-only" in done.stdout
    for arm in ("real", "real+geometric", "real+geca", "synthetic-only"):
        assert (tmp_path / "demo" / "fold-1" / "classify" / arm / "scores.json").is_file()
