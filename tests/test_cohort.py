"""A cohort comes back from its files as it was written, its parts share no patient, and what would leak is refused."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import NO_FOLD, Cohort, Facts, Sample
from medsynth.errors import BadData

FACTS = Facts(
    labels=("a", "b"), one_class=False, image_size=8, folds=2, selection={"0": ("P2",), "1": ("P1",)}, channels=1,
    mirror=True, has_patients=True, source="labels.csv", crop="centre", notes=("Read this.",),
)  # fmt: skip


def drawn(folder: Path, synthetic: bool = False) -> Cohort:
    """Patients P0 to P3 with an image of each eye; P0 and P1 are tested in fold 0."""
    samples = tuple(
        Sample(
            sample=f"P{n}-{eye}", patient=f"P{n}", eye=eye, image=folder / "images" / f"P{n}-{eye}.png",
            labels=(n % 2, int(eye == "L")), fold=n // 2, mask=folder / "masks" / f"P{n}.png" if n == 1 else None,
        )
        for n in range(4)
        for eye in "LR"
    )  # fmt: skip
    made = Sample(
        sample="P3-L-geca-0", patient="", image=folder / "images" / "s.png", labels=(1, 1), origin="synthetic",
        label_source="P3-L",
    )  # fmt: skip
    return Cohort(FACTS, (*samples, made) if synthetic else samples)


@pytest.mark.parametrize("synthetic", [False, True])
def test_a_cohort_comes_back_as_it_was_written(tmp_path: Path, synthetic: bool) -> None:
    written = drawn(tmp_path, synthetic)
    cohort.save(tmp_path, written)
    assert cohort.load(tmp_path) == written
    header = (tmp_path / "manifest.csv").read_text().splitlines()[0]
    assert header == "sample,patient,eye,image,mask,origin,fold,a,b" + (",label_source" if synthetic else "")


def test_the_three_parts_of_a_fold_are_the_whole_and_share_no_patient(tmp_path: Path) -> None:
    everyone = drawn(tmp_path)
    parts = {0: (["P3"], ["P2"], ["P0", "P1"]), 1: (["P0"], ["P1"], ["P2", "P3"])}
    for fold, (training, selection, testing) in parts.items():
        assert everyone.training(fold).patients() == training
        assert everyone.selection(fold).patients() == selection
        assert everyone.testing(fold).patients() == testing
        assert everyone.training(fold).facts is everyone.facts


def test_what_was_made_up_is_never_tested_and_never_selected_on(tmp_path: Path) -> None:
    everyone = drawn(tmp_path, synthetic=True)
    made = everyone.samples[-1]
    for fold in (0, 1, NO_FOLD):
        assert made not in everyone.testing(fold).samples
        assert made not in everyone.selection(fold).samples
    assert made in everyone.training(0).samples


def test_counts_patients_and_units_are_those_of_the_samples(tmp_path: Path) -> None:
    everyone = drawn(tmp_path)
    assert everyone.counts() == {"a": 4, "b": 4}
    assert everyone.training(0).counts() == {"a": 2, "b": 1}
    assert everyone.units == ("image", "eye")
    assert replace(everyone, samples=(replace(everyone.samples[0], eye=""), *everyone.samples[1:])).units[1] == "eye"
    without_eyes = replace(everyone, samples=tuple(replace(s, eye="") for s in everyone.samples))
    assert without_eyes.units == ("image", "patient")
    assert replace(without_eyes, facts=replace(FACTS, has_patients=False)).units == ("image",)


def test_the_mark_of_patients_knows_neither_order_nor_number_but_every_patient() -> None:
    mark = cohort.patients_hash(["a", "b"])
    assert cohort.patients_hash(["b", "a", "a"]) == mark
    assert len({mark, cohort.patients_hash(["a"]), cohort.patients_hash(["ab"]), cohort.patients_hash([])}) == 4


def test_the_mark_of_a_cohort_is_that_of_its_patients_in_the_order_of_their_names(tmp_path: Path) -> None:
    sample, names = drawn(tmp_path).samples[0], [f"P{n * 7 % 41:02d}" for n in range(41)]
    everyone = Cohort(FACTS, tuple(replace(sample, patient=name) for name in names))
    assert everyone.patients() == sorted(names)
    assert everyone.patients_hash() == hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()
    assert everyone.patients_hash() == cohort.patients_hash(names)


def test_samples_evenly_spaced_begin_with_the_first_and_are_no_more_than_asked_for() -> None:
    assert cohort.evenly(range(10), 5) == (0, 2, 4, 6, 8)
    assert cohort.evenly(range(3), 5) == (0, 1, 2)
    assert cohort.evenly((), 5) == ()


LEAKS: dict[str, tuple[Callable[[tuple[Sample, ...]], tuple[Sample, ...]], str]] = {
    "a patient in two folds": (lambda s: (replace(s[0], fold=1), *s[1:]), "patient P0 is in folds 1 and 0"),
    "a name twice": (lambda s: (replace(s[1], sample=s[0].sample), *s[:1], *s[2:]), "the sample P0-L is there twice"),
    "a patient in two folds, after what was made up": (
        lambda s: (replace(s[0], sample="x", origin="synthetic", fold=NO_FOLD), replace(s[0], fold=1), *s[1:]),
        "patient P0 is in folds 1 and 0",
    ),
    "a synthetic sample in a fold": (
        lambda s: (*s, replace(s[0], sample="x", origin="synthetic")), "synthetic sample x is in fold 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_what_would_leak_is_neither_written_nor_read(
    tmp_path: Path, leak: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, said = LEAKS[leak]
    whole = drawn(tmp_path)
    leaking = replace(whole, samples=change(whole.samples))
    with pytest.raises(BadData, match=said):
        cohort.save(tmp_path, leaking)
    assert not (tmp_path / "manifest.csv").exists()
    with monkeypatch.context() as patched:
        patched.setattr(cohort, "check", lambda _: None)
        cohort.save(tmp_path, leaking)
    with pytest.raises(BadData, match=said):
        cohort.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", []), ("labels", [1]), ("folds", 0), ("folds", True), ("folds", 1e3), ("folds", 100_001),
        ("image_size", 0), ("image_size", "8"), ("channels", 2), ("channels", 4), ("one_class", 1), ("mirror", None),
        ("has_patients", "yes"), ("ordinal", 0), ("notes", [1]), ("notes", None),
        ("selection", {"0": [1]}), ("selection", []), ("source", None),
        ("crop", 1), ("cameras", 1),
    ],
)  # fmt: skip
def test_facts_of_another_kind_are_damage(tmp_path: Path, key: str, value: Any) -> None:
    cohort.save(tmp_path, drawn(tmp_path))
    facts = json.loads((tmp_path / "cohort.json").read_text())
    (tmp_path / "cohort.json").write_text(json.dumps(facts | {key: value}))
    with pytest.raises(BadData, match=r"cohort\.json is damaged"):
        cohort.load(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("folds", 100_000), ("channels", 1), ("channels", 3), ("image_size", 1)])
def test_facts_at_the_edge_are_none(tmp_path: Path, key: str, value: int) -> None:
    written = drawn(tmp_path)
    cohort.save(tmp_path, replace(written, facts=replace(FACTS, **{key: value})))
    assert getattr(cohort.load(tmp_path).facts, key) == value


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (7, "2"),
        (7, "-1"),
        (7, ""),
        (7, "x"),
        (6, "-2"),
        (6, "x"),
        (5, "drawn"),
        (5, ""),
        (0, "a/b"),
        (3, "../x"),
        (4, "/x"),
        (1, '"P0"x'),
    ],
)
def test_a_row_that_nobody_wrote_is_damage(tmp_path: Path, column: int, cell: str) -> None:
    cohort.save(tmp_path, drawn(tmp_path))
    path = tmp_path / "manifest.csv"
    header, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    cells[column] = cell
    path.write_text("\n".join([header, ",".join(cells), *rest]))
    with pytest.raises(BadData, match=r"manifest\.csv is damaged"):
        cohort.load(tmp_path)
    for line in (first + ",more", first.rpartition(",")[0]):
        path.write_text("\n".join([header, line, *rest]))
        with pytest.raises(BadData, match=r"manifest\.csv is damaged"):
            cohort.load(tmp_path)


@pytest.mark.parametrize("cell", ["../x.png", "images/../../x.png", "/x.png", "images\\x.png", "c:x.png", "a\0b", "."])
@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_file_outside_the_folder_is_never_a_cohorts(tmp_path: Path, column: str, cell: str) -> None:
    cohort.save(tmp_path, drawn(tmp_path))
    path = tmp_path / "manifest.csv"
    old = "images/P1-L.png" if column == "image" else "masks/P1.png"
    path.write_text(path.read_text().replace(old, cell, 1))
    with pytest.raises(BadData, match=r"manifest\.csv is damaged: ValueError the path .* does not stay in the folder"):
        cohort.load(tmp_path)


def test_a_link_to_somewhere_else_is_never_a_cohorts(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "ingest", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "images").mkdir(parents=True)
    cohort.save(folder, drawn(folder))
    (folder / "images" / "P1-L.png").symlink_to(elsewhere / "P1-L.png")
    with pytest.raises(BadData, match=r"'P1-L\.png' is a link"):
        cohort.load(folder)
    (folder / "images" / "P1-L.png").unlink()
    (folder / "masks").symlink_to(elsewhere)
    with pytest.raises(BadData, match="the folder 'masks' is a link to somewhere else"):
        cohort.load(folder)
    (tmp_path / "linked").symlink_to(folder)  # the whole of it may lie behind one
    (folder / "masks").unlink()
    assert cohort.load(tmp_path / "linked") == drawn(tmp_path / "linked")


def test_the_files_are_those_that_old_runs_have(tmp_path: Path) -> None:
    assert (cohort.MANIFEST, cohort.FACTS) == ("manifest.csv", "cohort.json")
    assert (cohort.IMAGES, cohort.MASKS) == ("images", "masks")
    written = drawn(tmp_path, synthetic=True)
    cohort.save(tmp_path, written)
    rows = (tmp_path / "manifest.csv").read_text().splitlines()
    assert rows[3] == "P1-L,P1,L,images/P1-L.png,masks/P1.png,real,0,1,1,"
    assert rows[-1] == "P3-L-geca-0,,,images/s.png,,synthetic,,1,1,P3-L"
    facts = json.loads((tmp_path / "cohort.json").read_text())
    assert facts.pop("version") == 1
    (tmp_path / "cohort.json").write_text(json.dumps(facts))  # as before there were versions
    assert cohort.load(tmp_path) == written


def test_a_cohort_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"cohort\.json is not there") as failure:
        cohort.load(tmp_path)
    assert failure.value.hint == "the command of its step with --force"


def test_what_a_cohort_does_not_say_of_itself_is_the_usual() -> None:
    """As cohort.json means it where a key is left out; a change of these would change what old runs mean."""
    usual = Facts(labels=("a",), one_class=True, image_size=8)
    assert (usual.ordinal, usual.mirror, usual.has_patients) == (False, False, True)
    assert (usual.channels, usual.folds, usual.selection, usual.notes) == (3, 1, {}, ())
    assert (usual.crop, usual.source) == ("", "")
    sample = Sample(sample="x", patient="p", image=Path("x.png"), labels=(1,))
    assert (sample.eye, sample.mask, sample.origin, sample.fold, sample.label_source) == ("", None, "real", -1, "")
