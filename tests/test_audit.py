"""The audit as a stage: what is planted among synthetic images is found, told and shown; what is honest is not."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_pictures import Pictures, read
from pictures import run as ingest
from shell import done

from medsynth.artifacts import audit as evidence
from medsynth.artifacts import cohort, features, files, scores
from medsynth.artifacts.audit import Evidence
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.artifacts.features import Features
from medsynth.artifacts.scores import Score
from medsynth.data.drawn import draw_cohort
from medsynth.errors import BadData
from medsynth.job import Job, Result
from medsynth.metrics.measured import Measured
from medsynth.recipe import from_table
from medsynth.rundir import RECORD, RunDirectory
from medsynth.stages import audit

KIND, FOLD = "ldm", 0
COHORT = 44  # patients; those after them are an honest generator's


@dataclass(frozen=True)
class Clinic:
    """A cohort that was read in, and pictures of patients who are not in it."""

    run: RunDirectory
    cohort: Cohort
    pictures: Pictures  # of the cohort, in the order of its samples
    strangers: Pictures

    def rows(self, part: Cohort) -> np.ndarray:
        wanted = {s.sample for s in part.samples}
        return np.array([row for row, s in enumerate(self.cohort.samples) if s.sample in wanted])

    @property
    def training(self) -> np.ndarray:
        return self.rows(self.cohort.training(FOLD))

    @property
    def spread(self) -> np.ndarray:
        """Twenty training images of as many patients as there are."""
        return np.random.default_rng(0).permutation(self.training)[:20]

    @property
    def new(self) -> np.ndarray:
        return np.concatenate([self.rows(self.cohort.selection(FOLD)), self.rows(self.cohort.testing(FOLD))])


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    folder = tmp_path_factory.mktemp("clinic")
    table = draw_cohort(folder, patients=60, seed=21, size=32)
    header, *rows = table.read_text().splitlines()
    inside = [row for row in rows if int(row.split(",")[1].removeprefix("P")) <= COHORT]
    (folder / "cohort.csv").write_text("\n".join([header, *inside]))
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    out = run.artifact("ingest").folder
    labels = tuple(header.split(",")[4:])
    ingest(out, folder / "cohort.csv", image_size=32, folds=2, modality="fundus", labels=labels)
    known, everybody = cohort.load(out), read(table)
    pictures = read(folder / "cohort.csv")
    assert [s.patient for s in known.samples] == [f"P{patient:03d}" for patient in pictures.patients]
    return Clinic(run, known, pictures, everybody[everybody.patients > COHORT])


def seen(samples: Sequence[Sample], pixels: np.ndarray, *, mirror: bool) -> Features:
    """An extractor that sees the mean colours of 8 x 8 tiles, standardised."""

    def look(pictures: np.ndarray) -> np.ndarray:
        tiles = pictures.reshape(len(pictures), 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(len(pictures), 192)
        return ((tiles - tiles.mean(1, keepdims=True)) / tiles.std(1, keepdims=True)).astype(np.float32)

    return Features(
        tuple(s.sample for s in samples), look(pixels), look(pixels[:, :, ::-1]) if mirror else None, pixels, "tiles:1"
    )


@dataclass(frozen=True)
class Found:
    """What an audit wrote and said."""

    result: Result
    scores: dict[str, Score]
    evidence: Evidence

    @property
    def passed(self) -> bool:
        return bool(self.result.summary["passed"])


Audited = Callable[..., Found]


def audit_of(clinic: Clinic, root: Path, made: np.ndarray, *, pictures: np.ndarray | None = None, **set: Any) -> Found:
    """Audit pictures as if a generator had made them, each with the labels of a training image."""
    run = RunDirectory(root)
    expansion = run.artifact("expand", FOLD, KIND)
    sources = clinic.cohort.training(FOLD).samples
    samples = tuple(
        Sample(
            sample=f"made-{place:03d}", patient="", image=expansion.folder / f"made-{place:03d}.png",
            labels=sources[place % len(sources)].labels, origin="synthetic",
            label_source=sources[place % len(sources)].sample,
        )
        for place in range(len(made))
    )  # fmt: skip
    expansion.folder.mkdir(parents=True)
    cohort.save(expansion.folder, Cohort(replace(clinic.cohort.facts, selection={}, notes=()), samples))
    real = clinic.pictures.pixels if pictures is None else pictures
    stored = {"real": seen(clinic.cohort.samples, real, mirror=True), KIND: seen(samples, made, mirror=False)}
    for kind, found in stored.items():
        run.artifact("features", FOLD, kind).folder.mkdir(parents=True)
        features.save(run.artifact("features", FOLD, kind).folder, found)
    recipe = from_table({"audit": {"bootstrap": 100, "membership_images": 0} | set})
    inputs = (clinic.run.artifact("ingest"), expansion, *(run.artifact("features", FOLD, kind) for kind in stored))
    out = root / "audit"
    out.mkdir()
    job = Job(recipe, inputs, out, FOLD, KIND, lambda *_: None, settings=recipe.audit)
    return Found(audit.run(job), scores.load(out), evidence.load(out))


@pytest.fixture
def audited(clinic: Clinic, tmp_path: Path) -> Audited:
    return partial(audit_of, clinic, tmp_path)


@pytest.fixture(scope="module")
def honest(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The audit of a perfect generator: pictures of strangers."""
    return audit_of(clinic, tmp_path_factory.mktemp("honest"), clinic.strangers.pixels, gallery=7)


