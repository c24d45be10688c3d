"""The pictures and small drawings of the report."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from drawn_run import ARMS, DrawnRun
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.artifacts import cohort, files, log
from medsynth.artifacts.cohort import Facts
from medsynth.report import figures, nearest, pictures, svg
from medsynth.report.collect import collect
from medsynth.report.page import render
from medsynth.rundir import RECORD

AUC = st.floats(0, 1, allow_nan=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DrawnRun:
    return DrawnRun(tmp_path_factory.mktemp("whole") / "run").everything()


def test_a_synthetic_image_stands_under_a_real_one_with_the_same_labels(whole: DrawnRun) -> None:
    found = collect(whole.artifacts())
    drawn = cohort.load(whole.run.artifact("expand", 0, "geca").folder)
    labels_of = {pictures.picture(s.image).uri: s.labels for s in (*found.cohort.samples, *drawn.samples)}
    rows = pictures.rows(found, 0)
    assert [row.label for row in rows] == ["haemorrhage", "exudate", ""]
    for row in rows:
        pairs = [(real, made) for real, made in zip(row.real, row.synthetic["geca"], strict=True) if made]
        assert pairs
        assert all(labels_of[real.uri] == labels_of[made.uri] for real, made in pairs)


def test_a_copied_training_image_is_found_at_distance_zero(whole: DrawnRun) -> None:
    close = nearest.closeness(collect(whole.artifacts()), "geca", 0)
    assert close is not None
    assert close.pairs[0].distance == 0
    assert close.pairs[0].image.uri == close.pairs[0].nearest.uri
    assert close.pairs[1].distance > 0
    assert [p.distance for p in close.pairs] == sorted(p.distance for p in close.pairs)


def test_a_mirrored_copy_is_found_where_mirror_images_are_plausible(tmp_path: Path) -> None:
    from PIL import Image, ImageOps

    run = (
        DrawnRun(tmp_path / "run", Facts(labels=("a",), one_class=False, image_size=16, folds=3, mirror=True))
        .ingest()
        .expand(0)
    )
    first = cohort.load(run.run.artifact("expand", 0, "geca").folder).samples[0].image
    ImageOps.mirror(Image.open(first)).save(first)
    close = nearest.closeness(collect(run.artifacts()), "geca", 0)
    assert close is not None
    assert close.pairs[0].distance == 0
    assert close.pairs[0].mirrored
    assert close.pairs[0].image.uri == close.pairs[0].nearest.uri


@given(st.floats(-100, 100), st.floats(1e-3, 1e4), st.integers(2, 6))
def test_ticks_are_round_evenly_spaced_and_enough(low: float, span: float, least: int) -> None:
    found = svg.ticks(low, low + span, least)
    assert len(found) >= least
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in found)
    steps = [b - a for a, b in pairwise(found)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert f"{steps[0]:.3e}"[0] in "125"


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-1e3, 1e3)), min_size=1, max_size=900))
@settings(max_examples=30)
def test_a_thinned_line_is_short_and_stays_within_its_range(line: list[tuple[float, float]]) -> None:
    thin = figures.thinned(line, 50)
    assert len(thin) <= 50
    assert min(v for _, v in line) - 1e-9 <= min(v for _, v in thin)
    assert max(v for _, v in thin) <= max(v for _, v in line) + 1e-9


@given(st.dictionaries(st.sampled_from(ARMS), st.dictionaries(st.integers(0, 4), AUC, min_size=1), min_size=1))
def test_the_overview_is_well_formed_and_has_a_dot_for_every_number(values: dict[str, dict[int, float]]) -> None:
    drawn = figures.dots(values, {arm: f"<{arm}>" for arm in values}, frozenset(), "AUC & more")
    circles = [e for e in ElementTree.fromstring(str(drawn)).iter() if e.tag == "circle"]
    assert len(circles) == sum(len(each) for each in values.values())


def test_a_training_curve_is_drawn_on_a_log_scale_where_values_span_decades() -> None:
    line = [(step, 1000.0 / 10**step) for step in range(6)]
    drawn = figures.curves(figures.Panel("kl", "loss", [line]))
    points = ElementTree.fromstring(str(drawn)).find("polyline").get("points").split()
    heights = [float(point.split(",")[1]) for point in points]
    falls = [b - a for a, b in pairwise(heights)]
    assert max(falls) - min(falls) < 0.2


def test_a_watched_generator_shows_its_loss_on_both_kinds_of_patients_and_its_copies_with_their_limit(
    tmp_path: Path,
) -> None:
    facts = Facts(labels=("a",), one_class=False, image_size=16, folds=1)
    drawn = DrawnRun(tmp_path / "run", facts).ingest().train("generator", "geca", 0)
    folder = drawn.run.artifact("generator", 0, "geca").folder
    for step, copies in ((410, 0.0), (420, 0.0), (430, 0.25)):
        found = {"validation_loss": step / 1000, "training_loss_fixed": 0.1, "copy_share": copies}
        found["closeness"] = copies + 0.05
        log.append(folder, {"step": step, **found})
    record = files.read_json(folder / RECORD)
    record["summary"]["kept_step"], record["settings"]["copy_limit"] = 420, 0.02
    files.write_json(folder / RECORD, record)
    html = render(drawn.artifacts()).html
    parts = html[html.index('id="curves"') : html.index('id="checklist"')].split("</figure>")
    (losses,) = [part for part in parts if "dashed: selection patients" in part]
    (copies_shown,) = [part for part in parts if "share of copies" in part]
    assert losses.count("<polyline") == 2
    assert losses.count("curve dashed made") == 1
    assert "kept: 0.42 at step 420" in losses
    assert "kept: 0 at step 420" in copies_shown
    assert 'class="limit"' in copies_shown
    assert copies_shown.count("curve dashed made") == 1
    assert "all but 5 % of the selection patients" in html
    assert 'class="limit"' not in losses
