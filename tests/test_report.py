"""The report: what it says, what it never says, and that it is one page that needs nothing else."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from drawn_evidence import judged
from drawn_run import DrawnRun

from medsynth.artifacts import files
from medsynth.artifacts.cohort import Facts
from medsynth.job import Job
from medsynth.recipe import Recipe
from medsynth.report import tables
from medsynth.report.collect import collect, parse
from medsynth.report.page import render
from medsynth.stages import report

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DrawnRun:
    """A run in which every stage is complete in every fold."""
    return judged(DrawnRun(tmp_path_factory.mktemp("whole") / "run"))


@pytest.fixture(scope="module")
def page(whole: DrawnRun) -> str:
    return render(whole.artifacts()).html


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_fetches_nothing_and_runs_nothing(page: str) -> None:
    tags = Tags(page).found
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed", "form", "base"}
    assert all(str(a["src"]).startswith("data:image/png;base64,") for tag, a in tags if tag == "img")
    assert all(str(a["href"]).startswith("#") for tag, a in tags if tag == "a")
    assert not [name for _, a in tags for name in a if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(whole: DrawnRun, page: str, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", whole.root, tmp_path / "elsewhere"], check=True)
    moved = replace(whole, root=tmp_path / "elsewhere")
    assert render(reversed(moved.artifacts())).html == page
    assert str(whole.root) not in page


def test_markup_in_labels_and_notes_stays_text(tmp_path: Path) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    facts = Facts(
        labels=(nasty, "=cmd()\"'&"), one_class=False, image_size=16, folds=1, source=nasty, notes=(nasty,), crop=nasty
    )
    run = DrawnRun(tmp_path / "run", facts).everything()
    html = render(run.artifacts()).html
    assert not [a for _, a in Tags(html).found if a.get("src") == "x" or "onerror" in a]
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_no_patient_and_no_image_is_named(tmp_path: Path) -> None:
    patients = tuple(f"Doe, J{'ane' * i} {i}" for i in range(12))
    facts = Facts(labels=("a", "b"), one_class=False, image_size=16, folds=3, notes=(f"{patients[3]} was seen twice.",))
    html = render(DrawnRun(tmp_path / "run", facts, patients).everything().artifacts()).html
    assert "[withheld] was seen twice." in html
    assert not [name for patient in patients for name in (patient, f"{patient}-left") if name in html]


def test_settings_show_the_file_and_not_the_folder_it_lay_in(page: str) -> None:
    assert "<dd>labels.csv</dd>" in page
    assert "somebody" not in page


def test_the_page_never_calls_images_anonymous_or_safe(page: str) -> None:
    text = re.sub(r"<[^>]*>", " ", page)
    assert not re.search(r"\b(anonym\w*|safe\w*|de-?identif\w*)\b", text, re.IGNORECASE)


def test_a_report_after_ingest_alone_says_which_commands_fill_it(tmp_path: Path) -> None:
    html = render(DrawnRun(tmp_path / "run").ingest().artifacts()).html
    assert "No answer yet." in html
    for command in ("train-codec", "train-generator", "expand", "classify"):
        assert f"medsynth {command}</code>" in html


def test_missing_folds_are_named(tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run").ingest().train("codec", "kl", 1)
    assert "codec is not done yet for folds 0 and 2" in render(run.artifacts()).html


@pytest.mark.parametrize("labels", [("none", "mild", "severe"), ("one",)])
def test_a_cohort_of_one_class_in_grey_without_patients_in_one_fold_has_a_report(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    facts = Facts(
        labels=labels, one_class=True, ordinal=True, channels=1, image_size=16, folds=1, has_patients=False, mirror=True
    )
    html = render(DrawnRun(tmp_path / "run", facts).everything().artifacts()).html
    assert "every image was taken for a patient of its own" in html
    assert "<dt>patients</dt>" not in html
    assert "never tested" in html


def test_an_arm_is_shown_with_mean_spread_and_every_fold(whole: DrawnRun) -> None:
    table = tables.scores(collect(whole.artifacts()), "eye")
    cells = dict(table.rows)["AUC"]
    assert (cells[0].mean, cells[0].spread, cells[0].folds) == ("0.710", "± 0.010", [".700", ".710", ".720"])
    assert [c.best for c in cells] == [False, False, True, False]
    assert [arm.name for arm in tables.arms(collect(whole.artifacts()))] == [
        "real",
        "real + geometric",
        "real + GeCA",
        "synthetic-only",
    ]


def test_an_arm_that_lacks_a_fold_is_told_by_a_dash(tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run").ingest().classify(0, "real").classify(2, "real")
    (cell,) = dict(tables.scores(collect(run.artifacts()), "eye").rows)["AUC"]
    assert cell.folds == [".700", "–", ".720"]


def test_arms_tell_how_many_images_they_learned_from(whole: DrawnRun) -> None:
    found = collect(whole.artifacts())
    sizes = [len(found.cohort.training(fold).samples) for fold in found.folds]
    counts = {arm.name: (arm.real, arm.synthetic) for arm in tables.arms(found)}
    assert len(set(sizes)) == 1
    assert counts["real"] == (f"{sizes[0]}", "0")
    assert counts["real + GeCA"] == (f"{sizes[0]}", f"{2 * sizes[0]}")
    assert counts["synthetic-only"] == ("0", f"{2 * sizes[0]}")


def test_the_number_of_real_images_is_that_of_the_record_where_it_has_one(tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run").ingest().classify(0, "real")
    path = run.root / "fold-0" / "classify" / "real" / "stage.json"
    files.write_json(path, files.read_json(path) | {"summary": {"real_images": 5}})
    assert [arm.real for arm in tables.arms(collect(run.artifacts()))] == ["5"]


def test_an_arm_of_an_expansion_that_was_made_again_is_said_to_be_out_of_date(tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run").ingest().expand(0).classify(0, "real+geca")
    assert "out of date" not in render(run.artifacts()).html
    run.expand(0, copies=3)
    assert "made from an earlier version of fold-0/expand/geca" in render(run.artifacts()).html


def rewritten(run: DrawnRun, **settings: object) -> None:
    """Say in every record which preset was used, and in the generators' these settings."""
    preset = settings.pop("preset")
    for artifact in run.artifacts():
        record = files.read_json(artifact.folder / "stage.json")
        more = settings if artifact.stage == "generator" else {}
        changed = {"preset": preset, "settings": record["settings"] | more}
        files.write_json(artifact.folder / "stage.json", record | changed)


