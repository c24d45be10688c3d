"""The images of one fold that are compared: synthetic ones, and the real ones that say what their numbers mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.artifacts.features import Features
from medsynth.chain import REAL, THROUGH
from medsynth.errors import BadData, Refused
from medsynth.metrics.closeness import unit
from medsynth.metrics.owned import Owned

FEWEST = 10  # selection patients that say how near unseen patients are


@dataclass(frozen=True)
class Part:
    """Some images as the extractor sees them, with the patients they are of or were given the labels of."""

    samples: tuple[Sample, ...]
    owned: Owned
    labels: np.ndarray  # 0 or 1, (image, label)

    def with_label(self, label: int) -> "Part":
        rows = np.flatnonzero(self.labels[:, label])
        return Part(tuple(self.samples[row] for row in rows), self.owned.chosen(rows), self.labels[rows])

    def of_equal_length(self) -> "Part":
        """With features scaled to a mean square of one, so that KID's kernel sees nothing but their cosines.

        A classifier's features are free to grow, and the length says how sure it is. Under the cube of KID one image
        that is twenty times as long as the others would make up all of it.
        """
        scaled = unit(self.owned.features) * np.sqrt(self.owned.features.shape[1])
        return replace(self, owned=replace(self.owned, features=scaled))

    def patients(self) -> int:
        return len(np.unique(self.owned.owners))

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Sets:
    """What is compared with the images of the test patients."""

    made: Part
    training: Part
    selection: Part | None  # None: too few patients
    tested: Part
    ceiling: Part | None  # the test images after they went through the codec, in the order of `tested`
    extractor: str

    def named(self) -> dict[str, Part]:
        """Each set by the first word of its scores."""
        sets = {"synthetic": self.made, "floor": self.training, "unseen": self.selection, "ceiling": self.ceiling}
        return {name: part for name, part in sets.items() if part is not None}

    def of_equal_length(self) -> "Sets":
        """The same with `Part.of_equal_length`. The extractor then has another name: the numbers are others."""
        return Sets(
            made=self.made.of_equal_length(),
            training=self.training.of_equal_length(),
            selection=self.selection.of_equal_length() if self.selection is not None else None,
            tested=self.tested.of_equal_length(),
            ceiling=self.ceiling.of_equal_length() if self.ceiling is not None else None,
            extractor=f"{self.extractor}, of equal length",
        )


def gathered(everyone: Cohort, fold: int, made: Sequence[Sample], kind: str, seen: Mapping[str, Features]) -> Sets:
    """The sets of one fold, as `seen` by kind of features; the kind of the synthetic ones is `kind`.

    Raises Refused where different extractors saw them, as such numbers mean nothing; BadData for features that are no
    finite numbers.
    """
    seen_by = {each.extractor for each in seen.values()}
    if len(seen_by) > 1:
        problem = f"features of different extractors cannot be compared: {', '.join(sorted(seen_by))}"
        raise Refused(problem, hint=f"medsynth features --fold {fold} --force")
    broken = sorted(name for name, each in seen.items() if not np.isfinite(each.values).all())
    if broken:
        problem = f"features of {', '.join(broken)}, fold {fold}, hold values that are no finite numbers"
        raise BadData(problem, hint=f"medsynth features --fold {fold} --force")
    owner_of = {s.sample: s.patient for s in everyone.samples}
    selection, testing = everyone.selection(fold), everyone.testing(fold).samples
    through = next((name for name in seen if name.startswith(THROUGH)), None)
    return Sets(
        made=_part(made, seen[kind], [owner_of[s.label_source] for s in made]),
        training=_of_real(everyone.training(fold).samples, seen[REAL]),
        selection=_of_real(selection.samples, seen[REAL]) if len(selection.patients()) >= FEWEST else None,
        tested=_of_real(testing, seen[REAL]),
        ceiling=_of_real(testing, seen[through]) if through else None,
        extractor=seen_by.pop(),
    )


def _of_real(samples: Sequence[Sample], found: Features) -> Part:
    return _part(samples, found, [s.patient for s in samples])


def _part(samples: Sequence[Sample], found: Features, owners: Sequence[str]) -> Part:
    labels = np.array([s.labels for s in samples], dtype=int).reshape(len(samples), -1)
    # As exact as they came, float32: what is measured has to know how many digits there are.
    return Part(tuple(samples), Owned(found.of([s.sample for s in samples]).values, np.array(owners)), labels)
