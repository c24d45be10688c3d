"""The file of weights that is named on the line or in the recipe is what images are judged by, and it is read once."""

import os
import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from shell import done, medsynth

from medsynth import perceptual, plan, recipe
from medsynth.artifacts import features, scores
from medsynth.byhand import identity, published
from medsynth.rundir import RunDirectory

VIT = "timm/test_vit"
QUICK = (
    "--fold",
    0,
    "--set",
    "evaluate.bootstrap=5",
    "--set",
    "evaluate.reference_draws=2",
    "--set",
    "evaluate.pairs=2",
)
WIDTH = 4  # channels of every layer of the small trunk


@pytest.fixture(autouse=True)
def nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSYNTH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    """timm's smallest transformer."""
    torch.manual_seed(0)
    path = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit", pretrained=False).state_dict(), path)
    return path


@pytest.fixture
def trunk(tmp_path: Path) -> Path:
    """An AlexNet of few channels, with the linear weights of LPIPS in the same file."""
    tensors: dict[str, torch.Tensor] = {}
    path, before = tmp_path / "trunk.safetensors", 3
    for level, (convolution,) in enumerate(perceptual.TRUNKS["alex"].levels):
        name, kernel = f"features.{convolution.number}", convolution.kernel
        tensors |= {f"{name}.weight": torch.randn(WIDTH, before, kernel, kernel), f"{name}.bias": torch.zeros(WIDTH)}
        tensors[f"lin{level}.model.1.weight"] = torch.rand(1, WIDTH, 1, 1)
        before = WIDTH
    save_file(tensors, path)
    return path


def names_of(run: RunDirectory) -> tuple[str, str]:
    """Who saw the images, and by what pairs were compared."""
    seen = features.load(run.artifact("features", 0, "geca").folder).extractor
    return seen, str(scores.load(run.artifact("evaluate", 0, "geca").folder)["synthetic.diversity"].extractor)


def test_files_of_the_extractor_and_of_lpips_are_named_together_and_kept_in_the_recipe(
    expanded: RunDirectory, vit: Path, trunk: Path
) -> None:
    words = ("--weights", f"{VIT}={vit}", "--weights", f"alexnet={trunk}", "--set", "evaluate.unverified=true")
    done("evaluate", "--extractor", VIT, *words, *QUICK, "--run", expanded.root)
    seen, compared = names_of(expanded)
    assert seen == f"test_vit:{identity.digest(vit)[:8]}"
    assert compared == f"LPIPS[alex:{identity.digest(trunk)[:8]}, unverified]"
    kept = recipe.parse(expanded.recipe_text())
    assert (kept.features.weights, kept.evaluate.weights) == (str(vit), str(trunk))
    again = done("evaluate", *QUICK, "--run", expanded.root, "--json")
    assert set(again.states().values()) == {"up to date"}

    # What the recipe names, doctor and weights check know of.
    for command in (("doctor",), ("weights", "check", VIT)):
        found = medsynth(*command, "--run", expanded.root, "--json").json["weights"]
        assert {row["key"]: row["path"] for row in found}[VIT] == str(vit)

    # Other bytes at the same place are another distance: it is measured anew, and images are not seen again.
    save_file({name: 2 * value for name, value in load_file(trunk).items()}, trunk)
    states = done("evaluate", *QUICK, "--run", expanded.root, "--json").states()
    assert states == {"fold-0/evaluate/geca": "done"}


def test_a_file_that_appears_where_weights_are_looked_for_makes_the_evaluation_stale(
    expanded: RunDirectory, trunk: Path, nothing_elsewhere: Path
) -> None:
    done("evaluate", *QUICK, "--run", expanded.root)
    evaluation = expanded.artifact("evaluate", 0, "geca")
    assert names_of(expanded)[1].startswith("deep-feature distance")
    asked = recipe.parse(expanded.recipe_text())
    assert plan.is_current(expanded, asked, evaluation)
    (nothing_elsewhere / "alexnet.safetensors").write_bytes(trunk.read_bytes())
    assert not plan.is_current(expanded, asked, evaluation)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--weights", "inception=f"), "--extractor inception"),
        (("--extractor", "inception", "--weights", "dinov2=f"), "--extractor dinov2"),
        (("--weights", "vgg16=f"), "--set evaluate.perceptual=vgg"),
        (("--weights", "f.safetensors"), "--weights inception=FILE"),
        (("--weights", "incepsion=f"), "inception"),
    ],
)
def test_a_file_that_nothing_reads_is_refused(pristine: RunDirectory, words: tuple[str, ...], hint: str) -> None:
    for command in ("features", "evaluate", "audit"):
        ended = medsynth(command, *words, "--run", pristine.root)
        assert ended.code == 2
        assert hint in ended.hint


def test_a_file_that_is_named_and_not_there_is_no_reason_to_take_another(expanded: RunDirectory) -> None:
    ended = medsynth("evaluate", "--weights", "alexnet=/nowhere", *QUICK, "--run", expanded.root)
    assert ended.code == 6
    assert "/nowhere" in ended.err


def test_every_trunk_of_lpips_has_its_file() -> None:
    assert {"auto": "alexnet"} | {net: trunk.key for net, trunk in perceptual.TRUNKS.items()} == published.OF_LPIPS


def test_a_file_is_read_once_as_long_as_nothing_is_written_to_it(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, reads = identity.digest(vit), []
    monkeypatch.setattr(identity, "SETTLED", -1)  # as if it had been written long ago

    def counted(path: Path) -> str:
        reads.append(path)
        return str(original(path))

    original = identity._digest
    monkeypatch.setattr(identity, "_digest", counted)
    assert {identity.digest(vit) for _ in range(3)} == {before}
    assert len(reads) == 1
    content = vit.read_bytes()
    time.sleep(0.02)
    vit.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as long as before, at the time of before
    os.utime(vit, (0, 0))
    assert identity.digest(vit) != before
    assert len(reads) == 2
