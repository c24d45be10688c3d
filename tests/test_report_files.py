"""What a report says to programs and to papers is what the scores on file say."""

import csv
import io
import json
from pathlib import Path
from statistics import fmean, stdev

import pytest
from drawn_evidence import compare
from drawn_run import DrawnRun

from medsynth.artifacts import scores
from medsynth.job import Job
from medsynth.recipe import Recipe
from medsynth.report import machine, papers
from medsynth.report.collect import Found, collect
from medsynth.report.page import render
from medsynth.stages import report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DrawnRun:
    return DrawnRun(tmp_path_factory.mktemp("whole") / "run").everything()


@pytest.fixture(scope="module")
def found(whole: DrawnRun) -> Found:
    return collect(whole.artifacts())


def on_file(found: Found, arm: str, name: str) -> list[float]:
    return [scores.load(made.folder)[name].value for made in found.of("classify", arm)]


def test_programs_read_the_numbers_of_the_scores_and_no_name_of_a_patient(
    whole: DrawnRun, found: Found, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    out.mkdir()
    report.run(Job(Recipe(), tuple(whole.artifacts()), out, None, None, lambda _name, _done, _total: None))
    text = (out / "report.json").read_text()
    told = json.loads(text)
    assert (told["version"], set(told["arms"])) == (2, set(found.arms))
    for arm in found.arms:
        values = on_file(found, arm, "eye.auc")
        assert told["arms"][arm]["eye.auc"]["mean"] == pytest.approx(fmean(values))
        assert told["arms"][arm]["eye.auc"]["deviation"] == pytest.approx(stdev(values))
    assert not [s.sample for s in found.cohort.samples if f'"{s.sample}"' in text or f'"{s.patient}"' in text]


def test_the_table_of_a_paper_says_the_same_in_three_forms(found: Found) -> None:
    head, *rows = csv.reader(io.StringIO(papers.table(found, "csv")))
    column = head.index("AUC")
    for arm, row in zip(found.arms, rows, strict=True):
        values = on_file(found, arm, "eye.auc")
        assert row[column] == f"{100 * fmean(values):.2f} ± {100 * stdev(values):.2f}"
    markdown = papers.table(found, "markdown").splitlines()
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown[2:]] == rows
    latex = papers.table(found, "latex")
    assert latex.count(r"\\") == len(rows) + 1
    assert latex.count("&") == len(head[1:]) * (len(rows) + 1)
    assert "±" not in latex


def test_programs_read_every_comparison(tmp_path: Path) -> None:
    run = compare(DrawnRun(tmp_path / "run").everything())
    page = render(run.artifacts())
    told = json.loads(json.dumps(machine.facts(page.found, page.answer, page.parts)))["comparisons"]
    known = json.loads((run.root / "compare" / "comparisons.json").read_text())
    assert told.pop("from") == "compare/comparisons.json"
    assert told["comparisons"] == known["comparisons"]
    assert told["arms"] == known["arms"]


def test_an_arm_of_a_paper_is_one_row_over_folds_and_repeats_with_p_named_and_adjusted(tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run", auc=lambda arm, fold: 0.7 + 0.01 * fold + 0.05 * arm.endswith("@1")).ingest()
    for fold in range(3):
        for arm in ("real", "real@1", "real+geometric", "real+geca", "real+geca@1", "synthetic-only"):
            run.expand(fold).classify(fold, arm) if arm == "real" else run.classify(fold, arm)
    rows = list(csv.DictReader(io.StringIO(papers.table(collect(compare(run).artifacts()), "csv"))))
    assert [row["Trained on"] for row in rows] == ["real", "real + geometric", "real + GeCA", "synthetic-only"]
    values = [70.0, 71.0, 72.0, 75.0, 76.0, 77.0]
    assert rows[0]["AUC"] == f"{fmean(values):.2f} ± {stdev(values):.2f}"
    assert [(row["p, mAP"], row["p, mAP, Holm"]) for row in rows] == [
        ("–", "–"), ("–", "–"), ("0.150", "0.300"), ("0.040", "–"),
    ]  # fmt: skip
