"""The stage that compares: what is set against what, joined by name, and what it leaves behind."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medsynth.artifacts import cohort, comparisons, files, predictions, scores
from medsynth.artifacts.cohort import Cohort, Facts, Sample
from medsynth.artifacts.comparisons import Comparisons
from medsynth.errors import MissingStep
from medsynth.job import Job, Result
from medsynth.metrics.classification import Rated, Task, measure, pooled
from medsynth.recipe import Compare, Recipe
from medsynth.rundir import RECORD, Artifact, RunDirectory
from medsynth.stages import compare

LABELS = ("A", "B")
TASK = Task(LABELS, one_class=False)
FACTS = Facts(labels=LABELS, one_class=False, image_size=16, folds=2, selection={"0": ("P01", "P03", "P05", "P07")})
QUICK = Compare(bootstrap=120, permutations=60)
NOISE = {"real": 1.5, "real+geometric": 1.4, "real+geca": 0.5, "synthetic-only": 3.0, "shuffled-labels": 4.0}


def sampled(facts: Facts = FACTS, *, eyes: bool = True) -> Cohort:
    """32 patients, of whom every second is tested in fold 0 or 1; two eyes, two images of each."""
    dice, found = np.random.default_rng(0), []
    for patient in range(32):
        has = dice.integers(0, 2, 2)
        for image in range(4):
            found.append(
                Sample(
                    sample=f"s{patient:02d}-{image}", patient=f"P{patient:02d}",
                    image=Path(f"images/{image}-{patient}"),
                    labels=tuple(has.tolist()), eye=("left", "right")[image // 2] if eyes else "", fold=patient % 2,
                )
            )  # fmt: skip
    return Cohort(facts, tuple(found))


class Run:
    """A run directory with a cohort and what classifiers said of it."""

    def __init__(self, root: Path, everyone: Cohort | None = None) -> None:
        self.directory, self.cohort = RunDirectory(root), everyone or sampled()
        folder = self.directory.artifact("ingest").folder
        folder.mkdir(parents=True)
        cohort.save(
            folder, replace(self.cohort, samples=tuple(replace(s, image=folder / s.image) for s in self.cohort.samples))
        )

    def classify(self, arm: str, fold: int, *, order: Callable[[list], Iterable] = list, seed: int = 0) -> Path:
        """Predictions that see the truth through the arm's noise, in any order of rows."""
        folder = self.directory.artifact("classify", fold, arm).folder
        folder.mkdir(parents=True, exist_ok=True)
        plain = arm.partition("@")[0]
        dice = np.random.default_rng([seed, fold, *arm.encode()])
        for name, part in (
            (predictions.PREDICTIONS, self.cohort.testing(fold)),
            (predictions.SELECTION, self.cohort.selection(fold)),
        ):
            truth = np.array([s.labels for s in part.samples]).reshape(-1, 2)
            said = 1 / (1 + np.exp(1 - 2 * truth - NOISE[plain] * dice.standard_normal(truth.shape)))
            rows = list(order(list(range(len(truth)))))
            if rows or name == predictions.PREDICTIONS:
                shown = replace(part, samples=tuple(part.samples[row] for row in rows))
                predictions.save(folder, shown, fold, said[rows], name)
        return folder

    def job(self, out: str = "out") -> Job:
        classified = sorted(self.directory.root.glob("fold-*/classify/*"))
        inputs = [self.directory.artifact("ingest")]
        inputs += [Artifact(p, "classify", int(p.parts[-3].removeprefix("fold-")), p.name) for p in classified]
        folder = self.directory.root / out
        folder.mkdir(exist_ok=True)
        return Job(Recipe(), tuple(inputs), folder, None, None, lambda _name, _done, _total: None, settings=QUICK)

    def compare(self, out: str = "out") -> tuple[Comparisons, Result]:
        job = self.job(out)
        result = compare.run(job)
        return comparisons.load(job.out), result


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Comparisons, Result]:
    run = Run(tmp_path_factory.mktemp("whole"))
    for fold in (0, 1):
        for arm in NOISE:
            run.classify(arm, fold)
    return run, *run.compare()


def test_arms_with_a_generator_are_declared_against_those_without_and_controls_against_real(whole) -> None:
    _, found, _ = whole
    assert [(c.arm, c.baseline, c.declared) for c in found.comparisons] == [
        ("real+geca", "real", True), ("real+geca", "real+geometric", True),
        ("shuffled-labels", "real", False), ("synthetic-only", "real", False),
    ]  # fmt: skip