def planted(clinic: Clinic, pixels: np.ndarray) -> np.ndarray:
    """Some pictures among those of strangers."""
    return np.concatenate([pixels, clinic.strangers.pixels])


def test_pictures_of_strangers_pass_and_the_summary_says_that_this_is_no_proof(clinic: Clinic, honest: Found) -> None:
    assert honest.passed, honest.result.summary["reasons"]
    assert "no proof" in honest.result.summary["reasons"][0]
    assert honest.result.trained_on == clinic.cohort.training(FOLD).patients_hash()
    assert [d for d in honest.evidence.duplicates if d.origin == "synthetic"] == []


def test_copies_are_called_copies_one_by_one(clinic: Clinic, audited: Audited) -> None:
    copies = clinic.training[:5]
    pixels = clinic.pictures.pixels[copies].copy()
    pixels[3:] = pixels[3:, :, ::-1]  # two of them mirrored
    found = audited(planted(clinic, pixels))
    assert not found.passed
    assert any(reason.startswith("5 synthetic image(s) are a training image") for reason in found.result.notes)
    assert found.scores["synthetic.exact_duplicates"].value == 5
    names = [clinic.cohort.samples[row].sample for row in copies]
    exact = [d for d in found.evidence.duplicates if d.exact]
    assert [(d.sample, d.other_sample, d.mirrored) for d in exact] == [
        (f"made-{place:03d}", name, place >= 3) for place, name in enumerate(names)
    ]
    closest = [p for p in found.evidence.pairs if (p.space, p.origin, p.label) == ("appearance", "synthetic", "")]
    assert {(p.sample, p.training_sample, p.mirrored) for p in closest[:5]} == {
        (d.sample, d.other_sample, d.mirrored) for d in exact
    }


def test_altered_copies_are_found_though_no_pixel_is_the_same(clinic: Clinic, audited: Audited) -> None:
    noise = np.random.default_rng(0).normal(0, 8, (20, 32, 32, 3))
    altered = np.clip(0.85 * clinic.pictures.pixels[clinic.spread] + noise, 0, 255).astype(np.uint8)
    found = audited(planted(clinic, altered))
    assert not found.passed
    assert found.scores["synthetic.exact_duplicates"].value == 0
    assert found.scores["appearance.c05"].ci_low > 0.05  # type: ignore[operator]
    authentic = [found.scores[f"appearance.auth_pct{after}"].value for after in ("", ".expected")]
    assert authentic[0] < authentic[1] - 10
    assert found.scores["synthetic.near_duplicates"].value > 10
    times = [c for c in found.evidence.copied if c.space == "appearance"]
    assert times[0].times == found.scores["appearance.most_copied"].value
    assert [c.times for c in times] == sorted((c.times for c in times), reverse=True)


