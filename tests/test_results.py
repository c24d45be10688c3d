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
    row = facts["segmenters"][0]
    assert f"| U-Net | {masks['tested']} | {row[results.EVERYTHING]} | {masks['dice']:.3f}" in page
    assert run.artifact("report").record()["summary"]["answer"] in page


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py") if p.stem != "llamagen"))
def test_every_program_that_measures_finds_what_it_imports(name: str) -> None:
    """All but that which compares with a library of the extra `bench`."""
    assert importlib.import_module(name).__doc__


def test_a_segmenter_that_is_no_better_than_a_mask_of_everything_is_not_among_what_was_reached() -> None:
    rows = [
        {"segmenter": "A", "Dice": "0.700 (0.600 to 0.800)", results.EVERYTHING: "0.539", "parameters": "9"},
        {"segmenter": "B", "Dice": "0.540", results.EVERYTHING: "0.539", "parameters": "8"},
    ]
    said = results._reached({"segmenters": rows, "image_size": 64})
    assert "mean Dice of an image: A 0.700 (9 parameters).**" in said
    assert said.endswith("better than marking the whole image: B.")


def test_a_table_that_says_the_same_of_another_unit_is_not_printed_twice(
    told: tuple[RunDirectory, dict[str, Any]],
) -> None:
    facts = told[1]
    once = {"unit": "eye", "tested": "9 eyes", "arms": ["real"], "rows": [["AUC", "0.5"]]}
    page = results.section("drawn", {**facts, "tables": [once, {**once, "unit": "image"}]}, "medsynth run")
    assert page.count("| AUC | 0.5 |") == 1
    assert "By image: the same, one of each eye." in page