def test_every_plain_arm_is_a_baseline_of_every_generator() -> None:
    plain = ["real", "real+geometric", "real+randaugment", "oversampled", "reconstructed"]
    asked = compare.declared([*plain, "real+geca", "real+dit", "synthetic-only-dit", "shuffled-labels"], "geca")
    family = {(a.arm, a.baseline) for a in asked if a.declared}
    assert family == {(arm, base) for arm in ("real+geca", "real+dit") for base in plain}
    assert {(a.arm, a.baseline) for a in asked if not a.declared} == {
        ("synthetic-only-dit", "real"), ("shuffled-labels", "real")
    }  # fmt: skip
    assert compare.declared(["real+geometric", "synthetic-only"], "geca") == []


def test_a_clear_gain_is_found_and_said(whole) -> None:
    _, found, result = whole
    gain = found.of("real+geca", "real")
    assert gain.changes["map"].low > 0
    assert gain.holm_p is not None
    assert result.summary["real+geca - real"].startswith("map +0.")
    assert (result.summary["unit"], result.summary["arms"], result.summary["comparisons"]) == ("eye", 5, 4)


def test_an_arms_mean_is_what_its_predictions_score_per_eye(whole) -> None:
    run, found, _ = whole
    values = []
    for fold in (0, 1):
        said = predictions.load(run.directory.artifact("classify", fold, "real").folder)
        images = Rated("image", said.truth, said.probability, said.patients)
        pooling = next(arm for arm in found.arms if arm.arm == "real").pooling[str(fold)]
        eyes = pooled(images, list(zip(said.patients, said.eyes, strict=True)), "eye", TASK, pooling)
        values.append(measure(eyes, TASK)["eye.map"].value)
    real = next(arm for arm in found.arms if arm.arm == "real")
    assert real.scores["map"].mean == pytest.approx(np.mean(values))


def test_thresholds_are_chosen_where_there_are_selection_patients(whole) -> None:
    _, found, _ = whole
    assert all(arm.thresholds.keys() == {"0"} for arm in found.arms)
    assert "f1_tuned" in found.of("real+geca", "real").changes


def test_scores_of_arms_and_differences_stand_in_the_flat_file_with_their_intervals(whole) -> None:
    run, found, _ = whole
    table = scores.load(run.directory.root / "out")
    own, difference = table["real+geca.eye.map"], table["real+geca - real.eye.map"]
    change = found.of("real+geca", "real").changes["map"]
    assert (difference.value, difference.ci_low, difference.ci_high) == (change.difference, change.low, change.high)
    assert (own.unit, own.n, difference.n) == ("eye", 64, 64)
    assert own.ci_low <= own.value <= own.ci_high


def test_samples_are_joined_by_name_whatever_the_order_of_rows(whole, tmp_path: Path) -> None:
    _, found, _ = whole
    run = Run(tmp_path)
    for fold in (0, 1):
        for arm in NOISE:
            run.classify(arm, fold, order=reversed if arm == "real" else list)
    assert run.compare()[0] == found


