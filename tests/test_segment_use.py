"""What a trained segmenter is used for: pictures of any size get masks, and other programs get a file."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import copied
from PIL import Image
from shell import contents, done, medsynth

from medsynth.artifacts import weights
from medsynth.data import pictures, png
from medsynth.metrics import ensembles
from medsynth.rundir import RunDirectory

SMALL = {
    "direct": {"channels": 16, "hidden": 16, "rollouts": [2, 1]},
    "multi": {"levels": 2, "rollout": 2, "sampling_steps": 2},
    "unet": {"size": "tiny"},
}


@pytest.fixture(scope="module")
def trained(pristine: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Three segmenters after a few steps. To be read only."""
    run = copied(pristine, tmp_path_factory.mktemp("used") / "run")
    for name, own in SMALL.items():
        settings = {"steps": 4, "batch_size": 4, "selection_images": 4, "tested_images": 2, "ensemble": 2} | own
        if name == "unet":
            settings.pop("ensemble")
        changes = [word for key, value in settings.items() for word in ("--set", f"segment.{name}.{key}={value}")]
        done("segment", "--variant", name, "--fold", 0, "--run", run.root, *changes)
    return run


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several sizes and kinds, one of them damaged."""
    folder, dice = tmp_path_factory.mktemp("album"), np.random.default_rng(0)
    for name, shape in {
        "wide.png": (40, 70, 3),
        "tall.JPG": (90, 33, 3),
        "grey.tif": (35, 35),
        "=odd.png": (32, 32, 3),
    }.items():
        Image.fromarray(dice.integers(0, 255, shape, dtype=np.uint8)).save(folder / name)
    (folder / "damaged.png").write_bytes((folder / "wide.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    return folder


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "masks.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("size", [(), ("--size", 0), ("--size", 20)])
@pytest.mark.parametrize("name", SMALL)
def test_pictures_of_any_size_get_masks_of_their_own_size(
    name: str, size: tuple[object, ...], trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    before = contents(trained.root)
    words = ("segment", "--variant", name, "--apply", album, "--out", tmp_path / "masked", *size, "--run", trained.root)
    found = done(*words, "--json").json
    assert (found["images"], found["unreadable"]) == (4, 1)
    rows = table(tmp_path / "masked")
    assert set(rows) == {"wide.png", "tall.JPG", "grey.tif", "'=odd.png", "damaged.png"}
    assert "damaged" in rows["damaged.png"]["problem"]
    for image, shape in {"wide.png": (40, 70), "tall.JPG": (90, 33), "grey.tif": (35, 35)}.items():
        row, mask = rows[image], png.read(tmp_path / "masked" / rows[image]["mask"])[..., 0]
        assert mask.shape == shape == (int(row["rows"]), int(row["columns"]))
        assert set(np.unique(mask)) <= {0, 255}
        assert (mask > 0).sum() == int(row["area_pixels"])
        assert float(row["area_share"]) == pytest.approx((mask > 0).mean(), abs=1e-5)
        assert (row["quality"] == "") == (name == "unet")
        overlay = png.read(tmp_path / "masked" / "overlays" / Path(row["mask"]).name)
        assert overlay.shape == (*shape, 3)
        assert (overlay == pictures.OUTLINE).all(axis=2).any() == (0 < (mask > 0).mean() < 1)
    assert contents(trained.root) == before


def test_a_mask_of_a_picture_is_the_same_whatever_lies_beside_it(
    trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    words = ("segment", "--variant", "multi", "--run", trained.root)
    done(*words, "--apply", album, "--out", tmp_path / "all")
    done(*words, "--apply", album / "wide.png", "--out", tmp_path / "one")
    assert (tmp_path / "all/masks/wide.png").read_bytes() == (tmp_path / "one/masks/wide.png").read_bytes()
    assert table(tmp_path / "all")["wide.png"] == table(tmp_path / "one")["wide.png"]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("--apply", "album"), 2, "--out FOLDER"),
        (("--apply", "nowhere", "--out", "new"), 2, "--apply FOLDER"),
        (("--apply", "empty", "--out", "new"), 3, "--apply FOLDER"),
        (("--apply", "album", "--out", "album"), 2, "--out FOLDER, one that is not there yet"),
        (("--apply", "album", "--out", "new", "--variant", "cbam"), 5, "segment --variant cbam --fold 0"),
        (("--apply", "album", "--out", "new", "--fold", 1), 5, "segment --variant multi --fold 1"),
        (("--apply", "album", "--export", "onnx", "--out", "new"), 2, "leave one of them out"),
        (("--export", "pdf", "--out", "new"), 2, "--export onnx"),
        (("--export", "onnx"), 2, "--out FILE.onnx"),
        (("--export", "onnx", "--out", "new", "--variant", "multi", "--variant", "unet"), 2, "one --variant"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_with_what_to_type(
    words: tuple[object, ...], code: int, hint: str, trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "album").symlink_to(album)
    (tmp_path / "empty").mkdir()
    refused = medsynth("segment", *words, "--run", trained.root, at=tmp_path)
    assert refused.code == code, refused.err
    assert hint in refused.hint
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", SMALL)
def test_an_exported_segmenter_says_elsewhere_what_it_says_here(
    name: str, trained: RunDirectory, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    words = ("segment", "--variant", name, "--export", "onnx", "--out", tmp_path / "a.onnx", "--size", 16)
    found = done(*words, "--json", "--run", trained.root).json
    assert float(found["difference_from_torch"]) < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    assert {one.name: one.shape for one in session.get_inputs()} == found["inputs"]
    dice = np.random.default_rng(0)
    inputs = {n: dice.random(shape, dtype=np.float32) for n, shape in found["inputs"].items()}
    (mask,) = session.run(None, inputs)
    assert mask.shape == (1, 1, 16, 16)
    assert 0 <= mask.min() < mask.max() <= 1
    again = medsynth(*words, "--run", trained.root)
    assert again.code == 2
    assert "is there already" in again.err


def test_a_segmenter_of_thousands_of_steps_is_not_exported(trained: RunDirectory, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    run = copied(trained, tmp_path / "run")
    facts = weights.facts(run.artifact("segment", 0, "multi").folder)
    assert facts["config"]["sampling_steps"] == 2
    changes = (
        "steps=1", "batch_size=2", "rollout=40", "sampling_steps=10", "ensemble=1", "tested_images=1",
        "selection_images=1",
    )  # fmt: skip
    words = [word for change in changes for word in ("--set", f"segment.multi.{change}")]
    done("segment", "--fold", 0, "--run", run.root, *words)
    refused = medsynth("segment", "--fold", 0, "--export", "onnx", "--out", tmp_path / "a.onnx", "--run", run.root)
    assert refused.code == 2
    assert "800 steps" in refused.err
    assert "sampling_steps" in refused.hint


def test_a_mask_is_doubtful_above_the_score_that_parts_failed_masks_from_others() -> None:
    score, failed = np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([False, False, False, True, True])
    assert ensembles.failure_limit(score, failed) == 0.3
    assert ensembles.failure_limit(score, failed & False) == 0.5
    assert ensembles.failure_limit(score, failed | True) == 0.5


def test_a_picture_keeps_its_proportions() -> None:
    assert pictures.shape_for((400, 300), 30) == (40, 30)
    assert pictures.shape_for((400, 300), 0) == (400, 300)
    assert pictures.shape_for((3, 1000), 1) == (1, 333)
