"""Nothing that is read is ever executed, and no file says where another one is written."""

import contextlib
import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import unsafe
from conftest import copied
from fuzz_readers import MANIFESTS, READERS, read_manifest
from fuzzing import Reader
from shell import done, medsynth

from medsynth import demo
from medsynth.command import Common
from medsynth.errors import BadData, MedsynthError
from medsynth.rundir import RunDirectory

EXECUTED = "executed"  # a file that what is hidden in a pickle would write


class Hidden:
    """What a pickle can hold: a call."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.marker),)


def disguised(marker: Path) -> dict[str, bytes]:
    """Files that execute something in whoever takes them for objects."""
    hidden = np.array([Hidden(marker)], dtype=object)
    content, archive, saved = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(content, hidden, allow_pickle=True)
    np.savez(archive, **{f"{part}_{of}": hidden for part in ("train", "val", "test") for of in ("images", "labels")})
    torch.save({"x": Hidden(marker)}, saved)
    return {
        "pickle": pickle.dumps(Hidden(marker)), "npy": content.getvalue(), "npz": archive.getvalue(),
        "torch": saved.getvalue(), "python": f"open({str(marker)!r}, 'w')".encode(),
        "yaml": f"!!python/object/apply:os.mknod [{marker}]".encode(),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["pickle", "npy", "npz", "torch"])
def test_the_disguised_files_do_execute_something_in_who_trusts_them(tmp_path: Path, form: str) -> None:
    """Or the next test would hold of anything."""
    data = io.BytesIO(disguised(tmp_path / EXECUTED)[form])
    if form == "torch":
        torch.load(data, weights_only=False)
    elif form == "pickle":
        pickle.load(data)  # noqa: S301
    else:
        found = np.load(data, allow_pickle=True)
        _ = found["train_images"] if form == "npz" else found
    assert (tmp_path / EXECUTED).exists()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_reader_executes_anything(tmp_path: Path, reader: Reader) -> None:
    for form, data in disguised(tmp_path / EXECUTED).items():
        (tmp_path / form).mkdir()
        with contextlib.suppress(MedsynthError, *reader.explained):
            reader.read(tmp_path / form, data)
        assert not (tmp_path / EXECUTED).exists(), form


def test_a_pickle_is_converted_only_by_the_command_for_it_and_by_a_torch_that_is_mended(tmp_path: Path) -> None:
    """Before 2.10, torch's reader of tensors alone could be made to write memory (CVE-2026-24747)."""
    (tmp_path / "x.pth").write_bytes(disguised(tmp_path / EXECUTED)["torch"])
    ended = medsynth("weights", "convert", tmp_path / "x.pth")
    assert ended.code == 6
    assert not (tmp_path / EXECUTED).exists()
    old = "import torch, runpy, sys; torch.__version__ = '2.9.1'; sys.argv = ['x', 'a.pth', 'b.safetensors']; "
    old += "runpy.run_module('medsynth.byhand.convert', run_name='__main__')"
    torch.save({"x": torch.ones(2)}, tmp_path / "a.pth")
    said = subprocess.run([sys.executable, "-c", old], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "torch 2.9.1 is too old to open it: pip install 'torch>=2.10'" in said.stderr


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import marshal as m", "import tarfile", "import yaml",
        "import socket", "from urllib import request", "import zipfile", "eval('1')", "exec('1')", "__import__('os')",
        "import os\nos.system('x')", "import torch\ntorch.load('x', weights_only=True)",
        "from torch import load\nload('x')",
        "from torch import load as read\nread('x')", "import torch as t\nt.load('x')",
        "import torch\ntorch.jit.load('x')",
        "import numpy as np\nnp.load('x')", "import numpy\nnumpy.load('x')", "from numpy import load\nload('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)", "import shutil\nshutil.unpack_archive('x')",
        "archive.extractall('.')", "archive.extract('x')", "import subprocess\nsubprocess.run('x', shell=True)",
        "from importlib import import_module", "import importlib\nimportlib.import_module(x)",
        "from multiprocessing import Pool", "from concurrent import futures\nfutures.ProcessPoolExecutor()",
        "Model.from_pretrained('x')", "timm.create_model('x')",
        "timm.create_model('x', pretrained=True)",
        "[sys.executable, '-m', 'x']", "(sys.executable, '-c', 'x')",
    ],
)  # fmt: skip
def test_the_rule_of_the_architecture_knows_the_ways_to_execute_what_is_read(source: str) -> None:
    assert [*unsafe.faults(source, "data/images.py")]