def test_repeats_belong_to_their_arm_and_are_said_to_be_averaged(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for fold in (0, 1):
        for arm in ("real", "real@1", "real+geca", "real+geca@1"):
            run.classify(arm, fold)
    found, result = run.compare()
    assert [(arm.arm, arm.repeats) for arm in found.arms] == [("real", 2), ("real+geca", 2)]
    assert len(found.of("real+geca", "real").changes["map"].differences) == 4  # two folds, two repeats
    assert any("averaged" in note for note in result.notes)
    assert not any("trained once" in note or "left out" in note for note in result.notes)


def test_several_trainings_of_one_arm_are_never_set_against_one_of_another(tmp_path: Path) -> None:
    once, run = Run(tmp_path / "once"), Run(tmp_path / "uneven")
    for fold in (0, 1):
        for arm in ("real", "real+geca"):
            once.classify(arm, fold)
            run.classify(arm, fold)
        for arm in ("real+geca@1", "real+geca@2"):
            run.classify(arm, fold)
    found, result = run.compare()
    assert found == once.compare()[0]
    (told,) = [note for note in result.notes if "left out" in note]
    assert "real+geca@1, real+geca@2" in told
    assert "medsynth classify --arms real --seeds 3 --fold 0 --fold 1" in told


def test_every_fold_keeps_the_repeats_that_all_its_arms_have(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for arm in ("real", "real@1", "real@2", "real+geca", "real+geca@1"):
        run.classify(arm, 0)
    for arm in ("real", "real+geca", "real+geca@1"):
        run.classify(arm, 1)
    found, result = run.compare()
    assert [(arm.arm, arm.repeats) for arm in found.arms] == [("real", 2), ("real+geca", 2)]
    assert len(found.of("real+geca", "real").changes["map"].differences) == 3
    told = [note for note in result.notes if "left out" in note]
    assert "of fold 0 is left out real@2," in told[0]
    assert "--arms real+geca --seeds 3 --fold 0" in told[0]
    assert "of fold 1 is left out real+geca@1," in told[1]


def test_a_classifier_of_other_images_is_left_out_and_named(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for arm in ("real", "real+geca", "real+geometric"):
        run.classify(arm, 0)
    folder = run.directory.artifact("classify", 0, "real+geometric").folder
    path = folder / predictions.PREDICTIONS
    path.write_text(path.read_text(encoding="utf-8").replace("s00-0", "other"), encoding="utf-8")
    found, result = run.compare()
    assert [arm.arm for arm in found.arms] == ["real", "real+geca"]
    assert any(note.startswith("classify real+geometric, fold 0 was tested on other images") for note in result.notes)


def test_a_classifier_that_learned_from_other_patients_is_left_out_and_named(tmp_path: Path) -> None:
    run = Run(tmp_path)
    seen = {
        "real": run.cohort.training(0).patients_hash(), "real+geometric": run.cohort.patients_hash(),
        "real+geca": run.cohort.training(0).patients_hash(),
    }  # fmt: skip
    for arm, trained_on in seen.items():
        files.write_json(run.classify(arm, 0) / RECORD, {"id": "a", "made": "b", "trained_on": trained_on})
    found, result = run.compare()
    assert [arm.arm for arm in found.arms] == ["real", "real+geca"]
    (told,) = [note for note in result.notes if "left out" in note]
    assert told.startswith("classify real+geometric, fold 0 learned from other patients")


def test_arms_that_were_trained_otherwise_are_left_out_and_named(tmp_path: Path) -> None:
    run, told = Run(tmp_path), {"steps": 600, "learning_rate": 0.001, "seeds": 1}
    for arm, settings, start in (
        ("real", told, "ImageNet"), ("real+geometric", told | {"seeds": 3}, "ImageNet"),
        ("real+geca", told | {"steps": 60}, "ImageNet"), ("synthetic-only", told, "from scratch"),
    ):  # fmt: skip
        folder = run.classify(arm, 0)
        record = {"id": "a", "made": "b", "settings": settings, "summary": {"weights_at_start": start}}
        files.write_json(folder / RECORD, record)
    found, result = run.compare()
    assert [arm.arm for arm in found.arms] == ["real", "real+geometric"]
    left = [note for note in result.notes if "it is left out" in note]
    assert [note.partition(" was trained otherwise")[0] for note in left] == [
        "classify real+geca, fold 0", "classify synthetic-only, fold 0",
    ]  # fmt: skip
    assert "steps 60, not 600" in left[0]
    assert "weights_at_start from scratch, not ImageNet" in left[1]


def test_what_the_numbers_cannot_say_is_said(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.classify("real", 0)
    _, result = run.compare()
    for words in ("No arm with synthetic images", "trained once", "Fewer than three folds"):
        assert any(words in note for note in result.notes)


def test_without_a_classifier_the_missing_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingStep) as missing:
        Run(tmp_path).compare()
    assert missing.value.hint == "medsynth classify"


@pytest.mark.parametrize(
    ("facts", "eyes", "unit", "tested"),
    [(FACTS, False, "patient", 16), (replace(FACTS, has_patients=False), False, "image", 64), (FACTS, True, "eye", 32)],
)
def test_eyes_are_compared_else_patients_else_images(
    tmp_path: Path, facts: Facts, eyes: bool, unit: str, tested: int
) -> None:
    run = Run(tmp_path, sampled(facts, eyes=eyes))
    for arm in ("real", "real+geca"):
        run.classify(arm, 0)
    found, _ = run.compare()
    assert found.unit == unit
    assert scores.load(tmp_path / "out")[f"real.{unit}.map"].n == tested


def test_the_share_of_tested_patients_counts_those_who_were_set_aside_as_learned_from() -> None:
    assert compare.share_tested(sampled(), [0]) == pytest.approx(16 / 16)
    assert compare.share_tested(sampled(), [0, 1]) == pytest.approx(1)


def test_the_same_job_twice_writes_the_same_bytes(whole) -> None:
    run, _, _ = whole
    run.compare("again")
    for name in (comparisons.COMPARISONS, scores.SCORES):
        assert (run.directory.root / "again" / name).read_bytes() == (run.directory.root / "out" / name).read_bytes()
