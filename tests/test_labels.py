import shlex

import pytest
from pictures import graded, listing

from medsynth.errors import BadData, BadUsage


def test_whole_numbers_are_grades_in_their_order(tmp_path):
    found = listing(tmp_path, *graded(10, 0, 2, 0))
    assert found.labels == ("level=0", "level=2", "level=10")
    assert found.one_class
    assert found.ordinal
    assert [e.labels for e in found.entries] == [(0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 0, 0)]


def test_numbers_are_compared_as_numbers(tmp_path):
    assert listing(tmp_path, *graded("1", "1.0", "0", "2e0")).labels == ("level=0", "level=1", "level=2")


def test_fractions_are_classes_and_no_grades(tmp_path):
    found = listing(tmp_path, *graded("0.5", "1"))
    assert found.labels == ("level=0.5", "level=1")
    assert not found.ordinal


def test_words_are_classes_in_the_order_of_the_alphabet(tmp_path):
    found = listing(tmp_path, {"dx": "nv"}, {"dx": "mel"}, {"dx": "nv"})
    assert found.labels == ("mel", "nv")
    assert found.one_class
    assert not found.ordinal


def test_columns_that_were_named_are_several_labels(tmp_path):
    found = listing(tmp_path, {"A": 0, "B": 1, "C": "x"}, {"A": 1, "B": 1, "C": "y"}, labels=("B", "A"))
    assert found.labels == ("B", "A")
    assert not found.one_class
    assert [e.labels for e in found.entries] == [(1, 0), (1, 1)]
    assert found.notes == ()


def test_every_column_of_zeros_and_ones_is_a_label_when_none_is_named_and_that_is_said(tmp_path):
    rows = [{"A": 0, "age": 60, "B": "1.0", "fold": 0}, {"A": 1, "age": 1, "B": "0", "fold": 1}]
    found = listing(tmp_path, *rows)
    assert found.labels == ("A", "B")
    assert found.notes[0].startswith("Every column of 0 and 1 was taken for a label: A, B. If some of them are not")


def test_a_usual_class_column_wins_over_zeros_and_ones(tmp_path):
    assert listing(tmp_path, {"diagnosis": "x", "A": 0}, {"diagnosis": "y", "A": 1}).labels == ("x", "y")


def test_two_usual_class_columns_are_refused_by_name(tmp_path):
    with pytest.raises(BadData, match="several columns that may be the class: diagnosis, grade") as failure:
        listing(tmp_path, {"grade": 0, "diagnosis": "x"})
    assert failure.value.hint == "--label diagnosis"


def test_no_label_is_refused_with_the_flags(tmp_path):
    with pytest.raises(BadData, match="no column that is clearly a label; it has: image, patient, age") as failure:
        listing(tmp_path, {"age": 60}, {"age": 61})
    assert failure.value.hint.startswith("--label COLUMN")


def test_label_and_labels_contradict_each_other(tmp_path):
    with pytest.raises(BadUsage, match="--label level and --labels A,B contradict"):
        listing(tmp_path, {"level": 0, "A": 0, "B": 1}, label="level", labels=("A", "B"))


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        ("", "empty"),
        ("nan", "'nan'"),
        ("N/A", "'N/A'"),
        ("-1", "'-1'"),
        ("-0.5", "'-0.5'"),
        ("inf", "'inf'"),
        ("two", "'two'"),
    ],
)
def test_a_bad_class_is_refused_with_file_line_column_and_value(tmp_path, bad, shown):
    with pytest.raises(BadData, match=f"labels.csv line 5: column level is {shown}, ") as failure:
        listing(tmp_path, *graded(0, 1, 2, bad, 1))
    assert failure.value.hint == "write the right value there, or take the row out"


def test_a_number_among_words_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"labels.csv line 3: column dx is '7', where other rows have a word"):
        listing(tmp_path, {"dx": "mel"}, {"dx": "7"}, {"dx": "nv"})


