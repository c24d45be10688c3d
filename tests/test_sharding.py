"""A training whose weights lie in parts with two processes is the training of one, and one can take it up."""

import json
from pathlib import Path

import pytest
from conftest import copied
from safetensors.torch import load_file
from shell import TORCHRUN, done, ended, start, stopped_by_both
from torch.testing import assert_close

from medsynth.artifacts import checkpoint, log
from medsynth.rundir import RunDirectory

KINDS = ("dit", "llamagen")


def words(kind: str, steps: int, every: int) -> tuple[object, ...]:
    """A training that looks and previews on its way; a batch that two processes cannot share evenly."""
    settings = {
        "steps": steps, "batch_size": 5, "warmup_steps": 2, "log_every": 1, "watch_every": every, "watch_images": 2,
        "preview_every": every, "sharded": "true",
    }  # fmt: skip
    sets = [word for key, value in settings.items() for word in ("--set", f"generator.{kind}.{key}={value}")]
    return ("train-generator", "--model", kind, "--fold", 0, *sets)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_that_share_the_weights_out_learn_what_one_learns(
    ingested: RunDirectory, tmp_path: Path, kind: str
) -> None:
    alone = copied(ingested, tmp_path / "alone")
    done(*words(kind, 8, 4), "--run", alone.root)
    ours = copied(alone, tmp_path / "ours")
    found = ended(start(*words(kind, 8, 4), "--force", "--json", at=ours.root, launcher=TORCHRUN))
    assert found.code == 0, found.err
    assert [result["state"] for result in json.loads(found.out)["results"]] == ["done"]
    mine, theirs = (run.artifact("generator", 0, kind) for run in (ours, alone))
    assert (mine.record()["processes"], theirs.record()["processes"]) == (2, 1)
    assert mine.record()["summary"]["parameters"] == theirs.record()["summary"]["parameters"]
    entries, expected = log.load(mine.folder), log.load(theirs.folder)
    assert [entry["step"] for entry in entries] == [*range(1, 9)]
    for entry, other in zip(entries, expected, strict=True):
        for name in ("loss", "validation_loss"):
            assert entry.get(name) == pytest.approx(other.get(name), abs=1e-4)
    assert sorted(path.name for path in (mine.folder / "previews").iterdir()) == [
        "step-0000004.png",
        "step-0000008.png",
    ]
    learned, wanted = (load_file(place.folder / "weights.safetensors") for place in (mine, theirs))
    assert learned.keys() == wanted.keys()
    for name, value in wanted.items():
        assert_close(learned[name], value, atol=1e-4, rtol=1e-3)


def test_one_process_goes_on_from_the_checkpoint_of_two(ingested: RunDirectory) -> None:
    kind, steps = "dit", 40
    done("encode", "--fold", 0, "--run", ingested.root)
    asked = (*words(kind, steps, 0), "--set", f"generator.{kind}.checkpoint_seconds=0")
    folder = ingested.root / "fold-0" / "generator"
    assert stopped_by_both(*asked, at=ingested.root, folder=folder).code != 0
    (scratch,) = [path for path in folder.iterdir() if path.name.startswith(f".{kind}-")]
    state = checkpoint.load(scratch)
    assert state is not None
    assert 0 < state.facts["step"] < steps
    parameters = sum(value.numel() for name, value in state.tensors.items() if name.startswith("model/"))
    done(*asked, "--run", ingested.root)
    found = ingested.artifact("generator", 0, kind)
    assert parameters >= found.record()["summary"]["parameters"]  # whole; buffers are among them
    assert [entry["step"] for entry in log.load(found.folder)] == [*range(1, steps + 1)]
