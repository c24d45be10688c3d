"""How commands end: exit codes, reasons, hints, signals."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import LABELS
from shell import contents, done, ended, medsynth, start

import medsynth as package
from medsynth import interrupt
from medsynth import recipe as recipes
from medsynth.artifacts import checkpoint, files, log
from medsynth.rundir import RunDirectory


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
    assert found.hint
    assert "Traceback" not in found.err
    after = contents(ingested.root)
    after.pop("recipe.toml"), before.pop("recipe.toml")
    assert {name: digest for name, digest in after.items() if digest != "folder" and ".lock" not in name} == {
        name: digest for name, digest in before.items() if digest != "folder" and ".lock" not in name
    }


def test_a_source_that_is_not_there_makes_no_run(drawn: Path, tmp_path: Path) -> None:
    found = medsynth("ingest", drawn.with_name("lables.csv"), "--run", tmp_path / "run")
    assert found.code == 3
    assert found.hint == f"did you mean {drawn}?"
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
    assert "KeyError" in diary.read_text()
    assert "Mrs Example" not in diary.read_text()
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


def test_a_second_signal_is_not_taken_for_a_failure_of_what_is_being_read() -> None:
    """Readers take whatever goes wrong with a file for its damage."""

    def read() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:
            pytest.fail(f"swallowed: {error!r}")

    with interrupt.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(interrupt.Interrupted) as stop:
            read()
    assert stop.value.exit_code == 143
