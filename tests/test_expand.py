"""Synthetic images: as many as asked for, with exactly the labels of the training images, each from its own seed."""

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import copied
from shell import contents, done

from medsynth import codecs, generators, interrupt, pipeline
from medsynth import recipe as recipes
from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import NO_FOLD, Cohort
from medsynth.cost import Spent
from medsynth.data import images, png
from medsynth.data.loading import labels_of
from medsynth.draws import row_draws
from medsynth.errors import DiskFailed
from medsynth.job import Job
from medsynth.rundir import RunDirectory
from medsynth.sampling import Sampling
from medsynth.sections import Expand
from medsynth.stages import expand


def training(run: RunDirectory, fold: int) -> Cohort:
    return cohort.load(run.artifact("ingest").folder).training(fold)


def synthetic(run: RunDirectory, fold: int) -> Cohort:
    return cohort.load(run.artifact("expand", fold, "geca").folder)


def job(run: RunDirectory, fold: int, out: Path, **changes: Any) -> Job:
    recipe = recipes.parse(run.recipe_text())
    inputs = (run.artifact("ingest"), run.artifact("codec", fold, "kl"), run.artifact("generator", fold, "geca"))
    return Job(recipe, inputs, out, fold, "geca", lambda *_: None, settings=recipe.expand.model_copy(update=changes))


@pytest.mark.parametrize("factor", [1, 3])
def test_every_label_vector_is_there_exactly_factor_times_as_often(expanded: RunDirectory, factor: int) -> None:
    """Elbatel et al. 2024, eq. 8."""
    done("expand", "--factor", factor, "--run", expanded.root)
    for fold in (0, 1):
        real = Counter(s.labels for s in training(expanded, fold).samples)
        made = Counter(s.labels for s in synthetic(expanded, fold).samples)
        assert made == {vector: factor * count for vector, count in real.items()}
        assert len(real) > 2  # the promise is about vectors, not about labels one by one


def test_every_synthetic_image_has_the_labels_of_the_training_image_it_names(finished: RunDirectory) -> None:
    for fold in (0, 1):
        whose = {s.sample: s for s in training(finished, fold).samples}
        made = synthetic(finished, fold)
        assert Counter(s.label_source for s in made.samples) == dict.fromkeys(whose, 2)
        assert all(s.labels == whose[s.label_source].labels for s in made.samples)
        assert {(s.origin, s.patient, s.fold) for s in made.samples} == {("synthetic", "", NO_FOLD)}


def test_every_image_of_the_manifest_is_there_and_no_other(finished: RunDirectory) -> None:
    folder = finished.artifact("expand", 0, "geca").folder
    made = synthetic(finished, 0)
    assert sorted(p.name for p in (folder / cohort.IMAGES).iterdir()) == sorted(s.image.name for s in made.samples)
    assert {png.read(s.image).shape for s in made.samples} == {(32, 32, 3)}


def test_both_totals_are_shown_and_kept(expanded: RunDirectory) -> None:
    real = len(training(expanded, 0).samples)
    shown = done("expand", "--factor", 3, "--fold", 0, "--run", expanded.root).out
    assert f"factor 3  synthetic {3 * real}  real {real}  together {4 * real}" in shown
    summary = expanded.artifact("expand", 0, "geca").record()["summary"]
    assert (summary["synthetic"], summary["real"], summary["together"]) == (3 * real, real, 4 * real)


def test_every_image_has_a_seed_of_its_own(finished: RunDirectory, tmp_path: Path) -> None:
    wanted = [
        w for fold in (0, 1) for w in expand.plan(job(finished, fold, tmp_path, factor=5), training(finished, fold))
    ]
    assert len({w.seed for w in wanted}) == len(wanted)


def test_a_larger_factor_adds_images_and_changes_none(finished: RunDirectory, tmp_path: Path) -> None:
    few, many = (expand.plan(job(finished, 0, tmp_path, factor=factor), training(finished, 0)) for factor in (2, 5))
    assert many[: len(few)] == few


