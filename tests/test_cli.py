"""The command line: the user's own pipeline, which run a command is about, and what it keeps."""

import os
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import LABELS, TINY, copied, ingest
from shell import contents, done, medsynth

from medsynth import kinds
from medsynth import recipe as recipes
from medsynth.artifacts import cohort
from medsynth.rundir import RunDirectory


@pytest.fixture(scope="module")
def five(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of five folds that holds small images and nothing else, and whose recipe asks for one arm."""
    return ingest(drawn, tmp_path_factory.mktemp("five") / "run", folds=5, size=16, arms=["real+geca"])


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
    assert inside.hint == "medsynth train-codec --codec kl --fold 0"
    assert outside.hint == f"medsynth train-codec --codec kl --fold 0 --run {ingested.root}"
    moved = copied(ingested, ingested.root.with_name("a run"))
    hint = medsynth("expand", "--run", moved.root).hint
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
    assert (found.code, found.hint) == (2, "did you mean eyepacs?")
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
    done(*shlex.split(refused.hint)[1:])
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
    assert refused.hint.startswith("medsynth new ")
    done(*shlex.split(refused.hint)[1:])
    found = medsynth("new", "other", "--preset", "partiy", at=tmp_path)
    assert (found.code, found.hint) == (2, "did you mean parity?")


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
        "fold-1/classify/real", "fold-1/features/real", "fold-1/features/geca", "fold-1/features/through-kl",
        "fold-1/evaluate/geca",
    ]  # fmt: skip
    assert set(done(*words, at=tmp_path).states().values()) == {"up to date"}
    assert set(done("run", "--fold", 1, "--json", at=tmp_path / "made").states().values()) == {"up to date"}
    less = done("run", "--fold", 1, "--skip", "evaluate", "--json", at=tmp_path / "made")
    assert [*less.states()] == [*first.states()][:6]
    refused = medsynth("run", "--skip", "encode", at=tmp_path / "made")
    assert (refused.code, refused.hint) == (2, "--skip evaluate or --skip audit")
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


def test_another_codec_of_the_run_is_said_once(ingested: RunDirectory) -> None:
    words = ("train-codec", "--codec", "identity", "--fold", 0, "--run", ingested.root)
    first, again = done(*words), done(*words)
    assert "identity is the run's own codec from now on, kl was" in " ".join(first.err.split())
    assert "own codec" not in again.err


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


def test_how_tokens_are_drawn_is_typed_word_by_word(ingested: RunDirectory) -> None:
    words = ("--temperature", 0.9, "--top-k", 200, "--top-p", 0.95, "--arithmetic", "int8")
    assert medsynth("expand", *words, "--run", ingested.root).code == 5  # nothing is trained yet
    held = recipes.parse(ingested.recipe_text()).expand
    assert (held.temperature, held.top_k, held.top_p, held.arithmetic) == (0.9, 200, 0.95, "int8")
    for wrong in (("--temperature", 0), ("--top-k", -1), ("--top-p", 1.5), ("--arithmetic", "fp4")):
        assert medsynth("expand", *wrong, "--run", ingested.root).code == 2


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
