"""The page of results says of a run what its artifacts say, in every table; so do all programs that measure."""

import importlib
import sys
from typing import Any

import pytest
from conftest import copied
from shell import ROOT, done
from test_segment import quick

from medsynth.rundir import RunDirectory

sys.path.append(str(ROOT / "benchmarks"))
import results


@pytest.fixture(scope="module")
def told(finished: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, dict[str, Any]]:
    """A run with classifiers and a segmenter, and what the page says of it."""
    run = copied(finished, tmp_path_factory.mktemp("whole") / "run")
    done("run", "--set", "classify.arms=['real', 'real+geca', 'synthetic-only']", "--run", run.root)
    done("segment", "--run", run.root, "--fold", 0, "--variant", "unet", *quick("unet"))
    done("report", "--run", run.root)
    return run, results.facts_of(run)


def test_every_table_is_made_from_the_run_s_own_numbers(told: tuple[RunDirectory, dict[str, Any]]) -> None:
    run, facts = told
    page = results.section("drawn", facts, "medsynth run")
    of = {stage: run.artifact(stage, 0, "geca").record()["summary"] for stage in ("expand", "evaluate", "audit")}
    distance = f"{of['evaluate']['synthetic.kid']:.3g} ({of['evaluate']['floor.kid']:.3g}, "
    for said in ("| GeCA |", distance, f"{of['audit']['features.c05']:.1%}"):
        assert said in page
    masks = run.artifact("segment", 0, "unet").record()["summary"]
    assert f"| U-Net | {masks['tested']} | {masks['dice']:.3f}" in page
    assert run.artifact("report").record()["summary"]["answer"] in page


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py") if p.stem != "llamagen"))
def test_every_program_that_measures_finds_what_it_imports(name: str) -> None:
    """All but that which compares with a library of the extra `bench`."""
    assert importlib.import_module(name).__doc__