@pytest.mark.parametrize("sampler", ["ddpm", "dpm++"])
def test_an_image_is_the_same_in_any_batch(finished: RunDirectory, tmp_path: Path, sampler: str) -> None:
    """Before rounding to 1e-4, in pixels of [-1, 1]."""
    job_of_fold = job(finished, 0, tmp_path, sampler=sampler)
    wanted = expand.plan(job_of_fold, training(finished, 0))[:12]
    model, codec = generators.load(job_of_fold.input("generator")), codecs.load(job_of_fold.input("codec"))

    def drawn(rows: slice) -> torch.Tensor:
        some = wanted[rows]
        sampling = Sampling.of(job_of_fold.settings)
        with torch.no_grad():
            return codec.decode(
                model.sample(labels_of([w.sample for w in some]), row_draws([w.seed for w in some]), sampling)
            )

    together = drawn(slice(0, 12))
    alone = torch.cat([drawn(slice(row, row + 1)) for row in range(12)])
    threes = torch.cat([drawn(slice(row, row + 3)) for row in range(0, 12, 3)])
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=0)
    torch.testing.assert_close(threes, together, atol=1e-4, rtol=0)


def test_stored_images_are_the_same_for_any_batch_size_to_one_grey_level(
    finished: RunDirectory, tmp_path: Path
) -> None:
    run = copied(finished, tmp_path / "run")
    done("expand", "--fold", 0, "--set", "expand.batch_size=7", "--run", run.root)
    for ours, theirs in zip(synthetic(run, 0).samples, synthetic(finished, 0).samples, strict=True):
        difference = png.read(ours.image).astype(int) - png.read(theirs.image)
        assert np.abs(difference).max() <= 1
        assert (ours.sample, ours.labels, ours.label_source) == (theirs.sample, theirs.labels, theirs.label_source)


def test_the_same_command_makes_the_same_bytes(expanded: RunDirectory) -> None:
    folder = expanded.artifact("expand", 0, "geca").folder
    before, made = contents(folder), (folder / "stage.json").stat().st_mtime_ns
    done("expand", "--fold", 0, "--force", "--run", expanded.root)
    after = contents(folder)
    assert (folder / "stage.json").stat().st_mtime_ns > made  # it was made again
    del before["stage.json"], after["stage.json"]  # knows how long it took
    assert after == before


def test_folds_and_seeds_have_images_of_their_own(finished: RunDirectory, tmp_path: Path) -> None:
    both = [s.sample for fold in (0, 1) for s in training(finished, fold).samples]
    shared = [name for name, count in Counter(both).items() if count == 2]
    seeds = {w.sample.sample: w.seed for w in expand.plan(job(finished, 0, tmp_path), training(finished, 0))}
    others = {w.sample.sample: w.seed for w in expand.plan(job(finished, 1, tmp_path), training(finished, 1))}
    assert not set(seeds.values()) & set(others.values())
    assert all(seeds[f"{name}-geca-0"] != others[f"{name}-geca-0"] for name in shared)


def test_every_setting_of_sampling_reaches_the_generator() -> None:
    settings = Expand(
        guidance=2.5, sampler="ddim", sampling_steps=7, updates=3, inherit="both", guidance_interval=(0.1, 0.9),
        guide="weaker", guide_updates=2, temperature=0.9, top_k=20, top_p=0.8, arithmetic="int8",
    )  # fmt: skip
    expected = Sampling(
        guidance=2.5, sampler="ddim", steps=7, updates=3, inherit="both", interval=(0.1, 0.9), guide="weaker",
        guide_updates=2, temperature=0.9, top_k=20, top_p=0.8, arithmetic="int8",
    )  # fmt: skip
    assert Sampling.of(settings) == expected
    assert all(value != getattr(Sampling(), name) for name, value in vars(expected).items())


def test_progress_counts_every_image(expanded: RunDirectory) -> None:
    seen: list[tuple[str, int, int]] = []
    options = pipeline.Options(force=True, progress=lambda name, count, total: seen.append((name, count, total)))
    pipeline.execute(expanded, recipes.parse(expanded.recipe_text()), "expand", folds=[0], options=options)
    count = len(synthetic(expanded, 0).samples)
    assert [entry[1] for entry in seen] == [*range(8, count, 8), count]
    assert {(entry[0], entry[2]) for entry in seen} == {("expand geca, fold 0", count)}


def drawn(job_of_fold: Job) -> dict[str, bytes]:
    """Let the stage draw into a folder; the bytes of every image."""
    job_of_fold.out.mkdir(exist_ok=True)
    expand.run(job_of_fold)
    return {path.name: path.read_bytes() for path in (job_of_fold.out / cohort.IMAGES).iterdir()}


