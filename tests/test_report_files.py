"""What a report says to programs and to papers is what the scores on file say."""

import csv
import io
import json
from pathlib import Path
from statistics import fmean, stdev

import pytest
from drawn_run import DrawnRun

from medsynth.artifacts import scores
from medsynth.job import Job
from medsynth.recipe import Recipe
from medsynth.report import papers
from medsynth.report.collect import Found, collect
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
    assert (told["version"], set(told["arms"])) == (1, set(found.arms))
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
