"""The report says whether synthetic images made segmenters better, and claims no more than the masks show."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_evidence import compare
from drawn_run import ARMS, DrawnRun, write_log
from PIL import Image
from test_report_evidence import named
from test_report_leak import mark

from medsynth.artifacts import cohort, files, scores, segmentations
from medsynth.artifacts.scores import Score
from medsynth.artifacts.segmentations import Found
from medsynth.report import leaks, machine, masks, papers
from medsynth.report.checklist import points
from medsynth.report.collect import collect
from medsynth.report.page import render

PLAIN, HELPED = "unet", "unet+geca"
Dice = Callable[[np.random.Generator], float]


def with_masks(root: Path) -> DrawnRun:
    """A run of 24 patients with a lesion in each image, and with synthetic images."""
    run = DrawnRun(root, patients=tuple(f"patient-{i:02d}" for i in range(24))).ingest()
    folder = run.run.artifact("ingest").folder
    known = cohort.load(folder)
    square = np.zeros((16, 16), dtype=np.uint8)
    square[4:8, 4:8] = 255
    (folder / "masks").mkdir()
    for sample in known.samples:
        Image.fromarray(square).save(folder / "masks" / f"{sample.sample}.png")
    masked = tuple(replace(s, mask=folder / "masks" / f"{s.sample}.png") for s in known.samples)
    cohort.save(folder, replace(known, samples=masked))
    for fold in range(3):
        run.train("codec", "kl", fold).train("generator", "geca", fold).expand(fold)
    return run


def segment(run: DrawnRun, fold: int, kind: str, gain: float = 0.0, spread: float = 0.02, steps: int = 60) -> None:
    """The Dice of each test image by chance, the same for every segmenter but for its gain, more or less."""
    artifact = run.run.artifact("segment", fold, kind)
    folder = artifact.scratch("0f")
    (folder / "masks").mkdir(parents=True)
    (folder / "deviations").mkdir()
    dice, own = np.random.default_rng(fold), np.random.default_rng([fold, *kind.encode()])
    rows = []
    for sample in cohort.load(run.run.artifact("ingest").folder).testing(fold).samples:
        fits = float(np.clip(dice.uniform(0.4, 0.6) + gain + own.normal(0, spread), 0, 1))
        rows.append(
            Found(sample.sample, sample.patient, sample.eye, fold, 0.06, 0.06, fits, fits / (2 - fits), 3.0, None)
        )
        for name in ("masks", "deviations"):
            Image.new("L", (16, 16)).save(folder / name / f"{sample.sample}.png")
    write_log(folder, 0.7)
    segmentations.save(folder, rows)
    mean = float(np.mean([row.dice for row in rows]))
    scores.save(folder, {"image.dice": Score(mean, len(rows), "image", mean - 0.1, mean + 0.1)})
    record = {"summary": {"steps": steps, "dice": mean}, "settings": {"steps": steps, "failure": 0.8, "kind": "unet"}}
    run.publish(artifact, "0f", record, trained=fold)


def compared(tmp_path: Path, gain: float, folds: int = 3, generators: tuple[str, ...] = ("geca",)) -> DrawnRun:
    run = with_masks(tmp_path / "run")
    for fold in range(folds):
        segment(run, fold, PLAIN)
        for generator in generators:
            segment(run, fold, f"{PLAIN}+{generator}", gain if generator == "geca" else 0.0)
    return run


def top(run: DrawnRun) -> str:
    return render(run.artifacts()).html.partition("<nav>")[0]


@pytest.mark.parametrize(
    ("gain", "folds", "headline", "verdict"),
    [
        (0.1, 3, "Synthetic images made the masks better in this run.", "Yes, in this run."),
        (0.1, 2, "may have made the masks better; 2 folds cannot settle it.", "Perhaps; not settled."),
        (0.0, 3, "are not shown to make masks better.", "Not shown."),
        (-0.1, 1, "may have made the masks worse; 1 fold cannot settle it.", "Perhaps they harm; not settled."),
        (-0.1, 3, "Synthetic images made the masks worse.", "No, they harm."),
    ],
)
def test_the_first_page_answers_for_segmenters_where_these_are_what_was_trained(
    tmp_path: Path, gain: float, folds: int, headline: str, verdict: str
) -> None:
    run = compared(tmp_path, gain, folds)
    said, (helped, like, new), (gained,) = leaks.first_page(collect(run.artifacts()))
    assert headline in said.headlines[0]
    assert (helped.key, helped.verdict, like.key, new.key) == ("masks", verdict, "like", "new")
    assert gained.dice.difference == pytest.approx(gain, abs=0.02)
    assert ("cannot settle anything" in said.caution) == (folds < 3)
    first = top(run)
    assert "make a segmenter better on patients" in first
    assert "The same segmenter was trained on real images with and without" in first
    assert "medsynth classify" not in first
    assert "fold-*/segment/*/masks.csv" in first
    assert f"Tested on {16 * folds} images of {8 * folds} patients." in first


def test_the_numbers_are_those_of_the_masks_both_were_tested_on(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.03, folds=2)
    of = run.run.artifact("segment", 1, HELPED).folder
    rows = segmentations.load(of)
    segmentations.save(of, rows[:10])
    (gain,) = masks.gains(collect(run.artifacts()))
    known = [segmentations.load(run.run.artifact("segment", fold, PLAIN).folder) for fold in (0, 1)]
    ours = [segmentations.load(run.run.artifact("segment", fold, HELPED).folder) for fold in (0, 1)]
    theirs = [row for of in known for row in of if row.sample in {r.sample for some in ours for r in some}]
    without, with_ = (np.mean([row.dice for row in some]) for some in (theirs, [r for some in ours for r in some]))
    assert gain.images == 26
    assert gain.reached == pytest.approx((without, with_))
    assert gain.changes["dice"].value == pytest.approx(with_ - without)
    assert gain.changes["dice_lesions"] == gain.changes["dice"]  # every image has a lesion


def test_only_segmenters_that_were_trained_alike_are_compared(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    segment(run, 2, HELPED, 0.1, steps=90)
    found = collect(run.artifacts())
    (gain,) = masks.gains(found)
    assert gain.folds == (0, 1)
    (sentence,) = masks.unlike(found)
    assert "segment unet+geca, fold 2" in sentence
    assert "steps 90, not 60" in sentence
    assert "steps 90, not 60" in render(run.artifacts()).html


def test_with_several_generators_each_is_named_and_chances_are_adjusted(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1, generators=("geca", "ldm"))
    said, (helped, *_), gained = leaks.first_page(collect(run.artifacts()))
    assert said.headlines == (
        "Synthetic images by GeCA made the masks better in this run.",
        "Synthetic images by LDM are not shown to make masks better.",
    )
    assert helped.verdict == "GeCA: yes, in this run."
    assert [line.name for line in helped.lines] == ["GeCA", "LDM"]
    good = next(gain for gain in gained if gain.kind == HELPED)
    assert good.holm_p == pytest.approx(2 * good.changes["dice"].permutation_p)
    assert "adjusted for 2 declared comparisons" in render(run.artifacts()).html


def test_classifiers_and_segmenters_are_both_answered_for(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        for arm in ARMS:
            run.classify(fold, arm)
    compare(run)
    said, parts, _ = leaks.first_page(collect(run.artifacts()))
    assert [part.key for part in parts] == ["help", "masks", "like", "new"]
    assert said.headlines[-1] == "Synthetic images made the masks better in this run."
    assert len(said.headlines) == 2
    first = top(run)
    for what in ("classifier", "segmenter"):
        assert f"The same {what} was trained on real images with and without" in first
    assert first.count('<figure class="hero">') == 2


def test_nothing_is_claimed_of_masks_from_what_may_have_seen_tested_patients(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        mark(run.run.artifact("segment", fold, HELPED), f"expand geca, fold {fold}")
    said, (helped, *_), gained = leaks.first_page(collect(run.artifacts()))
    assert said == leaks.VOID_ANSWER
    assert (helped.verdict, helped.lines, gained) == (leaks.VOID, (), ())
    assert "made the masks better" not in top(run)


def test_segmenters_without_synthetic_images_are_said_to_answer_nothing_yet(tmp_path: Path) -> None:
    run = with_masks(tmp_path / "run")
    segment(run, 0, PLAIN)
    said, (helped, *_), _ = leaks.first_page(collect(run.artifacts()))
    assert said.headlines == ("No answer yet.",)
    assert said.sentences[0] == masks.NO_ANSWER.sentences[0]
    dice = json.loads((run.run.artifact("segment", 0, PLAIN).folder / "scores.json").read_text())["image.dice"]["value"]
    assert said.sentences[1] == (
        f"Segmenters that learned from real images alone reach, on test images, a mean Dice of {dice:.3f} (U-Net)."
    )
    assert helped.command == "medsynth segment --arms real,real+geca"


def test_programs_read_the_same_of_masks_without_names_of_patients(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    page = render(run.artifacts())
    told = json.loads(json.dumps(machine.facts(page.found, page.answer, page.parts)))
    (gain,) = told["mask_comparisons"]
    assert (gain["kind"], gain["images"], gain["folds"]) == (HELPED, 48, [0, 1, 2])
    assert gain["changes"]["dice"]["low"] > 0
    assert told["questions"]["masks"]["measured"]
    assert told["segmenters"][HELPED]["0"]["scores"]["image.dice"]["n"] == 16
    assert "patient-0" not in json.dumps(told)


def test_the_table_for_papers_is_of_segmenters_where_there_are_no_classifiers(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    found = collect(run.artifacts())
    head, plain, helped = csv.reader(io.StringIO(papers.table(found, "csv")))
    assert head == ["Segmenter", "Dice", "parameters", "p, Dice", "p, Dice, Holm"]
    dice = [found.one("segment", PLAIN, fold).scores["image.dice"].value for fold in range(3)]  # type: ignore[union-attr]
    assert plain == ["U-Net", f"{100 * np.mean(dice):.2f} ± {100 * np.std(dice, ddof=1):.2f}", "–", "–", "–"]
    assert helped[0] == "U-Net + GeCA"
    assert helped[3:] == ["< 0.001", "< 0.001"]


def test_the_checklist_training_and_words_know_segmenters(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    filled = {item.number: item for group in points.groups(collect(run.artifacts())) for item in group.items}
    assert "U-Net + GeCA" in filled[22].said
    assert "60 steps" in filled[25].said
    assert filled[28].said.startswith("Of the mask of each image: Dice")
    assert "Holm" in filled[29].said
    dice = re.search(r"U-Net (0\.\d{3}) \(", filled[36].said)
    assert dice
    assert float(dice[1]) == pytest.approx(masks.gains(collect(run.artifacts()))[0].reached[0], abs=6e-4)
    assert filled[38].said.startswith("Each segmenter was trained once in each of 3 folds. Others")
    html = render(run.artifacts()).html
    assert "The segmenters" in html
    assert "learned to mask what was marked" in html
    one = with_masks(tmp_path / "one")
    segment(one, 0, PLAIN)
    (limits,) = (i for group in points.groups(collect(one.artifacts())) for i in group.items if i.number == 38)
    assert "1 fold, fewer than 3" in limits.said


def test_every_file_that_a_number_of_masks_is_said_to_be_from_is_in_the_run(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    (run.root / "recipe.toml").write_text("")
    names = named(render(run.artifacts()).html)
    assert masks.SOURCE in names
    for name in set(names):
        assert [*run.root.glob(name.rstrip("/") if "/" in name else f"**/{name}")], name


def changed(run: DrawnRun, fold: int, kind: str, **record: object) -> None:
    file = run.run.artifact("segment", fold, kind).folder / "stage.json"
    files.write_json(file, files.read_json(file) | record)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"trained_on": "0" * 64}, "they learned from other patients"),
        ({"summary": {"steps": 90}}, "90 steps were taken, not 60"),
    ],
)
def test_what_learned_from_others_or_for_longer_is_compared_with_nothing_and_that_is_said(
    tmp_path: Path, record: dict[str, object], why: str
) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        changed(run, fold, HELPED, **record)
    said, (helped, *_), gained = leaks.first_page(collect(run.artifacts()))
    assert gained == ()
    assert said.headlines == masks.NO_ANSWER.headlines
    assert helped.verdict == "Cannot be told."
    assert why in helped.standing
    assert "Some of what is shown here is out of date" not in top(run)
    assert f"segment unet+geca, fold 0 cannot be compared with segment unet, fold 0 ({why})" in top(run)


def test_how_many_were_tested_is_no_other_training(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    changed(run, 0, HELPED, settings={"steps": 60, "failure": 0.7, "kind": "unet", "tested_images": 4})
    assert masks.gains(collect(run.artifacts()))[0].folds == (0, 1, 2)


def test_one_tested_patient_a_fold_proves_nothing(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        folder = run.run.artifact("segment", fold, HELPED).folder
        rows = segmentations.load(folder)
        segmentations.save(folder, [row for row in rows if row.patient == rows[0].patient])
    _, (helped, *_), gained = leaks.first_page(collect(run.artifacts()))
    assert gained == ()
    assert "fewer than 2 of the fold's patients" in helped.standing


def test_two_tested_patients_a_fold_settle_nothing(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        folder = run.run.artifact("segment", fold, HELPED).folder
        rows = segmentations.load(folder)
        segmentations.save(folder, [row for row in rows if row.patient in {rows[0].patient, rows[-1].patient}])
    found = collect(run.artifacts())
    (gain,) = masks.gains(found)
    assert gain.patients == 6
    assert gain.holm_p >= 2 / 2**6
    assert gain.dice.verdict == ("higher" if gain.holm_p < 0.05 else "perhaps higher")


def test_where_no_tested_image_has_a_lesion_there_is_no_such_score(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        for kind in (PLAIN, HELPED):
            folder = run.run.artifact("segment", fold, kind).folder
            segmentations.save(folder, [replace(row, true_area=0.0) for row in segmentations.load(folder)])
    page = render(run.artifacts())
    files.write_json(tmp_path / "report.json", machine.facts(page.found, page.answer, page.parts))
    (gain,) = files.read_json(tmp_path / "report.json")["mask_comparisons"]
    assert [*gain["changes"]] == ["dice", "iou"]


def test_the_classifier_that_sees_images_for_the_audit_makes_no_page_about_classifiers(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        run.classify(fold, "real")
    found = collect(run.artifacts())
    _, parts, _ = leaks.first_page(found)
    assert [part.key for part in parts] == ["masks", "like", "new"]
    assert "make a segmenter better on patients" in top(run)
    assert papers.table(found, "csv").startswith("Segmenter,")


def test_a_void_answer_about_classifiers_stands_beside_a_valid_one_about_masks(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        for arm in ARMS:
            run.classify(fold, arm)
            mark(run.run.artifact("classify", fold, arm), f"expand geca, fold {fold}")
    compare(run)
    mark(run.run.artifact("compare"), "classify real+geca, fold 0")
    said, (helped, of_masks, *_), _ = leaks.first_page(collect(run.artifacts()))
    assert said.headlines[0].startswith("No valid answer for classifiers")
    assert said.headlines[1] == "Synthetic images made the masks better in this run."
    assert (helped.verdict, of_masks.verdict) == (leaks.VOID, "Yes, in this run.")


def test_both_tables_for_papers_can_be_had(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for arm in ARMS:
        run.classify(0, arm)
    found = collect(run.artifacts())
    assert papers.table(found, "csv").startswith("Trained on,")
    assert papers.table(found, "csv", of_masks=True).startswith("Segmenter,")


def test_with_several_segmenters_each_is_named(tmp_path: Path) -> None:
    run = compared(tmp_path, 0.1)
    for fold in range(3):
        segment(run, fold, "multi")
        segment(run, fold, "multi+geca", 0.1)
    said, (helped, *_), _ = leaks.first_page(collect(run.artifacts()))
    both = ("GeCA for Multi-MedSegDiffNCA", "GeCA for U-Net")
    assert said.headlines == (f"Synthetic images by {both[0]} and {both[1]} made the masks better in this run.",)
    assert sorted(line.name for line in helped.lines) == [*both]
    assert "24 patients" in helped.lines[0].note
