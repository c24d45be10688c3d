"""Classes that are made of the values of a class column: others are left out, and that is said."""

import pytest
from pictures import clinic, graded, ingested, listing, medmnist, rows_of, run
from shell import done, medsynth

from medsynth import recipe as recipes
from medsynth.data import sources
from medsynth.data.sources.labels import merged
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData, BadUsage

ASKED = ["healthy=0", "npdr=2+3"]


def grades(n, row):
    """Grades 0 to 4 in turn, a patient each."""
    return row | {"level": n // 2 % 5}


def test_values_are_merged_and_images_with_other_values_are_left_out_by_number(tmp_path):
    result = run(tmp_path / "out", clinic(tmp_path / "clinic", rows_of(20, grades)), classes=ASKED)
    assert result.summary["labels"] == {"healthy": 8, "npdr": 16}
    assert (result.summary["images"], result.summary["patients"]) == (24, 12)
    assert result.notes == ("Images that are of no class were left out: 8 with level=1, 8 with level=4.",)


def test_every_image_keeps_the_class_of_its_value(tmp_path):
    found = merged(listing(tmp_path, *graded(3, 0, 4, 2, 0)), {"npdr": ["2", "3"], "healthy": ["0"]})
    assert found.labels == ("npdr", "healthy")
    assert [entry.labels for entry in found.entries] == [(1, 0), (0, 1), (1, 0), (0, 1)]
    assert [entry.sample for entry in found.entries] == ["0", "1", "3", "4"]


@pytest.mark.parametrize("value", ["2", "2.0", "02", "level=2"])
def test_a_number_is_meant_however_it_is_written(tmp_path, value):
    found = merged(listing(tmp_path, *graded(0, 2, 1)), {"a": ["0"], "b": [value]})
    assert [entry.labels for entry in found.entries] == [(1, 0), (0, 1)]


def test_words_are_values_as_well(tmp_path):
    found = merged(listing(tmp_path, {"dx": "nv"}, {"dx": "mel"}, {"dx": "bcc"}), {"benign": ["nv"], "not": ["mel"]})
    assert found.labels == ("benign", "not")
    assert found.notes[-1] == "Images that are of no class were left out: 1 with bcc."


@pytest.mark.parametrize(
    ("classes", "ordinal"),
    [
        ({"no": ["0"], "some": ["1", "2"], "much": ["3"]}, True),
        ({"some": ["1", "2"], "no": ["0"]}, False),
        ({"outer": ["0", "3"], "inner": ["1", "2"]}, False),
    ],
)
def test_merged_grades_are_grades_while_they_keep_their_order(tmp_path, classes, ordinal):
    assert merged(listing(tmp_path, *graded(0, 1, 2, 3)), classes).ordinal == ordinal
    assert not merged(listing(tmp_path, *graded("a", "b")), {"x": ["a"], "y": ["b"]}).ordinal


def test_a_value_that_no_image_has_is_said_and_a_class_without_images_is_left_out(tmp_path):
    found = merged(listing(tmp_path, *graded(0, 2, 2)), {"healthy": ["0"], "npdr": ["2", "33"], "severe": ["4"]})
    assert found.labels == ("healthy", "npdr")
    assert found.notes == (
        "No image of labels.csv has the value 33 of the class npdr.",
        "No image of labels.csv has the value 4 of the class severe.",
    )


def test_classes_none_of_which_has_images_are_refused_with_the_values_that_are_there(tmp_path):
    with pytest.raises(BadData, match=r"no image of labels.csv is of any of the classes a, b") as failure:
        merged(listing(tmp_path, *graded(0, 1)), {"a": ["7"], "b": ["8"]})
    assert failure.value.hint == "these values are there: level=0, level=1"


def test_a_value_in_two_classes_is_refused(tmp_path):
    with pytest.raises(BadUsage, match=r"the value 2\.0 is of the class a and of the class b"):
        merged(listing(tmp_path, *graded(0, 2)), {"a": ["0", "2"], "b": ["2.0"]})


def test_several_labels_an_image_have_no_values_to_make_classes_of(tmp_path):
    with pytest.raises(BadUsage, match=r"labels\.csv has several labels an image") as failure:
        merged(listing(tmp_path, {"A": 0, "B": 1}, {"A": 1, "B": 0}), {"a": ["0"]})
    assert failure.value.hint.startswith("--label COLUMN")


def test_one_class_that_is_left_has_nothing_to_be_told_from(tmp_path):
    with pytest.raises(BadData, match="every image has the label healthy"):
        run(tmp_path / "out", clinic(tmp_path / "clinic", rows_of(20, grades)), classes=["healthy = 0"])


def test_classes_of_a_source_with_a_split_keep_the_split(tmp_path):
    made = ingested(tmp_path / "out", medmnist(tmp_path / "x.npz"), classes=["one = 1", "none = 0"])
    assert made.facts.labels == ("one", "none")
    assert len(made.testing(0).samples) == 6
    plain = sources.read(tmp_path / "x.npz", Asked())
    assert [s.labels for s in made.samples] == [entry.labels[::-1] for entry in plain.entries]


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        (["healthy"], "'healthy' is not NAME = VALUE or NAME = VALUE + VALUE, as in --classes healthy=0,npdr=2+3"),
        (["= 2"], "'= 2' is not NAME = VALUE"),
        (["npdr = 2 +"], "'npdr = 2 +' is not NAME = VALUE"),
        (["npdr = 2", "npdr = 3"], "the class npdr is there twice; its values are joined by +, as in npdr = 2 + 3"),
    ],
)
def test_a_slip_in_the_classes_is_said_with_what_is_meant(classes, problem):
    with pytest.raises(BadUsage) as failure:
        recipes.from_table({"ingest": {"classes": classes}})
    assert problem in str(failure.value)


def test_classes_are_written_one_way_and_read_back():
    typed = recipes.parse("", ['ingest.classes=["healthy=0","npdr= 2+3"]'])
    assert typed.ingest.classes == ("healthy = 0", "npdr = 2 + 3")
    assert recipes.parse(recipes.dump(typed)) == typed
    assert recipes.parse(recipes.dump(typed), ["ingest.classes="]).ingest.classes == ()


def test_classes_and_a_split_are_typed_without_quotes(tmp_path):
    source = clinic(tmp_path / "clinic", rows_of(30, grades))
    typed = ("ingest", source, "--run", tmp_path / "run", "--image-size", 8, "--modality", "fundus", "--json")
    found = done(*typed, "--classes", "healthy=0,npdr=2+3", "--split", "0.5,0.2,0.3").json["results"][0]
    assert found["summary"]["labels"] == {"healthy": 12, "npdr": 24}
    assert found["summary"]["folds"] == 1
    again = done("ingest", "--run", tmp_path / "run", "--json").json["results"][0]
    assert again["state"] == "up to date"
    both = medsynth(*typed, "--split", "0.5,0.2,0.3", "--folds", "5")
    assert both.code == 2
    assert "--split and --folds contradict each other" in both.err