def test_a_few_altered_copies_among_many_poor_pictures_are_found(clinic: Clinic, audited: Audited) -> None:
    """5 % of near copies among pictures that lie far from everything: hardly more are close than may be."""
    dice = np.random.default_rng(0)
    poor = np.tile(clinic.strangers.pixels, (6, 1, 1, 1))[:380].astype(float)
    poor = np.roll(poor, 16, axis=1) + dice.normal(0, 40, poor.shape)
    copies = clinic.pictures.pixels[clinic.spread] + dice.normal(0, 3, (20, 32, 32, 3))
    found = audited(np.clip(np.concatenate([copies, poor]), 0, 255).astype(np.uint8))
    assert found.scores["synthetic.exact_duplicates"].value == 0
    assert found.scores["features.c05"].ci_low <= 0.05  # type: ignore[operator]
    assert found.scores["appearance.c05"].ci_low <= 0.05  # type: ignore[operator]
    assert not found.passed
    assert any("are copies of a training image, altered or not" in why for why in found.result.summary["reasons"])


def test_further_photographs_of_training_patients_are_found(clinic: Clinic, audited: Audited) -> None:
    """One photograph of each trained eye is no training image here but a synthetic one."""
    rows = clinic.training
    _, first = np.unique(clinic.pictures.eyes[rows], return_index=True)
    pixels = clinic.pictures.pixels.copy()
    siblings = pixels[rows[first]].copy()
    pixels[rows[first]] = pixels[rows[first + 1]]  # the other photograph of the eye takes its place
    found = audited(planted(clinic, siblings[:20]), pictures=pixels)
    assert not found.passed
    assert any("appearance" in reason for reason in found.result.summary["reasons"])


def test_every_number_is_stored_with_what_is_expected_of_a_perfect_generator(clinic: Clinic, honest: Found) -> None:
    for space, extractor in (("features", "tiles:1"), ("appearance", "appearance")):
        for name in ("c05", "c01", "copy_ratio", "patient_ratio", "auth_pct", "identifiability_as_few", "c_t"):
            assert honest.scores[f"{space}.{name}"].extractor == extractor
            assert f"{space}.{name}.expected" in honest.scores
        assert honest.scores[f"{space}.c05"].n == len(clinic.strangers.pixels)
        assert honest.scores[f"{space}.c05.expected"].value == 0.05
        for label in clinic.cohort.facts.labels:
            assert f"{space}.c05.label.{label}" in honest.scores


def test_the_closest_pairs_are_kept_overall_and_of_each_label_and_of_new_patients_for_scale(
    clinic: Clinic, honest: Found
) -> None:
    labels = ("", *clinic.cohort.facts.labels)
    for space in ("features", "appearance"):
        for origin in ("synthetic", "real"):
            for label in labels:
                rows = [p for p in honest.evidence.pairs if (p.space, p.origin, p.label) == (space, origin, label)]
                assert len(rows) == (3 if label else 7)
                assert [p.distance for p in rows] == sorted(p.distance for p in rows)
    trained = {s.sample for s in clinic.cohort.training(FOLD).samples}
    assert {p.training_sample for p in honest.evidence.pairs} <= trained
    assert not {p.sample for p in honest.evidence.pairs} & trained


