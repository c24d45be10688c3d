"""The command line: the user's own pipeline, what goes to stdout, how it ends, and which run it is about."""

import json
import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import LABELS, TINY, copied, ingest
from shell import Ended, contents, done, ended, medsynth, start

import medsynth as package
from medsynth import kinds
from medsynth import recipe as recipes
from medsynth.artifacts import checkpoint, cohort, files, log
from medsynth.rundir import RunDirectory


@pytest.fixture(scope="module")
def five(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of five folds that holds small images and nothing else, and whose recipe asks for one arm."""
    return ingest(drawn, tmp_path_factory.mktemp("five") / "run", folds=5, size=16, arms=["real+geca"])


def hint_of(found: Ended) -> str:
    return found.err.partition("  try: ")[2].strip()


# The user's own pipeline


def test_the_pipeline_works_word_for_word_inside_a_run_directory(five: RunDirectory) -> None:
    trained = done("train-generator", at=five.root)
    expanded = done("expand", "--factor", "5", at=five.root)
    classified = done("classify", "--folds", "5", at=five.root)
    assert trained.err.endswith("next: medsynth expand\n")
    assert expanded.err.endswith("next: medsynth classify\n")
    assert classified.err.endswith("next: medsynth report\n")
    assert "--run" not in trained.err + expanded.err + classified.err
    assert done("report", at=five.root).code == 0
    rows = done("status", "--json", at=five.root).json["stages"]
    assert {row["state"] for row in rows} == {"done"}
    assert sum(row["stage"] == "classify" for row in rows) == 5
    for fold in range(5):
        summary = five.artifact("expand", fold, "geca").record()["summary"]
        assert summary["synthetic"] == 5 * summary["real"]


# stdout and stderr

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


# How it ends


def test_what_is_up_to_date_ends_well(finished: RunDirectory) -> None:
    found = done("expand", "--run", finished.root)
    assert found.out.count("up to date") == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("expand", "--set", "expand.facter=2"), 2, "[expand] has no setting 'facter'"),
        (("expand", "--set", "factor"), 2, "--set factor is not section.key=value"),
        (("expand", "--device", "tpu"), 2, "--device tpu is not known"),
        (("expand", "--model", "gecca"), 2, "there is no generator 'gecca'"),
        (("train-codec", "--codec", "vae"), 2, "there is no codec 'vae'"),
        (("train-codec", "--steps", 3, "--minutes", 1), 2, "contradict each other"),
        (("expand", "--fold", 2), 4, "there is no fold 2: the run has the folds 0 to 1"),
        (("expand", "--fold", -1), 4, "there is no fold -1"),
        (("classify", "--folds", 5), 4, "the run has 2 folds, not 5"),
        (("ingest", "--folds", 5), 4, "dealt to 2 folds, not 5"),
        (("train-codec", "--set", "ingest.folds=5"), 4, "dealt to 2 folds, not 5"),
        (("classify", "--arms", "reel"), 2, "there is no arm 'reel'"),
        (("classify", "--arms", "real+../../../x"), 2, "there is no generator '../../../x'"),
        (("classify", "--arms", "real", "--weights", "/nowhere"), 6, "there are no weights at /nowhere"),
        (("train-codec", "--weights", "/nowhere"), 6, "/nowhere holds no autoencoder"),
        (("expand",), 5, "expand needs codec kl, fold 0, which is missing"),
        (("classify",), 5, "fold 0 has no synthetic images"),
        (("status", "--set", "expand.facter=1"), 2, "[expand] has no setting 'facter'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_ending_has_its_exit_code_its_reason_and_a_way_on(
    ingested: RunDirectory, words: tuple[object, ...], code: int, message: str
) -> None:
    before = contents(ingested.root)
    found = medsynth(*words, "--run", ingested.root)
    assert (found.code, found.out) == (code, "")
    assert found.err.startswith("error: ")
    assert message in found.err
    assert hint_of(found)
    assert "Traceback" not in found.err
    after = contents(ingested.root)
    after.pop("recipe.toml"), before.pop("recipe.toml")
    assert {name: digest for name, digest in after.items() if digest != "folder" and ".lock" not in name} == {
        name: digest for name, digest in before.items() if digest != "folder" and ".lock" not in name
    }


def test_a_source_that_is_not_there_makes_no_run(drawn: Path, tmp_path: Path) -> None:
    found = medsynth("ingest", drawn.with_name("lables.csv"), "--run", tmp_path / "run")
    assert found.code == 3
    assert hint_of(found) == f"did you mean {drawn}?"
    assert not (tmp_path / "run" / "recipe.toml").exists()


def test_the_images_of_another_source_are_refused(ingested: RunDirectory, drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn.parent, tmp_path / "other")
    found = medsynth("ingest", tmp_path / "other" / "labels.csv", "--run", ingested.root)
    assert found.code == 4
    assert f"holds the images of {drawn}, not of {tmp_path / 'other' / 'labels.csv'}" in found.err
    assert recipes.parse(ingested.recipe_text()).ingest.source == str(drawn)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("expand", "--help")], ids=str)
def test_help_and_version_end_well(words: tuple[str, ...]) -> None:
    found = done(*words)
    assert found.out
    assert found.err == ""
    assert words != ("--version",) or found.out == f"{package.__version__}\n"


@pytest.mark.parametrize(
    "words", [("expand", "--threads", 0), ("expand", "--factor"), ("expandd",), ("expand", "extra")], ids=str
)
def test_words_that_are_not_understood_end_with_2_and_no_traceback(words: tuple[object, ...]) -> None:
    found = medsynth(*words)
    assert (found.code, found.out) == (2, "")
    assert "Traceback" not in found.err


def test_a_run_below_a_file_cannot_be_written_and_that_is_said(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    found = medsynth("ingest", drawn, "--labels", LABELS, "--run", tmp_path / "file" / "run")
    assert found.code == 1
    assert found.err.startswith(f"error: {tmp_path / 'file'}")
    assert "Not a directory" in found.err
    assert (tmp_path / "file").read_text() == "a file"


LITTLE_ROOM = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
sys.argv = ["medsynth", *sys.argv[3:]]
runpy.run_module("medsynth", run_name="__main__")
"""


def test_a_disk_without_room_is_said_and_nothing_is_lost(expanded: RunDirectory) -> None:
    before = contents(expanded.root)
    words = ("train-generator", "--fold", 0, "--steps", 3, "--run", expanded.root)
    found = ended(start(*words, launcher=("-c", LITTLE_ROOM)))
    assert found.code == 1
    assert "File too large" in found.err
    assert "then the same command" in found.err
    assert "Traceback" not in found.err
    after = contents(expanded.root)
    assert {name: after[name] for name in before if name != "recipe.toml"} == {
        name: digest for name, digest in before.items() if name != "recipe.toml"
    }
    assert done(*words).out.startswith("generator geca, fold 0: done")


def test_what_nobody_expected_is_kept_in_a_file_and_not_shown(expanded: RunDirectory) -> None:
    folder = expanded.artifact("codec", 0, "kl").folder
    (folder / "facts.json").write_text('{"Mrs Example": 1950}')
    record = json.loads((folder / "stage.json").read_text())
    record["outputs"]["facts.json"] = files.sha256(folder / "facts.json")  # as if it had always been so
    (folder / "stage.json").write_text(json.dumps(record))
    found = medsynth("expand", "--fold", 0, "--force", "--run", expanded.root)
    assert found.code == 1
    assert "error: unexpected: KeyError\n" in found.err
    assert "Traceback" not in found.err
    assert "Mrs Example" not in found.err
    diary = Path(next(word for word in found.err.split() if word.strip(";").endswith(".log")).strip(";"))
    assert "Traceback" in diary.read_text()
    assert diary.stat().st_mode & 0o077 == 0  # for this user's eyes only
    diary.unlink()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_training_with_its_code_and_keeps_what_was_done(
    expanded: RunDirectory, number: int, code: int
) -> None:
    words = ("train-generator", "--fold", 0, "--steps", 2000, "--json", "--run", expanded.root)
    process = start(*words)
    folder = expanded.root / "fold-0" / "generator"
    deadline = time.monotonic() + 120
    while process.poll() is None and not [path for path in folder.rglob(log.LOG) if path.parent.name.startswith(".")]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    found = ended(process)
    assert found.code == code
    assert found.json["exit_code"] == code
    assert "error: stopped\n  try: the same command: what was done is kept" in found.err
    assert "Traceback" not in found.err
    (scratch,) = [path for path in folder.iterdir() if path.name.startswith(".geca-")]
    steps = [entry["step"] for entry in log.load(scratch)]
    assert expanded.artifact("generator", 0, "geca").record()["settings"]["steps"] == 2  # the old one is still there
    state = checkpoint.load(scratch)
    assert state is not None
    assert state.facts["step"] >= steps[-1] > 0  # test_training: from there it goes on to the bit


EARLY = """
import builtins, os, signal, sys
from medsynth.__main__ import main
real = builtins.__import__
def importing(name, *words, **more):
    if name == "medsynth.cli":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *words, **more)
builtins.__import__ = importing
main()
"""


def test_a_signal_while_the_program_starts_ends_it_without_a_word() -> None:
    found = ended(start("status", launcher=("-c", EARLY)))
    assert (found.code, found.out, found.err) == (-signal.SIGINT, "", "")


# Which run


def test_the_run_is_the_named_one_else_the_variables_else_the_one_around(
    finished: RunDirectory, pristine: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*words: object, at: Path) -> str:
        return str(done("status", "--json", *words, at=at).json["run"])

    below = finished.root / "fold-0" / "expand" / "geca" / "images"
    assert found(at=finished.root) == found(at=below) == str(finished.root)
    assert found("--run", pristine.root, at=below) == str(pristine.root)
    assert found("-r", os.path.relpath(pristine.root, below), at=below) == str(pristine.root)
    monkeypatch.setenv("MEDSYNTH_RUN", str(pristine.root))
    assert found(at=below) == found(at=tmp_path) == str(pristine.root)
    assert found("--run", finished.root, at=tmp_path) == str(finished.root)
    monkeypatch.setenv("MEDSYNTH_RUN", "")
    assert found(at=below) == str(finished.root)


def test_no_run_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("status",), ("expand",), ("report",), ("run",)):
        found = medsynth(*words, at=tmp_path)
        assert found.code == 2
        assert "no run was named" in found.err
        found = medsynth(*words, "--run", tmp_path / "typo")
        assert found.code == 2
        assert f"{tmp_path / 'typo'} is not a run directory" in found.err
    monkeypatch.setenv("MEDSYNTH_RUN", str(tmp_path / "typo"))
    assert "is not a run directory" in medsynth("status", at=tmp_path).err
    assert not list(tmp_path.iterdir())


