"""What was measured over all folds at once stands beside the means over folds, as comparisons.json has it."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_evidence import compare, comparisons_of
from drawn_run import DrawnRun

from medsynth.artifacts import files, scores
from medsynth.artifacts.comparisons import AreaTest, Change, Comparisons, Decisions
from medsynth.artifacts.scores import Score
from medsynth.report import papers
from medsynth.report.collect import collect
from medsynth.report.page import render
from medsynth.rundir import RECORD

POOLED, DECIDED = "The same from all folds together", "Sensitivity and specificity, decision by decision"


def told() -> Comparisons:
    """Comparisons with ranks of all folds, and with decisions against the real images alone."""
    known = comparisons_of()
    ranks = {name: Change(0.0421, 0.0113, 0.0741, 0.0124) for name in ("map", "auc", "ap.exudate")}
    decided = {
        "sensitivity": Decisions(0.125, 31, 19, 1.7, 0.0891),
        "specificity": Decisions(-0.0312, 5, 8, None, None),
    }
    of = [replace(c, pooled=ranks, mcnemar=decided if c.baseline == "real" else {}) for c in known.comparisons]
    return replace(known, comparisons=tuple(of))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DrawnRun:
    drawn = compare(DrawnRun(tmp_path_factory.mktemp("whole") / "run").everything(), told())
    for made in collect(drawn.artifacts()).of("classify"):
        both = {f"eye.{name}": Score(0.5, 8, "eye") for name in ("sensitivity", "specificity")}
        scores.save(made.folder, made.scores | both)
    return drawn


@pytest.fixture(scope="module")
def page(run: DrawnRun) -> str:
    return render(run.artifacts()).html


def details(page: str, summary: str) -> str:
    return page[page.index(f"<summary>{summary}</summary>") :].partition("</details>")[0]


def cells(table: str, row: str) -> list[str]:
    told = table[table.index(f"<tr><th>{row}</th>") :].partition("</tr>")[0]
    return [cell.partition("</td>")[0] for cell in told.split('<td class="num">')[1:]]


def test_ranks_of_all_folds_stand_beside_the_means_over_folds(page: str) -> None:
    found = details(page, POOLED)
    assert cells(found, "real + GeCA against real, mAP") == [
        "+0.031", "−0.004 to +0.070", "0.150", "+0.042", "+0.011 to +0.074", "0.012",
    ]  # fmt: skip
    assert "real + GeCA against real + geometric, AUC" in found
    assert "<code>compare/comparisons.json</code>" in found


def test_sensitivity_and_specificity_are_told_by_the_decisions_in_which_two_arms_differ(page: str) -> None:
    found = details(page, DECIDED)
    assert cells(found, "real + GeCA against real, sensitivity") == ["+0.125", "31", "19", "0.089"]
    assert cells(found, "real + GeCA against real, specificity") == ["−0.031", "5", "8", "–"]
    assert "real + geometric, sensitivity" not in found
    assert "<code>compare/comparisons.json</code>" in found


def test_the_table_of_a_paper_has_the_chance_of_the_decisions_beside_them(run: DrawnRun) -> None:
    rows = list(csv.DictReader(io.StringIO(papers.table(collect(run.artifacts()), "csv"))))
    by_arm = {row["Trained on"]: row for row in rows}
    assert list(rows[0])[1:5] == ["Sensitivity", "p, sensitivity", "Specificity", "p, specificity"]
    assert [by_arm["real + GeCA"][f"p, {name}"] for name in ("sensitivity", "specificity")] == ["0.089", "–"]
    assert [by_arm["real"][f"p, {name}"] for name in ("sensitivity", "specificity")] == ["–", "–"]


def test_comparisons_of_an_earlier_medsynth_have_a_page_without_either(tmp_path: Path) -> None:
    run = compare(DrawnRun(tmp_path / "run").everything())
    file = run.root / "compare" / "comparisons.json"
    known = json.loads(file.read_text())
    for of in known["comparisons"]:
        del of["pooled"], of["mcnemar"]
    file.write_text(json.dumps(known))
    page = render(run.artifacts()).html
    assert POOLED not in page
    assert DECIDED not in page
    assert "p, sensitivity" not in papers.table(collect(run.artifacts()), "csv")


def test_delong_s_test_of_every_label_is_in_the_details(tmp_path: Path) -> None:
    known = comparisons_of()
    tests = {"exudate": AreaTest(0.0421, 1.9, 0.0574)}
    of = [replace(c, delong=tests if c.baseline == "real" else {}) for c in known.comparisons]
    run = compare(DrawnRun(tmp_path / "run").everything(), replace(known, comparisons=tuple(of)))
    found = details(render(run.artifacts()).html, "AUC of each label by DeLong’s test")
    assert cells(found, "real + GeCA against real, exudate") == ["+0.042", "0.057"]


def test_arms_that_were_trained_otherwise_are_named_and_nothing_equal_is_said_of_them(tmp_path: Path) -> None:
    run = compare(DrawnRun(tmp_path / "run").everything())
    equal = "for the same number of steps and with the same settings"
    before = render(run.artifacts()).html
    assert equal in before
    assert "trained otherwise" not in before
    record = run.run.artifact("classify", 1, "real+geca").folder / RECORD
    files.write_json(record, files.read_json(record) | {"settings": {"steps": 60}})
    after = render(run.artifacts()).html
    assert equal not in after
    named = "classify real+geca, fold 1 was trained otherwise than the fold&#39;s other arms (steps 60, not 600)"
    assert named in after.partition("</header>")[0]
    assert "Test patients were looked at once" not in after
