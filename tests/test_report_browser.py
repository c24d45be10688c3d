"""The report in a real browser: light and dark, wide and narrow, and on paper. Skipped where there is none."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Browser, installed
from drawn_evidence import judged
from drawn_run import FACTS, DrawnRun
from PIL import Image

from medsynth.report import contents
from medsynth.report.page import render

PROGRAM = installed()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on the path")
WIDTHS = (1200, 400)
MANY_ARMS = ("real+randaugment", "oversampled", "reconstructed", "shuffled-labels")  # eight with those of every run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with eight arms, long names of labels, and everything measured."""
    labels = ("haemorrhage", "intraretinal_microvascular_abnormality_of_the_macula")
    run = judged(
        DrawnRun(tmp_path_factory.mktemp("browser") / "run", replace(FACTS, labels=labels), auc=lambda *_: 0.7)
    )
    for fold in range(3):
        for arm in MANY_ARMS:
            run.classify(fold, arm)
    path = run.root.parent / "index.html"
    path.write_text(render(run.artifacts()).html, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    assert PROGRAM is not None
    browser = Browser(PROGRAM, page.parent / "profile")
    browser.open(page)
    yield browser
    browser.close()


def corner(browser: Browser) -> tuple[int, ...]:
    """The colour of the upper left of the page."""
    pixel = Image.open(io.BytesIO(browser.screenshot())).convert("RGB").getpixel((2, 2))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def test_the_page_is_shown_without_a_complaint_and_asks_for_nothing_else(browser: Browser, page: Path) -> None:
    assert browser.value("document.title").startswith("Do synthetic images help?")
    assert (
        browser.value("performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    )
    assert browser.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.complaints == []
    broken = page.with_name("broken.html")
    broken.write_text(page.read_text(encoding="utf-8").replace("<main>", '<main><img src="https://x.invalid/a.png">'))
    try:
        browser.open(broken)
        assert any("Content Security Policy" in complaint for complaint in browser.complaints)  # it would be noticed
    finally:
        browser.open(page)
        browser.complaints.clear()


def test_the_first_page_holds_the_three_answers_each_with_a_file(browser: Browser) -> None:
    asked = browser.value("[...document.querySelectorAll('header .answer h2')].map(e => e.textContent)")
    assert asked == ["Do they help?", "Are they like new patients' images?", "Are they new?"]
    files = browser.value("[...document.querySelectorAll('header .answer .file')].map(e => e.textContent)")
    assert files == ["compare/comparisons.json", "fold-0/evaluate/geca/scores.json", "fold-2/audit/geca/scores.json"]
    assert browser.value("document.querySelectorAll('header .answer .figure b').length") == 3


def test_every_place_in_the_menu_is_on_the_page(browser: Browser) -> None:
    places = browser.value("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert places == browser.value("[...document.querySelectorAll('main > section')].map(e => e.id)")
    assert places == [section.anchor for section in contents.SECTIONS if section.anchor in places]
    assert browser.value("[...document.querySelectorAll('a')].every(a => document.getElementById(a.hash.slice(1)))")


def test_dark_and_light_follow_the_owner_and_both_can_be_read(browser: Browser) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        browser.look(width=1200, scheme=scheme)
        ink = browser.value("getComputedStyle(document.querySelector('h1')).color")
        letters = tuple(int(part) for part in re.findall(r"\d+", ink))
        seen[scheme] = corner(browser)
        assert contrast(letters, seen[scheme]) > 7  # WCAG's AAA for text
        soft = browser.value("getComputedStyle(document.querySelector('.standing')).color")
        assert contrast(tuple(int(part) for part in re.findall(r"\d+", soft)), seen[scheme]) > 4.5  # AA
    assert min(seen["light"]) > 200
    assert max(seen["dark"]) < 60


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2)."""

    def luminance(colour: tuple[int, ...]) -> float:
        parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways_whatever_is_opened(browser: Browser, width: int) -> None:
    """Wide tables scroll in boxes of their own."""
    browser.look(width=width)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    outside = (
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.wide, .hero, .plot, svg') && "
        f"e.getBoundingClientRect().right > {width} + 0.5).map(e => e.outerHTML.slice(0, 80))"
    )
    assert browser.value(outside) == []
    browser.value("document.querySelectorAll('details').forEach(d => d.open = false)")


def test_it_prints_on_a4_with_the_answers_on_a_page_of_their_own(browser: Browser) -> None:
    browser.look(width=1200, scheme="dark")
    printed = browser.pdf()
    assert printed.startswith(b"%PDF")
    sizes = {tuple(float(x) for x in box.split()) for box in re.findall(rb"/MediaBox \[([^\]]*)\]", printed)}
    assert [round(side) for box in sizes for side in box] == [0, 0, 595, 842]  # points of A4
    pages = len(re.findall(rb"/Type /Page\b", printed))
    below = "document.querySelectorAll('main > section, footer').forEach(part => part.hidden = {})"
    browser.value(below.format("true"))
    assert len(re.findall(rb"/Type /Page\b", browser.pdf())) == 1  # the header alone
    browser.value(below.format("false"))
    assert 5 < pages < 40