def test_a_training_image_under_a_new_patient_s_name_does_not_hide_copies(clinic: Clinic, audited: Audited) -> None:
    """Were such images among the new ones, copying would look like what new patients do."""
    pixels = clinic.pictures.pixels.copy()
    doubled = clinic.new[:12]
    pixels[doubled] = pixels[clinic.training[:12]]
    copies = np.clip(pixels[clinic.spread].astype(int) + 3, 0, 255).astype(np.uint8)
    found = audited(planted(clinic, copies), pictures=pixels)
    assert not found.passed
    assert found.result.summary["of_new_patients"] == len(clinic.new) - 12
    assert found.scores["real.exact_duplicates"].value == 12
    assert any("12 of them in every pixel" in note for note in found.result.notes)
    real = {(d.sample, d.other_sample) for d in found.evidence.duplicates if d.origin == "real" and d.exact}
    names = [s.sample for s in clinic.cohort.samples]
    pairs = zip(clinic.training[:12], doubled, strict=True)
    assert real == {(names[min(pair)], names[max(pair)]) for pair in pairs}


def test_the_threshold_is_the_recipe_s(clinic: Clinic, audited: Audited) -> None:
    altered = np.clip(clinic.pictures.pixels[clinic.spread].astype(int) + 3, 0, 255).astype(np.uint8)
    found = audited(planted(clinic, altered), threshold=0.9)
    assert not any("are allowed" in reason for reason in found.result.summary["reasons"])
    assert not found.passed  # copies are none the less copies


def test_without_an_interval_nothing_passes() -> None:
    unsure, sure = Measured(0.0, 50), Measured(0.0, 50, 0.0, 0.01)
    numbers = ("c05", "copy_ratio", "copy_excess")
    gate = {
        "features": dict.fromkeys(numbers, unsure),
        "appearance": dict.fromkeys(numbers, sure) | {"copy_excess": Measured(0.0, 50, -0.01, 0.0)},
    }
    (reason,) = audit.verdict(gate, 0, 0.05)
    assert "By features, it cannot be told" in reason


def test_nothing_to_compare_is_said(clinic: Clinic, audited: Audited) -> None:
    with pytest.raises(BadData, match="no synthetic images"):
        audited(clinic.strangers.pixels[:0])


def test_the_chain_ends_in_an_audit_that_knows_the_generators_of_other_folds(expanded: RunDirectory) -> None:
    """Too few new patients for a verdict, and that is what it says."""
    quick = ("--set", "audit.bootstrap=20", "--set", "audit.membership_images=4")
    found = done("audit", "--run", expanded.root, "--fold", 0, *quick, "--json").json
    (result,) = [each for each in found["results"] if Path(each["folder"]).parent.name == "audit"]
    assert result["summary"]["passed"] is False
    assert all("cannot be told" in reason for reason in result["summary"]["reasons"])
    stored = scores.load(Path(result["folder"]))
    assert 0 <= stored["membership.auc"].value <= 1
    assert "membership.auc_uncalibrated" in stored
    record = RunDirectory(expanded.root).artifact("audit", 0, "geca").record()
    assert "fold-1/generator/geca" in record["inputs"]
    again = done("audit", "--run", expanded.root, "--fold", 0, *quick, "--json")
    assert set(again.states().values()) == {"up to date"}


@pytest.mark.parametrize(
    ("stage", "mark"), [("generator", {"trained_on": "0" * 64}), ("codec", {"leak": {"from": []}})]
)
def test_a_generator_of_another_fold_that_may_know_the_images_is_not_asked(
    expanded: RunDirectory, stage: str, mark: dict[str, Any]
) -> None:
    everyone = cohort.load(expanded.artifact("ingest").folder)
    pair = [expanded.artifact("generator", 1, "geca"), expanded.artifact("codec", 1, "kl")]
    assert audit.trusted(pair, everyone) == {1: {artifact.stage: artifact.folder for artifact in pair}}
    record = next(artifact.folder for artifact in pair if artifact.stage == stage) / RECORD
    record.write_text(json.dumps(files.read_json(record) | mark))
    assert audit.trusted(pair, everyone) == {}
    quick = ("--set", "audit.bootstrap=20", "--set", "audit.membership_images=4")
    done("audit", "--run", expanded.root, "--fold", 0, *quick)
    found = expanded.artifact("audit", 0, "geca")
    assert "membership.auc" not in scores.load(found.folder)
    assert any(note.startswith("1 generator(s) of other folds were not asked") for note in found.record()["notes"])
