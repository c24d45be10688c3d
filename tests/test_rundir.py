"""What a run directory holds, and when it counts: whole artifacts under their names, and nothing half-made."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from medsynth import rundir
from medsynth.errors import BadData, BadUsage, Refused
from medsynth.rundir import Artifact, RunDirectory, fingerprint

ID, OTHER_ID = "0123456789ab", "ba9876543210"
FILES = {"weights.txt": "1", "log.jsonl": "{}", "images/a.png": "a", "images/b/c.png": "c", "previews/x.png": "x"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run that holds a recipe; commands are typed beside it."""
    monkeypatch.delenv("MEDSYNTH_RUN", raising=False)
    monkeypatch.chdir(tmp_path)
    found = RunDirectory(tmp_path / "a run")
    found.save_recipe("seed = 0\n")
    return found


def made(artifact: Artifact, id: str = ID, record: dict[str, Any] | None = None, **changed: str) -> Artifact:
    """An artifact of a few files; `changed` replaces the text of those named `weights`, `log`."""
    texts = FILES | {name: changed[key] for key, name in (("weights", "weights.txt"), ("log", "log.jsonl"))
                     if key in changed}  # fmt: skip
    for name, text in texts.items():
        path = artifact.scratch(id) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    artifact.publish(id, record or {})
    return artifact


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_files_and_folders_have_the_names_that_old_runs_have(tmp_path: Path) -> None:
    assert (rundir.RECIPE, rundir.RECORD, rundir.LOG_FILE) == ("recipe.toml", "stage.json", "log.jsonl")
    assert (rundir.LEAK, rundir.EXPORTS, rundir.UNHASHED) == ("leak", "exports.jsonl", ("previews",))
    run = RunDirectory(tmp_path)
    assert run.artifact("ingest") == Artifact(tmp_path / "ingest", "ingest")
    assert run.artifact("expand", 0, "geca") == Artifact(tmp_path / "fold-0/expand/geca", "expand", 0, "geca")
    assert run.artifact("expand", 1).folder == tmp_path / "fold-1/expand"
    assert run.locks() == tmp_path / ".locks"
    assert run.artifact("expand", 0, "geca").scratch(ID) == tmp_path / f"fold-0/expand/.geca-{ID}"


def test_a_recipe_that_is_no_text_is_told_with_the_place(run: RunDirectory) -> None:
    (run.root / "recipe.toml").write_bytes(b"seed = 0 # \xff\n")
    with pytest.raises(BadUsage, match=r"the recipe .*a run/recipe\.toml is not UTF-8 text: .* at byte 11"):
        run.recipe_text()


def test_people_are_told_of_stage_kind_and_fold() -> None:
    run = RunDirectory(Path("run"))
    told = [run.artifact(*which).name for which in (("ingest",), ("expand", 0), ("expand", 0, "geca"))]
    assert told == ["ingest", "expand, fold 0", "expand geca, fold 0"]
    assert Artifact(Path("x"), "compare", kind="a").name == "compare a"


def test_an_artifact_is_there_once_its_record_is(run: RunDirectory) -> None:
    artifact = run.artifact("generator", 0, "geca")
    artifact.folder.mkdir(parents=True)
    assert artifact.exists() is False
    made(artifact)
    assert artifact.exists() is True
    assert artifact.id == ID
    assert artifact.made == artifact.record()["made"]


def test_a_record_says_what_each_file_and_folder_was_and_pictures_for_people_are_none(run: RunDirectory) -> None:
    record = made(run.artifact("ingest"), record={"notes": ["Read this."], "outputs": {}}).record()
    images = fingerprint([("images/a.png", sha256("a")), ("images/b/c.png", sha256("c"))])
    assert record["outputs"] == {"weights.txt": sha256("1"), "log.jsonl": sha256("{}"), "images/": images}
    assert record["notes"] == ["Read this."]
    assert record["formats"] == {"stage.json": 1}
    assert record["made"] == fingerprint(ID, {"weights.txt": sha256("1"), "images/": images})


def test_the_files_of_a_folder_are_hashed_in_the_order_of_their_names(run: RunDirectory) -> None:
    artifact = run.artifact("ingest")
    named = [f"images/{n * 7 % 41}.png" for n in range(41)]
    for name in named:
        (artifact.scratch(ID) / name).parent.mkdir(parents=True, exist_ok=True)
        (artifact.scratch(ID) / name).write_text(name)
    artifact.publish(ID, {})
    expected = fingerprint([(name, sha256(name)) for name in sorted(named)])
    assert artifact.record()["outputs"] == {"images/": expected}


