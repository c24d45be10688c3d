"""What a trained segmenter is used for: pictures of any size get masks, and other programs get a file."""

import csv
import errno
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import copied
from faults import failing
from PIL import Image
from shell import ROOT, contents, done, medsynth

from medsynth import applied, portable
from medsynth.artifacts import cohort, files, segmentations, weights
from medsynth.data import pictures, png
from medsynth.data.decoding import Square
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
        (("--apply", "album", "--out", "new", "--arms", "real,real+geca"), 2, "one of --arms"),
        (("--apply", "album", "--out", "new", "--arms", "real+geca"), 5, "--variant multi --arms real+geca --fold 0"),
        (("--apply", "album", "--out", "new", "--arms", "shuffled-labels"), 2, "--arms real,real+geca"),
        (("--apply", "album", "--out", "new", "--variant", "unt"), 2, "did you mean unet?"),
        (("--apply", "album", "--out", "new", "--variant", "unet+geca"), 2, "--variant unet --arms real+geca"),
        (("--variant", "unet+geca"), 2, "--variant unet --arms real+geca"),
        (("--variant", "unet+geca", "--steps", 3), 2, "--variant unet --arms real+geca"),
        (("--apply", "album", "--out", "new", "--fold", 7), 4, "--fold 1"),
        (("--apply", "album", "--out", "new", "--set", "segment.unet.combine=typo"), 2, "leave --set out"),
        (("--apply", "album", "--out", "new", "--steps", 3), 2, "leave --steps out"),
        (("--export", "onnx", "--out", "new", "--minutes", 3, "--force"), 2, "leave --minutes and --force out"),
        (("--export", "onnx", "--out", "new", "--device", "cuda"), 2, "leave --device out"),
        (("--out", "new"), 2, "--apply FOLDER, or --export onnx"),
        (("--size", 16, "--variant", "unet"), 2, "leave --size out"),
        (("--apply", "album", "--out", "new", "--size", -4), 2, "--size 8 to 8000; 0: as it is"),
        (("--apply", "album", "--out", "new", "--size", 1), 2, "--size 8 to 8000"),
        (("--export", "onnx", "--out", "new", "--size", 0), 2, "--size 8 to 8000"),
        (("--export", "onnx", "--out", "file/new"), 2, "--out FILE.onnx"),
        (("--apply", "album", "--out", "file/new"), 2, "--out FOLDER"),
        (("--apply", "patients", "--out", "new"), 3, "--apply patients/7, one folder after the other"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_with_what_to_type(
    words: tuple[object, ...], code: int, hint: str, trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "album").symlink_to(album)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "patients/7").mkdir(parents=True)
    before = contents(trained.root)
    refused = medsynth("segment", *words, "--run", trained.root, at=tmp_path)
    assert refused.code == code, refused.err
    assert hint in refused.hint
    assert not (tmp_path / "new").exists()
    assert contents(trained.root) == before


