"""How often each patient shows each label -> which fold a patient is in, and which patients are held out for choices,
or one split into three parts.

The greedy of grouped, stratified folds, for any number of labels: patients are dealt one by one, those first that hold
the largest share of some label; each goes where the parts stay most alike. Every image follows its patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medsynth import seeds
from medsynth.errors import BadData, BadUsage

EVEN = 1e-9  # parts that differ by less are as good as each other


@dataclass(frozen=True)
class Patients:
    """Every patient's images. Sorted by id, so that the order of a table's rows changes nothing."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    positives: np.ndarray  # (patient, label): images of the patient that show the label
    images: np.ndarray  # (patient,)

    @classmethod
    def of(cls, patients: Sequence[str], rows: Sequence[tuple[int, ...]], labels: tuple[str, ...]) -> "Patients":
        """From the patient and the labels of each image."""
        ids = sorted(set(patients))
        row_of = {id: row for row, id in enumerate(ids)}
        number = np.array([row_of[patient] for patient in patients])
        positives = np.zeros((len(ids), len(labels)), dtype=np.int64)
        np.add.at(positives, number, np.array(rows, dtype=np.int64))
        return cls(tuple(ids), labels, positives, np.bincount(number))

    def part(self, chosen: np.ndarray) -> "Patients":
        """Some of them, by a mask."""
        ids = tuple(id for id, yes in zip(self.ids, chosen, strict=True) if yes)
        return Patients(ids, self.labels, self.positives[chosen], self.images[chosen])

    def holders(self) -> dict[str, int]:
        """How many patients show each label."""
        return dict(zip(self.labels, (self.positives > 0).sum(axis=0).tolist(), strict=True))


def check(patients: Patients, folds: int) -> None:
    """Raise BadUsage or BadData if not every fold can test every label and still leave something to learn from."""
    if folds < 2:
        hint = "--folds 5, or one split with --split 0.7,0.1,0.2"
        raise BadUsage("one fold would test every patient and leave none to learn from", hint=hint)
    _refuse_a_label_of_all(patients)
    _refuse_few(patients, folds, f"the {folds} folds, so that not every fold can test it", "--folds")


def check_split(patients: Patients) -> None:
    """Raise BadData if not every part of a split can have every label."""
    _refuse_a_label_of_all(patients)
    _refuse_few(patients, 3, "the 3 parts of the split, so that not every part can have it")


def _refuse_a_label_of_all(patients: Patients) -> None:
    everywhere = (patients.positives == patients.images[:, None]).all(axis=0)
    if everywhere.any():
        label = patients.labels[int(everywhere.argmax())]
        hint = "choose other labels: --label COLUMN, or --labels A,B,C"
        raise BadData(f"every image has the label {label}: there is nothing to tell apart", hint=hint)


def _refuse_few(patients: Patients, parts: int, than: str, flag: str = "") -> None:
    """`flag` would make the parts fewer, where there is one."""
    few = {label: count for label, count in patients.holders().items() if count < parts}
    if few:
        named = ", ".join(f"{label} has {_count(count, 'patient')}" for label, count in list(few.items())[:5])
        more = f", and {len(few) - 5} more labels have too few" if len(few) > 5 else ""
        least = min(few.values())
        fewer = f"{flag} {least}, or " if flag and least >= 2 else ""
        hint = f"{fewer}leave the label out: --labels A,B,C without it, or the table without its rows"
        raise BadData(f"{named}{more}: fewer than {than}", hint=hint)


def folds_of(patients: Patients, folds: int, seed: int) -> dict[str, int]:
    """The fold of every patient, 0 to folds - 1, each label spread evenly."""
    dealt = deal(patients, np.full(folds, 1 / folds), seeds.derive(seed, "folds"))
    return dict(zip(patients.ids, dealt.tolist(), strict=True))