def test_hints_can_be_typed_as_they_are(ingested: RunDirectory) -> None:
    inside, outside = medsynth("expand", at=ingested.root), medsynth("expand", "--run", ingested.root)
    assert hint_of(inside) == "medsynth train-codec --codec kl --fold 0"
    assert hint_of(outside) == f"medsynth train-codec --codec kl --fold 0 --run {ingested.root}"
    moved = copied(ingested, ingested.root.with_name("a run"))
    hint = hint_of(medsynth("expand", "--run", moved.root))
    assert shlex.split(hint)[-1] == str(moved.root)
    done(*shlex.split(hint)[1:])


# new, status, run


def test_new_makes_a_run_from_a_recipe(tmp_path: Path) -> None:
    done("new", "mine", "--recipe", "eyepacs", "--set", "seed=7", at=tmp_path)
    held = recipes.parse((tmp_path / "mine" / "recipe.toml").read_text())
    shipped = recipes.load(recipes.locate("eyepacs"))
    assert (held.seed, held.codec) == (7, shipped.codec)
    found = medsynth("new", "mine", at=tmp_path)
    assert found.code == 4
    assert "already holds a run" in found.err
    found = medsynth("new", "other", "--recipe", "eyepaks", at=tmp_path)
    assert (found.code, hint_of(found)) == (2, "did you mean eyepacs?")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_run_keeps_its_preset_and_says_how_another_is_begun(ingested: RunDirectory) -> None:
    before = contents(ingested.root)
    for words in (
        ("run", "--preset", "parity"),
        ("ingest", "--preset", "parity"),
        ("encode", "--set", "preset=parity"),
    ):
        refused = medsynth(*words, "--run", ingested.root)
        assert refused.code == 4
        assert "was begun with the preset recommended, not parity" in refused.err
    assert contents(ingested.root) == before
    done(*shlex.split(hint_of(refused))[1:])
    other = RunDirectory(Path(f"{ingested.root}-parity"))
    held = recipes.parse(other.recipe_text())
    assert (held.preset, held.ingest.image_size, held.ingest.folds) == ("parity", 256, 2)
    assert other.artifact("ingest").record()["preset"] == "parity"


