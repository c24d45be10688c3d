"""Formats are a contract: runs that were stored as they were then open now; what is newer is refused, not guessed."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from shell import done, medsynth

from medsynth.artifacts import cohort, comparisons, files, formats, predictions, scores
from medsynth.errors import Refused
from medsynth.rundir import RunDirectory

DATA = Path(__file__).parent / "data"
# Two folds of 12 drawn patients from ingest to compare, without weights and arrays: of before there were versions, and
# of version 1 of every format. What a later version of a format changes, it still reads here.
STORED = ("run-0", "run-1")


@pytest.fixture(params=STORED)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> RunDirectory:
    with zipfile.ZipFile(DATA / f"{request.param}.zip") as archive:
        archive.extractall(tmp_path / "run")
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def newest(tmp_path: Path) -> RunDirectory:
    with zipfile.ZipFile(DATA / f"{STORED[-1]}.zip") as archive:
        archive.extractall(tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_a_run_that_was_stored_can_be_looked_at(stored: RunDirectory) -> None:
    states = {
        (row["stage"], row["fold"]): row["state"] for row in done("status", "--json", "-r", stored.root).json["stages"]
    }
    assert states.keys() >= {("ingest", None), ("classify", 0), ("audit", 1), ("compare", None)}
    assert "missing" not in {states["ingest", None], states["classify", 0], states["audit", 1], states["compare", None]}


def test_the_statistics_of_a_run_that_was_stored_are_made_anew(stored: RunDirectory) -> None:
    before = comparisons.load(stored.artifact("compare").folder)
    done("compare", "-r", stored.root, "--force")
    after = comparisons.load(stored.artifact("compare").folder)
    assert {arm.arm for arm in after.arms} == {arm.arm for arm in before.arms} == {"real", "real+geca"}
    assert after.primary == before.primary
    for old in before.arms:
        new = next(arm for arm in after.arms if arm.arm == old.arm)
        assert {k: v.value for k, v in new.scores.items()} == pytest.approx({k: v.value for k, v in old.scores.items()})


def test_a_run_that_was_stored_gets_a_report_of_its_numbers(stored: RunDirectory) -> None:
    done("report", "-r", stored.root)
    facts = files.read_json(stored.artifact("report").folder / "report.json")
    held = scores.load(stored.artifact("classify", 0, "real").folder)
    assert facts["arms"]["real"]["eye.auc"]["folds"]["0"] == held["eye.auc"].value
    assert facts["cohort"]["patients"] == 12
    assert "geca" in facts["audit"]


def test_every_table_of_a_run_that_was_stored_is_read(stored: RunDirectory) -> None:
    everyone = cohort.load(stored.artifact("ingest").folder)
    assert (len(everyone.patients()), everyone.facts.folds) == (12, 2)
    for fold in (0, 1):
        testing = everyone.testing(fold)
        made = cohort.load(stored.artifact("expand", fold, "geca").folder)
        assert made.counts() == everyone.training(fold).counts()
        said = predictions.load(stored.artifact("classify", fold, "real+geca").folder)
        assert said.samples == [s.sample for s in testing.samples]
        assert said.truth.tolist() == [list(s.labels) for s in testing.samples]
        assert scores.load(stored.artifact("audit", fold, "geca").folder)


@pytest.mark.parametrize("name", sorted(formats.VERSIONS))
def test_a_file_of_a_later_version_is_refused_with_what_to_do(newest: RunDirectory, name: str) -> None:
    made = next(a for a in all_made(newest) if name == "stage.json" or (a.folder / name).is_file())
    record = made.record()
    record["formats"][name] += 1
    record["versions"]["medsynth"] = "99.0"
    files.write_json(made.folder / "stage.json", record)
    for command in ("status", "report"):
        ended = medsynth(command, "-r", newest.root)
        assert ended.code == 4
        assert f"{name} has version 2 of its format and was written by medsynth 99.0" in ended.err
        assert ended.hint.startswith("pip install --upgrade medsynth")


def test_a_cohort_of_a_later_version_is_refused_wherever_it_lies(newest: RunDirectory) -> None:
    folder = newest.artifact("ingest").folder
    facts = folder / "cohort.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"version": 2, "cameras": ["x"]}))
    with pytest.raises(Refused, match=r"cohort\.json has version 2") as failure:
        cohort.load(folder)
    assert failure.value.hint.startswith("pip install --upgrade medsynth")


def test_every_record_says_the_version_of_itself_and_of_each_table_beside_it(newest: RunDirectory) -> None:
    run = newest
    shutil.rmtree(run.artifact("compare").folder)
    done("compare", "-r", run.root)
    assert run.artifact("compare").record()["formats"] == {"stage.json": 1, "scores.json": 1, "comparisons.json": 1}
    for artifact in all_made(run):
        there = {name for name in formats.VERSIONS if (artifact.folder / name).is_file()}
        assert artifact.record()["formats"].keys() == there
    assert files.read_json(run.artifact("ingest").folder / "cohort.json")["version"] == 1


def all_made(run: RunDirectory) -> list:
    """Every artifact of the two folds."""
    found = [run.artifact("ingest"), run.artifact("compare")]
    for fold in (0, 1):
        for stage in ("codec", "encode", "generator", "expand", "classify", "features", "evaluate", "audit"):
            found += [run.artifact(stage, fold, kind) for kind in run.kinds(stage, fold)]
    return found
