"""Whatever stands in a table and in the names of files, what is written and shown of it is text and nothing else."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pictures import medmnist, noise, save, table
from shell import Ended, done, medsynth

from medsynth.data import safe_text

FORMULA, MARKUP, TERMINAL = "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "a\x1b[2J\x1b]0;gone\x07b"
CLASSES = (FORMULA, MARKUP, "[red]{{ 7*7 }}[/] % s")
PATIENTS = (
    "@SUM(A1)",
    '"><img src=x onerror=alert(1)>',
    TERMINAL,
    "-1+1",
    "new\nline",
    "tab\tcell",
    "bidi\u202etxt.exe",
    "+2",
)
UNSEEN = "csi\x9b2Jbidi\u202eline\u2028tag\U000e0041"  # beyond ASCII: they steer as well
STEMS = ("=1+1", "<b onload=alert(1)>", "\x1b[31mred", "$(touch x)", "a;b&c", "con", "-rf", "％41")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Ended]]:
    """A run of a table full of such texts, and how the commands ended that read, showed and reported it."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for n in range(24):
        image = f"{STEMS[n % len(STEMS)]}{'' if n < len(STEMS) else n}.png"
        image = image if not safe_text.is_device(image) else f"_{image}"
        save(folder / image, noise(n))
        rows.append({"image": image, "patient": f"{PATIENTS[n % 8]}{n % 12}", "dx": CLASSES[n % 3]})
    source, run = table(folder / f"=labels <i>{UNSEEN}.csv", rows), folder / "run"
    ended = [done("ingest", source, "--label", "dx", "--folds", 2, "--image-size", 8, "--no-mirror", "--run", run)]
    ended += [done(command, "--run", run) for command in ("status", "report")]
    ended += [done("status", "--json", "--run", run), done("classify", "--dry-run", "--arms", "real", "--run", run)]
    return run, [
        *ended,
        medsynth("ingest", folder / TERMINAL, "--run", run),
        medsynth("export", TERMINAL, "--run", run),
    ]


def test_no_cell_of_any_table_begins_a_formula_or_holds_a_control_character(hostile: tuple[Path, list[Ended]]) -> None:
    tables = sorted(hostile[0].rglob("*.csv"))
    assert "manifest.csv" in {path.name for path in tables}
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            for text in (cell for row in csv.reader(file) for cell in row):
                assert not text.startswith(("=", "+", "-", "@", "\t", "\r")), path
                assert text.isprintable(), path


def test_no_file_of_a_run_has_a_name_that_means_something_to_a_shell(hostile: tuple[Path, list[Ended]]) -> None:
    names = {path.name for path in hostile[0].rglob("*")}
    assert len(names) > 24
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]*", name), name


def test_nothing_that_is_shown_steers_the_terminal(hostile: tuple[Path, list[Ended]]) -> None:
    for ended in hostile[1]:
        assert ended.out + ended.err
        assert (ended.out + ended.err).replace("\n", "").isprintable()


class Page(HTMLParser):
    """What a browser would take of a page for more than text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_page_holds_no_script_and_asks_for_nothing_from_elsewhere(hostile: tuple[Path, list[Ended]]) -> None:
    text = (hostile[0] / "report" / "index.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert MARKUP.replace("<", "&lt;").replace(">", "&gt;") in text  # it is there, as text
    assert "49" not in re.findall(r"\[red\](.*?)\[/\]", text)
    assert not page.tags & {"script", "iframe", "object", "embed", "link", "base", "form", "i"}
    for name, value in page.attributes:
        assert not name.startswith("on"), name
        if name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
            assert value.startswith(("data:image/", "#")), value
    assert ("http-equiv", "Content-Security-Policy") in page.attributes


def test_what_programs_read_holds_no_control_character(hostile: tuple[Path, list[Ended]]) -> None:
    for path in (p for p in hostile[0].rglob("*") if p.suffix in (".json", ".jsonl", ".toml", ".csv", ".html")):
        assert path.read_text(encoding="utf-8").replace("\n", "").isprintable(), path


@pytest.mark.parametrize("kind", ["folder", "medmnist"])
def test_the_name_of_a_source_steers_nothing(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"{UNSEEN}\nerror: forged.npz"
    words: list[object] = ["--image-size", 8, "--no-mirror"]
    if kind == "medmnist":
        medmnist(source)
    else:
        for n in range(24):
            save(source / "ab"[n % 2] / f"{n}{UNSEEN}\nerror: forged.png", noise(n))
        words += ["--every-image-is-a-patient", "--folds", 2]
        bad = source / "a" / f"bad{UNSEEN}\nerror: forged.png"
        bad.write_bytes(b"no picture")
        words += ["--allow-bad", 1]
    said = [done("ingest", source, *words, "--run", tmp_path / "run")]
    said += [done("report", "--run", tmp_path / "run"), done("status", "--run", tmp_path / "run")]
    for path in (p for p in (tmp_path / "run").rglob("*") if p.suffix in (".json", ".toml", ".csv", ".html")):
        text = path.read_text(encoding="utf-8")
        assert text.replace("\n", "").isprintable(), path
        assert "\nerror: forged" not in text or path.suffix == ".html", path  # where a new line is a space
    for ended in said:
        assert (ended.out + ended.err).replace("\n", "").isprintable()
        assert "\nerror: forged" not in ended.out + ended.err
    assert done("ingest", "--run", tmp_path / "run").out.count("up to date") == 1


def test_the_name_of_a_column_is_one_line(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name, noise(0))
    row = {"image": "a.png", "patient": "1", "dx\nerror: forged": "0", "zwnj\u200cname": "x"}
    path = table(tmp_path / "a.csv", [row, row | {"image": "b.png"}])
    for words in ((), ("--label", "qwertz"), ("--set", "ingest.official_split=qwertz")):
        refused = medsynth("ingest", path, *words, "--run", tmp_path / "run")
        assert refused.code in (2, 3)
        assert "dx_error: forged" in refused.err
        assert "\nerror: forged" not in refused.err
    refused = medsynth("ingest", path, "--label", "zwnj\u200cname", "--run", tmp_path / "run")
    assert "has no column" not in refused.err