def test_new_takes_the_preset_that_is_typed(tmp_path: Path) -> None:
    done("new", "mine", "--recipe", "retinamnist", "--preset", "parity", at=tmp_path)
    held = recipes.parse((tmp_path / "mine" / "recipe.toml").read_text())
    assert held == recipes.load(recipes.locate("retinamnist"), ["preset=parity"])
    done("new", "plain", "--preset", "parity", at=tmp_path)
    refused = medsynth("encode", "--set", "preset=recommended", "--run", tmp_path / "plain")
    assert hint_of(refused).startswith("medsynth new ")
    done(*shlex.split(hint_of(refused))[1:])
    found = medsynth("new", "other", "--preset", "partiy", at=tmp_path)
    assert (found.code, hint_of(found)) == (2, "did you mean parity?")


def test_a_new_run_reads_its_images_with_the_settings_it_was_made_with(drawn: Path, tmp_path: Path) -> None:
    done("new", "mine", "--set", f"ingest.labels={LABELS.split(',')}", "--set", "ingest.folds=2", at=tmp_path)
    done("ingest", drawn, "--image-size", 16, at=tmp_path / "mine")
    facts = cohort.load(tmp_path / "mine" / "ingest").facts
    assert (facts.labels, facts.folds, facts.image_size) == (("haemorrhages", "exudates"), 2, 16)