@pytest.mark.parametrize(
    ("bad", "shown"), [("", "empty"), ("nan", "'nan'"), ("-1", "'-1'"), ("2", "'2'"), ("yes", "'yes'")]
)
@pytest.mark.parametrize("asked", [{"labels": ("A", "B")}, {}], ids=["named", "found"])
def test_a_bad_zero_or_one_is_refused_with_file_line_column_and_value(tmp_path, bad, shown, asked):
    rows = [{"A": n % 2, "B": bad if n == 3 else 1} for n in range(5)]
    with pytest.raises(BadData, match=f"labels.csv line 5: column B is {shown}, and should be 0 or 1") as failure:
        listing(tmp_path, *rows, **asked)
    assert "write the right value there" in failure.value.hint
    assert asked or failure.value.hint.endswith("if the column is no label: --labels A")


def test_many_bad_cells_are_counted(tmp_path):
    with pytest.raises(BadData, match=r"labels.csv lines 3, 4, 5, 6, 7 and 4 more: column level is empty"):
        listing(tmp_path, *graded(0, *[""] * 9, 1))


def test_a_column_of_classes_named_as_labels_is_refused_with_the_flag_for_it(tmp_path):
    with pytest.raises(BadData, match=r"column level of labels.csv does not hold zeros and ones") as failure:
        listing(tmp_path, *graded(0, 3, 2, 4), labels=("level",))
    assert failure.value.hint == "for one class an image: --label level"


def test_a_label_that_is_mostly_empty_is_not_dropped_silently(tmp_path):
    rows = [{"A": n % 2, "B": 1 if n == 0 else ""} for n in range(5)]
    with pytest.raises(BadData, match=r"labels.csv lines 3, 4, 5, 6: column B is empty"):
        listing(tmp_path, *rows)


@pytest.mark.parametrize("name", ["sample", "Patient", "eye", "image", "mask", "origin", "fold", "label_source"])
def test_a_label_named_like_a_column_of_the_manifest_is_refused(tmp_path, name):
    with pytest.raises(BadData, match=f"a label is named '{name}', which is a column of the manifest"):
        listing(tmp_path, {"dx": name}, {"dx": "other"})


def test_hostile_label_names_are_written_harmlessly(tmp_path):
    assert listing(tmp_path, {"dx": "=1+1"}, {"dx": "a\x1bb"}).labels == ("'=1+1", "a_b")


@pytest.mark.parametrize("values", [[f"id-{n}" for n in range(120)], range(120), [n % 1001 for n in range(3003)]])
def test_a_column_of_ids_or_measurements_is_refused_as_a_class(tmp_path, values):
    with pytest.raises(
        BadData, match=r"column level has [0-9,]+ values in [0-9,]+ rows: they are no classes"
    ) as failure:
        listing(tmp_path, *graded(*values))
    assert failure.value.hint.startswith("--label COLUMN")


def test_many_classes_of_several_images_each_are_read(tmp_path):
    assert len(listing(tmp_path, *graded(*(n % 60 for n in range(120)))).labels) == 60


HOSTILE = "level; $(touch x) `y` 'z'"


def test_a_column_that_means_something_to_a_shell_is_quoted_in_what_is_to_be_typed(tmp_path):
    rows = [{HOSTILE: n} for n in range(6)]
    said = []
    for asked in ({"label": f"{HOSTILE}q"}, {"labels": (HOSTILE,)}):
        with pytest.raises((BadData, BadUsage)) as failure:
            listing(tmp_path, *rows, **asked)
        said.append(failure.value.hint.rstrip("?"))
    with pytest.raises(BadData) as failure:
        listing(tmp_path, *({HOSTILE: n % 2, "B": n if n == 2 else 0} for n in range(5)))
    said.append(failure.value.hint)
    assert [shlex.split(hint.partition("--label")[2].lstrip("s"))[-1] for hint in said] == [HOSTILE] * 3