def selection(patients: Patients, share: float, seed: int, fold: int) -> tuple[str, ...]:
    """The patients on which choices are made: about `share` of those given, who are all that the fold does not test.

    At least one patient, and never every patient that shows some label; raises BadData where that cannot be. Every
    label that can be spared is among the chosen, in a small cohort by patients beyond the share.
    """
    chosen = _held_out(patients, share, seeds.derive(seed, "selection", fold))
    if not chosen.any():
        spare = np.flatnonzero(_is_spare(patients, chosen))
        if len(patients.ids) < 2 or not len(spare):
            raise BadData(
                f"fold {fold} leaves {_count(len(patients.ids), 'patient')} to learn from, "
                "and none of them can be held out for choices without losing a label",
                hint="more patients are needed for every label; or leave the rarest label out: --labels A,B,C",
            )
        chosen[spare[np.argmin(patients.images[spare])]] = True
    return patients.part(chosen).ids


def split(patients: Patients, shares: tuple[float, float, float], seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The patients that are tested and those that choices are made on; all others train.

    `shares` are those of training, selection and test, of the patients and of each label alike. Every label that can be
    spared is in all three.
    """
    training, selecting, testing = shares
    tested = _held_out(patients, testing / sum(shares), seeds.derive(seed, "split"))
    others = patients.part(~tested)
    return patients.part(tested).ids, selection(others, selecting / (training + selecting), seed, 0)


def deal(patients: Patients, shares: np.ndarray, seed: int) -> np.ndarray:
    """The part of each patient, (patient,), so that every part has its share of every label and of the images.

    No part of even shares stays empty, where there are as many patients: an empty one is behind in every label.
    """
    counts = np.column_stack([patients.positives, patients.images]).astype(float)
    counts = counts[:, counts.sum(axis=0) > 0]
    counts /= counts.sum(axis=0)  # (patient, column): the patient's share of all there are
    order = np.lexsort((np.random.default_rng(seed).permutation(len(counts)), -counts.max(axis=1)))

    parts = len(shares)
    held = np.zeros((parts, counts.shape[1]))  # of what a part should hold in the end: 1 when it has it all
    images = np.zeros(parts, dtype=np.int64)
    dealt = np.full(len(counts), -1)
    for patient in order:
        added = counts[patient] / shares[:, None]  # (part, column): what each part would gain
        # The spread over the parts, had each of them been given the patient: of (h_k + a) about its mean, (part,)
        apart = held - held.mean(axis=0)
        squares = (apart**2).sum(axis=0) + added * (2 * apart + added * (1 - 1 / parts))
        spread = np.sqrt(np.maximum(squares, 0) / parts).mean(axis=1)
        even = np.flatnonzero(spread <= spread.min() + EVEN)
        part = even[np.argmin((images / shares)[even])]  # whole numbers, so that a tie is a tie on any machine
        held[part] += added[part]
        images[part] += patients.images[patient]
        dealt[patient] = part
    return dealt


def _held_out(patients: Patients, share: float, seed: int) -> np.ndarray:
    """A share of the patients; every label that can be spared is among them, and every label is left. (patient,)"""
    dealt = deal(patients, np.array([share, 1 - share]), seed)
    return _cover_labels(patients, _leave_every_label(patients, dealt == 0))


def _leave_every_label(patients: Patients, chosen: np.ndarray) -> np.ndarray:
    """Fewer chosen patients, so that every label is left to some who are not."""
    shows = patients.positives > 0
    while (lost := np.flatnonzero(shows.any(axis=0) & ~shows[~chosen].any(axis=0))).size:
        holders = np.flatnonzero(chosen & shows[:, lost[0]])
        chosen[holders[np.argmin(patients.images[holders])]] = False
    return chosen


def _cover_labels(patients: Patients, chosen: np.ndarray) -> np.ndarray:
    """More chosen patients, so that each label is among the chosen that can be: no choice could regard it otherwise."""
    shows = patients.positives > 0
    for label in np.flatnonzero(shows.sum(axis=0) > 1):
        spare = np.flatnonzero(_is_spare(patients, chosen) & shows[:, label])
        if not shows[chosen, label].any() and len(spare):
            chosen[spare[np.argmin(patients.images[spare])]] = True
    return chosen


def _is_spare(patients: Patients, chosen: np.ndarray) -> np.ndarray:
    """Which patients are the last, among those not chosen, to show no label. (patient,)"""
    shows = patients.positives > 0
    others = shows[~chosen].sum(axis=0) - shows  # (patient, label): the patients beside this one who show it
    return ~chosen & (~shows | (others > 0)).all(axis=1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
