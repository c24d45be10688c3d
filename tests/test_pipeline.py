"""What runs, what does not run again, and what is left when something is cut off."""

import json
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, copied
from pictures import medmnist
from safetensors import safe_open
from shell import contents, done, ended, medsynth, start

import medsynth as package
from medsynth import kinds, locks, plan
from medsynth import recipe as recipes
from medsynth.artifacts import checkpoint, cohort, log, predictions
from medsynth.data import png
from medsynth.rundir import RunDirectory

ARMS = "classify.arms=['real', 'synthetic-only']"


@pytest.fixture(scope="module")
def whole(finished: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The whole chain of both folds, with two arms. To be read only."""
    run = copied(finished, tmp_path_factory.mktemp("whole") / "run")
    done("run", "--set", ARMS, "--run", run.root)
    return run


@pytest.fixture
def complete(whole: RunDirectory, tmp_path: Path) -> RunDirectory:
    """The whole chain, to do anything with."""
    return copied(whole, tmp_path / "run")


def remade(*words: object) -> set[str]:
    """What a command made; the rest was up to date."""
    states = done(*words, "--json").states()
    assert set(states.values()) <= {"done", "up to date"}
    return {name for name, state in states.items() if state == "done"}


def states(run: RunDirectory, fold: int = 0) -> dict[str, str]:
    """What `status` says, by stage and kind."""
    rows = done("status", "--json", "--run", run.root).json["stages"]
    return {" ".join(filter(None, (r["stage"], r["kind"]))): r["state"] for r in rows if r["fold"] in (fold, None)}


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


# What runs


def test_the_chain_goes_from_images_to_a_page(whole: RunDirectory) -> None:
    assert set(states(whole).values()) == {"done"}
    assert (whole.root / "report" / "index.html").stat().st_size > 10_000
    for fold in (0, 1):
        assert whole.kinds("classify", fold) == ["real", "synthetic-only"]
        previews = [*(whole.artifact("generator", fold, "geca").folder / "previews").iterdir()]
        assert [p.name for p in previews] == ["step-0000002.png"]


def test_the_chain_takes_grey_images_of_one_class_without_patients_and_with_an_official_split(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    done("ingest", medmnist(tmp_path / "some.npz", (24, 6, 9)), "--image-size", 16, "--run", run.root, *TINY)
    done("run", "--set", "classify.arms=['synthetic-only']", "--run", run.root)
    everyone = cohort.load(run.artifact("ingest").folder)
    assert (everyone.facts.channels, everyone.facts.one_class, everyone.facts.has_patients) == (1, True, False)
    assert [len(part(0).samples) for part in (everyone.training, everyone.selection, everyone.testing)] == [24, 6, 9]
    made = cohort.load(run.artifact("expand", 0, "geca").folder)
    assert (len(made.samples), png.read(made.samples[0].image).shape) == (48, (16, 16, 1))
    assert all(sum(s.labels) == 1 for s in made.samples)
    assert len(predictions.load(run.artifact("classify", 0, "synthetic-only").folder).samples) == 9
    assert set(states(run).values()) == {"done"}


def test_nothing_runs_twice_not_even_in_another_place(complete: RunDirectory) -> None:
    before = contents(complete.root)
    assert remade("run", "--run", complete.root) == set()
    assert contents(complete.root) == before


@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        (
            "expand.factor=3", {"expand/geca", "features/geca", "evaluate/geca", "classify/synthetic-only"},
            "expand geca, fold 0 is made again: factor 2 -> 3.",
        ),
        (  # images are seen through the fold's own classifier of real images
            "classify.steps=3",
            {"classify/real", "classify/synthetic-only", "evaluate/geca"}
            | {f"features/{of}" for of in ("real", "geca", "through-kl")},
            "steps 2 -> 3",
        ),
        (
            "generator.steps=3",
            {"generator/geca", "expand/geca", "features/geca", "evaluate/geca", "classify/synthetic-only"},
            "classify synthetic-only, fold 0 is made again: expand geca, fold 0 changed.",
        ),
        (
            "codec.steps=4",
            {"codec/kl", "encode/kl", "generator/geca", "expand/geca", "features/geca", "features/through-kl"}
            | {"evaluate/geca", "classify/synthetic-only"},
            "encode kl, fold 0 is made again: codec kl, fold 0 changed.",
        ),
        ("generator.preview_every=1", set(), ""),
        ("classify.arms=['real']", set(), ""),
    ],
)  # fmt: skip
def test_a_change_remakes_what_depends_on_it_and_nothing_else(
    complete: RunDirectory, change: str, expected: set[str], said: str
) -> None:
    ended = done("run", "--fold", 0, "--set", change, "--json", "--run", complete.root)
    assert {name for name, state in ended.states().items() if state == "done"} == {
        f"fold-0/{name}" for name in expected
    }
    assert said in ended.err
    assert remade("run", "--fold", 0, "--run", complete.root) == set()  # the change was kept


def test_another_seed_remakes_everything_and_says_so(complete: RunDirectory) -> None:
    ended = done("ingest", "--set", "seed=1", "--json", "--run", complete.root)
    assert ended.states() == {"ingest": "done"}
    assert "ingest is made again: seed 0 -> 1." in ended.err
    assert set(states(complete).values()) - {"done"} == {"stale"}
    assert [name for name, state in states(complete).items() if state == "done"] == ["ingest"]


def test_force_makes_the_same_again_and_nothing_after_it_is_stale(complete: RunDirectory) -> None:
    artifact = complete.artifact("generator", 0, "geca")
    before, made = artifact.made, artifact.folder.stat().st_mtime_ns
    ended = done("train-generator", "--fold", 0, "--force", "--json", "--run", complete.root)
    assert ended.states() == {"fold-0/generator/geca": "done"}
    assert "generator geca, fold 0 is made again: it was asked for." in ended.err
    assert artifact.folder.stat().st_mtime_ns != made
    assert artifact.made == before  # the same bits
    assert set(states(complete).values()) == {"done"}


def test_a_command_may_be_about_some_folds_only(ingested: RunDirectory) -> None:
    assert remade("train-codec", "--fold", 1, "--run", ingested.root) == {"fold-1/codec/kl"}
    assert remade("train-codec", "--fold", 1, "--fold", 0, "--run", ingested.root) == {"fold-0/codec/kl"}


def test_what_a_stage_may_make_on_the_way_is_made_and_said(ingested: RunDirectory) -> None:
    ended = done("train-generator", "--fold", 0, "--json", "--run", ingested.root)
    assert [*ended.states()] == ["fold-0/codec/kl", "fold-0/encode/kl", "fold-0/generator/geca"]
    assert "train-generator needs codec kl, fold 0, which is missing: it is made first." in ended.err


def test_a_record_says_what_was_asked_from_what_and_with_what(whole: RunDirectory) -> None:
    record = whole.artifact("generator", 0, "geca").record()
    training = cohort.load(whole.artifact("ingest").folder).training(0)
    assert record["settings"]["steps"] == 2
    assert record["inputs"] == {
        "ingest": whole.artifact("ingest").made,
        "fold-0/codec/kl": whole.artifact("codec", 0, "kl").made,
        "fold-0/encode/kl": whole.artifact("encode", 0, "kl").made,
    }
    assert record["trained_on"] == training.patients_hash()
    assert record["versions"]["medsynth"] == package.__version__
    assert record["versions"].keys() >= {"python", "torch", "diffusers", "numpy"}
    assert (record["device"], record["processes"], record["seed"]) == ("cpu", 1, 0)
    assert record["seconds"] > 0
    assert record["outputs"].keys() == {"weights.safetensors", "facts.json", "log.jsonl"}


def test_an_artifact_holds_nothing_but_its_outputs(whole: RunDirectory) -> None:
    hidden = [path for path in whole.root.rglob(".*") if path != whole.locks()]
    assert hidden == []
    assert not [path for path in whole.locks().iterdir() if path.suffix == ".json"]


# The source of the images


def test_a_run_that_was_moved_away_from_its_source_goes_on(complete: RunDirectory) -> None:
    text = complete.recipe_text()
    source = recipes.parse(text).ingest.source
    complete.save_recipe(text.replace(source, "/nowhere/labels.csv"))
    assert states(complete)["ingest"] == "done"
    assert remade("run", "--run", complete.root) == set()
    assert remade("expand", "--factor", 1, "--fold", 0, "--run", complete.root) == {"fold-0/expand/geca"}


def test_a_changed_source_is_read_again_and_said(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn.parent, tmp_path / "clinic")
    table, run = tmp_path / "clinic" / "labels.csv", RunDirectory(tmp_path / "run")
    words = ("ingest", table, "--labels", "haemorrhages,exudates", "--folds", 2, "--image-size", 16, "--run", run.root)
    done(*words)
    assert remade(*words) == set()
    header, first, second, *rest = table.read_text().splitlines()
    table.write_text("\n".join([header, first, *rest]) + "\n")
    assert states(run)["ingest"] == "stale"
    ended = done(*words)
    assert "ingest is made again: its source changed." in ended.err
    assert second.split(",")[0].removeprefix("images/").removesuffix(".png") not in {
        s.sample for s in cohort.load(run.artifact("ingest").folder).samples
    }


# Kinds side by side


def test_codecs_live_side_by_side(expanded: RunDirectory) -> None:
    ended = done("encode", "--codec", "identity", "--fold", 0, "--json", "--run", expanded.root)
    assert ended.states() == {"fold-0/codec/identity": "done", "fold-0/encode/identity": "done"}
    assert expanded.kinds("codec", 0) == expanded.kinds("encode", 0) == ["identity", "kl"]
    assert remade("encode", "--codec", "kl", "--fold", 0, "--run", expanded.root) == set()


def test_a_generator_may_learn_another_codec(expanded: RunDirectory) -> None:
    words = (
        "--set",
        "generator.codec=identity",
        "--set",
        "generator.batch_size=2",
        "--set",
        "generator.preview_every=0",
    )
    made = remade("train-generator", *words, "--fold", 0, "--run", expanded.root)
    assert made == {"fold-0/codec/identity", "fold-0/encode/identity", "fold-0/generator/geca"}
    facts = json.loads((expanded.artifact("generator", 0, "geca").folder / "facts.json").read_text())
    assert facts["code"] == [3, 32, 32]
    assert states(expanded)["expand geca"] == "stale"


@pytest.fixture
def toy(more_kinds: None) -> str:
    """A second generator."""
    return "toy"


def test_generators_live_side_by_side_on_the_same_folds(expanded: RunDirectory, toy: str) -> None:
    assert toy in kinds.names("generators")
    done("train-generator", "--model", toy, "--fold", 0, "--run", expanded.root)
    done("expand", "--model", toy, "--fold", 0, "--run", expanded.root)
    assert expanded.kinds("generator", 0) == expanded.kinds("expand", 0) == ["geca", "toy"]
    made = [expanded.artifact(stage, 0, kind).record() for stage in ("generator", "expand") for kind in ("geca", "toy")]
    assert len({record["trained_on"] for record in made}) == 1
    recipe = recipes.parse(expanded.recipe_text())
    assert plan.arms_of(expanded, recipe, 0) == [
        "real", "real+geometric", "real+randaugment", "oversampled", "reconstructed", "real+geca", "real+toy",
        "synthetic-only", "shuffled-labels", "synthetic-only-geca",
    ]  # fmt: skip
    assert remade("classify", "--arms", "real+toy,synthetic-only", "--fold", 0, "--run", expanded.root) == {
        "fold-0/classify/real+toy", "fold-0/classify/synthetic-only",
    }  # fmt: skip
    inputs = expanded.artifact("classify", 0, "synthetic-only").record()["inputs"]
    assert [*inputs] == ["ingest", "fold-0/expand/toy"]


def test_run_makes_the_kinds_that_are_named_and_no_other(expanded: RunDirectory, toy: str) -> None:
    alone = ("--skip", "evaluate", "--skip", "audit")
    words = ("--fold", 0, "--set", "classify.arms=['synthetic-only-toy']", *alone, "--run", expanded.root)
    made = done("run", "--model", "geca", "--model", toy, *words, "--json").states()
    assert {name for name, state in made.items() if state == "done"} == {
        "fold-0/generator/toy", "fold-0/expand/toy", "fold-0/classify/synthetic-only-toy",
    }  # fmt: skip
    assert {"fold-0/generator/geca", "fold-0/expand/geca"} < set(made)
    recipe = recipes.parse(expanded.recipe_text())
    assert (recipe.generator.kind, [*recipe.generator.settings]) == ("geca", ["geca", "toy"])
    other = done("run", "--model", toy, *words, "--json").states()
    assert not [name for name in other if name.endswith("geca")]
    assert "there is no generator 'tooy'" in medsynth("run", "--model", "tooy", *words).err


# What is missing


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("expand",), "expand needs codec kl, fold 0, which is missing", "medsynth train-codec --codec kl --fold 0"),
        (("classify",), "fold 0 has no synthetic images to compare with", "medsynth expand"),
        (
            ("classify", "--arms", "real+geca"), "classify needs expand geca, fold 0, which is missing",
            "medsynth expand --model geca --fold 0",
        ),
    ],
)  # fmt: skip
def test_a_missing_step_is_named_with_its_command(
    ingested: RunDirectory, words: tuple[str, ...], message: str, hint: str
) -> None:
    ended = medsynth(*words, "--run", ingested.root)
    assert ended.code == 5
    assert ended.err.startswith(f"error: {message}\n  try: {hint}")


def test_the_commands_that_hints_name_lead_to_the_end(ingested: RunDirectory) -> None:
    asked: tuple[str, ...] = ("classify", "--arms", "real+geca", "--fold", "0", "--run", str(ingested.root))
    typed: list[tuple[str, ...]] = []
    todo = [asked]
    while todo:
        ended = medsynth(*todo[-1])
        typed.append(todo.pop())
        if ended.code:
            hint = ended.err.partition("  try: medsynth ")[2].strip()
            todo += [typed[-1], tuple(shlex.split(hint))]
        assert len(typed) < 10
    assert [words[0] for words in typed] == [
        "classify", "expand", "train-codec", "expand", "train-generator", "expand", "classify",
    ]  # fmt: skip
    assert ingested.artifact("classify", 0, "real+geca").exists()


def test_a_run_without_images_says_how_they_get_there(tmp_path: Path) -> None:
    done("new", tmp_path / "run")
    for command in ("train-codec", "encode", "train-generator", "expand", "classify", "report"):
        ended = medsynth(command, "--run", tmp_path / "run")
        assert ended.code == 5
        assert "medsynth ingest" in ended.err


# What is cut off


def steps_saved(folder: Path) -> int:
    """How far the newest checkpoint below a folder is."""
    found = [0]
    for path in folder.rglob(f"{checkpoint.FOLDER}/*.safetensors"):
        if not path.name.startswith("."):
            with safe_open(path, "pt") as file:
                found.append(json.loads(file.metadata()["facts"])["step"])
    return max(found)


def test_a_training_at_work_is_left_alone_and_one_that_was_killed_goes_on(
    expanded: RunDirectory, tmp_path: Path
) -> None:
    words = ("train-generator", "--fold", 0, "--set", "generator.steps=300", "--set", "generator.checkpoint_seconds=0")
    uninterrupted = copied(expanded, tmp_path / "uninterrupted")
    artifact = expanded.artifact("generator", 0, "geca")
    before = artifact.id
    process = start(*words, "--run", expanded.root)
    try:
        until(lambda: process.poll() is not None or steps_saved(artifact.folder.parent) >= 5)
        process.send_signal(signal.SIGSTOP)  # it keeps its lock, and waits for us
        assert process.poll() is None, ended(process).err
        refused = medsynth(*words, "--run", expanded.root)
        assert refused.code == 4
        assert f"generator geca, fold 0 is being made by process {process.pid} on " in refused.err
        assert states(expanded)["generator geca"] == "running"
        assert remade("encode", "--fold", 0, "--run", expanded.root) == set()  # what it does not need may go on
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    steps = steps_saved(artifact.folder.parent)
    assert 5 <= steps < 300
    assert artifact.id == before  # the old one stays until there is a new one
    assert states(expanded)["generator geca"] == "stale"
    quick = (*words[:-1], "generator.checkpoint_seconds=60")  # that changes nothing of what comes out
    assert remade(*quick, "--run", expanded.root) == {"fold-0/generator/geca"}
    assert [entry["step"] for entry in log.load(artifact.folder)] == [*range(10, 301, 10)]
    done(*quick, "--run", uninterrupted.root)
    ours, theirs = contents(artifact.folder), contents(uninterrupted.artifact("generator", 0, "geca").folder)
    for name in ("stage.json", "log.jsonl"):  # these two know the time
        assert ours.pop(name) != theirs.pop(name)
    assert ours == theirs
    assert artifact.made == uninterrupted.artifact("generator", 0, "geca").made


def test_a_killed_expansion_goes_on_and_comes_out_byte_for_byte(expanded: RunDirectory, tmp_path: Path) -> None:
    words = ("expand", "--fold", 0, "--factor", 12, "--sampler", "ddpm", "--sampling-steps", 4)
    uninterrupted = copied(expanded, tmp_path / "uninterrupted")
    artifact = expanded.artifact("expand", 0, "geca")
    shutil.rmtree(artifact.folder)
    process = start(*words, "--run", expanded.root)

    def drawn() -> list[Path]:
        return [path for path in artifact.folder.parent.rglob("*.png") if not path.name.startswith(".")]

    try:
        until(lambda: process.poll() is not None or len(drawn()) >= 30)
        assert process.poll() is None, ended(process).err
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not artifact.exists()
    assert states(expanded)["expand geca"] == "unfinished"
    (drawn()[0].parent / ".half-an-image.png.12345").write_bytes(b"what a killed process may leave")
    ages = {path.name: path.stat().st_mtime_ns for path in drawn()}
    assert remade(*words, "--run", expanded.root) == {"fold-0/expand/geca"}
    kept = [path for path in drawn() if ages.get(path.name) == path.stat().st_mtime_ns]
    assert len(kept) >= len(ages) - 8  # but for one batch that was not whole
    done(*words, "--run", uninterrupted.root)
    ours, theirs = contents(artifact.folder), contents(uninterrupted.artifact("expand", 0, "geca").folder)
    assert ours.pop("stage.json") != theirs.pop("stage.json")
    assert ours == theirs
    assert artifact.made == uninterrupted.artifact("expand", 0, "geca").made


def test_a_stage_that_was_killed_before_its_last_rename_is_not_run_again(expanded: RunDirectory) -> None:
    artifact = expanded.artifact("generator", 0, "geca")
    before = contents(artifact.folder)
    artifact.folder.rename(artifact.scratch(artifact.id))
    assert states(expanded)["generator geca"] == "unfinished"
    assert remade("train-generator", "--fold", 0, "--run", expanded.root) == {"fold-0/generator/geca"}
    assert contents(artifact.folder) == before  # stage.json with its seconds, too
    assert states(expanded)["expand geca"] == "done"


def test_what_an_attempt_at_something_else_left_is_cleared_away(expanded: RunDirectory) -> None:
    artifact = expanded.artifact("generator", 0, "geca")
    left = artifact.scratch("0123456789ab")
    left.mkdir()
    (left / "weights.safetensors").write_bytes(b"half")
    done("train-generator", "--fold", 0, "--force", "--run", expanded.root)
    assert [path.name for path in artifact.folder.parent.iterdir()] == ["geca"]


def test_a_stage_that_fails_leaves_nothing_that_counts(ingested: RunDirectory, tmp_path: Path) -> None:
    ended = medsynth("train-codec", "--weights", tmp_path, "--run", ingested.root)
    assert ended.code == 6
    assert f"{tmp_path} holds no autoencoder" in ended.err
    assert states(ingested)["codec kl"] in ("unfinished", "missing")
    assert not locks.is_held(ingested.locks(), "codec kl, fold 0")
    assert remade("train-codec", "--set", "codec.weights=", "--fold", 0, "--run", ingested.root) == {"fold-0/codec/kl"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_record_with_what_is_no_number_is_damaged(ingested: RunDirectory, number: str) -> None:
    path = ingested.artifact("ingest").folder / "stage.json"
    path.write_text(path.read_text().replace('"images": ', f'"odd": {number}, "images": ', 1))
    ended = medsynth("ingest", "--json", "--run", ingested.root)
    assert ended.code == 3
    assert f"{path} is damaged: ValueError {number} is no number" in ended.json["error"]


def test_a_record_that_does_not_know_seed_and_seconds_is_enough(ingested: RunDirectory) -> None:
    path = ingested.artifact("ingest").folder / "stage.json"
    known = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("seed", "seconds")}
    path.write_text(json.dumps(known))
    done("ingest", "--verbose", "--run", ingested.root)
    done("ingest", "--force", "--run", ingested.root)


def test_a_record_that_is_damaged_is_named(expanded: RunDirectory) -> None:
    path = expanded.artifact("encode", 0, "kl").folder / "stage.json"
    path.write_text(path.read_text()[:40])
    ended = medsynth("train-generator", "--fold", 0, "--run", expanded.root)
    assert ended.code == 3
    assert str(path) in ended.err
