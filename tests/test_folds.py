import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medsynth import seeds
from medsynth.data import folds
from medsynth.data.folds import Patients
from medsynth.errors import BadData, BadUsage


def drawn(patients=300, seed=0):
    """Patients with one to five images, eight labels from every second to one in fifty."""
    dice = np.random.default_rng(seed)
    share = np.array([0.5, 0.3, 0.2, 0.1, 0.1, 0.06, 0.04, 0.03])
    ids, rows = [], []
    for n in range(patients):
        has = dice.random(len(share)) < share
        for _ in range(dice.integers(1, 6)):
            ids.append(f"P{n:04d}")
            rows.append(tuple((has & (dice.random(len(share)) < 0.9)).astype(int).tolist()))
    return ids, rows, tuple("abcdefgh")


def counts(patients, fold_of, parts):
    """(part, label)"""
    dealt = np.array([fold_of[id] for id in patients.ids])
    return np.stack([patients.positives[dealt == part].sum(axis=0) for part in range(parts)])


@st.composite
def cohorts(draw):
    """A few patients, each with a few images of up to three labels."""
    labels = draw(st.integers(1, 3))
    images = st.lists(st.tuples(*[st.integers(0, 1)] * labels), min_size=1, max_size=4)
    found = draw(st.lists(images, min_size=2, max_size=25))
    ids = [f"P{n}" for n, rows in enumerate(found) for _ in rows]
    return Patients.of(ids, [row for rows in found for row in rows], tuple("abc"[:labels]))


@settings(deadline=None)
@given(cohorts(), st.integers(2, 6), st.integers(0, 3))
def test_every_patient_is_in_one_fold_and_no_fold_is_empty(patients, parts, seed):
    assume(len(patients.ids) >= parts)
    fold_of = folds.folds_of(patients, parts, seed)
    assert set(fold_of) == set(patients.ids)
    assert set(fold_of.values()) == set(range(parts))


@settings(deadline=None)
@given(cohorts(), st.floats(0.05, 0.45), st.integers(0, 3))
def test_a_selection_is_never_empty_and_never_takes_all_of_a_label(patients, share, seed):
    try:
        chosen = set(folds.selection(patients, share, seed, 0))
    except BadData:
        # Only where each patient, if held out, would take a label or everything with them.
        shows = patients.positives > 0
        assert all(((shows.sum(axis=0) - row == 0) & row).any() for row in shows)
        return
    assert chosen
    assert chosen < set(patients.ids)
    kept = patients.part(np.array([id not in chosen for id in patients.ids]))
    assert ((kept.positives.sum(axis=0) > 0) == (patients.positives.sum(axis=0) > 0)).all()


def test_every_label_is_spread_evenly():
    patients = Patients.of(*drawn())
    dealt = counts(patients, folds.folds_of(patients, 5, 0), 5)
    even = dealt.sum(axis=0) / 5
    assert (np.abs(dealt - even) / even).max() < 0.2
    assert (np.abs(dealt - even) / even).mean() < 0.03


def test_a_selection_has_about_its_share_of_every_label():
    patients = Patients.of(*drawn())
    chosen = set(folds.selection(patients, 0.2, 0, 0))
    part = patients.part(np.array([id in chosen for id in patients.ids]))
    assert np.abs(part.positives.sum(axis=0) / patients.positives.sum(axis=0) - 0.2).max() < 0.1
    assert abs(part.images.sum() / patients.images.sum() - 0.2) < 0.03


def test_every_label_is_selected_on_where_patients_can_be_spared():
    """In a small cohort a share of 15 % would leave most labels out, and with them any choice that concerns them."""
    ids = [f"P{n}" for n in range(12)]
    patients = Patients.of(ids, [tuple(int(n % 4 == label) for label in range(4)) for n in range(12)], tuple("abcd"))
    chosen = folds.selection(patients, 0.15, 0, 0)
    assert {ids.index(id) % 4 for id in chosen} == {0, 1, 2, 3}
    assert len(chosen) == 4


def test_the_order_of_the_images_changes_nothing():
    ids, rows, labels = drawn(60)
    order = np.random.default_rng(1).permutation(len(ids))
    shuffled = Patients.of([ids[n] for n in order], [rows[n] for n in order], labels)
    assert folds.folds_of(Patients.of(ids, rows, labels), 5, 0) == folds.folds_of(shuffled, 5, 0)


def test_the_seed_decides():
    patients = Patients.of(*drawn(60))
    assert folds.folds_of(patients, 5, 0) == folds.folds_of(patients, 5, 0)
    assert folds.folds_of(patients, 5, 0) != folds.folds_of(patients, 5, 1)


