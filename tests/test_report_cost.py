"""The report's table of what each generator costs and what its images give."""

import json
from pathlib import Path
from typing import Any

from drawn_run import DrawnRun

from medsynth.report import costs, page, tables, words
from medsynth.report.collect import NOTHING, Found, collect
from medsynth.rundir import Artifact

TRAINED = {"parameters": 32_731_424, "mega_macs_per_forward": 1250.0, "steps": 400, "seconds_per_step": 0.25}
DREW = {
    "evaluations_per_image": 37, "seconds_per_image": 0.5, "network_share": 0.96, "peak_process_megabytes": 1500,
}  # fmt: skip


def report(artifact: Artifact, **facts: Any) -> None:
    """Let an artifact have reported these facts."""
    path = artifact.folder / "stage.json"
    record = json.loads(path.read_text())
    record["summary"] |= facts
    path.write_text(json.dumps(record))


def whole(folder: Path, **drew: Any) -> DrawnRun:
    drawn = DrawnRun(folder).everything()
    for fold in range(drawn.facts.folds):
        report(drawn.run.artifact("generator", fold, "geca"), **TRAINED)
        report(drawn.run.artifact("expand", fold, "geca"), **drew)
    return drawn


def found(drawn: DrawnRun) -> Found:
    return collect(drawn.artifacts())


def test_a_generator_has_a_row_of_its_means_and_its_arms_scores(tmp_path: Path) -> None:
    drawn = whole(tmp_path / "run", **DREW)
    report(drawn.run.artifact("expand", 0, "geca"), peak_process_megabytes=1500 + 300 * drawn.facts.folds)
    (row,) = costs.costs(found(drawn))
    assert row.name == "GeCA"
    assert row.network == ["32.7 million", "1.25 billion", "37"]
    assert (row.seconds, row.memory) == ("0.5 s (96%)", "1,800 MB, process")
    assert row.training == "400 steps, 1 min 40 s"
    by_arm = dict(zip(found(drawn).arms, tables.scores(found(drawn), "eye").rows[0][1], strict=True))
    assert row.added == by_arm["real+geca"]
    assert row.alone == by_arm["synthetic-only"]
    html = page.render(drawn.artifacts()).html
    assert "What each generator costs and what it gives" in html
    assert "1.25 billion" in html


def test_memory_of_a_gpu_is_told_as_such(tmp_path: Path) -> None:
    (row,) = costs.costs(found(whole(tmp_path / "run", peak_gpu_megabytes=2048)))
    assert row.memory == "2,048 MB, GPU"


def test_what_was_not_reported_is_a_dash(tmp_path: Path) -> None:
    drawn = DrawnRun(tmp_path / "run").ingest().train("codec", "kl", 0).train("generator", "geca", 0).expand(0)
    (row,) = costs.costs(found(drawn))
    assert (row.seconds, row.memory, row.training) == (NOTHING, f"{NOTHING}", NOTHING)
    assert row.network == ["270 thousand", NOTHING, NOTHING]
    assert row.added.mean == row.alone.mean == NOTHING


def test_a_run_without_synthetic_images_has_no_such_table(tmp_path: Path) -> None:
    drawn = DrawnRun(tmp_path / "run").ingest()
    assert costs.costs(found(drawn)) == []
    assert "What each generator costs" not in page.render(drawn.artifacts()).html


def test_large_numbers_are_told_in_words() -> None:
    assert [words.large(n) for n in (12, 359_648, 17.16e6, 2.5e9, None)] == [
        "12", "360 thousand", "17.2 million", "2.5 billion", NOTHING,
    ]  # fmt: skip
