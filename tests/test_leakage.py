"""No patient who is tested is ever learned from: by construction, and against files put in the wrong place."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import copied
from safetensors.torch import load_file, save_file
from shell import Ended, done, medsynth

from medsynth import chain
from medsynth.artifacts import cohort, files, latents, predictions
from medsynth.artifacts.cohort import NO_FOLD, Cohort, Facts, Sample
from medsynth.data import png
from medsynth.errors import BadData
from medsynth.rundir import Artifact, RunDirectory

# What is learned from, and a command that reads it.
READERS = {
    "codec": ("encode", "--fold", 0, "--force"),
    "encode": ("train-generator", "--fold", 0, "--force"),
    "generator": ("expand", "--fold", 0, "--force"),
    "expand": ("classify", "--fold", 0, "--arms", "synthetic-only"),
}
KIND = {"codec": "kl", "encode": "kl", "generator": "geca", "expand": "geca"}


def artifact(run: RunDirectory, stage: str, fold: int = 0) -> Artifact:
    return run.artifact(stage, fold, KIND[stage])


def read(run: RunDirectory, stage: str) -> Ended:
    return medsynth(*READERS[stage], "--run", run.root)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file by hand."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_rows(folder: Path, change: Callable[[list[dict[str, str]]], object], *, forge: bool = False) -> None:
    """Change a manifest by hand; a forger also mends the record's mark of it."""
    path = folder / cohort.MANIFEST
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if forge:
        edit(folder / "stage.json", lambda record: record["outputs"].update({cohort.MANIFEST: files.sha256(path)}))


def put(source: Artifact, target: Artifact) -> None:
    """Copy an artifact over another."""
    shutil.rmtree(target.folder)
    shutil.copytree(source.folder, target.folder)


# By construction


def test_the_parts_of_a_fold_share_no_patient_and_every_patient_is_tested_once(pristine: RunDirectory) -> None:
    everyone = cohort.load(pristine.artifact("ingest").folder)
    for fold in (0, 1):
        parts = [set(part(fold).patients()) for part in (everyone.training, everyone.selection, everyone.testing)]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(everyone.patients())
    tested = [patient for fold in (0, 1) for patient in everyone.testing(fold).patients()]
    assert sorted(tested) == everyone.patients()


def test_everything_trained_carries_the_mark_of_its_folds_training_patients(finished: RunDirectory) -> None:
    everyone = cohort.load(finished.artifact("ingest").folder)
    marks = {fold: everyone.training(fold).patients_hash() for fold in (0, 1)}
    assert marks[0] != marks[1]
    for fold in (0, 1):
        assert {artifact(finished, stage, fold).record()["trained_on"] for stage in READERS} == {marks[fold]}


def test_no_tested_patient_is_encoded_or_gives_its_labels(finished: RunDirectory) -> None:
    everyone = cohort.load(finished.artifact("ingest").folder)
    for fold in (0, 1):
        tested = {s.sample for s in everyone.testing(fold).samples}
        encoded = latents.load(artifact(finished, "encode", fold).folder).row_of.keys()
        made = cohort.load(artifact(finished, "expand", fold).folder)
        assert not tested & encoded
        assert encoded | tested == {s.sample for s in everyone.samples}
        assert {s.label_source for s in made.samples} == {s.sample for s in everyone.training(fold).samples}


def test_pictures_of_tested_and_selection_patients_change_nothing_that_is_trained(
    finished: RunDirectory, pristine: RunDirectory, tmp_path: Path
) -> None:
    run = copied(pristine, tmp_path / "run")
    everyone = cohort.load(run.artifact("ingest").folder)
    dice = np.random.default_rng(0)
    for s in [*everyone.testing(0).samples, *everyone.selection(0).samples]:
        s.image.write_bytes(png.encode(dice.integers(0, 256, (32, 32, 3), dtype=np.uint8)))
    ingest = run.artifact("ingest")
    edit(ingest.folder / "stage.json", lambda record: record["outputs"].pop(f"{cohort.IMAGES}/"))
    done("train-generator", "--fold", 0, "--run", run.root)
    for stage in ("codec", "generator"):
        ours, theirs = (load_file(artifact(r, stage).folder / "weights.safetensors") for r in (run, finished))
        assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_only_tested_patients_are_predicted_and_nothing_synthetic_is(expanded: RunDirectory) -> None:
    done("classify", "--fold", 0, "--arms", "synthetic-only,real+geca", "--run", expanded.root)
    tested = cohort.load(expanded.artifact("ingest").folder).testing(0)
    for arm in ("synthetic-only", "real+geca"):
        said = predictions.load(expanded.artifact("classify", 0, arm).folder)
        assert said.samples == [s.sample for s in tested.samples]
        assert set(said.patients) == set(tested.patients())


