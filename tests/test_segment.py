"""medsynth segment learns on training patients, chooses on selection patients, and is tested on unseen ones."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import LABELS, copied
from shell import done, medsynth

from medsynth import recipe as recipes
from medsynth import variants
from medsynth.artifacts import cohort, files, log, scores, segmentations
from medsynth.data import png
from medsynth.errors import BadUsage
from medsynth.job import Job
from medsynth.metrics import masks
from medsynth.rundir import RunDirectory
from medsynth.segmenters.medsegdiffnca.config import Config
from medsynth.stages import segment

NAMES = variants.names("segmenters")
QUICK = {"steps": 3, "batch_size": 4, "warmup_steps": 0, "log_every": 1, "selection_images": 4, "tested_images": 4}
OF_KIND = {
    "unet": {"size": "tiny"},
    "direct": {"channels": 16, "hidden": 16, "rollouts": [2, 2], "ensemble": 2},
    "medsegdiffnca": {"size": "small", "rollout": 2, "sampling_steps": 2, "ensemble": 2},
}


def quick(name: str, **more: object) -> list[str]:
    settings = QUICK | OF_KIND[variants.named("segmenters", name).kind] | more
    return [word for key, value in settings.items() for word in ("--set", f"segment.{name}.{key}={value}")]


@pytest.fixture(scope="module")
def trained(pristine: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """`direct` and `unet` in fold 0, all test images. To be read only."""
    run = copied(pristine, tmp_path_factory.mktemp("trained") / "run")
    for name in ("direct", "unet"):
        done("segment", "--run", run.root, "--fold", 0, "--variant", name, *quick(name, tested_images=0))
    return run


def job(run: RunDirectory, name: str, out: Path, **changes: object) -> Job:
    recipe = recipes.parse("", quick(name)[1::2])
    settings = recipe.settings("segment", name).model_copy(update=changes)
    out.mkdir(parents=True)
    return Job(recipe, (run.artifact("ingest"),), out, 0, name, lambda _name, _done, _total: None, settings=settings)


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_learns_is_tested_and_scored_by_its_name(name: str, ingested: RunDirectory) -> None:
    found = done("segment", "--variant", name, "--fold", 0, "--json", "--run", ingested.root, *quick(name)).json
    summary = found["results"][0]["summary"]
    folder = ingested.artifact("segment", 0, name).folder
    assert 0 <= scores.load(folder)["image.dice"].value <= 1
    assert summary["parameters"] > 0
    assert summary["mega_macs_per_image"] > 0
    assert summary["seconds_per_image"] > 0
    assert len(segmentations.load(folder)) == summary["tested"] == 4
    random = summary["runs"] > 1
    assert random == (not name.startswith("unet"))
    assert ("image.nqm" in scores.load(folder)) == random
    assert medsynth("status", "--run", ingested.root).code == 0


def test_only_patients_that_nothing_has_seen_are_tested_and_each_image_once(trained: RunDirectory) -> None:
    everyone = cohort.load(trained.artifact("ingest").folder)
    for name in ("direct", "unet"):
        rows = segmentations.load(trained.artifact("segment", 0, name).folder)
        assert [row.sample for row in rows] == [s.sample for s in everyone.testing(0).samples if s.mask]
        assert not {row.patient for row in rows} & set(everyone.training(0).patients())


def test_the_numbers_on_file_are_those_of_the_masks_on_file(trained: RunDirectory) -> None:
    true = {s.sample: s.mask for s in cohort.load(trained.artifact("ingest").folder).samples}
    folder = trained.artifact("segment", 0, "direct").folder
    rows = segmentations.load(folder)
    for row in rows:
        mask, truth = (
            png.read(path)[..., 0] > 127 for path in (folder / "masks" / f"{row.sample}.png", true[row.sample])
        )
        assert row.dice == pytest.approx(masks.dice(mask, truth), abs=1e-5)
        assert row.hd95 == pytest.approx(masks.hd95(mask, truth), rel=1e-5)
        assert (row.area, row.true_area) == pytest.approx((mask.mean(), truth.mean()), abs=1e-5)
    found = scores.load(folder)
    assert found["image.dice"].value == pytest.approx(np.mean([row.dice for row in rows]), abs=1e-5)
    assert found["image.failed"].value == np.mean([row.dice < 0.8 for row in rows])
    assert found["image.dice.mean"].value == pytest.approx(found["image.dice"].value, abs=1e-9)
    with_lesion = [row for row in rows if row.true_area]
    assert found["image.without_lesion"].value == len(rows) - len(with_lesion)
    assert found["image.dice_lesions"].value == pytest.approx(np.mean([row.dice for row in with_lesion]), abs=1e-5)
    assert found["image.dice_lesions"].n == len(with_lesion)


def test_an_image_without_a_mask_is_left_out_with_a_note_and_no_stranger_is_reported(
    drawn: Path, tmp_path: Path
) -> None:
    """A patient of whom no image has a mask is a training patient all the same."""
    with drawn.open(newline="") as file:
        rows = list(csv.DictReader(file))
    some = drawn.parent / "some.csv"
    without = {row["patient"] for row in rows if row["patient"] < sorted({r["patient"] for r in rows})[3]}
    with some.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"mask": "" if row["patient"] in without else row["mask"]} for row in rows)
    words = ("--labels", LABELS, "--mask", "mask", "--image-size", 32, "--folds", 2)
    run = RunDirectory(tmp_path / "run")
    done("ingest", some, "--run", run.root, *words)
    done("segment", "--run", run.root, "--fold", 0, "--variant", "unet", *quick("unet"))
    record = run.artifact("segment", 0, "unet").record()
    everyone = cohort.load(run.artifact("ingest").folder)
    assert any(s.patient in without for s in everyone.training(0).samples)
    assert record["trained_on"] == everyone.training(0).patients_hash()
    missing = sum(row["patient"] in without for row in rows)
    note = f"{missing} of {len(rows)} images have no mask and are left out; name a black one where there is no lesion."
    assert note in record["notes"]


def test_test_patients_change_neither_weights_nor_threshold(drawn: Path, trained: RunDirectory, tmp_path: Path) -> None:
    """Their masks are turned inside out, and nothing but their scores is different."""
    everyone = cohort.load(trained.artifact("ingest").folder)
    source = shutil.copytree(drawn.parent, tmp_path / "clinic") / drawn.name
    tested = {s.sample for s in everyone.testing(0).samples}
    with source.open(newline="") as file:
        places = {Path(row["image"]).stem: source.parent / row["mask"] for row in csv.DictReader(file)}
    for sample, place in places.items():
        if sample in tested:
            place.write_bytes(png.encode(255 - png.read(place)))
    words = ("--labels", LABELS, "--mask", "mask", "--image-size", 32, "--mirror", "--folds", 2)
    done("ingest", source, "--run", tmp_path / "run", *words)
    done("segment", "--run", tmp_path / "run", "--fold", 0, "--variant", "unet", *quick("unet", tested_images=0))
    ours, theirs = (r.artifact("segment", 0, "unet").folder for r in (trained, RunDirectory(tmp_path / "run")))
    for same in ("weights.safetensors", "facts.json"):
        assert (ours / same).read_bytes() == (theirs / same).read_bytes()
    assert scores.load(ours)["image.dice"].value != scores.load(theirs)["image.dice"].value


@pytest.mark.parametrize("name", ["direct", "multicbam"])
def test_a_segmenter_that_was_cut_off_goes_on_to_the_same_bytes(
    name: str, pristine: RunDirectory, tmp_path: Path
) -> None:
    def cut_off(_name: str, done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    whole, broken = (job(pristine, name, tmp_path / place, checkpoint_seconds=0) for place in ("whole", "broken"))
    segment.run(whole)
    with pytest.raises(KeyboardInterrupt):
        segment.run(replace(broken, progress=cut_off))
    assert not (broken.out / "masks.csv").exists()
    segment.run(broken)
    assert [line["step"] for line in log.load(broken.out)] == [1, 2, 3]
    found = {p.relative_to(whole.out) for p in whole.out.rglob("*") if p.is_file()}
    written = {p for p in found if not p.as_posix().startswith((".", "log.jsonl"))}  # these tell seconds
    assert len(written) > 10
    for path in written:
        assert (whole.out / path).read_bytes() == (broken.out / path).read_bytes(), path


def test_variants_live_side_by_side_and_what_is_done_is_left_alone(trained: RunDirectory, tmp_path: Path) -> None:
    run = copied(trained, tmp_path / "run")
    again = done("segment", "--variant", "direct", "--variant", "unet", "--fold", 0, "--json", "--run", run.root)
    assert set(again.states().values()) == {"up to date"}
    more = done("segment", "--variant", "unet", "--steps", 4, "--fold", 0, "--json", "--run", run.root)
    assert more.states() == {"fold-0/segment/unet": "done"}
    assert recipes.parse(run.recipe_text()).settings("segment", "unet").steps == 4
    assert recipes.parse(run.recipe_text()).settings("segment", "direct").steps == 3


def test_a_cohort_without_masks_is_refused_with_what_to_type(drawn: Path, tmp_path: Path) -> None:
    bare = drawn.parent / "bare.csv"
    with drawn.open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "mask"} for row in csv.DictReader(file)]
    with bare.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done("ingest", bare, "--run", tmp_path / "run", "--labels", LABELS, "--image-size", 16, "--folds", 2)
    refused = medsynth("segment", "--run", tmp_path / "run")
    assert refused.code == 3
    assert "no masks" in refused.err
    assert "--mask COLUMN" in refused.hint


def test_the_forecast_says_how_long_and_writes_nothing(ingested: RunDirectory) -> None:
    found = done("segment", "--dry-run", "--json", "--fold", 0, "--run", ingested.root, *quick("multi"))
    (entry,) = found.json["dry_run"]
    assert entry["steps"] == 3
    assert entry["parameters"] > 0
    assert not ingested.artifact("segment", 0, "multi").folder.parent.exists()


def test_compat_is_as_published_whatever_the_run_s_preset() -> None:
    recipe = recipes.parse("[segment.multi-compat]\nsteps = 7")
    settings = recipe.settings("segment", "multi-compat")
    assert (settings.steps, settings.variant) == (7, "multi")
    assert {key: getattr(settings, key) for key in Config.PARITY} == Config.PARITY
    assert not settings.augment
    assert recipe.settings("segment", "multi").frozen
    assert recipe.settings("segment", "cbam").variant == "cbam"
    assert recipes.parse(recipes.dump(recipe)) == recipe


def test_a_name_that_its_settings_contradict_is_refused() -> None:
    with pytest.raises(BadUsage, match="by its name it is multi") as refused:
        recipes.parse("[segment.multi]\nvariant = 'cbam'")
    assert refused.value.hint == "[segment.cbam]"
    with pytest.raises(BadUsage, match="there is no segmenter 'mutli'") as refused:
        recipes.parse("", ["segment.kind=mutli"])
    assert refused.value.hint == "did you mean multi?"


def test_a_segmenter_s_facts_say_its_threshold_and_how_runs_are_combined(trained: RunDirectory) -> None:
    facts = files.read_json(trained.artifact("segment", 0, "direct").folder / "facts.json")
    assert 0 < facts["threshold"] < 1
    assert (facts["combine"], facts["variant"], facts["channels"]) == ("mean", "direct", 3)


def test_the_report_shows_what_each_segmenter_found_and_its_worst_masks(trained: RunDirectory, tmp_path: Path) -> None:
    run = copied(trained, tmp_path / "run")
    done("report", "--run", run.root)
    page = (run.artifact("report").folder / "index.html").read_text(encoding="utf-8")
    section = page.partition('id="masks"')[2].partition("</section>")[0]
    for name in ("direct", "unet"):
        found = scores.load(run.artifact("segment", 0, name).folder)
        assert f'<td class="num">{found["image.dice"].value:.3f}<small>' in section
        rows = segmentations.load(run.artifact("segment", 0, name).folder)
        assert f"{min(row.dice for row in rows):.2f}" in section
    assert "automaton without diffusion" in section
    assert section.count("deviation of the runs") == 6  # of the one whose runs differ
    assert section.count("true mask") == 12
    areas = [row.true_area for row in segmentations.load(run.artifact("segment", 0, "unet").folder)]
    row = section.partition("whole image marked")[2].partition("</tr>")[0]
    assert f'<td class="num">{np.mean([2 * area / (1 + area) for area in areas]):.3f}<small>' in row
    assert f'<td class="num">{np.mean(areas):.3f}<small>' in row
    assert f'<td class="num">{sum(area == 0 for area in areas)}</td>' in row
    record = run.artifact("segment", 0, "unet").record()
    assert f"{record['summary']['peak_megabytes_of_one']:.3g} MB</td>" in section
    sample = cohort.load(run.artifact("ingest").folder).testing(0).samples[0]
    assert sample.sample not in section


def test_a_report_of_a_run_without_masks_has_no_such_section(ingested: RunDirectory) -> None:
    done("report", "--run", ingested.root)
    assert 'id="masks"' not in (ingested.artifact("report").folder / "index.html").read_text(encoding="utf-8")


def test_epochs_are_of_the_real_images_so_that_all_arms_take_as_many_steps(trained: RunDirectory) -> None:
    everyone = cohort.load(trained.artifact("ingest").folder)
    real = everyone.training(0)
    settings = recipes.parse("[segment.direct]\nepochs = 6\nbatch_size = 4").settings("segment", "direct")
    steps = []
    for synthetic in ((), real.samples * 5):
        parts = segment.Parts(real, real, real, "", 0, synthetic)
        lasting = segment._lasting(SimpleNamespace(settings=settings), parts)  # type: ignore[arg-type]
        steps.append(lasting.steps_over(len(parts.learned)))
    assert steps[0] == steps[1] == round(6 * len(real.samples) / 4)