def test_the_preset_is_named_near_the_top_with_every_departure_from_what_was_published(tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run").ingest().train("generator", "geca", 0).train("generator", "geca", 1)
    assert "the preset" not in render(run.artifacts()).html  # a run that knows of none
    rewritten(run, preset="recommended", updates=3)
    page = render(run.artifacts()).html
    assert "Settings: the preset recommended" in page.partition("<nav>")[0]
    assert "differ from the published" not in page
    rewritten(run, preset="parity", size="s", updates=3, steps=50, epochs=None, minutes=None, sampler="<ddpm>")
    page = render(run.artifacts()).html
    assert "the preset parity" in page.partition("<nav>")[0]
    assert "but for 2 settings" in page.partition("<nav>")[0]
    assert "<td>updates</td><td>3</td><td>12</td>" in page
    assert "<td>epochs</td><td>50 steps</td><td>14,000</td>" in page
    rewritten(run, preset="parity", updates=12, epochs=14000)
    page = render(run.artifacts()).html
    assert "were published with.</p>" in page
    assert "differ from the published" not in page


def test_a_model_that_saw_other_patients_is_called_out(whole: DrawnRun, page: str, tmp_path: Path) -> None:
    assert "none has seen a patient who is tested" in page
    run = DrawnRun(tmp_path / "run").ingest().train("generator", "geca", 1)
    record = run.root / "fold-1" / "generator" / "geca" / "stage.json"
    files.write_json(record, files.read_json(record) | {"trained_on": "0" * 64})
    html = render(run.artifacts()).html
    assert "generator geca, fold 1. Their results must not be used" in html
    assert "none has seen a patient who is tested" not in html


def test_trainings_that_not_all_arms_have_are_said_to_be_in_no_difference(page: str, tmp_path: Path) -> None:
    run = DrawnRun(tmp_path / "run", auc=lambda _arm, _fold: 0.7).everything()
    assert "equally often" not in page
    run.classify(1, "real@1")
    assert "equally often: classify real@1, fold 1 can be seen" in render(run.artifacts()).html


def test_a_score_name_is_taken_apart_even_if_its_label_holds_dots() -> None:
    assert parse("eye.auc", ["a.b"]) == ("eye", "auc", "")
    assert parse("eye.f1_sen_spe.a.b", ["a.b"]) == ("eye", "f1senspe", "a.b")
    assert parse("eye.auc.other", ["a.b"]) is None
    assert parse("kid", ["a.b"]) is None


def test_the_stage_writes_the_page_and_tells_the_answer(whole: DrawnRun, page: str, tmp_path: Path) -> None:
    job = Job(Recipe(), tuple(whole.artifacts()), tmp_path, None, None, lambda *_: None)
    result = report.run(job)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page
    assert "Synthetic images" in result.summary["answer"]


def test_the_report_needs_no_heavy_library(whole: DrawnRun) -> None:
    code = (
        "import sys; from pathlib import Path; from drawn_run import DrawnRun; from medsynth.stages import report;"
        f"from medsynth.report.page import render; render(DrawnRun(Path({str(whole.root)!r})).artifacts());"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'sklearn', 'scipy') if m in sys.modules])"
    )
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    assert done.stdout.strip() == "[]"
