"""Two processes of torchrun do what one does: the same weights, the same images, one answer."""

import json
from pathlib import Path

import pytest
from conftest import copied
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from shell import TORCHRUN, Ended, contents, done, ended, start, stopped_by_both
from torch import Tensor
from torch.testing import assert_close

from medsynth.artifacts import checkpoint, log
from medsynth.distributed import LEFT_OVER, World
from medsynth.rundir import RunDirectory

# Batches that two processes cannot share evenly, so that a mean of means would be wrong.
UNEVEN = ("--set", "codec.batch_size=5", "--set", "generator.batch_size=5", "--fold", 0)


def together(run: RunDirectory, *words: object) -> Ended:
    """A command by two processes, typed inside the run directory."""
    found = ended(start(*words, at=run.root, launcher=TORCHRUN))
    assert found.code == 0, found.err
    return found


def weights(run: RunDirectory, stage: str, kind: str) -> dict[str, Tensor]:
    return load_file(run.artifact(stage, 0, kind).folder / "weights.safetensors")


@given(st.integers(1, 9), st.integers(1, 60))
def test_the_processes_share_a_batch_evenly_without_gaps(size: int, batch_size: int) -> None:
    shares = [World(rank, size).share(batch_size) for rank in range(size)]
    assert [row for share in shares for row in share] == [*range(batch_size)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"RANK": "x"}, "RANK='x' is no number of a process"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE='' is no number of a process"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "process RANK=2 cannot be one of WORLD_SIZE=2"),
        ({"RANK": "-1"}, "process RANK=-1 cannot be one of WORLD_SIZE=1"),
        ({"RANK": "1"}, "process RANK=1 cannot be one of WORLD_SIZE=1"),
    ],
)
def test_variables_that_torchrun_would_not_set_are_one_line(
    ingested: RunDirectory, variables: dict[str, str], problem: str
) -> None:
    refused = ended(start("ingest", at=ingested.root, **variables))
    assert refused.code == 2
    assert refused.err == f"error: {problem}\n  try: {LEFT_OVER}\n"


def test_one_process_agrees_with_itself() -> None:
    alone = World()
    assert (alone.agree({"a": [1, None]}), alone.largest(7), alone.is_first) == ({"a": [1, None]}, 7, True)
    assert alone.mean(0.5) == 0.5
    alone.wait()


def test_two_processes_train_the_same_weights_as_one(ingested: RunDirectory, tmp_path: Path) -> None:
    alone = copied(ingested, tmp_path / "alone")
    found = together(ingested, "train-generator", *UNEVEN, "--json")
    done("train-generator", *UNEVEN, "--run", alone.root)
    assert [result["state"] for result in json.loads(found.out)["results"]] == ["done"] * 3
    for stage, kind in (("codec", "kl"), ("generator", "geca")):
        ours, theirs = weights(ingested, stage, kind), weights(alone, stage, kind)
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert_close(ours[name], theirs[name], atol=1e-5, rtol=1e-4)
        assert ingested.artifact(stage, 0, kind).record()["processes"] == 2
    assert "Traceback" not in found.err


def test_a_chain_by_two_processes_draws_byte_for_byte_the_images_of_one_and_says_all_once(
    expanded: RunDirectory, tmp_path: Path
) -> None:
    alone = copied(expanded, tmp_path / "alone")
    settings = ("--set", "expand.factor=3", "--set", "expand.sampler=ddpm", "--fold", 0)
    found = together(expanded, "run", *settings, "--set", "classify.arms=['synthetic-only']", "--json")
    done("expand", *settings, "--run", alone.root)
    assert {(result["stage"], result["state"]) for result in json.loads(found.out)["results"]} == {
        ("ingest", "up to date"), ("codec", "up to date"), ("encode", "up to date"), ("generator", "up to date"),
        ("expand", "done"),
        ("classify", "done"), ("features", "done"), ("evaluate", "done"),  # by the first process, while the other waits
    }  # fmt: skip
    assert found.err.count("expand geca, fold 0 is made again") == 1
    ours, theirs = (contents(run.artifact("expand", 0, "geca").folder) for run in (expanded, alone))
    assert ours.pop("stage.json") != theirs.pop("stage.json")
    assert ours == theirs
    assert expanded.artifact("expand", 0, "geca").made == alone.artifact("expand", 0, "geca").made
    record = expanded.artifact("expand", 0, "geca").record()
    assert (record["processes"], record["summary"]["synthetic"]) == (2, 3 * record["summary"]["real"])


def test_two_processes_that_are_stopped_stop_together_and_one_may_go_on(ingested: RunDirectory) -> None:
    words = ("train-generator", *UNEVEN, "--set", "generator.steps=200")
    done("encode", *UNEVEN, "--run", ingested.root)
    folder = ingested.root / "fold-0" / "generator"
    stopped = stopped_by_both(*words, at=ingested.root, folder=folder)
    assert stopped.code != 0
    assert "unexpected" not in stopped.err
    (scratch,) = [path for path in folder.iterdir() if path.name.startswith(".geca-")]
    state = checkpoint.load(scratch)
    assert state is not None
    assert 0 < state.facts["step"] < 200
    assert not ingested.artifact("generator", 0, "geca").exists()
    done(*words, "--run", ingested.root)
    assert [entry["step"] for entry in log.load(folder / "geca")] == [*range(10, 201, 10)]


def test_what_cannot_be_done_ends_all_processes(ingested: RunDirectory) -> None:
    found = ended(start("expand", "--fold", 0, at=ingested.root, launcher=TORCHRUN))
    assert found.code != 0
    assert "expand needs codec kl, fold 0, which is missing" in found.err
