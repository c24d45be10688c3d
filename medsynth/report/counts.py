"""How many were tested, and how many of them have a label: what every score on the page stands on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.report import words


@dataclass(frozen=True)
class Tested:
    """Everybody whom classifiers were tested on, over some folds; `positive` counts the unit."""

    unit: str
    things: int
    patients: int
    with_label: int | None  # patients with at least one; None where every image has exactly one class
    positive: dict[str, int]  # label -> things that have it
    positive_patients: dict[str, int]  # label -> patients who have it

    @property
    def rarest(self) -> str:
        """The label that the fewest patients have."""
        return min(self.positive_patients, key=lambda label: (self.positive_patients[label], label))

    def sentence(self, has_patients: bool = True) -> str:
        """`120 eyes of 60 patients, 41 with a label, 14 with the rarest (cotton wool spots)`.

        How many have a label is left out where all have.
        """
        things = words.count(self.things, self.unit, words.MANY[self.unit])
        if not has_patients:
            return f"{things}, {self.positive[self.rarest]:,} with the rarest label ({words.label(self.rarest)})"
        whose = f"{things} of {words.count(self.patients, 'patient')}" if self.unit != "patient" else things
        rare = self.positive_patients[self.rarest]
        if self.with_label is None:
            return f"{whose}, {rare:,} of the rarest class ({words.label(self.rarest)})"
        some = "" if self.with_label == self.patients else f"{self.with_label:,} with a label, "
        return f"{whose}, {some}{rare:,} with the rarest ({words.label(self.rarest)})"


def tested(cohort: Cohort, folds: Iterable[int], unit: str) -> Tested:
    """Of the test patients of these folds; no patient is tested in two."""
    return of([s for fold in sorted(set(folds)) for s in cohort.testing(fold).samples], cohort, unit)


def of(samples: Sequence[Sample], cohort: Cohort, unit: str) -> Tested:
    """Of some of a cohort's samples."""

    def things(some: Iterable[Sample]) -> int:
        return len({_thing(s, unit) for s in some})

    def patients(some: Iterable[Sample]) -> int:
        return len({s.patient for s in some})

    having = {name: [s for s in samples if s.labels[i]] for i, name in enumerate(cohort.facts.labels)}
    return Tested(
        unit, things(samples), patients(samples),
        None if cohort.facts.one_class else patients(s for s in samples if any(s.labels)),
        {name: things(some) for name, some in having.items()},
        {name: patients(some) for name, some in having.items()},
    )  # fmt: skip


def _thing(sample: Sample, unit: str) -> tuple[str, ...]:
    if unit == "eye":
        return (sample.patient, sample.eye)
    return (sample.patient,) if unit == "patient" else (sample.sample,)
