"""Of two checkpoint files one is always whole, whatever happened to the other."""

import hashlib
import json
import os
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from shell import contents

from medsynth.artifacts import checkpoint
from medsynth.artifacts.checkpoint import FOLDER, State
from medsynth.errors import DiskFailed


def state(step: int) -> State:
    return State({"a": torch.full((3, 2), float(step)), "b": torch.tensor(step)}, {"step": step, "score": 0.5})


def step_in(folder: Path) -> int | None:
    """The step that is found; that its tensors belong to it is checked on the way."""
    found = checkpoint.load(folder)
    if found is None:
        return None
    assert found.tensors["a"].equal(torch.full((3, 2), float(found.facts["step"])))
    assert found.tensors["b"].shape == ()
    assert found.facts["score"] == 0.5
    return int(found.facts["step"])


def newest(folder: Path) -> Path:
    return max((folder / FOLDER).iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_nothing_is_found_where_nothing_was_saved(tmp_path: Path) -> None:
    assert step_in(tmp_path) is None


def test_the_newest_state_is_found_and_two_are_kept(tmp_path: Path) -> None:
    for step in (0, 10, 20, 25):
        checkpoint.save(tmp_path, state(step))
        assert step_in(tmp_path) == step
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


@pytest.mark.parametrize("saved", [(10, 20), (10, 20, 30)], ids=str)
def test_a_truncated_newest_file_falls_back_to_the_older_one(tmp_path: Path, saved: tuple[int, ...]) -> None:
    for step in saved:
        checkpoint.save(tmp_path, state(step))
    path = newest(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert step_in(tmp_path) == saved[-2]
    checkpoint.save(tmp_path, state(40))  # takes the broken one's place
    assert step_in(tmp_path) == 40
    path = newest(tmp_path)
    path.write_bytes(b"")
    assert step_in(tmp_path) == saved[-2]


@given(st.data())
def test_a_file_cut_off_anywhere_is_never_taken_for_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    checkpoint.save(folder, state(10))
    checkpoint.save(folder, state(20))
    path = newest(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert step_in(folder) == 10


@given(st.data())
def test_a_file_with_one_wrong_bit_is_passed_over_and_that_is_said(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    checkpoint.save(folder, state(10))
    checkpoint.save(folder, state(20))
    path = newest(folder)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    said: list[str] = []
    found = checkpoint.load(folder, said.append)
    assert found is not None
    assert found.facts["step"] == 10
    assert said == [f"the checkpoint {path} is damaged: it goes on from the other one, after step 10"]


def test_a_wrong_bit_that_makes_the_newer_file_the_older_one_is_noticed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(10))
    checkpoint.save(tmp_path, state(20))
    path = newest(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'step\\": 20', b'step\\": 2 '))  # a zero with another fifth bit is a blank
    assert path.read_bytes() != whole
    said: list[str] = []
    assert (found := checkpoint.load(tmp_path, said.append)) is not None
    assert found.facts["step"] == 10
    assert said == [f"the checkpoint {path} is damaged: it goes on from the other one, after step 10"]


def test_what_is_whole_is_not_talked_about(tmp_path: Path) -> None:
    said: list[str] = []
    checkpoint.load(tmp_path, said.append)
    for step in (10, 20, 30):
        checkpoint.save(tmp_path, state(step))
        checkpoint.load(tmp_path, said.append)
    assert said == []


@pytest.mark.parametrize("first", [0, 10])
@pytest.mark.parametrize("again", [15, 20])
def test_the_damaged_file_is_replaced_first_so_that_two_are_whole_again(tmp_path: Path, first: int, again: int) -> None:
    checkpoint.save(tmp_path, state(first))
    checkpoint.save(tmp_path, state(20))
    path = newest(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert step_in(tmp_path) == first
    checkpoint.save(tmp_path, state(again))
    assert newest(tmp_path) == path
    newest(tmp_path).write_bytes(b"")
    assert step_in(tmp_path) == first  # which a save in turn would have overwritten


@pytest.mark.parametrize("place", [0, 1])
def test_a_damaged_file_that_says_it_is_further_goes_before_a_place_that_is_free(tmp_path: Path, place: int) -> None:
    checkpoint.save(tmp_path, state(20))
    path = checkpoint._files(tmp_path)[place]
    newest(tmp_path).rename(path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert step_in(tmp_path) is None
    checkpoint.save(tmp_path, state(10))
    assert list((tmp_path / FOLDER).iterdir()) == [path]
    assert step_in(tmp_path) == 10


def test_what_does_not_read_back_as_it_was_written_takes_nobodys_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that tells of success and stores something else."""
    checkpoint.save(tmp_path, state(10))
    checkpoint.save(tmp_path, state(20))
    before = contents(tmp_path)
    sync = os.fsync

    def spoil(handle: int) -> None:
        sync(handle)
        os.truncate(handle, os.fstat(handle).st_size - 1)

    monkeypatch.setattr("os.fsync", spoil)
    with pytest.raises(DiskFailed, match="does not read back as it was written"):
        checkpoint.save(tmp_path, state(30))
    assert contents(tmp_path) == before


def test_with_both_broken_there_is_none(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(10))
    checkpoint.save(tmp_path, state(20))
    for path in (tmp_path / FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:50])
    said: list[str] = []
    assert checkpoint.load(tmp_path, said.append) is None
    assert said == [f"the checkpoint {path} is damaged: no other one is whole" for path in checkpoint._files(tmp_path)]


@pytest.mark.parametrize(
    ("was", "now"), [(b'"a":', b'"c":'), (b"[3,2]", b"[2,3]"), (b'"F32"', b'"I32"')], ids=["name", "shape", "type"]
)
def test_a_tensor_of_another_name_shape_or_type_is_not_what_was_written(tmp_path: Path, was: bytes, now: bytes) -> None:
    checkpoint.save(tmp_path, state(10))
    checkpoint.save(tmp_path, state(20))
    path = newest(tmp_path)
    assert path.read_bytes().count(was) == 1
    path.write_bytes(path.read_bytes().replace(was, now))
    assert step_in(tmp_path) == 10


def test_the_file_is_what_its_format_says(tmp_path: Path) -> None:
    """Names and hashes by hand: a training that was stopped today goes on in every later version."""
    facts = '{"step": 20, "score": 0.5}'
    tensors = [
        b"a torch.float32 (3, 2)\n" + struct.pack("<6f", *[20] * 6),
        b"b torch.int64 ()\n" + struct.pack("<q", 20),
    ]
    checkpoint.save(tmp_path, State(dict(reversed(state(20).tensors.items())), state(20).facts))
    checkpoint.save(tmp_path, state(30))
    assert {path.name for path in (tmp_path / ".checkpoint").iterdir()} == {"even.safetensors", "odd.safetensors"}
    with safe_open(tmp_path / ".checkpoint" / "even.safetensors", "pt") as file:
        assert file.metadata() == {
            "facts": facts,
            "facts_sha256": hashlib.sha256(facts.encode()).hexdigest(),
            "whole": hashlib.sha256(b"".join(tensors) + facts.encode()).hexdigest(),
        }
    known = {"facts": facts, "digest": hashlib.sha256(b"".join(tensors)).hexdigest()}  # as the first version wrote it
    save_file(state(20).tensors, tmp_path / ".checkpoint" / "even.safetensors", known)
    (tmp_path / ".checkpoint" / "odd.safetensors").unlink()
    assert step_in(tmp_path) == 20


def test_weights_of_something_else_are_passed_over(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(10))
    other = next(path for path in checkpoint._files(tmp_path) if not path.exists())
    save_file({"a": torch.zeros(1)}, other)
    assert step_in(tmp_path) == 10


def test_what_a_killed_save_left_is_in_nobodys_way(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(10))
    (tmp_path / FOLDER / ".odd.safetensors.123").write_bytes(b"half a fi")
    assert step_in(tmp_path) == 10
    checkpoint.save(tmp_path, state(20))
    assert step_in(tmp_path) == 20


def test_a_disk_that_fails_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, state(10))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFailed, match="No space left"):
        checkpoint.save(tmp_path, state(20))
    assert step_in(tmp_path) == 10
    assert not [path for path in (tmp_path / FOLDER).iterdir() if path.name.startswith(".")]


def test_removed_is_removed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(10))
    checkpoint.remove(tmp_path)
    checkpoint.remove(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("hashed", [True, False])
def test_a_state_of_an_earlier_version_is_gone_on_from(tmp_path: Path, *, hashed: bool) -> None:
    """It had a hash of its tensors alone, or none."""
    checkpoint.save(tmp_path, state(10))
    tensors = state(20).tensors
    known = {"facts": json.dumps(state(20).facts)} | ({"digest": checkpoint._digest(tensors)} if hashed else {})
    save_file(tensors, next(path for path in checkpoint._files(tmp_path) if not path.exists()), known)
    assert step_in(tmp_path) == 20


def test_facts_that_were_changed_are_not_believed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(10))
    checkpoint.save(tmp_path, state(20))
    path = newest(tmp_path)
    assert path.read_bytes().count(b"0.5") == 1
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.7"))
    assert step_in(tmp_path) == 10
