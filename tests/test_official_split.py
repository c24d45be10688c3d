"""A table may carry the split of its own authors: it is kept, unless it leaks."""

import pytest
from pictures import clinic, ingested, listing, rows_of, run

from medsynth.data.sources.labels import merged
from medsynth.errors import BadData, BadUsage

PARTS = ["train", "Training", "valid", "test", "TEST"]


def parted(n, row):
    """Ten patients, two in each part of `PARTS`; grades in turn."""
    return row | {"set": PARTS[n // 4], "level": n // 2 % 2}


def test_the_split_of_a_table_is_one_fold(tmp_path):
    path = clinic(tmp_path / "clinic", rows_of(10, parted))
    made = ingested(tmp_path / "out", path, official_split="set", folds=1)
    assert (made.facts.folds, made.facts.labels) == (1, ("level=0", "level=1"))
    parts = [part(0).patients() for part in (made.training, made.selection, made.testing)]
    assert parts == [["P00", "P01", "P02", "P03"], ["P04", "P05"], ["P06", "P07", "P08", "P09"]]
    notes = run(tmp_path / "two", path, official_split="set", folds=5).notes
    assert notes == ("The official split of labels.csv was kept as one fold: it was not dealt to 5 folds.",)


def test_the_lists_of_a_published_split_give_its_published_counts(tmp_path):
    """Grades 0, 2 and 3 of OIA-DDR in its own lists: healthy against moderate and severe."""
    counts = {"train": (3133, 2238, 118), "valid": (1253, 895, 47), "test": (1880, 1344, 71)}
    rows = [
        {"grade": grade, "set": part}
        for part, sizes in counts.items()
        for grade, size in zip((0, 2, 3), sizes, strict=True)
        for _ in range(size)
    ]
    rows += [{"grade": 1, "set": "train"}, {"grade": 5, "set": "test"}]
    found = merged(listing(tmp_path, *rows, official_split="set"), {"healthy": ["0"], "npdr": ["2", "3"]})
    in_fold = {fold: [e.labels for e in found.entries if e.fold == fold] for fold in (1, 2, 0)}
    assert [labels.count((1, 0)) for labels in in_fold.values()] == [3133, 1253, 1880]
    assert [labels.count((0, 1)) for labels in in_fold.values()] == [2356, 942, 1415]


def test_a_patient_in_two_parts_is_refused_with_the_lines(tmp_path):
    rows = [{"patient": "P" if n in (3, 4) else f"Q{n}", "level": n % 2, "set": PARTS[n // 4]} for n in range(20)]
    rows[4]["set"] = "val"
    with pytest.raises(BadData, match=r"labels.csv lines 5, 6: patient P is in train and in val") as failure:
        listing(tmp_path, *rows, official_split="set")
    assert "without official_split, patients are dealt" in failure.value.hint


def test_a_column_that_is_no_split_is_refused(tmp_path):
    rows = [{"level": n % 2, "set": "train" if n else "trian"} for n in range(4)]
    with pytest.raises(BadData, match=r"labels.csv line 2: column set says 'trian'") as failure:
        listing(tmp_path, *rows, official_split="set")
    assert failure.value.hint == "train, valid or test is meant"
    with pytest.raises(BadData, match=r"no row of labels.csv is of the part val in the column set"):
        listing(tmp_path, *[{"level": n % 2, "set": ["train", "test"][n % 2]} for n in range(4)], official_split="set")
    with pytest.raises(BadUsage, match=r"labels.csv has no column parts"):
        listing(tmp_path, *rows, official_split="parts")


def test_the_column_of_the_split_is_never_taken_for_a_label(tmp_path):
    with pytest.raises(BadData, match="no column that is clearly a label"):
        listing(tmp_path, *[{"set": part} for part in ("train", "val", "test")], official_split="set")