def test_the_shortcut_deals_as_the_plain_form_does():
    """The mean over labels of the deviation over folds, tried for every fold in full."""
    patients, parts = Patients.of(*drawn(120)), 4
    table = np.column_stack([patients.positives, patients.images])
    shares = table / table.sum(axis=0)
    order = np.lexsort((np.random.default_rng(seeds.derive(7, "folds")).permutation(len(table)), -shares.max(axis=1)))
    held, images, expected = np.zeros((parts, table.shape[1])), np.zeros(parts), {}
    for patient in order:
        spread = []
        for part in range(parts):
            tried = held.copy()
            tried[part] += shares[patient]
            spread.append(tried.std(axis=0).mean())
        even = [part for part in range(parts) if spread[part] <= min(spread) + 1e-10]
        part = min(even, key=lambda part: images[part])
        held[part] += shares[patient]
        images[part] += patients.images[patient]
        expected[patients.ids[patient]] = part
    assert folds.folds_of(patients, parts, 7) == expected


def test_five_thousand_patients_are_dealt():
    patients = Patients.of(*drawn(5000))
    assert np.ptp(counts(patients, folds.folds_of(patients, 5, 0), 5), axis=0).max() <= 3


def one_label(holders, others):
    ids = [f"P{n}" for n in range(holders + others)]
    return Patients.of(ids, [(int(n < holders), int(n % 2)) for n in range(len(ids))], ("glaucoma", "other"))


def test_a_label_of_one_patient_and_five_folds_is_refused():
    with pytest.raises(BadData, match="glaucoma has 1 patient: fewer than the 5 folds") as failure:
        folds.check(one_label(1, 40), 5)
    assert failure.value.hint.startswith("leave the label out")


def test_the_number_of_folds_that_is_possible_is_named():
    with pytest.raises(BadData, match="glaucoma has 3 patients") as failure:
        folds.check(one_label(3, 40), 5)
    assert failure.value.hint.startswith("--folds 3, or leave the label out")
    folds.check(one_label(3, 40), 3)


def test_images_are_not_counted_as_patients():
    patients = Patients.of(["P0"] * 10 + ["P1"] * 10, [(1, 0)] * 10 + [(0, 1)] * 10, ("a", "b"))
    with pytest.raises(BadData, match="a has 1 patient, b has 1 patient: fewer than the 2 folds"):
        folds.check(patients, 2)


def test_a_label_that_every_image_has_is_refused():
    patients = Patients.of(["P0", "P1", "P2", "P3"], [(1, 0), (1, 1), (1, 0), (1, 1)], ("fundus", "b"))
    with pytest.raises(BadData, match="every image has the label fundus"):
        folds.check(patients, 2)


def test_one_fold_leaves_nobody_to_learn_from():
    with pytest.raises(BadUsage, match="one fold"):
        folds.check(one_label(5, 5), 1)


def test_a_selection_that_would_take_a_label_away_is_refused():
    patients = Patients.of(["P0", "P1"], [(1, 0), (0, 1)], ("a", "b"))
    with pytest.raises(BadData, match="fold 3 leaves 2 patients to learn from"):
        folds.selection(patients, 0.2, 0, 3)


@settings(deadline=None)
@given(cohorts(), st.sampled_from([(0.5, 0.2, 0.3), (0.8, 0.1, 0.1), (0.2, 0.2, 0.6)]), st.integers(0, 3))
def test_the_parts_of_a_split_share_no_patient_and_each_has_what_can_be_spared(patients, shares, seed):
    try:
        tested, selected = map(set, folds.split(patients, shares, seed))
    except BadData:
        return  # as of any selection: the test above says where
    training = set(patients.ids) - tested - selected
    assert selected
    assert training
    assert not tested & selected
    for label in range(len(patients.labels)):
        holders = {id for id, row in zip(patients.ids, patients.positives, strict=True) if row[label]}
        assert not holders or holders & training


def test_a_split_has_its_shares_of_every_label():
    patients = Patients.of(*drawn(1500))
    tested, selected = folds.split(patients, (0.5, 0.2, 0.3), 0)
    part_of = dict.fromkeys(patients.ids, 0) | dict.fromkeys(selected, 1) | dict.fromkeys(tested, 2)
    assert np.abs(counts(patients, part_of, 3) / patients.positives.sum(axis=0) - [[0.5], [0.2], [0.3]]).max() < 0.04