def test_images_are_those_that_come_of_one_thing_after_the_other(finished: RunDirectory, tmp_path: Path) -> None:
    """While a batch is drawn, the one before is decoded and written: nobody sees that in the files."""
    job_of_fold = job(finished, 0, tmp_path / "out")
    wanted = expand.plan(job_of_fold, training(finished, 0))
    model, codec = generators.load(job_of_fold.input("generator")), codecs.load(job_of_fold.input("codec"))
    one_by_one = {}
    for first in range(0, len(wanted), 8):
        batch = wanted[first : first + 8]
        labels, draws = labels_of([w.sample for w in batch]), row_draws([w.seed for w in batch])
        with torch.no_grad():
            latents = model.sample(labels, draws, Sampling.of(job_of_fold.settings))
            pixels = images.to_pixels(codec.decode(latents))
        one_by_one |= {w.sample.image.name: png.encode(one) for w, one in zip(batch, pixels, strict=True)}
    assert drawn(job_of_fold) == one_by_one


@pytest.mark.parametrize("harm", [lambda b: b"", lambda b: b[:-20], lambda b: b[:90] + b"?" + b[91:]])
def test_a_file_that_a_power_cut_has_harmed_is_drawn_again(
    finished: RunDirectory, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    job_of_fold = job(finished, 0, tmp_path / "out")
    before = drawn(job_of_fold)
    harmed = sorted((job_of_fold.out / cohort.IMAGES).iterdir())[3]
    harmed.write_bytes(harm(harmed.read_bytes()))
    assert drawn(job_of_fold) == before


def test_a_disk_that_refuses_a_file_stops_the_work(finished: RunDirectory, tmp_path: Path) -> None:
    job_of_fold = job(finished, 0, tmp_path / "out")
    wanted = expand.plan(job_of_fold, training(finished, 0))
    in_the_way = wanted[9].sample.image
    in_the_way.mkdir(parents=True)
    with pytest.raises(DiskFailed, match=in_the_way.name):
        expand.run(job_of_fold)
    assert not (job_of_fold.out / cohort.MANIFEST).exists()
    assert not any(w.sample.image.exists() for w in wanted[24:])  # at most the batch that was being drawn came after
    in_the_way.rmdir()
    assert len(drawn(job_of_fold)) == len(wanted)


def test_a_stop_leaves_whole_batches_and_the_next_attempt_draws_the_others(
    finished: RunDirectory, tmp_path: Path
) -> None:
    whole = drawn(job(finished, 0, tmp_path / "whole"))
    told: list[int] = []

    def stop(_name: str, done_so_far: int, _total: int) -> None:
        told.append(done_so_far)
        signal.raise_signal(signal.SIGINT)

    stopped = replace(job(finished, 0, tmp_path / "out"), progress=stop)
    stopped.out.mkdir()
    with pytest.raises(interrupt.Interrupted), interrupt.listening():
        expand.run(stopped)
    left = sorted(p.name for p in (stopped.out / cohort.IMAGES).iterdir())
    assert told == [8]
    assert left == sorted(w.sample.image.name for w in expand.plan(stopped, training(finished, 0))[: len(left)])
    assert len(left) in (8, 16)
    again = job(finished, 0, tmp_path / "out")
    assert drawn(again) == whole
    assert Spent.together(again.out).images == len(whole)  # every attempt counts, and no image twice


def test_what_drawing_cost_is_shown_and_kept(expanded: RunDirectory) -> None:
    shown = done("expand", "--factor", 3, "--fold", 0, "--run", expanded.root).out
    summary = expanded.artifact("expand", 0, "geca").record()["summary"]
    assert summary["evaluations_per_image"] == 2 * 2  # steps, each with and without labels
    assert 0 < summary["network_seconds_per_image"] <= summary["seconds_per_image"]
    assert summary["network_share"] == pytest.approx(
        summary["network_seconds_per_image"] / summary["seconds_per_image"], abs=0.002
    )
    trained = expanded.artifact("generator", 0, "geca").record()["summary"]
    for key in ("parameters", "mega_macs_per_forward"):
        assert summary[key] == trained[key]
    assert summary["peak_process_megabytes"] > 0
    assert f"evaluations_per_image {summary['evaluations_per_image']:.4g}" in shown


def test_a_forecast_counts_labels_images_time_and_room(expanded: RunDirectory) -> None:
    before = contents(expanded.root)
    found = done("expand", "--factor", 4, "--fold", 1, "--dry-run", "--json", "--run", expanded.root).json["dry_run"]
    real = training(expanded, 1)
    assert [entry["name"] for entry in found] == ["expand geca, fold 1"]
    assert found[0]["state"] == "stale"
    assert (found[0]["real"], found[0]["synthetic"]) == (len(real.samples), 4 * len(real.samples))
    assert found[0]["labels"] == {name: 4 * count for name, count in real.counts().items()}
    assert found[0].keys() >= {"seconds_per_image", "minutes", "megabytes"}
    assert contents(expanded.root) == before
