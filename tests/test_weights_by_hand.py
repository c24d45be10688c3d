"""Files of weights that come by hand: which one is taken, which one is refused; nothing in them is executed."""

import http.server
import os
import pickle
import shlex
import shutil
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from shell import done, medsynth

from medsynth import extractors, perceptual
from medsynth.artifacts import files
from medsynth.byhand import fetch, identity, published, store
from medsynth.byhand.convert import convert
from medsynth.errors import BadUsage, MissingWeights, Refused

TENSORS = {"features.0.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "features.0.bias": torch.tensor([1.5, -2.0])}


@pytest.fixture(scope="module")
def pth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torch's hub has them."""
    path = tmp_path_factory.mktemp("published") / "alexnet-owt-7be5be79.pth"
    torch.save(OrderedDict(TENSORS), path)
    return path


@pytest.fixture(scope="module")
def converted(pth: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("converted") / "alexnet-owt-7be5be79.safetensors"
    convert(pth, path)
    return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """$MEDSYNTH_WEIGHTS and torch's own folder, both empty."""
    monkeypatch.setenv("MEDSYNTH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for place in store.places():
        place.mkdir(parents=True)
    return tmp_path / "weights", tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def as_published(pth: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the table name the hash of the small file; its first digits."""
    digest = files.sha256(pth)[:8]
    monkeypatch.setitem(published.BY_KEY, "alexnet", replace(published.BY_KEY["alexnet"], digest=digest))
    return digest


def test_the_table_knows_every_extractor_and_trunk_and_hashes_are_those_of_official_names() -> None:
    assert {*extractors.NAMES} - {extractors.OWN} | {t.key for t in perceptual.TRUNKS.values()} <= {*published.BY_KEY}
    assert len(published.BY_KEY) == len(published.TABLE)
    for asked in published.TABLE:
        assert asked.file.endswith(f"{asked.digest}.pth"), asked
        assert not asked.url or (asked.url.startswith("https://") and asked.url.endswith(f"/{asked.file}"))
    digests = {key: asked.digest for key, asked in published.BY_KEY.items() if asked.digest}
    assert digests == {
        "inception": "6726825d", "alexnet": "7be5be79", "vgg16": "397923af", "resnet34": "b627a593"
    }  # fmt: skip


def test_the_named_file_comes_first_then_medsynth_weights_then_torchs_folder(
    converted: Path, places: tuple[Path, Path], as_published: str
) -> None:
    ours, torchs = places
    assert store.look("alexnet").state == "missing"
    for place in (torchs, ours):
        shutil.copy(converted, place)
        assert store.find("alexnet").path == place / converted.name
    assert store.find("alexnet", converted).path == converted
    assert store.find("alexnet").mark == as_published
    (ours / converted.name).rename(ours / "alexnet.safetensors")
    assert store.find("alexnet").path == ours / "alexnet.safetensors"
    with pytest.raises(MissingWeights, match="not at"):  # who names a file means no other
        store.find("alexnet", ours / "elsewhere.safetensors")


def test_the_error_of_a_missing_file_is_one_screen_that_leads_to_a_checked_one(places: tuple[Path, Path]) -> None:
    for key in published.BY_KEY:
        with pytest.raises(MissingWeights) as failure:
            store.find(key)
        asked, text = published.named(key), f"{failure.value}\n{failure.value.hint}"
        for part in (asked.used_for, asked.file, asked.digest, asked.publisher, str(places[0]), asked.instead):
            assert part in text
        assert f"medsynth weights check {key}" in text
        assert len(text.splitlines()) <= 8
    assert failure.value.exit_code == 6


def test_the_official_file_is_converted_by_the_command_that_the_error_names_and_keeps_its_hash(
    pth: Path, places: tuple[Path, Path], as_published: str
) -> None:
    shutil.copy(pth, places[1])
    with pytest.raises(MissingWeights, match="is a pickle") as failure:
        store.find("alexnet")
    program, *words = shlex.split(failure.value.hint)
    assert program == "medsynth"
    assert medsynth(*words).code == 0
    seen = store.find("alexnet")
    assert (seen.path, seen.digest, seen.mark) == (
        places[0] / "alexnet-owt-7be5be79.safetensors", files.sha256(pth), as_published
    )  # fmt: skip
    assert {name: value.tolist() for name, value in load_file(seen.path).items()} == {
        name: value.tolist() for name, value in TENSORS.items()
    }
    assert medsynth("weights", "check", "alexnet").code == 0


def test_a_file_with_another_hash_is_refused_unless_that_is_said_and_then_its_name_says_so(
    pth: Path, converted: Path, places: tuple[Path, Path]
) -> None:
    for path in (pth, converted):
        with pytest.raises(MissingWeights, match="begins with") as failure:
            store.find("alexnet", path)
        assert files.sha256(pth)[:8] in str(failure.value)
        assert "7be5be79" in str(failure.value)
    assert store.find("alexnet", converted, unverified=True).mark == f"{files.sha256(pth)[:8]}, unverified"
    assert store.look("alexnet", pth, unverified=True).state == "to convert"
    ended = medsynth("weights", "check", "--weights", f"alexnet={converted}", "--json")
    assert ended.code == 6
    assert [row["state"] for row in ended.json["weights"]] == ["wrong"]


def test_that_a_hash_is_the_word_of_the_file_itself_is_said(converted: Path, as_published: str, tmp_path: Path) -> None:
    """Anything can say of itself that it was made from the published file."""
    header = {**identity.read_header(converted)[identity.METADATA]}
    forged, other = tmp_path / "forged.safetensors", {"x": torch.ones(3)}
    save_file(other, forged)
    save_file(other, forged, header | {identity.CONTENT_SHA256: identity.content_digest(forged)})
    assert store.find("alexnet", forged).mark == as_published
    said = done("weights", "check", "--weights", f"alexnet={forged}").out
    assert store.TOLD in " ".join(said.split())


def test_a_hash_that_was_reckoned_is_no_word_of_the_file(places: tuple[Path, Path]) -> None:
    save_file(TENSORS, places[0] / "test_vit.safetensors")
    assert store.find("timm/test_vit").remark == ""


def test_a_file_without_a_published_hash_is_known_by_its_own(converted: Path, places: tuple[Path, Path]) -> None:
    save_file(TENSORS, places[0] / "test_vit.safetensors")
    seen = store.find("timm/test_vit")
    assert seen.mark == files.sha256(places[0] / "test_vit.safetensors")[:8]
    assert store.find("dinov2", converted).digest == store.find("dinov2-small", converted).digest


@settings(max_examples=60)
@given(data=st.data())
def test_a_converted_file_that_is_cut_or_changed_anywhere_is_refused(converted: Path, data: st.DataObject) -> None:
    whole = converted.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    other = whole[:at] if data.draw(st.booleans()) else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    path = converted.with_name("changed.safetensors")
    path.write_bytes(other)
    try:
        identity.digest(path)
    except identity.Damaged:
        return
    # What is left is a change of the words that say where it is from; every tensor is what it was.
    assert identity.content_digest(path) == identity.content_digest(converted)


class Trap:
    """What runs a command when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("how", ["code", "program", "cut", "no tensors"])
def test_only_tensors_are_taken_from_a_pickle_and_nothing_in_it_is_executed(
    how: str, pth: Path, tmp_path: Path
) -> None:
    path, out, sprung = tmp_path / "a.pth", tmp_path / "out" / "a.safetensors", tmp_path / "sprung"
    if how == "code":
        pickle.loads(pickle.dumps(Trap(sprung)))  # noqa: S301 - it is a trap indeed
        sprung.rmdir()
        torch.save({**TENSORS, "trap": Trap(sprung)}, path)
    elif how == "program":
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    elif how == "cut":
        path.write_bytes(pth.read_bytes()[:-50])
    else:
        path.write_bytes(pickle.dumps({"words": "only"}, protocol=2))
    ended = medsynth("weights", "convert", path, "--out", out)
    assert ended.code == 6
    assert f"is not converted: {'it holds more than tensors' if how == 'code' else ''}" in ended.err
    assert "Traceback" not in ended.err
    assert not sprung.exists()
    assert not list(out.parent.iterdir())


def test_a_checkpoint_is_converted_in_another_process_whatever_lies_beside_its_weights(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    inside = {"a": shared[:3], "b": shared, "c": torch.ones(2, 3).T, "n": torch.tensor(4)}
    torch.save({"model": inside, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "c.pt")
    code = (
        "import sys; from pathlib import Path; from medsynth.byhand.convert import convert; "
        "convert(Path('c.pt'), Path('c.safetensors')); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    found = load_file(tmp_path / "c.safetensors")
    assert {name: value.tolist() for name, value in found.items()} == {k: v.tolist() for k, v in inside.items()}
    with safe_open(tmp_path / "c.safetensors", framework="pt") as file:
        assert file.metadata()[identity.SOURCE] == "c.pt"
    assert identity.digest(tmp_path / "c.safetensors") == files.sha256(tmp_path / "c.pt")


def test_a_key_that_is_not_known_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadUsage) as failure:
        store.look("incepton")
    assert "inception" in failure.value.hint
    for words in (["inception"], ["nothing=/x"], ["inception="]):
        assert medsynth("weights", "check", "--weights", *words).code == 2
    with pytest.raises(BadUsage):
        published.named("timm/../../etc/passwd")


class Server(http.server.ThreadingHTTPServer):
    """Serves one content, and counts who asks for it."""

    content, asked, promised = b"", 0, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200 if self.path.endswith(".pth") else 404)
        self.send_header("Content-Length", str(self.server.promised or len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(pth: Path) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answer) as running:
        running.content = pth.read_bytes()
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def no_progress(_name: str, _done: int, _total: int) -> None: ...


def test_nothing_is_fetched_unless_it_is_said_and_never_without_a_hash(
    server: Server, as_published: str, tmp_path: Path
) -> None:
    asked = replace(published.BY_KEY["alexnet"], url=f"{server.url}/alexnet.pth")
    with pytest.raises(Refused, match="--allow-download"):
        fetch.fetch(asked, tmp_path, allowed=False, progress=no_progress)
    with pytest.raises(MissingWeights, match="no hash"):
        fetch.fetch(replace(asked, digest=""), tmp_path, allowed=True, progress=no_progress)
    assert server.asked == 0
    assert medsynth("weights", "fetch", "alexnet").code == 4


@pytest.mark.parametrize("how", ["another", "cut", "not there", "no server"])
def test_what_is_not_the_published_file_never_gets_its_name(
    how: str, server: Server, as_published: str, tmp_path: Path
) -> None:
    url = f"{server.url}/alexnet.{'txt' if how == 'not there' else 'pth'}"
    if how == "another":
        server.content += b"!"
    elif how == "cut":
        server.promised = len(server.content)
        server.content = server.content[:-10]
    elif how == "no server":
        url = "http://127.0.0.1:9/alexnet.pth"
    asked = replace(published.BY_KEY["alexnet"], url=url)
    with pytest.raises(MissingWeights) as failure:
        fetch.fetch(asked, tmp_path / "there", allowed=True, progress=no_progress)
    assert "by hand" in failure.value.hint
    assert not list((tmp_path / "there").iterdir())


def test_a_file_that_is_fetched_is_checked_converted_and_ready(
    server: Server, as_published: str, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(published.BY_KEY["alexnet"], url=f"{server.url}/alexnet.pth")
    monkeypatch.setitem(published.BY_KEY, "alexnet", asked)
    ended = medsynth("weights", "fetch", "alexnet", "--allow-download", "--json")
    assert ended.code == 0, ended.err
    assert store.find("alexnet").path == Path(ended.json["weights"][0]["file"])
    assert server.asked == 1