def test_an_answer_is_known_by_all_but_its_diary(run: RunDirectory) -> None:
    answers = [
        made(run.artifact("codec", fold, "kl"), id, **changed).made
        for fold, (id, changed) in enumerate(
            [(ID, {}), (ID, {"log": "later"}), (ID, {"weights": "2"}), (OTHER_ID, {})]
        )
    ]  # fmt: skip
    assert answers[0] == answers[1]
    assert len(set(answers)) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", None), ("id", ""), ("id", 3), ("made", None), ("made", ""), ("made", []), ("summary", []),
        ("notes", {}), ("settings", []), ("inputs", "x"), ("outputs", None), ("versions", 1),
    ],
)  # fmt: skip
def test_a_record_of_another_kind_is_damage(run: RunDirectory, key: str, value: Any) -> None:
    path = made(run.artifact("ingest")).folder / "stage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(BadData, match=rf"stage\.json is damaged: ValueError {key} is ") as failure:
        run.artifact("ingest").record()
    assert failure.value.hint == "remove its folder; the command makes it again"


def test_what_a_record_leaves_out_is_empty_and_who_it_is_may_not_be_left_out(run: RunDirectory) -> None:
    path = made(run.artifact("ingest")).folder / "stage.json"
    path.write_text(json.dumps({"id": "x", "made": "y"}))
    empty = {"summary": {}, "notes": [], "settings": {}, "inputs": {}, "outputs": {}, "versions": {}}
    assert run.artifact("ingest").record() == {"id": "x", "made": "y"} | empty
    for left in ({"id": "x"}, {"made": "y"}):
        path.write_text(json.dumps(left))
        with pytest.raises(BadData, match="damaged"):
            run.artifact("ingest").record()


def test_a_record_of_a_later_program_is_refused_with_its_version(run: RunDirectory) -> None:
    path = made(run.artifact("ingest"), record={"versions": {"medsynth": "99.1"}}).folder / "stage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"formats": {"stage.json": 99}}))
    with pytest.raises(Refused, match=r"written by medsynth 99\.1"):
        run.artifact("ingest").record()


def test_what_is_published_is_ready_first_and_has_nothing_hidden_in_it(run: RunDirectory) -> None:
    artifact = run.artifact("generator", 0, "geca")
    scratch = artifact.scratch(ID)
    (scratch / ".checkpoints" / ".deep").mkdir(parents=True)
    (scratch / ".checkpoints" / ".deep" / ".one").write_text("1")
    (scratch / ".weights.txt.17").write_text("half")
    (scratch / "images").mkdir()
    (scratch / "images" / ".b.png.17").write_text("half")
    assert artifact.is_ready(ID) is False
    (scratch / "stage.json").write_text("{}")
    assert artifact.is_ready(ID) is True
    made(artifact)
    assert set(artifact.record()["outputs"]) == {"weights.txt", "log.jsonl", "images/"}
    assert names(artifact.folder) == {*FILES, "images", "images/b", "previews", "stage.json"}
    assert artifact.record()["outputs"]["images/"] == made(run.artifact("ingest")).record()["outputs"]["images/"]


def test_of_attempts_only_those_at_this_artifact_are_cleared_away(run: RunDirectory) -> None:
    artifact = run.artifact("generator", 0, "geca")
    assert artifact.unfinished() == []
    for name in (f".geca-{OTHER_ID}", f".geca-wide-{ID}", f".geca-{ID}X", f".dit-{ID}", ".geca.old"):
        (artifact.folder.parent / name).mkdir(parents=True)
        (artifact.folder.parent / name / "x").touch()
    (artifact.folder.parent / ".geca-0").touch()
    assert artifact.unfinished() == [artifact.scratch(OTHER_ID)]
    made(artifact)
    (artifact.folder.parent / ".geca.old" / "left").mkdir(parents=True)
    made(artifact, OTHER_ID, weights="2")
    left = {path.name for path in artifact.folder.parent.iterdir()}
    assert left == {"geca", f".geca-wide-{ID}", f".geca-{ID}X", f".dit-{ID}", ".geca-0"}
    assert (artifact.id, (artifact.folder / "weights.txt").read_text()) == (OTHER_ID, "2")


