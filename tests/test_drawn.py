"""The drawn cohort keeps what `medsynth demo` and the other tests rely on."""

import csv
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from medsynth.data.drawn import EXUDATES, HAEMORRHAGES, LABELS, WOOL_SPOTS, draw_cohort
from medsynth.data.drawn.canvas import Canvas
from medsynth.data.drawn.cohort import COLUMNS, SHARES, draw_eyes
from medsynth.data.drawn.retina import Eye, draw_retina, photograph
from medsynth.errors import BadUsage

PATIENTS, SIZE = 15, 48
Row = dict[str, str]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_cohort(tmp_path_factory.mktemp("drawn"), patients=PATIENTS, seed=3, size=SIZE)


@pytest.fixture(scope="module")
def rows(drawn: Path) -> list[Row]:
    return read_rows(drawn)


def read_rows(table: Path) -> list[Row]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(table: Path, row: Row, column: str = "image") -> np.ndarray:
    with Image.open(table.parent / row[column]) as picture:
        return np.asarray(picture)


def shot(eye: Eye, number: int = 1, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    picture, mask = photograph(draw_retina(eye, size), eye.dice(f"shot {number}"), size)
    return picture.astype(float), mask == 255


def eye_with(*labels: str, patient: str = "P001", side: str = "right") -> Eye:
    return Eye(0, patient, side, {name: int(name in labels) for name in LABELS})


def test_the_same_seed_draws_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    def contents(name: str, seed: int) -> dict[str, bytes]:
        folder = draw_cohort(tmp_path / name, patients=2, seed=seed, size=32).parent
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }

    first, again, other = contents("first", 0), contents("again", 0), contents("other", 1)
    assert first == again
    shared = [name for name in first if name.startswith("images/") and name in other]
    assert shared
    assert all(first[name] != other[name] for name in shared)


def test_a_picture_does_not_depend_on_what_was_drawn_before_it(drawn: Path, rows: list[Row]) -> None:
    last = rows[-1]
    (eye,) = (e for e in draw_eyes(PATIENTS, seed=3) if (e.patient, e.side) == (last["patient"], last["eye"]))
    number = last["image"].removesuffix(".png").rpartition("-")[2]
    picture, mask = photograph(draw_retina(eye, SIZE), eye.dice(f"shot {number}"), SIZE)
    assert (picture == pixels(drawn, last)).all()
    assert (mask == pixels(drawn, last, "mask")).all()


def test_every_file_is_a_png_of_the_size_asked_for(drawn: Path, rows: list[Row]) -> None:
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        for column, mode in (("image", "RGB"), ("mask", "L")):
            with Image.open(drawn.parent / row[column]) as picture:
                assert (picture.format, picture.mode, picture.size) == ("PNG", mode, (SIZE, SIZE))
    assert len({row["image"] for row in rows}) == len(rows) == len(list((drawn.parent / "images").iterdir()))


def test_a_mask_is_black_exactly_where_no_label_is_1(drawn: Path, rows: list[Row]) -> None:
    healthy = [row for row in rows if not any(int(row[name]) for name in LABELS)]
    assert 0 < len(healthy) < len(rows)
    for row in rows:
        mask = pixels(drawn, row, "mask")
        assert set(np.unique(mask)) <= {0, 255}
        assert mask.any() == (row not in healthy)


@pytest.mark.parametrize("label", LABELS)
def test_even_the_smallest_picture_has_room_for_each_lesion(label: str) -> None:
    for patient in range(12):
        assert shot(eye_with(label, patient=str(patient)), size=32)[1].sum() >= 4


def test_every_patient_has_two_eyes_and_every_eye_two_or_three_pictures_with_the_same_labels(rows: list[Row]) -> None:
    pictures = Counter((row["patient"], row["eye"]) for row in rows)
    assert Counter(patient for patient, _ in pictures) == {f"P{n:03d}": 2 for n in range(1, PATIENTS + 1)}
    assert {eye for _, eye in pictures} == {"left", "right"}
    assert set(pictures.values()) == {2, 3}
    assert len({(row["patient"], row["eye"], *(row[name] for name in LABELS)) for row in rows}) == len(pictures)


def test_labels_are_out_of_balance_by_the_shares_that_are_promised() -> None:
    eyes = draw_eyes(50, seed=0)
    assert {name: sum(eye.labels[name] for eye in eyes) for name in LABELS} == {n: 100 * SHARES[n] for n in LABELS}
    vectors = Counter(tuple(eye.labels.values()) for eye in eyes)
    assert vectors.most_common(1)[0][0] == (0, 0, 0)
    assert sum(count for vector, count in vectors.items() if sum(vector) > 1) >= 5


