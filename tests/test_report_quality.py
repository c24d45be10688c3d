"""The synthetic images that look least like real ones are shown, as quality.csv has them."""

from pathlib import Path

import pytest
from drawn_evidence import evaluate
from drawn_run import DrawnRun

from medsynth.artifacts import cohort, qualities, scores
from medsynth.artifacts.scores import Score
from medsynth.report import gallery, likeness, pictures
from medsynth.report.collect import collect
from medsynth.report.page import render


def judged(run: DrawnRun, fold: int, mean: float) -> list[str]:
    """An evaluation with the quality of every image; their names, the least likely first."""
    evaluate(run, fold)
    folder = run.run.artifact("evaluate", fold, "geca").folder
    found = {"synthetic.quality": Score(mean, 16, "image"), "floor.quality": Score(-68.1, 16, "image")}
    scores.save(folder, scores.load(folder) | found)
    names = [s.sample for s in cohort.load(run.run.artifact("expand", fold, "geca").folder).samples]
    qualities.save(folder, names, [mean + i for i in range(len(names), 0, -1)])
    return names[::-1]


@pytest.fixture
def run(tmp_path: Path) -> DrawnRun:
    return DrawnRun(tmp_path / "run").ingest().expand(0).expand(1)


def test_the_first_rows_are_shown_of_the_fold_with_the_least_likely_images(run: DrawnRun) -> None:
    judged(run, 0, -110.8)
    names = judged(run, 1, -130.6)
    (found,) = gallery.unlikely(collect(run.artifacts()))
    images = {s.sample: s.image for s in cohort.load(run.run.artifact("expand", 1, "geca").folder).samples}
    shown = names[: gallery.SHOWN_UNLIKELY]
    assert [p.uri for p in found.images] == [pictures.picture(images[name]).uri for name in shown]
    assert [p.caption for p in found.images][:2] == ["−130", "−129"]
    page = render(run.artifacts()).html
    part = page[page.index("The least likely synthetic images") :].partition("</section>")[0]
    assert "−131 on the average, real training images −68.1" in part
    assert "<code>fold-1/evaluate/geca/quality.csv</code>" in part
    assert part.count("<img") == len(shown)
    assert not [name for name in names if name in page]


def test_the_mean_quality_stands_beside_that_of_real_images(run: DrawnRun) -> None:
    judged(run, 0, -110.8)
    (table,), _ = likeness.tables(collect(run.artifacts()))
    (row,) = [row for row in table.rows if row.name.startswith("Quality")]
    assert row.cells[:2] == ("−111", "−68.1, n\u00a0=\u00a016")  # the distances beside it are of fewer
    assert table.sources == ("fold-0/evaluate/geca/scores.json",)


def test_images_that_are_gone_and_evaluations_without_qualities_have_no_gallery(run: DrawnRun) -> None:
    evaluate(run, 0)
    judged(run, 1, -130.6)
    qualities.save(run.run.artifact("evaluate", 1, "geca").folder, ["another"], [-200.0])
    assert gallery.unlikely(collect(run.artifacts())) == []
    assert "least likely" not in render(run.artifacts()).html


def test_images_of_selection_patients_have_a_column_where_they_were_measured(run: DrawnRun) -> None:
    judged(run, 0, -110.8)
    (before,), _ = likeness.tables(collect(run.artifacts()))
    assert len(before.heads) == 3
    folder = run.run.artifact("evaluate", 0, "geca").folder
    scores.save(folder, scores.load(folder) | {"unseen.kid_across": Score(3.1, 8, "image", -9.0, 14.0)})
    (after,), _ = likeness.tables(collect(run.artifacts()))
    assert after.heads[2] == "selection patients' images, n\u00a0=\u00a08"
    assert "3.10 (−9 to 14)" in {row.cells[2] for row in after.rows}