def test_what_is_allowed_is_allowed_in_one_place_alone() -> None:
    convert = "import torch\ntorch.load('x', weights_only=True)"
    assert [*unsafe.faults(convert, unsafe.MAY_OPEN_PICKLES)] == []
    assert [*unsafe.faults(convert.replace("True", "False"), unsafe.MAY_OPEN_PICKLES)]
    fetch = "def f():\n    import urllib.request"
    assert [*unsafe.faults(fetch, unsafe.MAY_FETCH)] == []
    assert [*unsafe.faults("import urllib.request", unsafe.MAY_FETCH)]
    assert [*unsafe.faults("[sys.executable, '-P', '-m', 'x']", "data/images.py")] == []


def planted(folder: Path) -> Path:
    """A folder of programs that are called as libraries are; each says that it was executed."""
    for name in ("torch", "json", "medsynth", "cyclonedx_py"):
        (folder / name).mkdir(parents=True)
        for file in ("__init__.py", "__main__.py"):
            (folder / name / file).write_text(f"open({str(folder / EXECUTED)!r}, 'w').close()")
    return folder


def test_no_program_in_the_current_directory_is_executed(tmp_path: Path, ingested: RunDirectory) -> None:
    here = planted(tmp_path / "here")
    torch.save({"x": torch.ones(2)}, tmp_path / "a.pth")
    done("weights", "convert", "../a.pth", "--out", "../a.safetensors", at=here)
    done("doctor", "--sbom", "../bill.json", at=here)
    with contextlib.chdir(here):
        demo._side_by_side(Common(run=ingested.root, device="cpu", quiet=True), ingested, [0], ["status"])
    assert not (here / EXECUTED).exists()


@pytest.mark.parametrize(
    "path", ["../x.png", "images/../../x.png", "/etc/hostname", "C:/x.png", "images\\..\\x.png", "a\0b.png", "", "."]
)
def test_a_manifest_names_no_file_outside_its_folder(tmp_path: Path, path: str) -> None:
    lines = MANIFESTS[0].decode().splitlines()
    cells = lines[1].split(",")
    cells[3] = path
    with pytest.raises(BadData, match="damaged"):
        read_manifest(tmp_path, "\n".join([lines[0], ",".join(cells), *lines[2:]]).encode())


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "..", ".hidden", "", "a\0b", "x" * 300])
def test_a_manifest_names_no_sample_after_which_no_file_may_be_named(tmp_path: Path, name: str) -> None:
    lines = MANIFESTS[0].decode().splitlines()
    changed = ",".join([name, *lines[1].split(",")[1:]])
    with pytest.raises(BadData, match="damaged"):
        read_manifest(tmp_path, "\n".join([lines[0], changed, *lines[2:]]).encode())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_in_a_run_leads_nowhere_else(pristine: RunDirectory, tmp_path: Path, what: str) -> None:
    run = copied(pristine, tmp_path / "run")
    images = run.artifact("ingest").folder / "images"
    if what == "file":
        picture = next(images.iterdir())
        picture.rename(tmp_path / "elsewhere.png")
        picture.symlink_to(tmp_path / "elsewhere.png")
    else:
        images.rename(tmp_path / "elsewhere")
        images.symlink_to(tmp_path / "elsewhere")
    ended = medsynth("train-codec", "-r", run.root)
    assert ended.code == 3
    assert "is a link" in ended.err
