"""Masks as one more channel: what learns the latents draws image and mask together, as one pair."""

import csv
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import LABELS, TINY, copied
from pictures import table
from shell import done, medsynth

from medsynth import codecs, generators, interrupt, kinds, pipeline
from medsynth import recipe as recipes
from medsynth.artifacts import cohort, latents, scores
from medsynth.artifacts.cohort import IMAGES, MASKS, Cohort
from medsynth.codecs import Picture
from medsynth.codecs.masks import mask_loss
from medsynth.data import images, png
from medsynth.data.loading import ImageSet, labels_of
from medsynth.draws import row_draws
from medsynth.job import Job
from medsynth.membership import Knower, draw_seeds
from medsynth.metrics import reconstruction
from medsynth.rundir import RunDirectory
from medsynth.sampling import Sampling
from medsynth.stages import expand

KINDS = ("geca", "ldm")
SHORT = [
    word
    for change in ("ldm.steps=2", "ldm.batch_size=4", "ldm.watch_images=2", "ldm.size=tiny")
    for word in ("--set", f"generator.{change}")
]


@pytest.fixture(scope="module")
def paired(pristine: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Fold 0 with masks: codec, latents, two generators and what they drew. To be read only."""
    run = copied(pristine, tmp_path_factory.mktemp("paired") / "run")
    for kind in KINDS:
        words = ("--model", kind, "--fold", 0, "--run", run.root)
        done("train-generator", "--with-masks", *words, *SHORT)
        done("expand", *words)
    return run


def training(run: RunDirectory) -> Cohort:
    return cohort.load(run.artifact("ingest").folder).training(0)


def synthetic(run: RunDirectory, kind: str) -> Cohort:
    return cohort.load(run.artifact("expand", 0, kind).folder)


def job(run: RunDirectory, out: Path, kind: str = "geca") -> Job:
    recipe = recipes.parse(run.recipe_text())
    inputs = (run.artifact("ingest"), run.artifact("codec", 0, "kl"), run.artifact("generator", 0, kind))
    out.mkdir(exist_ok=True)
    return Job(recipe, inputs, out, 0, kind, lambda *_: None, settings=recipe.expand)


def drawn(job_of_fold: Job) -> dict[str, bytes]:
    """Let the stage draw into a folder; the bytes of every image and mask."""
    expand.run(job_of_fold)
    paths = [path for name in (IMAGES, MASKS) for path in (job_of_fold.out / name).iterdir()]
    return {path.relative_to(job_of_fold.out).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("kind", KINDS)
def test_every_synthetic_image_has_a_mask_of_its_size_that_is_0_or_255(paired: RunDirectory, kind: str) -> None:
    made = synthetic(paired, kind).samples
    there = sorted(path.stem for path in (paired.artifact("expand", 0, kind).folder / MASKS).iterdir())
    assert there == sorted(s.sample for s in made)
    for s in made:
        assert s.mask is not None
        mask = png.read(s.mask)
        assert mask.shape == (32, 32, 1)
        assert png.read(s.image).shape == (32, 32, 3)
        assert set(np.unique(mask)) <= {0, 255}


@pytest.mark.parametrize("kind", KINDS)
def test_masks_change_no_count_and_no_label(paired: RunDirectory, kind: str) -> None:
    whose = {s.sample: s for s in training(paired).samples}
    made = synthetic(paired, kind).samples
    assert Counter(s.label_source for s in made) == dict.fromkeys(whose, 2)
    assert all(s.labels == whose[s.label_source].labels for s in made)


def test_a_manifest_tells_synthetic_masks_as_it_tells_real_ones(paired: RunDirectory) -> None:
    real, made = cohort.load(paired.artifact("ingest").folder), synthetic(paired, "geca")
    for of in (real, made):
        assert all(s.mask == s.image.parent.parent / MASKS / s.image.name for s in of.samples)
        assert all(s.mask and s.mask.is_file() for s in of.samples)


def test_image_and_mask_are_of_one_latent_and_the_mask_begins_halfway(paired: RunDirectory, tmp_path: Path) -> None:
    job_of_fold = job(paired, tmp_path / "out")
    some = expand.plan(job_of_fold, training(paired), masks=True)[:8]
    model, codec = generators.load(job_of_fold.input("generator")), codecs.load(job_of_fold.input("codec"))
    labels, draws = labels_of([w.sample for w in some]), row_draws([w.seed for w in some])
    with torch.no_grad():
        decoded = codec.decode(model.sample(labels, draws, Sampling.of(job_of_fold.settings)))
    assert decoded.shape == (8, 4, 32, 32)
    drawn(job_of_fold)
    for wanted, planes in zip(some, decoded, strict=True):
        assert wanted.sample.mask is not None
        assert np.array_equal(png.read(wanted.sample.image), images.to_pixels(planes[None, :3])[0])
        assert np.array_equal(png.read(wanted.sample.mask)[..., 0], (planes[3] >= 0).numpy() * 255)


def test_a_stopped_expansion_goes_on_to_the_same_pairs(paired: RunDirectory, tmp_path: Path) -> None:
    whole = drawn(job(paired, tmp_path / "whole"))

    def stop(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    stopped = replace(job(paired, tmp_path / "out"), progress=stop)
    with pytest.raises(interrupt.Interrupted), interrupt.listening():
        expand.run(stopped)
    assert 0 < len([*(stopped.out / MASKS).iterdir()]) < len(whole) / 2
    assert drawn(job(paired, tmp_path / "out")) == whole


def test_a_mask_that_is_lost_is_drawn_again(paired: RunDirectory, tmp_path: Path) -> None:
    job_of_fold = job(paired, tmp_path / "out")
    before = drawn(job_of_fold)
    sorted((job_of_fold.out / MASKS).iterdir())[3].unlink()
    assert drawn(job_of_fold) == before


@pytest.mark.parametrize("stage", ["codec", "generator"])
def test_a_stopped_training_with_masks_goes_on_to_the_same_weights(
    paired: RunDirectory, pristine: RunDirectory, tmp_path: Path, stage: str
) -> None:
    run = copied(pristine if stage == "codec" else paired, tmp_path / "run")
    recipe = recipes.parse(paired.recipe_text(), ["generator.kind=geca"])
    told: list[str] = []

    def stop(name: str, *_: object) -> None:
        if name.startswith(f"train-{stage}") and not told:
            told.append(name)
            signal.raise_signal(signal.SIGINT)

    options = pipeline.Options(progress=stop, force=True)
    with pytest.raises(interrupt.Interrupted), interrupt.listening():
        pipeline.execute(run, recipe, stage, folds=[0], options=options)
    assert told
    pipeline.execute(run, recipe, stage, folds=[0], options=pipeline.Options(force=stage == "generator"))
    kind = "kl" if stage == "codec" else "geca"
    ours, theirs = (r.artifact(stage, 0, kind).folder / "weights.safetensors" for r in (run, paired))
    assert ours.read_bytes() == theirs.read_bytes()


def test_back_without_masks_everything_is_to_the_byte_as_if_there_had_been_none(
    paired: RunDirectory, finished: RunDirectory, tmp_path: Path
) -> None:
    run = copied(paired, tmp_path / "run")
    done("train-generator", "--without-masks", "--model", "geca", "--fold", 0, "--run", run.root)
    done("expand", "--model", "geca", "--fold", 0, "--run", run.root)
    names = {
        "codec/kl": ("weights.safetensors", "facts.json", "scores.json"), "encode/kl": ("latents.npy",),
        "generator/geca": ("weights.safetensors",), "expand/geca": ("manifest.csv",),
    }  # fmt: skip
    for folder, held in names.items():
        for name in held:
            ours, theirs = (r.root / "fold-0" / folder / name for r in (run, finished))
            assert ours.read_bytes() == theirs.read_bytes(), ours
    for one, other in zip(synthetic(run, "geca").samples, synthetic(finished, "geca").samples, strict=True):
        assert one.mask is other.mask is None
        assert one.image.read_bytes() == other.image.read_bytes()


def test_asking_for_masks_makes_stale_what_has_none_and_says_why(finished: RunDirectory, tmp_path: Path) -> None:
    run = copied(finished, tmp_path / "run")
    said = done("train-codec", "--with-masks", "--fold", 0, "--run", run.root)
    assert "with_masks None -> True" in said.err
    states = {
        entry["name"]: entry["state"]
        for entry in done("encode", "--fold", 0, "--dry-run", "--json", "--run", run.root).json["dry_run"]
    }
    assert states == {"encode kl, fold 0": "stale"}


def test_a_run_of_before_masks_stays_up_to_date(finished: RunDirectory) -> None:
    record = finished.artifact("codec", 0, "kl").record()
    assert {"with_masks", "mask_weight"}.isdisjoint(record["settings"])
    states = done("encode", "--without-masks", "--json", "--run", finished.root).states()
    assert set(states.values()) == {"up to date"}


def test_the_mirror_image_of_a_pair_is_mirrored_in_both(pristine: RunDirectory, tmp_path: Path) -> None:
    run = copied(pristine, tmp_path / "run")
    done("encode", "--codec", "identity", "--with-masks", "--fold", 0, "--run", run.root)
    everyone = {s.sample: s for s in cohort.load(run.artifact("ingest").folder).samples}
    encoded = latents.load(run.artifact("encode", 0, "identity").folder)
    name = next(s.sample for s in training(run).samples if s.labels[0])
    (plain, mirrored), _ = (part[0] for part in encoded.rows([name], 2))
    sample = everyone[name]
    assert sample.mask is not None
    mask = png.read(sample.mask)[..., 0] / 127.5 - 1
    assert 0 < (mask > 0).mean() < 1
    np.testing.assert_allclose(plain[3], mask, atol=1e-6)
    np.testing.assert_allclose(mirrored[3], mask[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(mirrored[:3], plain[:3, :, ::-1], atol=1e-6)


def without_masks(drawn: Path, folder: Path, bare: int | None = None) -> RunDirectory:
    """A run of the drawn images at 16 pixels, of which one has no mask, or all have none."""
    shutil.copytree(drawn.parent, folder / "clinic")
    with drawn.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        if bare is None:
            del row["mask"]
        elif number == bare:
            row["mask"] = ""
    source = table(folder / "clinic" / drawn.name, rows)
    done(
        "ingest", source, "--run", folder / "run", "--labels", LABELS, "--image-size", 16, "--folds", 2, "--mirror",
        *TINY,
    )  # fmt: skip
    return RunDirectory(folder / "run")


def test_a_cohort_without_masks_is_refused_before_anything_is_learnt(drawn: Path, tmp_path: Path) -> None:
    run = without_masks(drawn, tmp_path)
    for command in ("train-codec", "encode", "train-generator"):
        ended = medsynth(command, "--with-masks", "--run", run.root)
        assert ended.code == 3
        assert "the images have no masks" in ended.err
        assert "--mask COLUMN" in ended.hint
    assert not [*run.root.rglob("*.safetensors")]


def test_an_image_without_a_mask_is_named(drawn: Path, tmp_path: Path) -> None:
    run = without_masks(drawn, tmp_path, bare=5)
    (bare,) = (s.sample for s in cohort.load(run.artifact("ingest").folder).samples if s.mask is None)
    ended = medsynth("train-codec", "--with-masks", "--fold", 0, "--run", run.root)
    assert ended.code == 3
    assert f"1 of 59 images have no mask, {bare} for one" in " ".join(ended.err.split())
    assert "a black one where there is no lesion" in ended.hint


def test_published_weights_for_three_channels_are_refused(pristine: RunDirectory, tmp_path: Path) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    AutoencoderKL(block_out_channels=[8], norm_num_groups=4).save_pretrained(tmp_path / "published")
    run = copied(pristine, tmp_path / "run")
    words = ("--weights", tmp_path / "published", "--fold", 0, "--run", run.root)
    ended = medsynth("train-codec", "--with-masks", *words)
    assert ended.code == 6
    assert "3 channels, and with masks they have 4" in " ".join(ended.err.split())
    assert "--without-masks" in ended.hint


def test_a_codec_of_tokens_says_that_it_learns_no_masks(pristine: RunDirectory) -> None:
    ended = medsynth("train-generator", "--model", "llamagen", "--with-masks", "--run", pristine.root)
    assert ended.code == 2
    assert "the codec vq learns no masks; identity and kl do" in ended.err


@pytest.mark.parametrize("kind", ["identity", "kl"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_codec_with_masks_is_the_same_once_it_is_loaded_again(kind: str, channels: int, tmp_path: Path) -> None:
    small = {"width": 8, "factor": 4, "channels": 4} if kind == "kl" else {}
    config, picture = kinds.config("codecs", kind)(with_masks=True, **small), Picture(channels, 16, masks=True)
    torch.manual_seed(0)
    codec = codecs.build(config, picture)
    batch = torch.rand(4, channels + 1, 16, 16) * 2 - 1
    codec.begin(batch)
    codec.measure(codec.encode(batch).detach())
    codecs.save(tmp_path, codec, config, picture)
    loaded = codecs.load(tmp_path)
    with torch.no_grad():
        ours, theirs = codecs.reconstruct(codec.eval(), batch), codecs.reconstruct(loaded, batch)
    assert loaded.picture == picture
    assert ours.equal(theirs)
    assert ours.shape == batch.shape
    assert codecs.colours(loaded, ours).shape[1] == channels
    assert codecs.lesions(loaded, ours).shape[1] == 1


def test_the_loss_of_a_mask_is_that_of_each_image_alone_and_finds_no_lesion_worse_than_a_lesion() -> None:
    true = -torch.ones(3, 1, 16, 16)
    true[0, 0, 4:8, 4:8], true[1, 0, 2, 3] = 1, 1
    made = (true + 0.3 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    alone = torch.stack([mask_loss(made[row : row + 1], true[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(mask_loss(made, true), alone.mean())
    assert mask_loss(3 * true, true) < 1e-2 < 0.5 < mask_loss(-torch.ones_like(true), true)


def test_the_overlap_of_masks_counts_images_that_have_a_lesion() -> None:
    true, made = np.zeros((3, 4, 4, 1), np.uint8), np.zeros((3, 4, 4, 1), np.uint8)
    true[0, :2], made[0, 1:3], true[1, 0, 0], made[2, 0, 0] = 255, 255, 255, 255
    np.testing.assert_array_equal(reconstruction.lesion_dice(true, made), [0.5, 0, np.nan])


def test_the_codec_says_how_much_of_a_mask_it_keeps(paired: RunDirectory) -> None:
    artifact = paired.artifact("codec", 0, "kl")
    selection = cohort.load(paired.artifact("ingest").folder).selection(0).samples
    batch, codec = ImageSet(selection, masks=True).tensor(range(len(selection))), codecs.load(artifact.folder)
    with torch.no_grad():
        pair = batch, codecs.reconstruct(codec, batch)
    overlap = reconstruction.lesion_dice(*(images.to_masks(codecs.lesions(codec, each)) for each in pair))
    found = scores.load(artifact.folder)["selection.mask_dice"]
    assert found.n == np.isfinite(overlap).sum() > 0
    assert found.value == pytest.approx(np.nanmean(overlap))
    assert artifact.record()["summary"]["held_out_mask_dice"] == round(found.value, 3)


def test_what_looks_at_pictures_goes_on_without_the_mask(paired: RunDirectory, tmp_path: Path) -> None:
    """Classifiers of reconstructions, features through the codec, and whether the generator knows an image."""
    run = copied(paired, tmp_path / "run")
    done("classify", "--arms", "real,reconstructed", "--fold", 0, "--run", run.root)
    done("audit", "--model", "geca", "--fold", 0, "--run", run.root, "--set", "audit.membership_images=3")
    done("features", "--fold", 0, "--run", run.root)
    lost = scores.load(run.artifact("features", 0, "through-kl").folder)
    assert {"test.psnr", "test.mask_dice"} <= lost.keys()


def test_a_generator_without_masks_knows_an_image_with_its_mask_as_well(
    paired: RunDirectory, finished: RunDirectory
) -> None:
    def knower(run: RunDirectory) -> Knower:
        return Knower.load(run.artifact("generator", 0, "geca").folder, run.artifact("codec", 0, "kl").folder)

    some: Any = training(paired).samples[:1]
    with_mask, plain, labels = ImageSet(some, masks=True).tensor([0]), ImageSet(some).tensor([0]), labels_of(some)
    seeds = draw_seeds(0)
    assert knower(finished).score(with_mask, labels, seeds) == knower(finished).score(plain, labels, seeds)
    assert np.isfinite(knower(paired).score(with_mask, labels, seeds))
    assert (knower(paired).masks, knower(finished).masks) == (True, False)


def segmented(run: RunDirectory, *words: object) -> dict[str, Any]:
    quick = {"steps": 3, "batch_size": 4, "warmup_steps": 0, "size": "tiny", "tested_images": 4, "selection_images": 4}
    settings = [word for key, value in quick.items() for word in ("--set", f"segment.unet.{key}={value}")]
    found = done("segment", "--variant", "unet", "--fold", 0, "--json", "--run", run.root, *settings, *words).json
    return {result["kind"]: result["summary"] for result in found["results"]}


def test_a_segmenter_learns_from_pairs_beside_the_real_ones_if_asked(paired: RunDirectory, tmp_path: Path) -> None:
    run = copied(paired, tmp_path / "run")
    found = segmented(run, "--arms", "real,real+geca")
    real, made = len(training(run).samples), len(synthetic(run, "geca").samples)
    assert list(found) == ["unet", "unet+geca"]
    assert "synthetic_images" not in found["unet"]
    assert (found["unet+geca"]["images"], found["unet+geca"]["synthetic_images"]) == (real, made)
    records = [run.artifact("segment", 0, kind).record() for kind in found]
    assert records[0]["trained_on"] == records[1]["trained_on"] == training(run).patients_hash()
    assert ["fold-0/expand/geca" in record["inputs"] for record in records] == [False, True]
    assert medsynth("report", "--run", run.root).code == 0


def test_segmenters_refuse_synthetic_images_without_masks_and_arms_that_are_not_theirs(
    finished: RunDirectory, tmp_path: Path
) -> None:
    run = copied(finished, tmp_path / "run")
    ended = medsynth("segment", "--variant", "unet", "--arms", "real+geca", "--fold", 0, "--run", run.root)
    assert ended.code == 3
    assert "medsynth train-generator --model geca --with-masks" in ended.hint
    for arm in ("oversampled", "synthetic-only", "real+geometric", "real+nobody", "real@1"):
        assert medsynth("segment", "--variant", "unet", "--arms", arm, "--run", run.root).code == 2
