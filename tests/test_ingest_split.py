"""One fold with given shares of the patients, instead of several."""

import pytest
from pictures import clinic, ingested, medmnist, rows_of, run

from medsynth import recipe as recipes
from medsynth.errors import BadData, BadUsage

PAPER = (0.5, 0.2, 0.3)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return clinic(tmp_path_factory.mktemp("clinic"), rows_of(40))


def test_a_split_is_one_fold_of_three_parts_with_their_shares_of_every_label(source, tmp_path):
    made = ingested(tmp_path / "out", source, split=PAPER, folds=1)
    assert made.facts.folds == 1
    parts = [made.training(0), made.selection(0), made.testing(0)]
    assert [len(part.patients()) for part in parts] == [20, 8, 12]
    assert [part.counts() for part in parts] == [{"level=0": n, "level=1": n} for n in (20, 8, 12)]
    assert len(set.union(*(set(part.patients()) for part in parts))) == 40


def test_the_seed_decides_the_split(source, tmp_path):
    one, same, other = (
        ingested(tmp_path / name, source, split=PAPER, folds=1, seed=seed).testing(0).patients()
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert one == same != other


def test_a_label_that_not_every_part_can_have_is_refused_before_any_image_is_decoded(tmp_path):
    path = clinic(tmp_path / "clinic", rows_of(10, lambda n, row: row | {"level": int(n < 4)}))
    (tmp_path / "clinic/images/000.png").unlink()
    with pytest.raises(BadData, match="level=1 has 2 patients: fewer than the 3 parts of the split") as failure:
        run(tmp_path / "out", path, split=PAPER, folds=1)
    assert failure.value.hint.startswith("leave the label out")


def test_an_official_split_is_kept_and_that_is_said(tmp_path):
    result = run(tmp_path / "out", medmnist(tmp_path / "x.npz"), split=PAPER, folds=1)
    assert "The official split of x.npz was kept as one fold: it was not dealt by shares." in result.notes


@pytest.mark.parametrize(
    "split", [[0.5, 0.5], [0.5, 0.2, 0.2], [0.7, 0.0, 0.3], ["a", 0.2, 0.3], 0.5, [0.9, 0.3, -0.2]]
)
def test_shares_that_are_no_split_are_refused(split):
    with pytest.raises(BadUsage, match="three shares that add up to 1 are meant, TRAINING,SELECTION,TEST"):
        recipes.from_table({"ingest": {"split": split}})


def test_a_split_and_several_folds_contradict_each_other_in_one_recipe():
    with pytest.raises(BadUsage, match=r"folds = 5: split = \[0.5, 0.2, 0.3\] is one fold, and the two contradict"):
        recipes.from_table({"ingest": {"split": PAPER, "folds": 5}})
    assert recipes.from_table({"ingest": {"split": PAPER, "folds": 1}}).ingest.tested_folds == 1


def test_of_a_split_and_folds_what_is_typed_later_counts_also_after_being_written():
    split = recipes.parse("[ingest]\nfolds = 4", ["ingest.split=[0.5, 0.2, 0.3]"])
    assert (split.ingest.split, split.ingest.tested_folds) == (PAPER, 1)
    for read in (split, recipes.parse(recipes.dump(split))):
        assert read == split
        assert recipes.parse(recipes.dump(read), ["ingest.folds=3"]).ingest.tested_folds == 3
        assert recipes.parse(recipes.dump(read), ["ingest.split="]).ingest.tested_folds == 5