def test_a_cohort_of_one_patient_has_every_label() -> None:
    assert all(any(eye.labels[name] for eye in draw_eyes(1, seed=0)) for name in LABELS)


def test_the_eyes_of_a_patient_are_more_alike_in_their_labels_than_those_of_strangers() -> None:
    eyes = draw_eyes(400, seed=0)
    right, left = (np.array([[*eye.labels.values()] for eye in eyes[side::2]]) for side in (0, 1))
    assert (right == left).mean() > (right == np.roll(left, 1, axis=0)).mean() + 0.05


def test_pictures_of_an_eye_share_its_vessels_and_other_eyes_do_not() -> None:
    def fine_detail(eye: Eye, number: int) -> np.ndarray:  # neither hue nor light nor noise: at this scale, vessels
        green = Image.fromarray(shot(eye, number)[0][..., 1].astype(np.uint8)).filter(ImageFilter.BoxBlur(1))
        return (np.asarray(green, dtype=float) - np.asarray(green.filter(ImageFilter.BoxBlur(4)), dtype=float))[
            16:80, 16:80
        ]

    def likeness(one: np.ndarray, other: np.ndarray) -> float:  # where they lie best on each other
        spectrum = np.fft.rfft2(one) * np.fft.rfft2(other).conj()
        return float(np.fft.irfft2(spectrum).max() / np.linalg.norm(one) / np.linalg.norm(other))

    eyes = [eye_with(patient=patient, side=side) for patient in ("P001", "P002") for side in ("right", "left")]
    first, second = ([fine_detail(eye, number) for eye in eyes] for number in (1, 2))
    table = np.array([[likeness(one, other) for other in second] for one in first])
    same = np.eye(len(eyes), dtype=bool)
    assert table[same].min() > table[~same].max() + 0.05


def test_two_pictures_of_an_eye_differ() -> None:
    assert np.abs(shot(eye_with(), 1)[0] - shot(eye_with(), 2)[0]).mean() > 2


def test_the_optic_disc_is_the_brightest_part_and_on_the_nasal_side() -> None:
    for side in ("right", "left"):
        for patient in ("P001", "P002", "P003"):
            picture = shot(eye_with(patient=patient, side=side))[0].sum(axis=2)
            left_half, right_half = np.quantile(picture[:, :48], 0.98), np.quantile(picture[:, 48:], 0.98)
            assert (right_half > left_half) == (side == "right")


def test_a_lesion_changes_nothing_but_its_surroundings() -> None:
    healthy, _ = shot(eye_with())
    ill, mask = shot(eye_with(HAEMORRHAGES))
    near = np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(7))) > 0
    changed = np.abs(ill - healthy).max(axis=2)
    assert (changed[mask] > 8).mean() > 0.9
    assert changed[~near].max() == 0


def test_each_lesion_has_a_colour_of_its_own() -> None:
    def colour(label: str) -> np.ndarray:
        found = [shot(eye_with(label, patient=patient)) for patient in ("P001", "P002", "P003")]
        return np.mean([picture[mask].mean(axis=0) for picture, mask in found], axis=0)

    healthy = shot(eye_with())[0][32:64, 32:64].mean(axis=(0, 1))
    blood, wax, wool = colour(HAEMORRHAGES), colour(EXUDATES), colour(WOOL_SPOTS)
    assert blood.sum() < 0.6 * healthy.sum()
    assert wax[1] > 1.4 * healthy[1]
    assert wool[2] > 1.5 * wax[2]  # white rather than yellow


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    draw_cohort(tmp_path, patients=2, seed=0, size=32, progress=lambda what, done, total: heard.append((done, total)))
    assert heard == [(n, 4) for n in range(5)]


@pytest.mark.parametrize(("patients", "size"), [(0, 96), (3, 31)])
def test_what_cannot_be_drawn_is_refused_with_the_number(tmp_path: Path, patients: int, size: int) -> None:
    with pytest.raises(BadUsage, match=f"{patients} patients at {size} pixels"):
        draw_cohort(tmp_path, patients=patients, seed=0, size=size)


def test_the_example_draws_a_cohort_and_says_what_to_type_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).parents[1] / "examples" / "draw_cohort.py"
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path / "eyes"), "--patients", "1", "--size", "32"])
    runpy.run_path(str(script), run_name="__main__")
    assert len(read_rows(tmp_path / "eyes" / "labels.csv")) >= 4
    assert capsys.readouterr().out.startswith(f"medsynth ingest {tmp_path / 'eyes' / 'labels.csv'} --labels ")


def test_outlines_fill_the_area_they_enclose() -> None:
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    canvas = Canvas(240)
    assert canvas.areas([square]).sum() / canvas.scale**2 == pytest.approx(1, rel=0.05)
