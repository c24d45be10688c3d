import csv
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medsynth.data import safe_text
from medsynth.errors import BadData


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\t=1+1", "\r=1+1", " =1", "＝1", "\ufeff=1", "=A1"]
)
def test_nothing_that_is_written_is_a_formula(text):
    assert not safe_text.cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


def test_plain_text_stays_as_it_is():
    assert safe_text.cell('Müller, "Anna" <b>') == 'Müller, "Anna" <b>'


@given(st.text())
def test_what_was_made_safe_once_stays_as_it_is(text):
    assert safe_text.cell(safe_text.cell(text)) == safe_text.cell(text)


@given(st.text())
@example("a\u2028b\u2029c\u202ed")
def test_no_cell_can_steer_a_terminal_or_start_a_line(text):
    written = safe_text.cell(text)
    assert not {unicodedata.category(character) for character in written} & {"Cc", "Cf", "Zl", "Zp"}
    line = io.StringIO()
    csv.writer(line).writerow([written])
    assert next(csv.reader(io.StringIO(line.getvalue()))) == [written]


def test_ids_that_would_become_equal_are_refused():
    with pytest.raises(BadData, match=r"the patient '=1' and \"'=1\" would both be written") as failure:
        safe_text.cells(["=1", "2", "'=1"], "patient")
    assert "rename" in failure.value.hint


def test_one_spelling_of_an_accent_is_one_patient():
    assert len(safe_text.cells(["Jose\u0301", "José", " José "], "patient")) == 1


@given(st.lists(st.text(max_size=120), max_size=20))
def test_sample_names_are_unique_and_safe_as_file_names(stems):
    names = safe_text.sample_names(stems)
    assert len({name.casefold() for name in names}) == len(stems)
    for name in names:
        assert name
        assert name[0] not in ".-"
        assert name[-1] != "."
        assert len(name) < 200
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
        assert not safe_text.is_device(name)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("16_left", "16_left"),
        ("../x", "_x"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("眼", "image"),
        ("CON", "image-CON"),
        ("a b", "a_b"),
    ],
)
def test_a_sample_is_named_after_its_file(stem, name):
    assert safe_text.sample_names([stem]) == [name]


def test_equal_stems_are_numbered_in_their_order():
    assert safe_text.sample_names(["a", "A", "a-2", "a"]) == ["a", "A-2", "a-2-2", "a-3"]


@given(st.lists(st.sampled_from(["a", "A", "a-2", "a-3", "A-2-2", "b", "", "con"]), max_size=30))
def test_a_name_is_the_first_free_number_of_its_stem(stems):
    taken = set()
    for stem, name in zip(stems, safe_text.sample_names(stems), strict=True):
        plain = safe_text.sample_names([stem])[0]
        free = (plain if n == 1 else f"{plain}-{n}" for n in range(1, 99))
        assert name == next(one for one in free if one.casefold() not in taken)
        taken.add(name.casefold())


def test_many_equal_stems_take_no_time_to_tell_apart():
    """Trying every number for each of them would take hours."""
    assert safe_text.sample_names(["scan"] * 300_000)[-1] == "scan-300000"
