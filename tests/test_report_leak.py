"""What was made with a leak stands at the top of the report with its reason; the first page claims nothing from it."""

import json
from pathlib import Path

import pytest
from drawn_evidence import comparisons_of, evaluate, judged, look
from drawn_run import DrawnRun

from medsynth.artifacts import comparisons, files
from medsynth.job import Job
from medsynth.recipe import Recipe
from medsynth.report import leaks
from medsynth.report.collect import collect
from medsynth.report.page import render
from medsynth.rundir import RECORD, Artifact
from medsynth.stages import report

WHY = "<b>to see</b> what patient-03 gives"
BANNER = '<aside class="leak">'
GAINED = {("real+geca", plain): (0.05, 0.01, 0.09) for plain in ("real", "real+geometric")}


def mark(artifact: Artifact, *of: str) -> None:
    record = artifact.folder / RECORD
    files.write_json(record, files.read_json(record) | {"leak": {"from": list(of), "reason": WHY}})


@pytest.fixture
def run(tmp_path: Path) -> DrawnRun:
    """A run whose first page says: they improved the classifier, no difference to real images was found, nor a copy."""
    drawn = judged(DrawnRun(tmp_path / "run"))
    comparisons.save(drawn.root / "compare", comparisons_of(gains=GAINED, p=0.01))
    for fold in range(3):
        evaluate(drawn, fold, ours=(5.0, -3.0, 12.0), more=(1.0, -5.0, 8.0))
        look(drawn, fold, share=0.04)
    return drawn


def top(run: DrawnRun) -> str:
    return render(run.artifacts()).html.partition("<nav>")[0]


def test_a_run_without_a_leak_has_no_banner(run: DrawnRun) -> None:
    first = top(run)
    assert BANNER not in first
    for claim in (
        "improved the classifier",
        "Yes, in this run",
        "No difference found on 4 patients",
        "No sign of copying",
    ):
        assert claim in first


def test_the_banner_is_above_everything_and_says_what_why_and_from_which_file(run: DrawnRun) -> None:
    mark(run.run.artifact("expand", 1, "geca"), "generator geca, fold 1")
    first = top(run)
    banner = first[first.index(BANNER) :].partition("</aside>")[0]
    assert first.index(BANNER) < first.index('<p class="eyebrow">')
    assert "no valid evidence" in banner
    assert "Expand geca, fold 1. Made with generator geca, fold 1." in banner
    assert "“&lt;b&gt;to see&lt;/b&gt; what [withheld] gives”" in banner
    assert '<code class="file">fold-1/expand/geca/stage.json</code>' in banner


def test_no_gain_is_claimed_from_marked_comparisons_nor_from_those_that_marked_classifiers_are_in(
    run: DrawnRun,
) -> None:
    mark(run.run.artifact("compare"), "classify real+geca, fold 0")
    first = top(run)
    assert "No valid answer" in first
    assert "improved" not in first
    assert "+0.050" not in first
    assert "Not measured." not in first
    assert "No difference found on 4 patients" in first  # that is of other artifacts
    record = run.root / "compare" / RECORD
    known = files.read_json(record)
    del known["leak"]
    files.write_json(record, known | {"inputs": {"fold-0/classify/real+geca": "a"}})
    mark(run.run.artifact("classify", 0, "real+geca"), "expand geca, fold 0")
    assert "improved" not in top(run)


def test_neither_likeness_nor_newness_is_claimed_from_marked_artifacts(run: DrawnRun) -> None:
    for fold in range(3):
        for stage in ("evaluate", "audit"):
            mark(run.run.artifact(stage, fold, "geca"), f"expand geca, fold {fold}")
    _, (helped, like, new), _ = leaks.first_page(collect(run.artifacts()))
    assert helped.verdict == "Yes, in this run."
    for part in (like, new):
        assert (part.verdict, part.lines, part.command) == ("No valid evidence.", (), "")
    assert "audit geca, fold 2" in new.standing


def test_a_marked_fold_is_left_out_and_named_and_the_others_answer(run: DrawnRun) -> None:
    mark(run.run.artifact("audit", 0, "geca"), "expand geca, fold 0")
    _, (_, _, new), _ = leaks.first_page(collect(run.artifacts()))
    assert new.verdict == "No sign of copying; the audit was passed."
    assert new.standing.endswith("Left out, as no valid evidence: audit geca, fold 0.")
    assert new.lines[0].source != "fold-0/audit/geca/scores.json"


def test_programs_read_the_same_of_leaks_without_names_of_patients(run: DrawnRun, tmp_path: Path) -> None:
    mark(run.run.artifact("compare"), "classify real+geca, fold 0")
    out = tmp_path / "report"
    out.mkdir()
    report.run(Job(Recipe(), tuple(run.artifacts()), out, None, None, lambda *_: None))
    told = json.loads((out / "report.json").read_text())
    assert told["leaks"] == [
        {
            "made": ["compare"], "of": ["classify real+geca, fold 0"],
            "reason": "<b>to see</b> what [withheld] gives", "files": ["compare/stage.json"],
        }
    ]  # fmt: skip
    assert told["answer"]["headlines"] == [*leaks.VOID_ANSWER.headlines]
    assert (told["questions"]["help"]["verdict"], told["questions"]["help"]["measured"]) == (leaks.VOID, False)
