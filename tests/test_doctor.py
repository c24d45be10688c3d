"""`medsynth doctor` and `medsynth weights`: what this machine has, and what is missing, with the fix."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from shell import ROOT, medsynth

from medsynth import doctor
from medsynth.byhand import published, store


@pytest.fixture(autouse=True)
def nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSYNTH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def rows(ended: Any) -> dict[str, Any]:
    return {row["key"]: row for row in ended.json["weights"]}


def test_the_doctor_names_what_a_report_of_a_problem_needs(tmp_path: Path) -> None:
    ended = medsynth("doctor", "--json", "--run", tmp_path / "new" / "run")
    assert ended.code == 0, ended.err
    found = ended.json
    assert found["versions"]["torch"] == importlib.metadata.version("torch")
    assert "pytest" not in found["versions"]
    assert "missing" not in found["versions"].values()
    assert found["device"] == {"device": "cpu", "torch_threads": torch.get_num_threads()}
    assert 0 < found["memory"]["gib_free"] <= found["memory"]["gib"]
    assert found["disk"]["place"] == str(tmp_path)
    assert found["threads"]["cores"] > 0
    assert not [problem for problem in found["problems"] if "GiB" not in problem]  # disk and memory are the machine's


def test_doctor_and_check_say_which_file_from_where_to_which_place_with_which_hash() -> None:
    told = [medsynth("doctor"), medsynth("weights", "check")]
    assert [ended.code for ended in told] == [0, 0]
    for ended in told:
        text = "".join(ended.out.split())  # wherever lines are broken
        for asked in published.TABLE:
            for part in (asked.file, asked.digest, asked.publisher, store.destination(asked), asked.used_for):
                assert "".join(str(part).split()) in text
            assert f"medsynthweightscheck{asked.key}" in text
    for key, row in rows(medsynth("weights", "check", "--json")).items():
        assert (row["state"], row["file"]) == ("missing", published.named(key).file)
        assert f"medsynth weights check {key}" in row["fix"]


def test_what_is_asked_for_and_missing_ends_with_six_and_one_screen() -> None:
    ended = medsynth("weights", "check", "alexnet")
    assert ended.code == 6
    assert "LPIPS-alex needs alexnet-owt-7be5be79.pth" in ended.err
    assert "medsynth weights fetch alexnet --allow-download" in ended.hint


def test_a_wrong_file_is_reported_whoever_asks(nothing_elsewhere: Path) -> None:
    path = nothing_elsewhere / "vgg16-397923af.safetensors"
    save_file({"features.0.weight": torch.zeros(1)}, path)
    ended = medsynth("weights", "check")
    assert ended.code == 6
    assert f"{path} is not vgg16-397923af.pth" in ended.err
    row = rows(medsynth("doctor", "--json"))["vgg16"]
    assert (row["state"], row["path"]) == ("wrong", str(path))
    assert row["remark"] in ended.err


def test_a_file_that_is_ready_is_shown_with_its_place_and_hash(nothing_elsewhere: Path) -> None:
    path = nothing_elsewhere / "dinov2.safetensors"
    save_file({"cls_token": torch.zeros(1)}, path)
    for words in (["dinov2"], ["--weights", f"dinov2={path}"]):
        ended = medsynth("weights", "check", *words)
        assert ended.code == 0
        assert "".join(f"{path} sha256 {store.look('dinov2').mark}".split()) in "".join(ended.out.split())


def test_list_opens_nothing_and_names_licences() -> None:
    found = medsynth("weights", "list", "--json").json
    assert found["places"][0].endswith("weights")
    assert {row["key"]: row["licence"] for row in found["weights"]}["inception"] == "Apache-2.0"
    assert "Apache-2.0" in medsynth("weights", "list").out


def test_weights_are_listed_and_checked_without_torch() -> None:
    code = (
        "import sys; from medsynth import cli\n"
        "for words in (['list'], ['check'], ['--help']):\n"
        "    cli.app(['weights', *words], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_what_there_is_little_of_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(doctor, "LITTLE_DISK", 1e9)
    monkeypatch.setattr(doctor, "LITTLE_MEMORY", 1e9)
    doctor.disk(tmp_path, said.append)
    doctor.memory(said.append)
    assert len(said) == 2
    assert str(tmp_path) in said[0]


def test_the_facts_are_plain_data(tmp_path: Path) -> None:
    found = doctor.examine(tmp_path, {})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