def test_synthetic_samples_are_trained_on_and_never_tested_on() -> None:
    facts = Facts(labels=("a",), one_class=False, image_size=8, folds=2)
    real = Sample(sample="r", patient="P", image=Path("r.png"), labels=(1,), fold=0)
    made = Sample(sample="s", patient="", image=Path("s.png"), labels=(1,), origin="synthetic", fold=0)
    both = Cohort(facts, (real, made))  # even if somebody had put it into a fold
    assert [s.sample for s in both.testing(0).samples] == ["r"]
    assert [s.sample for s in Cohort(facts, (real, made)).training(1).samples] == ["r", "s"]


def test_every_stage_that_learns_is_run_once_a_fold() -> None:
    assert all(chain.BY_NAME[stage].per_fold for stage in READERS)


# A cohort that leaks


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([{"patient": "P1", "fold": 0}, {"patient": "P1", "fold": 1}], "patient P1 is in folds 0 and 1"),
        ([{"patient": "P1", "fold": 0}, {"patient": "P1"}], "patient P1 is in folds 0 and -1"),
        ([{"origin": "synthetic", "fold": 2}], "the synthetic sample s0 is in fold 2: it could be tested on"),
        ([{"sample": "twin"}, {"sample": "twin", "patient": "P9"}], "the sample twin is there twice"),
    ],
)
def test_a_cohort_that_leaks_is_refused_when_written_and_when_read(
    tmp_path: Path, samples: list[dict[str, object]], message: str
) -> None:
    made = [
        Sample(**{"sample": f"s{i}", "patient": f"P{i}", "image": tmp_path / f"{i}.png", "labels": (0,)} | changes)  # type: ignore[arg-type]
        for i, changes in enumerate(samples)
    ]
    facts = Facts(labels=("a",), one_class=False, image_size=8)
    with pytest.raises(BadData, match=message):
        cohort.save(tmp_path, Cohort(facts, tuple(made)))
    assert not list(tmp_path.iterdir())
    plain = [
        Sample(sample=f"s{i}", patient=f"P{i}", image=tmp_path / f"{i}.png", labels=(0,)) for i in range(len(made))
    ]
    cohort.save(tmp_path, Cohort(facts, tuple(plain)))
    with pytest.raises(BadData, match=message):
        cohort.check(made)


def test_a_patient_who_was_put_into_two_folds_stops_every_command(expanded: RunDirectory) -> None:
    def change(rows: list[dict[str, str]]) -> None:
        rows[0]["fold"] = str(1 - int(rows[0]["fold"]))

    patient = cohort.load(expanded.artifact("ingest").folder).samples[0].patient
    edit_rows(expanded.artifact("ingest").folder, change, forge=True)
    for words in (*READERS.values(), ("train-codec",), ("report",)):
        ended = medsynth(*words, "--run", expanded.root)
        assert ended.code == 3
        assert f"patient {patient} is in folds" in ended.err


