"""The codec stage with a codebook: what it prints, keeps and imports, by one process and by two."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import copied
from safetensors.torch import load_file, save_file
from shell import done, ended, medsynth, start
from torch.testing import assert_close

from medsynth.artifacts import latents, log, scores
from medsynth.rundir import RunDirectory

QUICK = tuple(
    word
    for change in (
        "codec.vq.width=8", "codec.vq.codebook=64", "codec.vq.steps=4", "codec.vq.batch_size=5",
        "codec.vq.usage_steps=2",
    )
    for word in ("--set", change)
)  # fmt: skip
EVERYTHING = tuple(
    word
    for change in (
        "codec.vq.perceptual_weight=0.1", "codec.vq.perceptual_steps=3", "codec.vq.adversary_weight=0.1",
        "codec.vq.adversary_start=2", "codec.vq.log_every=1",
    )
    for word in ("--set", change)
)  # fmt: skip
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def train(run: RunDirectory, *words: object) -> dict[str, Any]:
    """Train the codec of fold 0: what the command says of it."""
    found = done("train-codec", "--codec", "vq", "--fold", 0, *QUICK, *words, "--run", run.root, "--json")
    return json.loads(found.out)["results"][-1]


def test_a_codebook_is_trained_and_how_much_of_it_is_used_is_said(ingested: RunDirectory) -> None:
    said = train(ingested)
    summary = said["summary"]
    assert (summary["codebook"], summary["latent"], summary["steps"]) == (64, "8x8", 4)
    assert 0.5 < summary["codebook_used"] <= 1
    assert 8 < summary["perplexity"] <= 64
    assert summary["held_out_psnr_db"] > 15
    folder = ingested.artifact("codec", 0, "vq").folder
    assert scores.load(folder)["selection.psnr"].value == pytest.approx(summary["held_out_psnr_db"], abs=0.01)
    assert not (folder / "features").exists()


def test_the_folds_own_features_and_the_discriminator_learn_in_the_stage(ingested: RunDirectory) -> None:
    train(ingested, *EVERYTHING)
    artifact = ingested.artifact("codec", 0, "vq")
    features = artifact.folder / "features"
    known = json.loads((features / "facts.json").read_text())
    assert known["trained_on"] == artifact.record()["trained_on"]
    assert [entry["step"] for entry in log.load(features)][-1] == 3
    assert ["discriminator_loss" in entry for entry in log.load(artifact.folder)] == [False, False, True, True]
    names = load_file(artifact.folder / "weights.safetensors").keys()
    assert {name.partition(".")[0] for name in names} == {
        "encoder", "decoder", "quantize", "quant_conv", "post_quant_conv", "beginning",
    }  # fmt: skip


def test_two_processes_train_the_same_tokenizer_as_one(ingested: RunDirectory, tmp_path: Path) -> None:
    """With discriminator, its adaptive weight and entries that are revived; batches that two cannot share evenly."""
    alone = copied(ingested, tmp_path / "alone")
    train(alone, *EVERYTHING, "--set", "codec.vq.adversary_adaptive=false")
    words = ("train-codec", "--codec", "vq", "--fold", 0, *QUICK, *EVERYTHING)
    found = ended(start(*words, "--set", "codec.vq.adversary_adaptive=false", at=ingested.root, launcher=TORCHRUN))
    assert found.code == 0, found.err
    ours, theirs = (load_file(r.artifact("codec", 0, "vq").folder / "weights.safetensors") for r in (ingested, alone))
    for name in theirs:
        assert_close(ours[name], theirs[name], atol=1e-4, rtol=1e-3)


def test_a_tokenizer_is_imported_and_tokenizes_without_being_trained(ingested: RunDirectory, tmp_path: Path) -> None:
    train(ingested)
    folder = ingested.artifact("codec", 0, "vq").folder
    tensors = load_file(folder / "weights.safetensors")
    file = tmp_path / "tokenizer.safetensors"
    counts = {"quantize.counts", "quantize.before", "quantize.steps"}  # which published files do not have
    save_file({name: value for name, value in tensors.items() if name not in counts}, file)
    found = done("tokenize", "--weights", file, "--fold", 0, "--run", ingested.root, "--json")
    codec, encoded = json.loads(found.out)["results"][-2:]
    assert (codec["summary"]["steps"], codec["summary"]["codebook"], encoded["summary"]["tokens"]) == (0, 64, "8x8")
    assert "imported from tokenizer.safetensors" in codec["notes"][0]
    again = load_file(ingested.artifact("codec", 0, "vq").folder / "weights.safetensors")
    assert all(again[name].equal(value) for name, value in tensors.items() if name not in counts)
    trained = train(ingested, "--weights", file, "--set", "codec.vq.fine_tune=true")
    assert trained["summary"]["steps"] == 4
    after = load_file(ingested.artifact("codec", 0, "vq").folder / "weights.safetensors")
    assert not after["decoder.conv_out.weight"].equal(tensors["decoder.conv_out.weight"])


def test_a_tokenizer_that_saw_other_patients_is_refused(ingested: RunDirectory) -> None:
    train(ingested)
    file = ingested.artifact("codec", 0, "vq").folder / "weights.safetensors"
    words = ("train-codec", "--codec", "vq", "--fold", 1, *QUICK, "--weights", file)
    refused = medsynth(*words, "--run", ingested.root)
    assert refused.code != 0
    assert "other patients" in refused.err


def test_weights_that_are_missing_are_said_to_be(ingested: RunDirectory) -> None:
    found = medsynth("train-codec", "--codec", "vq", "--weights", "/nowhere/t.safetensors", "--run", ingested.root)
    assert found.code == 6
    assert "there are no weights at /nowhere/t.safetensors" in found.err


def test_tokens_lie_on_the_disk_two_bytes_each(ingested: RunDirectory) -> None:
    train(ingested)
    done("tokenize", "--fold", 0, *QUICK, "--run", ingested.root)
    stored = latents.load(ingested.artifact("encode", 0, "vq").folder).plain.posteriors
    assert stored.dtype == np.uint16
    assert stored.shape[1:] == (2, 8, 8)  # with the mirrored copy
    assert stored.max() < 64