@pytest.mark.parametrize("name", SMALL)
def test_an_exported_segmenter_says_elsewhere_what_it_says_here(
    name: str, trained: RunDirectory, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "nowhere" / "yet" / "a.onnx"
    words = ("segment", "--variant", name, "--export", "onnx", "--out", path, "--size", 16)
    found = done(*words, "--json", "--run", trained.root).json
    assert float(found["difference_from_torch"]) < 1e-4
    session = onnxruntime.InferenceSession(str(path))
    assert {one.name: one.shape for one in session.get_inputs()} == found["inputs"]
    dice = np.random.default_rng(0)
    inputs = {n: dice.random(shape, dtype=np.float32) for n, shape in found["inputs"].items()}
    about = json.loads(session.get_modelmeta().custom_metadata_map["medsynth"])
    assert (about["image_size"], about["crop"], about["combine"]) == (32, "centre", "mean")
    runs = 1 if name == "unet" else 2
    assert about["runs"] == runs
    assert about["threshold_chosen_for"] == ("one run" if runs == 1 else "the mean of 2 runs")
    (mask,) = session.run(None, inputs)
    assert mask.shape == (1, 1, 16, 16)
    assert 0 <= mask.min() < mask.max() <= 1
    again = medsynth(*words, "--run", trained.root)
    assert again.code == 2
    assert "is there already" in again.err


def test_an_exported_segmenter_does_not_say_where_it_was_made(trained: RunDirectory, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    path = tmp_path / "a.onnx"
    done("segment", "--variant", "direct", "--export", "onnx", "--out", path, "--size", 16, "--run", trained.root)
    content = path.read_bytes()
    for place in (ROOT, Path.home(), tmp_path.parent, Path(sys.prefix), Path(torch.__file__).parents[1]):
        assert str(place).encode() not in content, place
    for word in (b".py", b"stack_trace", b"site-packages"):
        assert word not in content, word


@pytest.mark.parametrize("what", ["another answer", "no room"])
def test_an_exported_segmenter_is_checked_and_synced_before_it_has_its_name(
    what: str, trained: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    words = ("segment", "--variant", "direct", "--export", "onnx", "--size", 16, "--run", trained.root)
    with failing() as count:
        done(*words, "--out", tmp_path / "a.onnx")
    (tmp_path / "a.onnx").unlink()
    if what == "another answer":
        monkeypatch.setattr(portable, "CLOSE", -1.0)
        refused = medsynth(*words, "--out", tmp_path / "a.onnx")
        assert "would say something else than torch does" in refused.err
    else:
        with failing(errno.ENOSPC, count() - 2):  # to be synced; its name and its folder come after
            refused = medsynth(*words, "--out", tmp_path / "a.onnx")
        assert "No space left on device" in refused.err
    assert refused.code == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("there", [False, True])
def test_masks_of_new_pictures_survive_a_power_cut_once_they_are_said_to_be_there(
    there: bool, trained: RunDirectory, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    out, sync = tmp_path / "masked", os.fsync
    if there:
        out.mkdir()
    moved: list[int] = []
    rename = os.rename

    def synced(handle: int) -> None:
        seen.append(os.fstat(handle).st_ino)
        sync(handle)

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        moved.append(len(seen))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    done("segment", "--variant", "unet", "--apply", album / "wide.png", "--out", out, "--run", trained.root)
    assert {path.stat().st_ino for path in out.rglob("*")} <= set(seen)
    assert (out if there else tmp_path).stat().st_ino in seen[moved[-1] :]


def test_a_leak_that_somebody_forced_is_told_to_whoever_uses_the_segmenter(
    trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    run, leak = copied(trained, tmp_path / "run"), {"from": ["expand geca, fold 0"], "reason": "to see what it does"}
    record = run.artifact("segment", 0, "unet").folder / "stage.json"
    record.write_text(json.dumps(files.read_json(record) | {"leak": leak}))
    words = ("segment", "--variant", "unet", "--json", "--run", run.root)
    masked = done(*words, "--apply", album / "wide.png", "--out", tmp_path / "masks").json
    written = done(*words, "--export", "onnx", "--out", tmp_path / "a.onnx", "--size", 16).json
    for found in (masked, written):
        assert "to see what it does" in found["notes"][0]
        assert "no valid evidence" in found["notes"][0]
    assert written["about"]["leak"] == leak


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


CROPS = ("centre", "pad", "inside-field")


def round_pictures(folder: Path) -> Path:
    """labels.csv of 24 wide photographs of a round field, each with a bright lesion that its mask covers. Its squares
    are 3, 5 and 7 times as large as an image of 32 pixels: some pixels of theirs lie right where one of the image is.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    down, along = np.mgrid[:160, :224]
    rows = []
    for number in range(24):
        dice = np.random.default_rng(number)
        row, column, radius = dice.integers(60, 105), dice.integers(88, 132), dice.integers(15, 25)
        pixels = dice.integers(60, 90, (160, 224, 3)).astype(np.uint8)
        lesion = (down - row) ** 2 + (along - column) ** 2 <= radius**2
        pixels[lesion] += 120
        pixels[(down - 82) ** 2 + (along - 110) ** 2 > 69**2] = 0
        name = f"eye{number}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        Image.fromarray(lesion.astype(np.uint8) * 255).save(folder / "masks" / name)
        rows.append(f"images/{name},masks/{name},p{number // 2},{number % 2}")
    (folder / "labels.csv").write_text("\n".join(["image,mask,patient,sick", *rows]))
    return folder / "labels.csv"


@pytest.fixture(scope="module", params=CROPS)
def wide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A segmenter of pictures that are no squares, in each of the ways to make them square. To be read only."""
    run = tmp_path_factory.mktemp("wide") / "run"
    words = ("--labels", "sick", "--mask", "mask", "--image-size", 32, "--folds", 2, "--crop", request.param)
    done("ingest", round_pictures(run.parent / "clinic"), "--run", run, *words)
    settings = ("size=tiny", "steps=60", "batch_size=8", "warmup_steps=0", "learning_rate=3e-3", "ema=0.0")
    changes = [word for setting in settings for word in ("--set", f"segment.unet.{setting}")]
    done("segment", "--variant", "unet", "--fold", 0, "--run", run, *changes)
    return RunDirectory(run)


def test_the_original_of_a_tested_picture_gets_the_mask_that_was_tested(wide: RunDirectory, tmp_path: Path) -> None:
    settings, stored = wide.artifact("ingest").record()["settings"], wide.artifact("segment", 0, "unet").folder
    originals, square = Path(settings["source"]).parent / "images", Square(32, settings["crop"])
    done("segment", "--variant", "unet", "--apply", originals, "--out", tmp_path / "m", "--run", wide.root)
    for row in segmentations.load(stored):
        name = f"{row.sample}.png"
        with Image.open(originals / name) as picture:
            box = square.box(picture)
        times, rest = divmod(box[2] - box[0], 32)
        assert (times % 2, rest) == (1, 0)
        mask = Image.fromarray(png.read(tmp_path / "m/masks" / name)[..., 0]).crop(box)
        here = np.asarray(mask)[times // 2 :: times, times // 2 :: times]
        there = png.read(stored / "masks" / name)[..., 0]
        assert np.array_equal(here, there)
        assert here.any()


def test_what_is_cut_out_of_a_picture_is_what_ingest_has_stored(wide: RunDirectory) -> None:
    ingest = wide.artifact("ingest")
    settings = ingest.record()["settings"]
    for sample in cohort.load(ingest.folder).samples:
        pixels = pictures.read(Path(settings["source"]).parent / "images" / f"{sample.sample}.png", 3)
        frame = pictures.Frame.learned(pixels, Square(32, settings["crop"]))
        assert np.array_equal(frame.cut(pixels), png.read(sample.image))


def test_a_mask_lies_where_it_was_found_and_nowhere_else() -> None:
    pixels = np.full((20, 40, 3), 200, np.uint8)
    seen = pictures.Frame.learned(pixels, Square(10, "centre"))
    assert (seen.box, seen.size, seen.share((20, 40))) == ((10, 0, 30, 20), (20, 20), 0.5)
    mask = np.zeros((20, 20), bool)
    mask[3, 5] = True
    assert np.argwhere(seen.pasted(mask, (20, 40))).tolist() == [[3, 15]]
    padded = pictures.Frame.learned(pixels, Square(10, "pad"))
    assert (padded.box, padded.share((20, 40))) == ((0, -10, 40, 30), 1)
    mask = np.zeros((40, 40), bool)
    mask[13, 5] = mask[2, 2] = True
    assert np.argwhere(padded.pasted(mask, (20, 40))).tolist() == [[3, 5]]
    shown = pictures.outlined(pixels, np.zeros((20, 40), bool), seen)
    assert (shown[:, 10:30] == 200).all()
    assert (np.delete(shown, range(10, 30), axis=1) == 200 // pictures.DIMMED).all()


def test_a_picture_of_endless_proportions_is_not_looked_at() -> None:
    thin = np.zeros((1, 10_000, 1), np.uint8)
    assert pictures.Frame.whole(thin, 80).shape == (80, 800_000)
    with pytest.raises(pictures.Unreadable, match="pixels would be looked at"):
        pictures.Frame.whole(thin, 81)
    with pytest.raises(pictures.Unreadable, match="pixels would be looked at"):
        pictures.Frame.learned(thin, Square(8, "pad"))
    with pytest.raises(pictures.Unreadable, match="10000 x 1 pixels would be looked at, fewer than 3 a side"):
        pictures.Frame.whole(thin, 0)


def test_only_at_the_scale_of_training_a_mask_is_called_doubtful(
    trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    words = ("segment", "--variant", "multi", "--apply", album, "--run", trained.root)
    scales = {(): "1111", ("--size", 32): "1111", ("--size", 0): "0001", ("--size", 20): "0000"}
    for number, (size, known) in enumerate(scales.items()):
        ended = done(*words, *size, "--out", tmp_path / str(number))
        rows = [table(tmp_path / str(number))[name] for name in ("wide.png", "tall.JPG", "grey.tif", "'=odd.png")]
        assert "".join(row["as_trained"] for row in rows) == known
        assert [row["doubtful"] != "" for row in rows] == [one == "1" for one in known]
        assert ("another scale than training" in ended.err) == ("0" in known)
        assert ("outside it, where overlays are dim, masks are empty" in ended.err) == (size == ())
        assert [float(row["looked_at"]) < 1 for row in rows] == [size == (), size == (), False, False]


def test_a_picture_under_another_name_gets_the_same_mask(trained: RunDirectory, album: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("wide.png", "renamed.png"):
        shutil.copy(album / "wide.png", tmp_path / "in" / name)
    done("segment", "--variant", "multi", "--apply", tmp_path / "in", "--out", tmp_path / "m", "--run", trained.root)
    first, second = (tmp_path / "m/masks" / name for name in ("wide.png", "renamed.png"))
    assert first.read_bytes() == second.read_bytes()
    assert len({row["quality"] for row in table(tmp_path / "m").values()}) == 1


def test_a_dry_run_says_what_would_be_used_and_writes_nothing(
    trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    words = ("segment", "--variant", "unet", "--run", trained.root, "--dry-run", "--json", "--out", tmp_path / "new")
    (told,) = done(*words, "--apply", album).json["dry_run"]
    assert told["pictures"] == 5
    (told,) = done(*words, "--export", "onnx").json["dry_run"]
    assert told["file"] == str(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_masks_go_into_an_empty_folder_that_one_stands_in(trained: RunDirectory, album: Path, tmp_path: Path) -> None:
    words = ("segment", "--variant", "unet", "--apply", album / "wide.png", "--run", trained.root)
    before = tmp_path.stat().st_ino
    (tmp_path / ".part").mkdir()  # left by a process that was killed
    done(*words, "--out", ".", at=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks", "masks.csv", "overlays"]
    assert tmp_path.stat().st_ino == before
    assert medsynth(*words, "--out", ".", at=tmp_path).code == 2


def test_nothing_is_left_where_no_picture_could_be_read(trained: RunDirectory, album: Path, tmp_path: Path) -> None:
    words = ("segment", "--variant", "unet", "--apply", album / "damaged.png", "--run", trained.root)
    assert medsynth(*words, "--out", tmp_path / "new").code == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_pictures_can_be_written_to(channels: int, album: Path) -> None:
    for path in (album / "wide.png", album / "grey.tif"):
        pixels = pictures.read(path, channels)
        assert pixels.shape[2] == channels
        assert pixels.flags.writeable
        assert pictures.resized(pixels, (8, 9)).flags.writeable
        assert pictures.Frame.learned(pixels, Square(8, "centre")).cut(pixels).flags.writeable


def test_a_mask_is_doubtful_above_the_score_that_parts_failed_masks_from_others() -> None:
    score, failed = np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([False, False, False, True, True])
    assert ensembles.failure_limit(score, failed) == 0.3
    assert ensembles.failure_limit(score, failed & False) == 0.5
    assert (score > ensembles.failure_limit(score, failed | True)).all()  # nothing such a segmenter finds is trusted
    assert ensembles.failure_limit(score * 0, failed | True) < 0  # even where its runs agree


def test_a_picture_keeps_its_proportions() -> None:
    assert pictures.shape_for((400, 300), 30) == (40, 30)
    assert pictures.shape_for((400, 300), 0) == (400, 300)
    assert pictures.shape_for((3, 1000), 1) == (1, 333)


@pytest.mark.parametrize("there", [False, True])
def test_of_two_who_write_masks_to_the_same_place_the_second_is_refused_naming_the_first(
    there: bool, trained: RunDirectory, album: Path, tmp_path: Path
) -> None:
    """Or masks of one's pictures would lie beside the table of the other's."""
    asked = applied.Asked(album, tmp_path / "masked", "unet")
    if there:
        asked.folder.mkdir()
    refusals = []

    def meanwhile(*_: object) -> None:
        words = ("--variant", "unet", "--apply", album / "wide.png", "--out", asked.folder, "--run", trained.root)
        refusals.append(medsynth("segment", *words))

    applied.run(trained, asked, meanwhile)
    assert len(refusals) == len(table(asked.folder)) == 5
    for refused in refusals:
        assert refused.code == 4
        assert f"is being made by process {os.getpid()} on" in refused.err
    assert sorted(path.name for path in asked.folder.iterdir()) == ["masks", "masks.csv", "overlays"]
    assert [*tmp_path.iterdir()] == [asked.folder]
