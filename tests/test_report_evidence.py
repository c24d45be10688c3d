"""What the report draws and quotes of comparisons, features, audits and codecs is what their files say."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from drawn_evidence import compare, comparisons_of, extract, judged, look
from drawn_run import DrawnRun
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.artifacts import audit, cohort, scores
from medsynth.artifacts.comparisons import ArmFound, Calibration
from medsynth.artifacts.scores import Score
from medsynth.report import codec, differences, embedding, forest, gallery, novelty, pictures, reliability
from medsynth.report.checklist import points
from medsynth.report.collect import Found, collect
from medsynth.report.forest import Row
from medsynth.report.page import render

VALUE = st.floats(-1, 1, allow_nan=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DrawnRun:
    run = judged(DrawnRun(tmp_path_factory.mktemp("whole") / "run"))
    (run.root / "recipe.toml").write_text("")
    return run


@pytest.fixture(scope="module")
def found(whole: DrawnRun) -> Found:
    return collect(whole.artifacts())


@pytest.fixture(scope="module")
def html(whole: DrawnRun) -> str:
    return render(whole.artifacts()).html


def elements(drawing: object, tag: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(str(drawing)).iter() if e.tag == tag]


def place(element: ElementTree.Element, name: str) -> float:
    return float(str(element.get(name)))


@given(st.lists(st.tuples(VALUE, st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
@settings(max_examples=30)
def test_a_forest_plot_has_every_difference_inside_its_interval_and_one_scale(
    rows: list[tuple[float, float, float]],
) -> None:
    drawn = forest.forest([Row("<a>", v, v - a, v + b) for v, a, b in rows], "AUC & more")
    squares, strokes = elements(drawn, "rect"), [e for e in elements(drawn, "line") if e.get("class") == "reach"]
    assert len(squares) == len(strokes) == len(rows)
    (zero,) = [e for e in elements(drawn, "line") if e.get("class") == "zero"]
    for square, stroke, (value, below, above) in zip(squares, strokes, rows, strict=True):
        middle = place(square, "x") + forest.HALF
        assert place(stroke, "x1") - 0.2 <= middle <= place(stroke, "x2") + 0.2
        crosses = place(stroke, "x1") - 0.1 <= place(zero, "x1") <= place(stroke, "x2") + 0.1
        assert crosses or not value - below <= 0 <= value + above


def test_a_difference_without_an_interval_has_no_stroke() -> None:
    drawn = forest.forest([Row("a", 0.1, None, None), Row("all", 0.1, 0.0, 0.2, total=True)], "AUC")
    assert len([e for e in elements(drawn, "line") if e.get("class") == "reach"]) == 1
    assert len(elements(drawn, "polygon")) == 1


def test_labels_have_a_plot_of_their_own_with_how_many_have_them(found: Found, html: str) -> None:
    known = found.comparisons
    assert known is not None
    help_part = html[html.index('<section id="help">') : html.index('<section id="like">')]
    assert help_part.index("real + GeCA against real<") < help_part.index("real + GeCA against real + geometric</h3>")
    assert help_part.count("difference in average precision: difference") == 2  # one a declared comparison
    assert ">+0.031 (−0.004 to +0.070)<" in help_part
    assert differences.gain_plot((), "mAP") is None


def test_several_generators_are_each_held_against_the_first_arm_without_one(tmp_path: Path) -> None:
    gains = {("real+ldm", "real"): (0.2, 0.1, 0.3), ("real+geca", "real+geometric"): (0.5, 0.4, 0.6)}
    gains |= {("real+geca", "real"): (-0.1, -0.2, 0.0)}
    run = compare(DrawnRun(tmp_path / "run").everything(), comparisons_of(gains=gains))
    header = render(run.artifacts()).html.partition("</header>")[0]
    assert "GeCA against real</text>" in header
    assert "LDM against real</text>" in header
    assert "−0.100 (−0.200 to 0.000)</text>" in header
    assert "+0.500" not in header


def test_a_reliability_plot_has_a_point_a_bin_and_is_left_out_for_nothing() -> None:
    curve = Calibration(None, (0.1, 0.9), (0.0, 1.0), (3, 4))
    arms = [ArmFound(name, (0,), 1, {}, curve, {}, {}) for name in ("real+geca", "real")]
    plain, made = reliability.panels([*arms, ArmFound("x", (0,), 1, {}, Calibration(None, (), (), ()), {}, {})])
    assert "real<" in plain
    assert "error of calibration –" in plain
    first, second = elements(made, "circle")
    assert place(first, "cx") < place(second, "cx")
    assert place(first, "cy") > place(second, "cy")  # what is so more often lies higher


@given(st.integers(2, 30), st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_map_shows_the_directions_in_which_images_differ_most(images: int, size: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(images, size)) * np.arange(1, size + 1)
    centre, directions, shares = embedding.axes(values)
    apart = values - centre
    sizes = np.linalg.svd(apart, compute_uv=False) ** 2
    wanted = [*sizes[:2], 0.0][:2]
    assert np.allclose((apart @ directions).var(axis=0) * images, wanted, rtol=1e-6, atol=1e-6 * sizes.sum())
    assert np.allclose(shares, np.array(wanted) / sizes.sum(), atol=1e-9)
    assert all(column[np.abs(column).argmax()] >= 0 for column in directions.T)


def test_the_map_is_of_one_extractor_and_tells_how_many_are_drawn(
    whole: DrawnRun, found: Found, tmp_path: Path
) -> None:
    (drawn,) = embedding.maps(found)
    everyone, made = found.cohort, cohort.load(whole.run.artifact("expand", 0, "geca").folder)
    unseen = len(everyone.selection(0).samples) + len(everyone.testing(0).samples)
    assert drawn.counts == {
        "training": len(everyone.training(0).samples), "unseen": unseen, "made": len(made.samples)
    }  # fmt: skip
    paths = {str(e.get("class")): str(e.get("d")) for e in elements(drawn.drawing, "path")}
    assert {name.removeprefix("mark "): d.count("M") for name, d in paths.items()} == drawn.counts
    other = extract(DrawnRun(tmp_path / "run").ingest().expand(0), 0)
    facts = other.run.artifact("features", 0, "geca").folder / "facts.json"
    facts.write_text(json.dumps({"extractor": "another", "features": 6}))
    assert embedding.maps(collect(other.artifacts())) == []


def test_the_closest_pairs_are_the_audits_own_in_the_fold_to_look_at_first(whole: DrawnRun, found: Found) -> None:
    features, appearance = gallery.galleries(found)
    assert features.source == "fold-2/audit/geca/pairs.csv"  # the one that was not passed
    images = {s.sample: s.image for s in found.cohort.samples}
    images |= {s.sample: s.image for s in cohort.load(whole.run.artifact("expand", 2, "geca").folder).samples}
    pairs = audit.load(whole.run.artifact("audit", 2, "geca").folder).pairs
    for shown, space in ((features, "features"), (appearance, "appearance")):
        for origin, some in (("synthetic", shown.synthetic), ("real", shown.real)):
            wanted = [p for p in pairs if (p.space, p.origin, p.label) == (space, origin, "")][: len(some)]
            assert [p.distance for p in some] == sorted(p.distance for p in wanted)
            assert [p.image.uri for p in some] == [pictures.picture(images[p.sample]).uri for p in wanted]
            assert [p.nearest.uri for p in some] == [pictures.picture(images[p.training_sample]).uri for p in wanted]
    assert set(features.by_label) == set(found.cohort.facts.labels)


def test_a_generator_that_was_audited_has_no_second_share_of_near_images(html: str, tmp_path: Path) -> None:
    assert "unusually near" not in html
    run = DrawnRun(tmp_path / "run").ingest().expand(0)
    assert "unusually near" in render(run.artifacts()).html
    assert "unusually near" not in render(look(extract(run, 0), 0).artifacts()).html


def test_an_audit_is_told_with_its_reasons_but_without_names(html: str, found: Found) -> None:
    assert html.count("The audit was passed.") == 2
    assert html.count("The audit was not passed.") == 1
    assert "[withheld] was copied." in html
    closeness, others = novelty.tables(found)[0]
    row = closeness.rows[0]
    assert row.cells == ("1.0 % (0.5 to 2.0)", "5.0 %", "25.0 % (12.5 to 50.0)", "5.0 %")
    assert ("Synthetic images that equal a training image in every pixel", ("0", "–")) in [
        (r.name, r.cells) for r in others.rows
    ]


def test_what_a_codec_takes_from_test_images_is_shown_for_each_fold(found: Found) -> None:
    (facts,) = codec.facts(found)
    assert [toll.fold for toll in facts["tolls"]] == [0, 1, 2]
    assert facts["tolls"][0].cells == ("30.9", "0.942", "0.968", "0.951")
    assert facts["tolls"][1].source == "fold-1/features/through-kl/scores.json"


def test_a_codec_of_masks_has_their_dice_beside_psnr_and_another_has_no_such_column(
    whole: DrawnRun, html: str, tmp_path: Path
) -> None:
    assert "Dice of the masks" not in html
    run = extract(DrawnRun(tmp_path / "run").ingest().train("codec", "kl", 0).expand(0), 0)
    folder = run.run.artifact("features", 0, "through-kl").folder
    scores.save(folder, scores.load(folder) | {"test.mask_dice": Score(0.8764, 5, "image with a lesion")})
    (facts,) = codec.facts(collect(run.artifacts()))
    assert dict(zip(facts["toll_heads"], facts["tolls"][0].cells, strict=True))["Dice of the masks"] == "0.876"
    told = render(run.artifacts()).html
    assert '<th class="num">Dice of the masks</th>' in told
    assert '<td class="num">0.876</td><td><code class="file">fold-0/features/through-kl/scores.json</code>' in told


def test_the_checklist_numbers_every_point_once_and_guesses_nothing(found: Found, tmp_path: Path) -> None:
    filled = points.groups(found)
    numbers = [item.number for group in filled for item in group.items if item.number]
    assert numbers == list(range(1, 43))
    assert all(bool(item.said) == bool(item.sources) for group in filled for item in group.items)
    empty = points.groups(collect(DrawnRun(tmp_path / "run").ingest().artifacts()))
    by_number = {item.number: item.said for group in empty for item in group.items}
    assert by_number[21].startswith("Patient.")
    assert by_number[36] == by_number[29] == by_number[22] == by_number[25] == ""
    assert sum(group.filled for group in empty) < sum(group.filled for group in filled)


def named(html: str) -> Sequence[str]:
    """The files that the page says its numbers are from."""
    sources = re.findall(r'<p class="source">(.*?)</p>', html, re.DOTALL)
    quoted = [name for source in sources for name in re.findall("<code>(.*?)</code>", source)]
    return quoted + re.findall(r'<code class="file">(.*?)</code>', html)


def test_every_file_that_a_number_is_said_to_be_from_is_in_the_run(whole: DrawnRun, html: str) -> None:
    files = named(html)
    assert len(files) > 60
    for name in set(files):
        pattern = name.rstrip("/") if "/" in name else f"**/{name}"
        if not name.startswith("fold-*/classify/*/predictions"):  # drawn runs hold none
            assert any(whole.root.glob(pattern)), name