def test_a_split_of_fewer_patients_than_parts_is_refused():
    with pytest.raises(BadData, match="glaucoma has 2 patients: fewer than the 3 parts of the split"):
        folds.check_split(one_label(2, 40))
    folds.check_split(one_label(3, 40))


def of_images(*patients):
    """Patients A, B, C ... of (positive images of each label, images)."""
    ids, rows = [], []
    for name, (positives, images) in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", patients, strict=False):
        ids += [name] * images
        rows += [tuple(int(image < count) for count in positives) for image in range(images)]
    return Patients.of(ids, rows, tuple("abcdefgh"[: len(patients[0][0])]))


def test_where_two_parts_are_alike_the_one_with_fewer_images_for_its_share_gets_the_patient():
    patients = of_images(((32,), 32), ((8,), 32), ((5,), 8))
    for seed in range(3):
        assert folds.deal(patients, np.array([2 / 3, 1 / 3]), seed).tolist() == [0, 1, 0]


def test_choices_and_tests_are_dealt_by_draws_of_their_own():
    patients = Patients.of(*drawn(200))
    dealt = folds.deal(patients, np.array([0.2, 0.8]), seeds.derive(3, "selection", 1))
    assert folds.selection(patients, 0.2, 3, 1) == patients.part(dealt == 0).ids
    tested = folds.deal(patients, np.array([0.3, 0.7]), seeds.derive(3, "split")) == 0
    selected = folds.selection(patients.part(~tested), 2 / 7, 3, 0)
    for shares in ((5, 2, 3), (0.5, 0.2, 0.3)):
        assert folds.split(patients, shares, 3) == (patients.part(tested).ids, selected)


def test_where_a_share_is_too_small_those_with_the_fewest_images_are_chosen_for_each_label():
    patients = of_images(((3, 0), 3), ((2, 0), 2), ((4, 0), 4), ((0, 5), 5), ((0, 1), 1))
    assert folds.selection(patients, 0.001, 0, 0) == ("B", "E")


def test_where_no_label_can_be_spared_one_without_any_is_chosen():
    patients = of_images(((1, 0), 1), ((0, 1), 1), ((0, 0), 3), ((0, 0), 2), ((0, 0), 4))
    assert folds.selection(patients, 0.001, 0, 0) == ("D",)
    with pytest.raises(BadData, match="fold 0 leaves 1 patient to learn from") as failure:
        folds.selection(of_images(((0, 0), 1)), 0.001, 0, 0)
    assert failure.value.hint.startswith("more patients are needed for every label")


def test_of_those_who_show_a_label_the_one_with_the_fewest_images_is_left_to_learn_from():
    others = [((0, 1), 1) for _ in range(20)]
    patients = of_images(*others, ((2, 0), 2), ((3, 0), 3))  # A to T; U and V
    dealt = folds.deal(patients, np.array([0.9, 0.1]), seeds.derive(0, "selection", 2))
    assert dealt[-2:].tolist() == [0, 0]
    assert folds.selection(patients, 0.9, 0, 2) == tuple(id for id in patients.part(dealt == 0).ids if id != "U")


def test_who_is_refused_is_told_what_would_do():
    with pytest.raises(BadUsage) as failure:
        folds.check(one_label(5, 5), 1)
    assert failure.value.hint == "--folds 5, or one split with --split 0.7,0.1,0.2"
    with pytest.raises(BadData, match="every image has the label a") as failure:
        folds.check_split(of_images(*[((1,), 1)] * 5))
    assert failure.value.hint == "choose other labels: --label COLUMN, or --labels A,B,C"
    leaving = "leave the label out: --labels A,B,C without it, or the table without its rows"
    with pytest.raises(BadData, match=r"parts of the split, so that not every part can have it$") as failure:
        folds.check_split(one_label(2, 40))
    assert failure.value.hint == leaving
    few = of_images(*[((n < 3, n < 2, n > 2), 1) for n in range(20)])
    with pytest.raises(BadData, match=r"^a has 3 patients, b has 2 patients: fewer than the 5 folds") as failure:
        folds.check(few, 5)
    assert failure.value.hint == f"--folds 2, or {leaving}"


def test_of_many_labels_with_too_few_patients_five_are_named():
    for labels, more in ((5, ""), (6, ", and 1 more labels have too few"), (7, ", and 2 more labels have too few")):
        patients = of_images(*[((n == 0,) * labels, 1) for n in range(9)])
        named = ", ".join(f"{label} has 1 patient" for label in "abcde")
        with pytest.raises(BadData, match=f"^{named}{more}: fewer than the 3 folds"):
            folds.check(patients, 3)
