"""Stored posteriors: of the image, of its mirror image where that is plausible, and of moved copies that say how."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import copied
from shell import done, medsynth
from torch import Tensor

from medsynth import codecs
from medsynth import recipe as recipes
from medsynth.artifacts import cohort, latents
from medsynth.artifacts.cohort import Cohort
from medsynth.artifacts.latents import Encoded
from medsynth.data import augment
from medsynth.data.augment import MAX_DEGREES, MAX_SCALE, MAX_SHIFT, Moves
from medsynth.data.loading import ImageSet
from medsynth.job import Job
from medsynth.rundir import RunDirectory
from medsynth.sections import Encode
from medsynth.stages import encode


def encoded(run: RunDirectory, out: Path, augmented: int) -> Encoded:
    """The latents of fold 0, with so many moved copies of each image."""
    out.mkdir()
    inputs = (run.artifact("ingest"), run.artifact("codec", 0, "kl"))
    settings = Encode(augmented=augmented)
    encode.run(Job(recipes.parse(run.recipe_text()), inputs, out, 0, "kl", lambda *_: None, settings=settings))
    return latents.load(out)


def everyone(run: RunDirectory) -> Cohort:
    return cohort.load(run.artifact("ingest").folder)


def names(part: Cohort) -> list[str]:
    return [s.sample for s in part.samples]


def unmirrored(run: RunDirectory, root: Path) -> RunDirectory:
    """The same run of a cohort whose mirror images are not plausible."""
    other, all_of_it = copied(run, root), everyone(run)
    samples = tuple(replace(s, image=other.root / s.image.relative_to(run.root), mask=None) for s in all_of_it.samples)
    cohort.save(other.artifact("ingest").folder, Cohort(replace(all_of_it.facts, mirror=False), samples))
    return other


def moves_of(parameters: Tensor) -> Moves:
    mirrored, turned, right, down, scaled = parameters.unbind(1)
    return Moves(mirrored > 0, turned * MAX_DEGREES, right * MAX_SHIFT, down * MAX_SHIFT, 1 + scaled * MAX_SCALE)


def test_the_image_comes_first_then_its_mirror_image_and_both_say_so(finished: RunDirectory, tmp_path: Path) -> None:
    found = encoded(finished, tmp_path / "out", 0)
    assert found.plain.posteriors.shape[1] == 2
    assert np.unique(found.plain.parameters[:, 0]).tolist() == [0]
    assert np.unique(found.plain.parameters[:, 1], axis=0).tolist() == [[1, 0, 0, 0, 0]]


def test_moved_copies_are_made_of_training_images_alone_and_leave_the_others_as_they_are(
    finished: RunDirectory, tmp_path: Path
) -> None:
    plain, more = encoded(finished, tmp_path / "plain", 0), encoded(finished, tmp_path / "more", 2)
    training, selection = everyone(finished).training(0), everyone(finished).selection(0)
    for part in (training, selection):
        for ours, theirs in zip(more.rows(names(part), 2), plain.rows(names(part)), strict=True):
            assert np.array_equal(ours, theirs)
    found, parameters = more.rows(names(training)[::-1])
    assert found.shape[:2] == parameters.shape[:2] == (len(training.samples), 4)
    assert np.array_equal(found[:, :2], plain.rows(names(training)[::-1])[0])
    assert len(np.unique(parameters[:, 2:].reshape(-1, 5), axis=0)) == 2 * len(training.samples)  # all differ
    assert np.abs(parameters).max() <= 1
    assert plain.moved is None
    assert more.moved is not None
    assert len(more.moved.posteriors) == len(training.samples)
    assert more.rows(names(selection))[0].shape[1] == 2
    assert np.array_equal(more.rows(names(training)[::-1], 3)[0], found[:, :3])


def test_the_parameters_of_a_copy_make_its_posterior_again(finished: RunDirectory, tmp_path: Path) -> None:
    found, part = encoded(finished, tmp_path / "out", 2), everyone(finished).training(0)
    codec = codecs.load(finished.artifact("codec", 0, "kl").folder)
    posteriors, parameters = found.rows(names(part))
    images = ImageSet(part.samples).tensor(range(len(part.samples)))
    for copy in range(posteriors.shape[1]):
        moved = augment.apply(images, moves_of(torch.from_numpy(parameters[:, copy])))
        with torch.no_grad():
            torch.testing.assert_close(codec.encode(moved), torch.from_numpy(posteriors[:, copy]), atol=1e-4, rtol=1e-3)


def test_a_copy_does_not_depend_on_the_batch_it_is_made_in(
    finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoded(finished, tmp_path / "whole", 1)
    monkeypatch.setattr(encode, "BATCH", 5)
    parts, training = encoded(finished, tmp_path / "parts", 1), names(everyone(finished).training(0))
    for ours, theirs in zip(whole.rows(training), parts.rows(training), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_where_mirror_images_are_not_plausible_no_copy_is_mirrored(finished: RunDirectory, tmp_path: Path) -> None:
    training = names(everyone(finished).training(0))
    found = encoded(unmirrored(finished, tmp_path / "run"), tmp_path / "out", 6).rows(training)[1]
    assert found.shape[1] == 7
    assert not found[..., 0].any()
    mirrored = encoded(finished, tmp_path / "mirrored", 6).rows(training)[1]
    assert 0 < mirrored[:, 2:, 0].mean() < 1


def generator(run: RunDirectory, *words: Any) -> Any:
    return medsynth("train-generator", "--fold", 0, "--run", run.root, *words)


def test_a_generator_that_wants_moved_images_says_how_to_store_them(expanded: RunDirectory) -> None:
    refused = generator(expanded, "--set", "generator.augment=true")
    assert refused.code == 2
    assert "encode.augmented = 0" in refused.err
    assert "--set encode.augmented=7" in refused.err


def test_moved_images_are_learned_from_and_are_no_others_drawing(expanded: RunDirectory) -> None:
    before = expanded.artifact("generator", 0, "geca").folder / "weights.safetensors"
    plain = before.read_bytes()
    done("train-generator", "--set", "encode.augmented=2", "--fold", 0, "--run", expanded.root)
    assert before.read_bytes() == plain  # who does not ask for moved images does not see them
    done("train-generator", "--set", "generator.augment=true", "--fold", 0, "--run", expanded.root)
    assert before.read_bytes() != plain
    done("expand", "--fold", 0, "--run", expanded.root)
