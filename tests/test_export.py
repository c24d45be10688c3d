"""What leaves a run has passed its audit, or somebody said why not; and it names no patient."""

import csv
import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shell import contents, done, medsynth

from medsynth.artifacts import cohort, files
from medsynth.artifacts.cohort import MASKS
from medsynth.data.png import encode, read
from medsynth.rundir import EXPORTS, RunDirectory


@pytest.fixture
def run(expanded: RunDirectory) -> RunDirectory:
    return expanded


def audited(run: RunDirectory, *, passed: bool) -> None:
    """A verdict beside the images of fold 0, as the audit leaves it."""
    place, expansion = run.artifact("audit", 0, "geca"), run.artifact("expand", 0, "geca")
    place.folder.mkdir(parents=True)
    summary = {"passed": passed, "reasons": ["a reason"]}
    inputs = {"fold-0/expand/geca": expansion.made}
    files.write_json(place.folder / "stage.json", {"id": "a", "made": "b", "summary": summary, "inputs": inputs})


def test_images_that_were_not_audited_or_did_not_pass_stay_in_the_run(run: RunDirectory, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused = medsynth("export", out, "--run", run.root)
    assert (refused.code, out.exists()) == (4, False)
    assert "have not been audited" in refused.err
    audited(run, passed=False)
    assert medsynth("export", out, "--run", run.root).code == 4
    assert not out.exists()


def test_a_risk_that_somebody_takes_is_written_where_it_is_read(run: RunDirectory, tmp_path: Path) -> None:
    audited(run, passed=False)
    reason = "<b>agreed</b> with the board"
    done("export", tmp_path / "out", "--acknowledge-risk", reason, "--run", run.root)
    assert json.loads((tmp_path / "out" / "about.json").read_text())["risk_acknowledged"] == reason
    shutil.rmtree(run.artifact("audit", 0, "geca").folder)
    done("report", "--force", "--run", run.root)
    page = (run.root / "report" / "index.html").read_text()
    assert "&lt;b&gt;agreed&lt;/b&gt; with the board" in page


def test_a_set_that_passed_is_images_and_labels_without_a_name_of_a_sample_or_patient(
    run: RunDirectory, tmp_path: Path
) -> None:
    audited(run, passed=True)
    out = tmp_path / "out"
    done("export", out, "--run", run.root)
    made = cohort.load(run.artifact("expand", 0, "geca").folder)
    with (out / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(int(row[label]) for label in made.facts.labels) for row in rows] == [s.labels for s in made.samples]
    assert all((read(out / row["file_name"]) == read(s.image)).all() for row, s in zip(rows, made.samples, strict=True))
    everything = json.dumps(contents(out)) + (out / "metadata.csv").read_text() + (out / "about.json").read_text()
    real = cohort.load(run.artifact("ingest").folder).samples
    assert not [s for s in real if s.sample in everything or s.patient in everything]


def test_an_npz_holds_the_same_images(run: RunDirectory, tmp_path: Path) -> None:
    audited(run, passed=True)
    done("export", tmp_path / "npz", "--format", "npz", "--run", run.root)
    with np.load(tmp_path / "npz" / "synthetic.npz", allow_pickle=False) as held:
        made = cohort.load(run.artifact("expand", 0, "geca").folder).samples
        assert (held["train_images"][3] == read(made[3].image)).all()
        assert held["train_labels"].tolist() == [list(s.labels) for s in made]


def masked(run: RunDirectory) -> dict[str, np.ndarray]:
    """Give the images of fold 0 masks, as a generator that learned masks leaves them; sample -> mask, 0 or 255."""
    expansion = run.artifact("expand", 0, "geca")
    (expansion.folder / MASKS).mkdir()
    made, drawn = cohort.load(expansion.folder), {}
    for number, sample in enumerate(made.samples):
        drawn[sample.sample] = np.zeros((32, 32, 1), np.uint8)
        drawn[sample.sample][: 1 + number] = 255
        (expansion.folder / MASKS / f"{sample.sample}.png").write_bytes(encode(drawn[sample.sample]))
    paths = {s.sample: expansion.folder / MASKS / f"{s.sample}.png" for s in made.samples}
    cohort.save(expansion.folder, replace(made, samples=tuple(replace(s, mask=paths[s.sample]) for s in made.samples)))
    record = expansion.record()
    outputs = record["outputs"] | {"manifest.csv": files.sha256(expansion.folder / "manifest.csv")}
    files.write_json(expansion.folder / "stage.json", record | {"outputs": outputs})
    return drawn


def test_masks_leave_with_their_images_as_files_of_the_table_and_as_an_array(run: RunDirectory, tmp_path: Path) -> None:
    drawn = list(masked(run).values())  # as the manifest orders them
    audited(run, passed=True)
    done("export", tmp_path / "out", "--run", run.root)
    with (tmp_path / "out" / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, (row, mask) in enumerate(zip(rows, drawn, strict=True)):
        assert row["mask_file_name"] == f"masks/synthetic-{number:06d}.png"
        assert (read(tmp_path / "out" / row["mask_file_name"]) == mask).all()
    done("export", tmp_path / "npz", "--format", "npz", "--run", run.root)
    with np.load(tmp_path / "npz" / "synthetic.npz", allow_pickle=False) as held:
        assert (held["train_masks"] == np.stack(drawn)[..., 0]).all()


def test_what_has_no_masks_leaves_without_a_word_of_them(run: RunDirectory, tmp_path: Path) -> None:
    audited(run, passed=True)
    done("export", tmp_path / "out", "--run", run.root)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"images", "metadata.csv", "about.json"}
    assert "mask" not in (tmp_path / "out" / "metadata.csv").read_text()


def test_an_audit_of_other_images_does_not_count(run: RunDirectory, tmp_path: Path) -> None:
    audited(run, passed=True)
    done("expand", "--fold", 0, "--factor", 1, "--run", run.root)
    refused = medsynth("export", tmp_path / "out", "--run", run.root)
    assert refused.code == 4
    assert "of other images" in refused.err


def test_a_folder_that_holds_something_is_left_alone(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    audited(run, passed=True)
    refused = medsynth("export", tmp_path / "out", "--run", run.root)
    assert refused.code == 2
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def at_the_first_file(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen as soon as one image is copied."""
    put, waiting = os.replace, [happens]

    def replacing(*paths: Path) -> None:
        put(*paths)
        if "images" in Path(paths[1]).parts and waiting:
            waiting.pop()()

    monkeypatch.setattr("os.replace", replacing)


def test_images_that_were_put_in_place_meanwhile_are_never_mixed_in(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a machine that shares the disk and not the locks."""
    audited(run, passed=True)
    expansion, other = run.artifact("expand", 0, "geca"), tmp_path / "other"
    shutil.copytree(expansion.folder, other)
    for path in (other / "images").iterdir():
        path.write_bytes(encode(255 - read(path)))
    files.write_json(other / "stage.json", expansion.record() | {"made": "0123456789ab"})

    def swap() -> None:
        expansion.folder.rename(tmp_path / "old")
        other.rename(expansion.folder)

    at_the_first_file(monkeypatch, swap)
    refused = medsynth("export", tmp_path / "out", "--run", run.root)
    assert refused.code == 4
    assert "changed while it was being exported" in refused.err
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_what_is_being_exported_is_not_made_again_meanwhile(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited(run, passed=True)
    met = []
    words = ("expand", "--fold", 0, "--factor", 1, "--run", run.root)
    at_the_first_file(monkeypatch, lambda: met.append(medsynth(*words)))
    done("export", tmp_path / "out", "--run", run.root)
    assert met[0].code == 4
    assert f"cannot be made again now: process {os.getpid()} on " in met[0].err
    assert " exports it" in met[0].err
    done(*words)


def test_a_set_that_finds_no_place_has_left_its_reason_in_the_run_before(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a set could be there, and its reason nowhere."""
    synced: set[int] = set()
    rename, sync = os.rename, os.fsync

    def refuse(source: Path, target: Path) -> None:
        if Path(target) == tmp_path / "out":
            assert {(run.root / EXPORTS).stat().st_ino, run.root.stat().st_ino} <= synced
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    def seen(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        sync(handle)

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(os, "fsync", seen)
    failed = medsynth("export", tmp_path / "out", "--acknowledge-risk", "the board knows", "--run", run.root)
    assert (failed.code, os.strerror(errno.EIO) in failed.err) == (1, True)
    assert json.loads((run.root / EXPORTS).read_text())["reason"] == "the board knows"
    assert [path for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize("form", ["folder", "npz", "dicom"])
def test_every_file_of_a_set_is_synced_before_it_is_put_in_place(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    synced: set[int] = set()
    missing: list[str] = []
    rename, sync = os.rename, os.fsync

    def renamed(source: Path, target: Path) -> None:
        inside = [Path(source), *Path(source).rglob("*")]
        missing.extend(path.name for path in inside if path.stat().st_ino not in synced)
        assert len(inside) > 2
        rename(source, target)

    def seen(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        sync(handle)

    audited(run, passed=True)
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "fsync", seen)
    done("export", tmp_path / "out", "--format", form, "--run", run.root)
    assert missing == []
    assert tmp_path.stat().st_ino in synced


def test_the_place_of_the_run_does_not_leave_with_the_images(run: RunDirectory, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "--acknowledge-risk", "a test", "--run", run.root)
    assert str(run.root) not in (tmp_path / "out" / "about.json").read_text()
    assert str(run.root) not in (run.root / "exports.jsonl").read_text()
    refused = medsynth("export", tmp_path / "more", "--run", run.root)
    assert f"medsynth audit --model geca --fold 0 --run {run.root}" in refused.hint


def test_the_current_directory_is_no_place_for_a_set(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    refused = medsynth("export", ".", "--run", run.root, at=tmp_path / "here")
    assert refused.code == 2
    assert "current directory" in refused.err
