"""The classifier stage, on 24 tiny drawn images and a few steps; and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from arms import FACTS, LABELS, QUICK, SIZE, Runs, expand

from medsynth import arms, classifier
from medsynth.artifacts import cohort, log, predictions, scores
from medsynth.artifacts.cohort import Cohort
from medsynth.data import images
from medsynth.data.loading import ImageSet
from medsynth.errors import BadData, BadUsage, MissingStep, Refused
from medsynth.job import Result
from medsynth.metrics import thresholds
from medsynth.metrics.classification import Rated, Task, macro_auc, measure, pooled
from medsynth.stages import classify


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runs, Path, Result]:
    """The arm `real`, trained once for all tests that only look at it."""
    runs = Runs(tmp_path_factory.mktemp("trained"))
    return runs, *runs.train("real")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runs, Path]:
    """The arm `real+geometric` of a cohort of grey images in three grades, trained once."""
    facts = replace(FACTS, labels=("0", "1", "2"), one_class=True, ordinal=True, channels=1)
    runs = Runs(tmp_path_factory.mktemp("graded"), facts)
    return runs, runs.train("real+geometric")[0]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_an_arm_leaves_weights_predictions_scores_and_a_log(trained):
    runs, out, result = trained
    names = {"facts.json", "log.jsonl", "predictions.csv", "selection.csv", "scores.json", "weights.safetensors"}
    assert {path.name for path in out.iterdir()} == names
    assert [line["step"] for line in log.load(out)] == [1, 2, 3]
    assert result.summary["steps"] == 3
    assert result.summary["weights_at_start"] == "from scratch"
    assert result.trained_on == runs.cohort.training(0).patients_hash()


def test_only_the_patients_of_the_fold_are_predicted_each_image_once(trained):
    runs, out, _ = trained
    said = predictions.load(out)
    tested = runs.cohort.testing(0)
    assert said.samples == [s.sample for s in tested.samples]
    assert said.truth.tolist() == [list(s.labels) for s in tested.samples]
    assert set(said.patients) == {"P00", "P02", "P04"}


def test_scores_are_those_of_the_predictions_on_file(trained):
    """Thresholds, and how an eye's images are put together, are those that the selection patients' predictions give."""
    _, out, _ = trained
    task, rated, eyes = Task(LABELS, one_class=False), {}, {}
    for name in (predictions.PREDICTIONS, predictions.SELECTION):
        said = predictions.load(out, name)
        rated[name] = Rated("image", said.truth, said.probability, said.patients)
        eyes[name] = list(zip(said.patients, said.eyes, strict=True))
    tested, selected = rated.values()
    how = thresholds.chosen_pooling(selected, eyes[predictions.SELECTION], "eye", task)
    by_eye = [pooled(part, eyes[name], "eye", task, how) for name, part in rated.items()]
    expected = measure(tested, task, thresholds.chosen(selected)) | measure(
        by_eye[0], task, thresholds.chosen(by_eye[1])
    )
    assert scores.load(out) == expected
    assert scores.load(out)["image.auc"].n == 12
    assert scores.load(out)["eye.auc"].n == 6


@pytest.mark.parametrize(
    ("facts", "eyes", "second"),
    [(FACTS, False, "patient"), (replace(FACTS, has_patients=False), False, None), (FACTS, True, "eye")],
)
def test_the_second_level_is_eyes_else_patients_else_none(tmp_path, facts, eyes, second):
    runs = Runs(tmp_path, facts, eyes=eyes)
    out = tmp_path / "out"
    out.mkdir()
    tested = runs.cohort.testing(0)
    predictions.save(out, tested, 0, np.random.default_rng(0).random((len(tested.samples), 2)))
    found, _ = classify.evaluate(out, runs.cohort, fewest=2)
    assert {name.partition(".")[0] for name in found} == {"image", second} - {None}


def test_one_class_gets_probabilities_that_add_up_to_one_and_scores_of_grades(graded):
    _, out = graded
    np.testing.assert_allclose(predictions.load(out).probability.sum(axis=1), 1, atol=1e-5)
    assert {"image.kappa_quadratic", "eye.balanced_accuracy", "image.f1", "eye.auc"} <= scores.load(out).keys()


def test_a_trained_classifier_predicts_the_same_from_its_folder_alone(trained):
    runs, out, _ = trained
    model = classifier.load(out)
    tested = ImageSet(runs.cohort.testing(0).samples)
    again = model.probabilities(classify.logits_of(model, tested, "cpu"))
    np.testing.assert_array_equal(again.numpy(), predictions.load(out).probability.astype(np.float32))


def test_the_same_arm_twice_is_the_same_to_the_bit(graded):
    runs, first = graded
    second, _ = runs.train("real+geometric", place="again")
    for name in ("weights.safetensors", "predictions.csv", "scores.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_an_arm_that_was_cut_off_goes_on_to_the_same_weights(trained, runs):
    def cut_off(_name: str, done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    job = runs.job("real", QUICK.model_copy(update={"checkpoint_seconds": 0}))
    with pytest.raises(KeyboardInterrupt):
        classify.run(replace(job, progress=cut_off))
    assert not (job.out / "predictions.csv").exists()
    out, _ = runs.train("real")
    assert [line["step"] for line in log.load(out)] == [1, 2, 3]
    for name in ("weights.safetensors", "predictions.csv"):
        assert (out / name).read_bytes() == (trained[1] / name).read_bytes()


def test_every_arm_of_a_fold_starts_from_the_same_weights(runs):
    runs.expand()
    started = []
    for arm in ("real", "real+geometric", "real+geca", "synthetic-only"):
        job = runs.job(arm)
        training = runs.cohort.training(0)
        started.append(classify.prepare(job, training, classify.gather(job, training))[0].state_dict())
    for name, value in started[0].items():
        assert all(other[name].equal(value) for other in started[1:]), name


def test_arms_learn_from_what_their_names_say(runs):
    runs.expand()
    training = runs.cohort.training(0)
    counts = {}
    for arm in ("real", "real+geometric", "real+geca", "synthetic-only", "synthetic-only-geca"):
        material = classify.gather(runs.job(arm), training)
        counts[arm] = (material.real, material.synthetic, material.augmentation)
    assert len(training.samples) == 8
    assert counts == {
        "real": (8, 0, ""), "real+geometric": (8, 0, "geometric"), "real+geca": (8, 8, ""),
        "synthetic-only": (0, 8, ""), "synthetic-only-geca": (0, 8, ""),
    }  # fmt: skip


def test_an_arm_with_synthetic_images_trains_and_says_how_many(runs):
    _, result = runs.expand().train("real+geca")
    assert (result.summary["real_images"], result.summary["synthetic_images"]) == (8, 8)
    assert result.trained_on == runs.cohort.training(0).patients_hash()


def test_pixels_are_standardised_by_training_images_and_a_control_by_synthetic_ones(runs):
    runs.expand()
    training = runs.cohort.training(0)
    made = cohort.load(runs.job("synthetic-only").input("expand"))
    for arm, seen in (("real+geca", training), ("synthetic-only", made)):
        job = runs.job(arm)
        plan = classify.prepare(job, training, classify.gather(job, training))[0].plan
        pixels = ImageSet(seen.samples).tensor(range(len(seen.samples)))
        assert plan.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist(), abs=1e-6)
        assert plan.deviation == pytest.approx(pixels.std(dim=(0, 2, 3)).tolist(), abs=1e-3)


def test_test_patients_change_nothing_of_the_classifier(trained, runs):
    """Neither their pictures nor their labels are looked at before the end."""
    changed = []
    for s in runs.cohort.samples:
        if s.fold == 0:
            images.write_png(s.image, np.full((SIZE, SIZE, 3), 7, np.uint8))
            s = replace(s, labels=(1, 1))
        changed.append(s)
    cohort.save(runs.job("real").input("ingest"), Cohort(FACTS, tuple(changed)))
    _, first, _ = trained
    second, _ = runs.train("real")
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()
    assert (first / "predictions.csv").read_bytes() != (second / "predictions.csv").read_bytes()


def test_the_kept_step_is_the_best_on_the_selection_patients(trained):
    _, out, result = trained
    looks = {line["step"]: line["score"] for line in log.load(out)}
    assert len(looks) == 3
    assert result.summary["best_step"] == max(looks, key=lambda step: looks[step])


def test_without_selection_patients_the_last_step_is_kept_and_that_is_said(tmp_path):
    _, result = Runs(tmp_path, replace(FACTS, selection={})).train("real")
    assert result.summary["best_step"] is None
    assert any("no selection patients" in note for note in result.notes)


def test_batch_norm_fits_the_weights_that_are_kept(trained):
    """Its means are those of the material under the final weights, not what training left there."""
    runs, out, _ = trained
    model = classifier.load(out)
    job = runs.job("real")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    classify.calibrate(job, model, classify.gather(job, runs.cohort.training(0)))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=name)


def test_a_classifier_learns_the_images_it_is_shown(runs):
    out, _ = runs.train("real", QUICK.model_copy(update={"steps": 12, "evaluate_every": 12, "learning_rate": 3e-3}))
    shown, model = runs.cohort.training(0).samples, classifier.load(out)
    said = model.probabilities(classify.logits_of(model, ImageSet(shown), "cpu"))
    assert macro_auc(Rated("image", np.array([s.labels for s in shown]), said.numpy())) == 1
    losses = [line["loss"] for line in log.load(out)]
    assert losses[-1] < losses[0] / 2


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: replace(s, label_source="s00"), "labels of s00, which the fold does not train on"),  # a test patient
        (lambda s: replace(s, label_source="s20"), "labels of s20, which the fold does not train on"),  # of selection
        (lambda s: replace(s, label_source=""), "labels of none"),
        (lambda s: replace(s, labels=(1, 1)), "other labels than"),
    ],
)
def test_an_expansion_with_labels_from_elsewhere_is_refused(runs, change, said):
    runs.expand(lambda s: change(s) if s.sample == "s04-geca-0" else s)
    with pytest.raises(Refused, match=said) as refusal:
        runs.train("real+geca")
    assert refusal.value.hint == "medsynth expand --model geca --fold 0 --force"
    assert refusal.value.exit_code == 4


def test_a_real_image_among_the_synthetic_ones_is_refused(runs):
    runs.expand(lambda s: replace(s, origin="real", fold=1, patient="P01") if s.sample == "s04-geca-0" else s)
    with pytest.raises(Refused):
        runs.train("synthetic-only")


def test_an_expansion_of_another_cohort_is_refused(runs):
    other = replace(runs.cohort, facts=replace(FACTS, labels=("bars", "spots")))
    expand(runs.directory.artifact("expand", 0, "geca").folder, other.training(0))
    with pytest.raises(Refused, match="labels is"):
        runs.train("real+geca")


def test_an_arm_without_its_expansion_says_which_step_is_missing(runs):
    job = replace(runs.job("real+geca"), inputs=runs.job("real").inputs)
    with pytest.raises(MissingStep, match=r"real\+geca"):
        classify.run(job)


@pytest.mark.parametrize("arm", ["reel", "", "synthetic", "geca"])
def test_a_word_that_is_no_arm_is_named(runs, arm):
    with pytest.raises(BadUsage, match=f"no arm '{arm}'"):
        arms.named(arm, "geca")


def test_training_by_the_clock_is_refused_because_arms_could_not_be_compared(runs):
    with pytest.raises(BadUsage, match="equally many steps"):
        runs.train("real", QUICK.model_copy(update={"minutes": 1.0}))


def test_a_fold_without_training_images_is_said(runs):
    with pytest.raises(BadData, match="no images to test on"):
        classify.run(replace(runs.job("real"), fold=7))


def test_weights_of_another_fold_are_refused(runs, tmp_path):
    """A classifier that was trained in this run for another fold has seen this fold's test patients."""
    trained, _ = runs.train("real")
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.safetensors").write_bytes((trained / "weights.safetensors").read_bytes())
    (other / "stage.json").write_text('{"trained_on": "of other patients"}')
    start = QUICK.model_copy(update={"weights": str(other / "weights.safetensors")})
    with pytest.raises(Refused, match="other patients"):
        runs.train("real", start)