def test_where_the_new_one_cannot_be_put_in_place_the_old_one_stays(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def failing(source: Path, target: Path) -> None:
        if source.name == f".geca-{OTHER_ID}":
            raise OSError(5, "it fails", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    fresh, artifact = run.artifact("generator", 1, "geca"), made(run.artifact("generator", 0, "geca"))
    for each in (fresh, artifact):
        with pytest.raises(OSError, match="it fails"):
            made(each, OTHER_ID, weights="2")
    assert not fresh.exists()
    assert (artifact.id, (artifact.folder / "weights.txt").read_text()) == (ID, "1")
    monkeypatch.undo()
    artifact.put_in_place(OTHER_ID)
    assert artifact.id == OTHER_ID


def test_what_cannot_be_cleared_away_keeps_no_result_from_its_place(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = made(run.artifact("generator", 0, "geca"))
    (artifact.scratch(OTHER_ID) / ".checkpoints").mkdir(parents=True)

    def failing(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "not permitted")

    monkeypatch.setattr(os, "rmdir", failing)
    assert made(artifact, OTHER_ID).id == OTHER_ID


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="what is synced is seen in /proc")
def test_the_folder_is_synced_after_the_rename(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    rename, fsync = os.rename, os.fsync

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        seen.append(("renamed", str(target)))

    def synced(handle: int) -> None:
        fsync(handle)
        seen.append(("synced", os.readlink(f"/proc/self/fd/{handle}")))

    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    folder = made(run.artifact("ingest")).folder.resolve()
    assert seen[-2:] == [("renamed", str(folder)), ("synced", str(folder.parent))]
    seen.clear()
    new = RunDirectory(folder.parent / "new" / "run")
    new.save_recipe("")
    assert ("synced", str(folder.parent / "new")) in seen


@pytest.mark.parametrize("name", ["weights.txt", "images/b/c.png", "images/new.png"])
def test_what_was_changed_since_is_found_by_name(run: RunDirectory, name: str) -> None:
    artifact = made(run.artifact("ingest"))
    (artifact.folder / "log.jsonl").unlink()
    (artifact.folder / "previews" / "x.png").write_text("y")
    (artifact.folder / "added.txt").touch()
    artifact.verify("do it again")
    (artifact.folder / name).write_text("2")
    part = "images/" if "/" in name else name
    with pytest.raises(BadData, match=f"ingest/{part} is not what ingest wrote") as failure:
        artifact.verify("do it again")
    assert failure.value.hint == "do it again"


def test_a_run_is_the_one_named_else_that_of_the_environment_else_the_one_around(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = RunDirectory(tmp_path / "other")
    assert (run.exists(), other.exists()) == (True, False)
    assert RunDirectory.named(None) is None
    assert RunDirectory.named(other.root) == other
    assert RunDirectory.find(run.root) == run
    with pytest.raises(BadUsage, match="no run was named"):
        RunDirectory.find(None)
    with pytest.raises(BadUsage, match="other is not a run directory") as failure:
        RunDirectory.find(other.root)
    assert failure.value.hint == f"medsynth ingest SOURCE --run {other.root}"
    (run.root / "ingest").mkdir()
    monkeypatch.chdir(run.root / "ingest")
    assert RunDirectory.find(None).root.resolve() == run.root.resolve()
    other.save_recipe("")
    monkeypatch.setenv("MEDSYNTH_RUN", str(other.root))
    assert RunDirectory.named(None) == RunDirectory.find(None) == other
    assert RunDirectory.find(run.root) == run


def test_what_is_to_be_typed_names_the_run_where_it_would_not_be_found(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, named = RunDirectory(tmp_path / "other"), f"medsynth report --run '{run.root}'"
    other.save_recipe("")
    assert run.typed("report") == named
    (run.root / "ingest").mkdir()
    for inside in (run.root, run.root / "ingest"):
        monkeypatch.chdir(inside)
        assert run.typed("report") == "medsynth report"
        assert other.typed("report") == f"medsynth report --run {other.root}"
    assert RunDirectory(Path("..")).typed("report") == "medsynth report"
    monkeypatch.setenv("MEDSYNTH_RUN", str(other.root))
    assert other.typed("report") == "medsynth report"
    assert run.typed("report") == named


def test_a_recipe_comes_back_as_it_was_saved(run: RunDirectory) -> None:
    run.save_recipe("# Grösse\n")
    assert run.recipe_text() == "# Grösse\n"


def test_the_kinds_of_a_stage_are_those_that_are_complete_by_name(run: RunDirectory) -> None:
    kinds = [f"k{n * 7 % 23:02d}" for n in range(23)]
    for kind in kinds:
        made(run.artifact("expand", 0, kind))
    (run.artifact("expand", 0, "half").folder).mkdir()
    (run.artifact("expand", 0, "geca").scratch(ID)).mkdir()
    (run.artifact("expand", 0, "geca").scratch(ID) / "stage.json").write_text("{}")
    assert run.kinds("expand", 0) == sorted(kinds)
    assert run.kinds("expand", 1) == []


def test_a_fingerprint_is_of_every_part_and_of_no_order_of_keys() -> None:
    told = '[1, {"a": 1, "b": 2}, "x"]'
    assert fingerprint(1, {"b": 2, "a": 1}, Path("x")) == sha256(told)[:12]
    assert len({fingerprint(), fingerprint(1), fingerprint("1"), fingerprint(1, 1), fingerprint([1, 1])}) == 5