def test_status_tells_every_step_and_the_next_command(finished: RunDirectory, tmp_path: Path) -> None:
    run = copied(finished, tmp_path / "run")
    shutil.rmtree(run.artifact("expand", 1, "geca").folder)
    found = done("status", at=run.root)
    rows = [line.split() for line in found.out.splitlines()]
    assert rows[0] == ["stage", "kind", "fold", "state"]
    assert ["ingest", "done"] in rows
    assert ["expand", "geca", "0", "done"] in rows
    assert ["expand", "geca", "1", "missing"] in rows
    assert found.err == "next: medsynth expand --model geca --fold 1\n"
    some = done("status", "--fold", 1, "--json", at=run.root).json["stages"]
    assert {row["fold"] for row in some} == {None, 1}
    changed = done("status", "--set", "codec.steps=9", at=run.root)  # what would be stale
    assert ["codec", "kl", "0", "stale"] in [line.split() for line in changed.out.splitlines()]
    assert recipes.parse(run.recipe_text()).settings("codec").steps == 3


def test_run_does_what_a_recipe_asks_for_and_nothing_twice(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn.parent, tmp_path / "clinic")
    text = f"[ingest]\nsource = 'clinic/labels.csv'\nlabels = {LABELS.split(',')}\nfolds = 2\nimage_size = 32\n"
    (tmp_path / "mine.toml").write_text(text + "\n[classify]\narms = ['real']\n")
    words = ("run", "mine.toml", "--run", "made", "--fold", 1, *TINY, "--json")
    first = done(*words, at=tmp_path)
    assert set(first.states().values()) == {"done"}
    assert [*first.states()] == [
        "ingest", "fold-1/codec/kl", "fold-1/encode/kl", "fold-1/generator/geca", "fold-1/expand/geca",
        "fold-1/classify/real",
    ]  # fmt: skip
    assert set(done(*words, at=tmp_path).states().values()) == {"up to date"}
    assert set(done("run", "--fold", 1, "--json", at=tmp_path / "made").states().values()) == {"up to date"}
    refused = medsynth(*words, "--set", "ingest.folds=3", at=tmp_path)
    assert refused.code == 4
    assert "dealt to 2 folds, not 3" in refused.err


