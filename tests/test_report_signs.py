"""The first page names what an audit found, and says that there is nothing only where everything was
looked for."""

from pathlib import Path

import pytest
from drawn_evidence import look
from drawn_run import DrawnRun

from medsynth.artifacts import scores
from medsynth.artifacts.scores import Score
from medsynth.report import novelty, summary
from medsynth.report.answer import answer
from medsynth.report.collect import collect
from medsynth.report.page import render

BETRAYED = "the generator's weights give away who was trained on (AUC 0.70)"


def share(value: float, low: float, high: float) -> Score:
    return Score(value, 16, "image", low, high)


def new(run: DrawnRun) -> summary.Part:
    return summary.parts(collect(run.artifacts()), answer(None))[2]


def told(root: Path, **more: Score) -> str:
    return new(look(DrawnRun(root / "run").ingest().expand(0), 0, **more)).verdict


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({}, "No sign of copying; the audit was passed."),
        (
            {"features.copy_ratio": share(0.04, 0.02, 0.06), "features.copy_excess": share(0.04, 0.02, 0.06)},
            "Signs of copying, though the audit was passed: 4.0 % of the images are near copies of a training image.",
        ),
        (
            {"appearance.patient_ratio": share(0.24, 0.13, 0.34)},
            "Signs of copying, though the audit was passed: 24.0 % are unusually close to one training patient.",
        ),
        (
            {"synthetic.near_duplicates": Score(22.0)},
            "Signs of copying, though the audit was passed: 22 images show nearly the picture of a training image.",
        ),
        ({"membership.auc": share(0.7, 0.6, 0.8)}, f"No sign of copying in the images, but {BETRAYED}."),
        (
            {"features.c_t": share(4.6, 2.1, 6.5)},
            "The audit was passed, but these images lie too far from everything real for this to say much.",
        ),
        (
            {"features.c_t": share(4.6, 2.1, 6.5), "membership.auc": share(0.7, 0.6, 0.8)},
            "The audit was passed, but these images lie too far from everything real for this to say much and "
            f"{BETRAYED}.",
        ),
    ],
)
def test_what_was_found_is_named_though_the_audit_was_passed(
    tmp_path: Path, more: dict[str, Score], verdict: str
) -> None:
    assert told(tmp_path, **more) == verdict


def test_a_limit_that_does_not_clear_what_is_expected_is_no_sign(tmp_path: Path) -> None:
    more = {"features.patient_ratio": share(0.09, 0.05, 0.14), "membership.auc": share(0.6, 0.5, 0.7)}
    more |= {"features.copy_ratio": share(0.03, 0.01, 0.05), "features.copy_excess": share(0.01, -0.01, 0.03)}
    assert told(tmp_path, **more) == "No sign of copying; the audit was passed."


def test_copies_are_judged_by_their_share_where_an_earlier_audit_has_no_difference(tmp_path: Path) -> None:
    run = look(DrawnRun(tmp_path / "run").ingest().expand(0), 0, **{"features.copy_ratio": share(0.03, 0.01, 0.05)})
    folder = run.run.artifact("audit", 0, "geca").folder
    scores.save(folder, {name: of for name, of in scores.load(folder).items() if "copy_excess" not in name})
    assert new(run).verdict.startswith("Signs of copying, though the audit was passed: 3.0 %")


@pytest.mark.parametrize("missing", ["features.copy_ratio", "appearance.patient_ratio", "synthetic.near_duplicates"])
def test_nothing_is_said_to_be_absent_that_was_not_looked_for(tmp_path: Path, missing: str) -> None:
    run = look(DrawnRun(tmp_path / "run").ingest().expand(0), 0)
    folder = run.run.artifact("audit", 0, "geca").folder
    scores.save(folder, {name: of for name, of in scores.load(folder).items() if name != missing})
    assert new(run).verdict == "Not settled; the audit was passed, but not everything was looked for."


def test_without_calibration_the_uncalibrated_number_decides_and_without_either_only_images_are_spoken_of(
    tmp_path: Path,
) -> None:
    run = look(DrawnRun(tmp_path / "run").ingest().expand(0), 0)
    folder = run.run.artifact("audit", 0, "geca").folder
    others = {name: of for name, of in scores.load(folder).items() if not name.startswith("membership")}
    scores.save(folder, others)
    assert new(run).verdict == "No sign of copying in the images; the audit was passed."
    scores.save(folder, others | {"membership.auc_uncalibrated": share(0.7, 0.6, 0.8)})
    assert new(run).verdict == f"No sign of copying in the images, but {BETRAYED}."
    _, (_, table) = "", novelty.tables(collect(run.artifacts()))[0]
    (row,) = [row for row in table.rows if "knows nothing of how easy an image is" in row.name]
    assert row.cells[0].startswith("0.700 (0.600 to 0.800)")


def test_the_number_beside_the_verdict_is_of_the_fold_with_the_signs(tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run").ingest().expand(0).expand(1)
    look(run, 0, share=0.045)
    look(run, 1, share=0.02, **{"synthetic.near_duplicates": Score(3.0)})
    found = new(run)
    assert "3 images show nearly the picture" in found.verdict
    assert found.lines[0].source == "fold-1/audit/geca/scores.json"


def test_an_audit_not_passed_is_told_with_what_was_found(tmp_path: Path) -> None:
    run = look(
        DrawnRun(tmp_path / "run").ingest().expand(0), 0, passed=False, **{"synthetic.exact_duplicates": Score(1.0)}
    )
    wanted = "Not shown; the audit was not passed: 1 image is a training image in every pixel."
    assert new(run).verdict == wanted


def test_every_number_of_the_audit_is_on_the_page_with_its_size_its_p_and_what_is_expected(tmp_path: Path) -> None:
    more = {
        "features.c_t_p": Score(0.012, 16, "image"), "features.auth_pct_patient": share(90.6, 84.1, 95.2),
        "features.auth_pct_patient.expected": Score(73.4),
        "features.c05.label.exudate": Score(0.5, 6, "image", 0.3, 0.7),
        "features.identifiability_as_few": Score(0.07, 8, "image", 0.02, 0.11),
        "features.identifiability_as_few.expected": Score(0.17), "features.identifiability": share(0.3, 0.2, 0.4),
    }  # fmt: skip
    run = look(DrawnRun(tmp_path / "run").ingest().expand(0), 0, **more)
    table = novelty.tables(collect(run.artifacts()))[0][0]
    assert table.heads[0] == "by the extractor's features, n\u00a0=\u00a016"
    cells = {row.name.partition(":")[0]: row.cells[:2] for row in table.rows}
    assert cells["C_T, deviations of ranks"][0] == "−0.300 (−1.20 to 0.600), p\u00a00.012"
    assert cells["Authentic, %, by the next image of another patient"] == ("90.6 (84.1 to 95.2)", "73.4")
    name = "Training images whose nearest image is synthetic, of as many as of new patients"
    assert cells[name] == ("7.0 % (2.0 to 11.0), n\u00a0=\u00a08", "17.0 %")
    html = render(run.artifacts()).html
    assert "Label by label" in html
    assert "50.0 % (30.0 to 70.0), n\u00a0=\u00a06" in html
