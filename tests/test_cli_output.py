"""What commands print, and where: results, progress, JSON, dry runs."""

from pathlib import Path

import pytest
from conftest import LABELS, copied
from shell import contents, done, medsynth

from medsynth.artifacts import cohort
from medsynth.rundir import RunDirectory

COMMANDS: dict[str, tuple[object, ...]] = {
    "ingest": ("ingest",),
    "train-codec": ("train-codec", "--fold", 0),
    "encode": ("encode", "--fold", 0),
    "train-generator": ("train-generator", "--fold", 0),
    "expand": ("expand", "--fold", 0),
    "classify": ("classify", "--fold", 0, "--arms", "synthetic-only"),
    "report": ("report",),
    "run": ("run", "--fold", 0, "--set", "classify.arms=['synthetic-only']"),
}
every_command = pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)


@pytest.fixture(scope="module")
def classified(finished: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """With an arm of fold 0, too. To be read only."""
    run = copied(finished, tmp_path_factory.mktemp("classified") / "run")
    done(*COMMANDS["classify"], "--run", run.root)
    return run


@every_command
def test_json_is_one_object_on_stdout_and_nothing_else(
    classified: RunDirectory, tmp_path: Path, words: tuple[object, ...]
) -> None:
    run = copied(classified, tmp_path / "run")
    found = done(*words, "--json", "--run", run.root)
    assert found.json["run"] == str(run.root)
    for result in found.json["results"]:
        assert result.keys() == {"stage", "fold", "kind", "state", "folder", "summary", "notes"}
        assert result["state"] in ("done", "up to date")
        assert (Path(result["folder"]) / "stage.json").is_file()
    assert "{" not in found.err


def test_status_and_new_answer_in_json_too(finished: RunDirectory, tmp_path: Path) -> None:
    assert done("status", "--json", "--run", finished.root).json.keys() == {"run", "stages"}
    assert done("new", tmp_path / "new", "--json").json["next"] == f"medsynth ingest SOURCE --run {tmp_path / 'new'}"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("expand", "--factor", "none"), 2),
        (("expand", "--no-such-option"), 2),
        (("no-such-command",), 2),
        (("expand", "--set", "expand.facter=2"), 2),
        (("expand", "--fold", 9), 4),
        (("classify", "--folds", 3), 4),
        (("classify",), 5),
        (("classify", "--weights", "/nowhere.safetensors", "--arms", "real"), 6),
    ],
    ids=str,
)
def test_json_is_one_object_for_errors_too(ingested: RunDirectory, words: tuple[object, ...], code: int) -> None:
    found = medsynth(*words, "--json", at=ingested.root)
    assert found.code == code
    assert found.json.keys() == {"error", "hint", "exit_code"}
    assert found.json["exit_code"] == code
    assert found.json["error"] in found.err


def test_results_go_to_stdout_and_everything_else_to_stderr(ingested: RunDirectory) -> None:
    found = done("train-generator", "--fold", 0, "--run", ingested.root)
    assert [line.partition(":")[0] for line in found.out.splitlines()] == [
        "codec kl, fold 0", "encode kl, fold 0", "generator geca, fold 0",
    ]  # fmt: skip
    assert "which is missing: it is made first" in found.err
    assert found.err.splitlines()[-1] == f"next: medsynth expand --run {ingested.root}"


def test_quiet_leaves_results_and_errors(ingested: RunDirectory) -> None:
    found = done("train-generator", "--fold", 0, "--quiet", "--run", ingested.root)
    assert len(found.out.splitlines()) == 3
    assert found.err == ""
    assert medsynth("expand", "--fold", 9, "--quiet", "--run", ingested.root).err.startswith(
        "error: there is no fold 9"
    )


def test_verbose_says_where_things_are(finished: RunDirectory) -> None:
    found = done("encode", "--fold", 0, "--verbose", "--run", finished.root)
    assert str(finished.artifact("encode", 0, "kl").folder) in found.err
    assert finished.artifact("encode", 0, "kl").made in found.err


# Dry runs


@every_command
def test_a_dry_run_writes_nothing(classified: RunDirectory, tmp_path: Path, words: tuple[object, ...]) -> None:
    run = copied(classified, tmp_path / "run")
    before = contents(tmp_path)
    changes = ("generator.steps=50", "codec.steps=60", "expand.factor=7", "classify.steps=70", "seed=3")
    sets = [word for change in changes for word in ("--set", change)]
    found = done(*words, *sets, "--dry-run", "--json", "--run", run.root)
    assert found.json.keys() == {"run", "dry_run"}
    assert found.json["dry_run"]
    assert contents(tmp_path) == before
    shown = done(*words, "--dry-run", "--run", run.root)
    assert "a dry run: nothing was written" in shown.err
    assert contents(tmp_path) == before


def test_a_dry_run_gives_counts_time_and_room(classified: RunDirectory) -> None:
    def foretold(*words: object) -> dict[str, object]:
        (entry,) = done(*words, "--dry-run", "--json", "--run", classified.root).json["dry_run"]
        return entry

    training = cohort.load(classified.artifact("ingest").folder).training(0)
    found = foretold("train-codec", "--fold", 0, "--steps", 50)
    assert (found["name"], found["state"]) == ("codec kl, fold 0", "stale")
    assert (found["steps"], found["images"]) == (50, len(training.samples))
    assert found.keys() >= {"minutes", "megabytes", "parameters", "seconds_per_step"}
    found = foretold("train-generator", "--fold", 0, "--steps", 60)
    assert (found["steps"], found["images"]) == (60, len(training.samples))
    assert found.keys() >= {"minutes", "megabytes", "parameters", "seconds_per_step"}
    found = foretold("expand", "--fold", 0, "--factor", 7)
    assert (found["synthetic"], found["real"]) == (7 * len(training.samples), len(training.samples))
    assert found.keys() >= {"minutes", "megabytes"}
    found = foretold("classify", "--fold", 0, "--steps", 70, "--arms", "synthetic-only")
    assert (found["steps"], found["images"]) == (70, 2 * len(training.samples))
    assert found.keys() >= {"minutes", "megabytes"}
    found = foretold("expand", "--fold", 0)
    assert (found["state"], len(found)) == ("done", 2)  # nothing would be done: nothing is foretold


def test_a_dry_run_of_what_is_not_there_yet_makes_nothing(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "mine.toml").write_text(f"[ingest]\nsource = '{drawn}'\nlabels = {LABELS.split(',')}\nfolds = 2\n")
    for words in (
        ("ingest", drawn, "--labels", LABELS, "--run", "new"), ("new", "new"), ("demo",), ("demo", "--run", "new"),
        ("run", tmp_path / "mine.toml", "--run", "new"),
    ):  # fmt: skip
        done(*words, "--dry-run", at=tmp_path / "here")
        assert not list((tmp_path / "here").iterdir())


def test_a_dry_run_of_reading_images_counts_them(drawn: Path, tmp_path: Path) -> None:
    words = ("ingest", drawn, "--labels", LABELS, "--run", tmp_path / "new", "--dry-run", "--json")
    (found,) = done(*words).json["dry_run"]
    assert (found["images"], found["patients"], found["state"]) == (59, 12, "missing")
    assert found["megabytes"] > 0