def test_a_patient_who_was_moved_to_another_fold_is_noticed(expanded: RunDirectory) -> None:
    def change(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["fold"] = str(1 - int(row["fold"])) if row["patient"] == rows[0]["patient"] else row["fold"]

    edit_rows(expanded.artifact("ingest").folder, change)
    ended = medsynth("train-generator", "--fold", 0, "--force", "--run", expanded.root)
    assert ended.code == 3
    assert "manifest.csv is not what ingest wrote" in ended.err


@pytest.mark.parametrize("damage", ["", "sample,patient\na,b\n", "\x00\x01"], ids=["empty", "columns lost", "no text"])
def test_a_damaged_manifest_is_named(expanded: RunDirectory, damage: str) -> None:
    (expanded.artifact("ingest").folder / cohort.MANIFEST).write_text(damage)
    ended = medsynth("train-codec", "--force", "--run", expanded.root)
    assert ended.code == 3
    assert "ingest" in ended.err


# Artifacts in the wrong place


@pytest.mark.parametrize("stage", READERS)
def test_an_artifact_of_another_fold_is_refused(expanded: RunDirectory, stage: str) -> None:
    put(artifact(expanded, stage, 1), artifact(expanded, stage, 0))
    ended = read(expanded, stage)
    assert ended.code == 4
    assert f"{stage} {KIND[stage]}, fold 0 does not carry the mark of the training patients of fold 0" in ended.err
    again = ended.err.partition("  try: medsynth ")[2].split()
    assert again[-1] == "--force" or "--force" in again
    done(*again)
    assert read(expanded, stage).code in (0, 5)  # mended; what stood on it may have to be made again


@pytest.mark.parametrize("stage", READERS)
def test_an_artifact_of_another_fold_with_a_forged_name_is_refused(expanded: RunDirectory, stage: str) -> None:
    right = artifact(expanded, stage, 0).record()
    put(artifact(expanded, stage, 1), artifact(expanded, stage, 0))
    edit(
        artifact(expanded, stage).folder / "stage.json",
        lambda record: record.update(id=right["id"], made=right["made"]),
    )
    ended = read(expanded, stage)
    assert ended.code == 4
    assert "does not carry the mark" in ended.err


@pytest.mark.parametrize("stage", READERS)
@pytest.mark.parametrize("mark", ["0" * 64, None, "lost"])
def test_an_artifact_without_the_right_mark_is_refused(expanded: RunDirectory, stage: str, mark: str | None) -> None:
    def change(record: dict[str, object]) -> None:
        record["trained_on"] = mark
        if mark == "lost":
            del record["trained_on"]

    edit(artifact(expanded, stage).folder / "stage.json", change)
    ended = read(expanded, stage)
    assert ended.code == 4
    assert "does not carry the mark" in ended.err


@pytest.mark.parametrize("stage", ["codec", "generator"])
def test_swapped_weights_are_noticed(expanded: RunDirectory, stage: str) -> None:
    ours, theirs = (artifact(expanded, stage, fold).folder / "weights.safetensors" for fold in (0, 1))
    shutil.copy(theirs, ours)
    ended = read(expanded, stage)
    assert ended.code == 3
    assert f"weights.safetensors is not what {stage} {KIND[stage]}, fold 0 wrote" in ended.err


def test_weights_that_were_changed_a_little_are_noticed(expanded: RunDirectory) -> None:
    path = artifact(expanded, "codec").folder / "weights.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    tensors[name] = tensors[name] + 1e-6
    save_file(tensors, path)
    assert read(expanded, "codec").code == 3


@pytest.mark.parametrize("stage", ["encode", "expand"])
def test_a_lost_file_is_noticed(expanded: RunDirectory, stage: str) -> None:
    name = {"encode": latents.INDEX, "expand": cohort.FACTS}[stage]
    (artifact(expanded, stage).folder / name).unlink()
    ended = read(expanded, stage)
    assert ended.code == 3
    assert name in ended.err or "damaged" in ended.err


def test_pictures_of_tested_patients_put_among_the_synthetic_ones_are_noticed(expanded: RunDirectory) -> None:
    tested = cohort.load(expanded.artifact("ingest").folder).testing(0).samples[0]
    target = cohort.load(artifact(expanded, "expand").folder).samples[0]
    shutil.copy(tested.image, target.image)
    ended = read(expanded, "expand")
    assert ended.code == 3
    assert "images/ is not what expand geca, fold 0 wrote" in ended.err


def test_a_changed_label_source_is_noticed(expanded: RunDirectory) -> None:
    tested = cohort.load(expanded.artifact("ingest").folder).testing(0).samples[0]
    edit_rows(artifact(expanded, "expand").folder, lambda rows: rows[0].update(label_source=tested.sample))
    ended = read(expanded, "expand")
    assert ended.code == 3
    assert "manifest.csv is not what expand geca, fold 0 wrote" in ended.err


@pytest.mark.parametrize(
    ("column", "value", "code", "message"),
    [
        ("label_source", "TESTED", 4, "which the fold does not train on"),
        ("label_source", "", 4, "which the fold does not train on"),
        ("origin", "real", 4, "which the fold does not train on"),
        ("haemorrhages", "FLIPPED", 4, "other labels than"),
        ("fold", "0", 3, "it could be tested on"),
    ],
)
def test_a_forged_manifest_of_an_expansion_is_refused(
    expanded: RunDirectory, column: str, value: str, code: int, message: str
) -> None:
    tested = cohort.load(expanded.artifact("ingest").folder).testing(0).samples[0]

    def change(rows: list[dict[str, str]]) -> None:
        flipped = str(1 - int(rows[0]["haemorrhages"]))
        rows[0][column] = {"TESTED": tested.sample, "FLIPPED": flipped}.get(value, value)

    edit_rows(artifact(expanded, "expand").folder, change, forge=True)
    ended = read(expanded, "expand")
    assert ended.code == code
    assert message in ended.err


def test_an_expansion_of_another_fold_with_every_mark_forged_is_refused(expanded: RunDirectory) -> None:
    right = artifact(expanded, "expand", 0).record()
    put(artifact(expanded, "expand", 1), artifact(expanded, "expand", 0))
    marks = {key: right[key] for key in ("id", "made", "trained_on", "inputs")}
    edit(artifact(expanded, "expand").folder / "stage.json", lambda record: record.update(marks))
    ended = read(expanded, "expand")
    assert ended.code == 4
    assert "which the fold does not train on" in ended.err


def test_no_sample_of_a_real_cohort_is_without_a_fold(pristine: RunDirectory) -> None:
    assert NO_FOLD not in {s.fold for s in cohort.load(pristine.artifact("ingest").folder).samples}
