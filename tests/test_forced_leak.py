"""Who forces a leak, to see what it does, says why; everything that is made with it says so, and claims nothing."""

import json
from pathlib import Path

import pytest
from shell import done, medsynth

from medsynth.artifacts import cohort, files
from medsynth.rundir import RunDirectory

WHY = "to see what the audit finds"


@pytest.fixture
def leaking(expanded: RunDirectory) -> RunDirectory:
    """Fold 0's generator says that it was trained on everybody."""
    record = expanded.artifact("generator", 0, "geca").folder / "stage.json"
    everyone = cohort.load(expanded.artifact("ingest").folder)
    record.write_text(json.dumps(files.read_json(record) | {"trained_on": everyone.patients_hash()}))
    return expanded


def test_a_leak_is_refused_stage_by_stage_and_forced_stage_by_stage(leaking: RunDirectory, tmp_path: Path) -> None:
    run, forced = leaking, ("--force-leak", WHY)
    at = ("--fold", 0, "--run", run.root)
    for words in (("expand", "--force"), ("classify", "--arms", "synthetic-only")):
        refused = medsynth(*words, *at)  # what was made with a leak is no more trusted than what leaked
        assert refused.code == 4
        assert "does not carry the mark of the training patients" in refused.err
        (result,) = done(*words, *at, *forced, "--json").json["results"]
        assert result["summary"]["leak"] == WHY
        assert "no valid evidence" in result["notes"][0]
    for stage, kind in (("expand", "geca"), ("classify", "synthetic-only")):
        record = run.artifact(stage, 0, kind).record()
        assert (record["trained_on"], record["leak"]["reason"], record["summary"]["leak"]) == (None, WHY, WHY)
    assert run.artifact("classify", 0, "synthetic-only").record()["leak"]["from"] == ["expand geca, fold 0"]

    # What is about all folds takes it in, and carries the mark on.
    quick = ("--set", "compare.bootstrap=20", "--set", "compare.permutations=20", "--run", run.root)
    done("report", *quick)
    for stage in ("compare", "report"):
        assert run.artifact(stage).record()["leak"]["reason"] == WHY
    assert WHY in (run.root / "report" / "index.html").read_text(encoding="utf-8")

    # It leaves the run as what it is.
    leaving = ("export", tmp_path / "out", "--fold", 0, "--run", run.root)
    refused = medsynth(*leaving)
    assert refused.code == 4
    assert "may have seen patients that are tested" in refused.err
    done(*leaving, "--acknowledge-risk", "a demonstration")
    assert files.read_json(tmp_path / "out" / "about.json")["leak"]["reason"] == WHY


def test_where_nothing_leaks_nothing_is_marked(expanded: RunDirectory) -> None:
    found = done("expand", "--fold", 0, "--force", "--force-leak", WHY, "--run", expanded.root, "--json")
    assert "leak" not in found.json["results"][0]["summary"]
    record = expanded.artifact("expand", 0, "geca").record()
    assert "leak" not in record
    everyone = cohort.load(expanded.artifact("ingest").folder)
    assert record["trained_on"] == everyone.training(0).patients_hash()


def test_a_leak_without_a_reason_is_a_leak(leaking: RunDirectory) -> None:
    for reason in ("", "  "):
        assert medsynth("expand", "--fold", 0, "--force", "--force-leak", reason, "--run", leaking.root).code == 4
