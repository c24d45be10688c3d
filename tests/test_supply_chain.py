"""What the program stands on is known: which versions, of which files, and none that is known to be weak."""

import hashlib
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from conftest import copied
from packaging.requirements import Requirement
from packaging.version import Version
from shell import ROOT, done, medsynth

from medsynth import installed, plan, recipe
from medsynth.rundir import RunDirectory

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Package -> the first version without it, and the weakness that the version before has.
MENDED = {
    "torch": ("2.10", "CVE-2026-24747"),
    "pillow": ("12.1.1", "CVE-2025-48379, CVE-2026-25990"),
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "filelock": ("3.20.3", "CVE-2025-68146"),
    "scikit-learn": ("1.5", "CVE-2024-5206"),
    "pydicom": ("3.0.2", "CVE-2026-32711"),
}


@pytest.mark.parametrize("package", MENDED)
def test_no_version_with_a_known_weakness_is_asked_for(package: str) -> None:
    wanted = next(r for r in map(Requirement, PROJECT["dependencies"]) if r.name.lower() == package)
    least = next(Version(bound.version) for bound in wanted.specifier if bound.operator == ">=")
    first, weakness = MENDED[package]
    assert least >= Version(first), weakness
    assert Version(metadata.version(package)) >= least


def test_every_requirement_has_a_lower_bound_and_none_comes_from_elsewhere() -> None:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for wanted in map(Requirement, [*PROJECT["dependencies"], *extras]):
        assert {bound.operator for bound in wanted.specifier} == {">="}, wanted
        assert wanted.url is None, wanted


def test_a_record_names_the_version_of_every_package_and_the_hash_of_everything_read_and_written(
    pristine: RunDirectory, drawn: Path, tmp_path: Path
) -> None:
    run = copied(pristine, tmp_path / "run")
    done("train-codec", "-r", run.root, "--fold", 0)
    ingest, codec = run.artifact("ingest"), run.artifact("codec", 0, "kl")
    for artifact in (ingest, codec):
        record = artifact.record()
        assert record["versions"].keys() >= {"python", "medsynth", "torch", "safetensors", *installed.needed()}
        assert record["versions"]["torch"] == metadata.version("torch")
        there = {path.name for path in artifact.folder.iterdir()} - {"stage.json", "previews"}
        assert {name.rstrip("/") for name in record["outputs"]} == there
    table = hashlib.sha256(drawn.read_bytes()).hexdigest()
    assert ingest.record()["files"]["source"] == table
    assert codec.record()["inputs"] == {"ingest": ingest.made}
    weights = codec.folder / "weights.safetensors"
    assert codec.record()["outputs"][weights.name] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_weights_from_outside_are_recorded_by_their_hash(pristine: RunDirectory, tmp_path: Path) -> None:
    weights = tmp_path / "resnet34.safetensors"
    weights.write_bytes(b"anything")
    asked = recipe.parse(pristine.recipe_text(), [f"classify.weights={weights}"])
    read = plan.from_outside(asked, pristine.artifact("classify", 0, "real"))
    assert read == {"weights": hashlib.sha256(b"anything").hexdigest()}


def test_all_that_is_installed_is_written_as_a_list_that_others_check(tmp_path: Path) -> None:
    done("doctor", "--sbom", tmp_path / "sbom.json")
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {re.sub(r"[-_.]+", "-", part["name"]).lower(): part["version"] for part in bill["components"]}
    for name in ("torch", "numpy", "pillow", "safetensors", "pydantic"):
        assert listed[name] == metadata.version(name)


def test_without_the_lister_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "LISTER", "a_module_that_is_not_installed")
    ended = medsynth("doctor", "--sbom", tmp_path / "sbom.json")
    assert (ended.code, ended.hint) == (2, "pip install 'medsynth[sbom]'")
    assert not (tmp_path / "sbom.json").exists()