def test_run_without_a_source_says_so(tmp_path: Path) -> None:
    done("new", "mine", at=tmp_path)
    found = medsynth("run", at=tmp_path / "mine")
    assert found.code == 2
    assert "no source" in found.err


# Flags and settings


def test_a_flag_is_kept_for_the_commands_after_it(expanded: RunDirectory) -> None:
    done("expand", "--factor", 3, "--sampler", "ddim", "--guidance", 2, "--fold", 0, "--run", expanded.root)
    held = recipes.parse(expanded.recipe_text()).expand
    assert (held.factor, held.sampler, held.guidance) == (3, "ddim", 2.0)
    assert done("expand", "--fold", 0, "--json", "--run", expanded.root).states() == {
        "fold-0/expand/geca": "up to date"
    }


def test_how_guidance_works_is_typed_word_by_word(ingested: RunDirectory) -> None:
    words = ("--guidance-interval", "0.2, 0.8", "--guide", "weaker", "--guide-updates", 1, "--inherit", "hidden")
    found = done("status", "--json", "--run", ingested.root)
    assert medsynth("expand", *words, "--sampler", "unipc", "--run", ingested.root).code == 5  # nothing is trained yet
    held = recipes.parse(ingested.recipe_text()).expand
    assert (held.guidance_interval, held.guide, held.guide_updates) == ((0.2, 0.8), "weaker", 1)
    assert (held.sampler, held.inherit) == ("unipc", "hidden")
    assert done("status", "--json", "--run", ingested.root).json == found.json
    for typed, problem in (
        ("0.8,0.2", "first share is above"),
        ("x,1", "guidance_interval = ['x', '1']: two shares between 0 and 1 are meant"),
        ("1", "LOW,HIGH"),
    ):
        refused = medsynth("expand", "--guidance-interval", typed, "--run", ingested.root)
        assert refused.code == 2
        assert problem in refused.err


def test_help_names_every_kind_that_there_is(tmp_path: Path) -> None:
    shown = " ".join(word.strip("│") for word in done("train-generator", "--help").out.split())
    for kind in kinds.names("generators"):
        assert kind in shown


def test_steps_and_minutes_take_turns(ingested: RunDirectory) -> None:
    words = ("train-codec", "--fold", 0, "--json", "--run", ingested.root)
    by_time = done(*words, "--minutes", 0.002).json["results"][0]["summary"]["steps"]
    assert by_time >= 1
    assert recipes.parse(ingested.recipe_text()).settings("codec").minutes == 0.002
    assert done(*words, "--steps", 4).json["results"][0]["summary"]["steps"] == 4
    assert recipes.parse(ingested.recipe_text()).settings("codec").minutes is None


@pytest.mark.parametrize(
    "name", ["naïve \N{EYE} folder", "a 'quoted' \"one\"", "back\\slash", "[red]markup[/red]", "= 1 # x"]
)
def test_any_name_of_a_folder_will_do(drawn: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(drawn.parent, tmp_path / name)
    words = ("--labels", LABELS, "--folds", 2, "--image-size", 16, "--run", tmp_path / name / "run")
    found = done("ingest", tmp_path / name / "labels.csv", *words)
    run = RunDirectory(tmp_path / name / "run")
    assert recipes.parse(run.recipe_text()).ingest.source == str(tmp_path / name / "labels.csv")
    assert f"--run {shlex.quote(str(run.root))}" in found.err
    refused = medsynth("train-codec", "--fold", 7, "--run", run.root)
    assert shlex.quote(str(run.root)) in refused.err or refused.code == 4


def test_a_name_that_is_no_text_is_refused(drawn: Path, tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"\xff\xfe")
    shutil.copytree(drawn.parent, os.fsdecode(folder))
    found = medsynth(
        "ingest", os.fsdecode(os.path.join(folder, b"labels.csv")), "--labels", LABELS, "--run", tmp_path / "run"
    )
    assert found.code == 2
    assert "UTF-8" in found.err
    assert not (tmp_path / "run" / "recipe.toml").exists()
