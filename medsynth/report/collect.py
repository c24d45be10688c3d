"""The folders of a run -> plain facts: who made what, and the scores of every arm and fold. Reads JSON and CSV only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

from medsynth import arms
from medsynth.artifacts import cohort, comparisons, log, scores
from medsynth.artifacts.cohort import Cohort
from medsynth.artifacts.comparisons import Comparisons
from medsynth.artifacts.scores import Score
from medsynth.chain import STAGES
from medsynth.report import words
from medsynth.rundir import Artifact

T = TypeVar("T")

NOTHING = "–"  # in a table: there is no such number


@dataclass(frozen=True)
class Made:
    """One complete artifact with what is known of it."""

    artifact: Artifact
    path: str  # of its folder, relative to the run
    record: dict[str, Any]

    @property
    def stage(self) -> str:
        return self.artifact.stage

    @property
    def fold(self) -> int | None:
        return self.artifact.fold

    @property
    def kind(self) -> str:
        return self.artifact.kind or ""

    @property
    def folder(self) -> Path:
        return self.artifact.folder

    def get(self, key: str) -> dict[str, Any]:
        """A table of the record (summary, settings, versions, inputs), empty where the record has none."""
        value = self.record.get(key)
        return value if isinstance(value, dict) else {}

    @cached_property
    def scores(self) -> dict[str, Score]:
        return scores.load(self.folder) if (self.folder / scores.SCORES).is_file() else {}

    @cached_property
    def images(self) -> int:
        """How many images a cohort or an expansion holds."""
        return len(cohort.load(self.folder).samples)

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        return log.load(self.folder)


@dataclass(frozen=True)
class ArmScore:
    """One score of one arm in one fold, its name taken apart."""

    arm: str
    fold: int
    unit: str  # what was counted: eye, patient or image
    metric: str  # as words.metric_key gives it
    label: str  # "" for the score over all labels
    score: Score


@dataclass(frozen=True)
class Found:
    """Everything of a run that the report speaks of."""

    cohort: Cohort
    made: tuple[Made, ...]  # ingest first, then by stage, kind and fold

    @property
    def folds(self) -> list[int]:
        return list(range(self.cohort.facts.folds))

    def of(self, stage: str, kind: str | None = None) -> list[Made]:
        """What a stage made, of one kind or all, by kind and fold."""
        return [m for m in self.made if m.stage == stage and kind in (None, m.kind)]

    def kinds(self, stage: str) -> list[str]:
        return list(dict.fromkeys(m.kind for m in self.of(stage)))

    def one(self, stage: str, kind: str, fold: int) -> Made | None:
        return next((m for m in self.of(stage, kind) if m.fold == fold), None)

    @cached_property
    def _known(self) -> dict[Callable[["Found"], Any], Any]:
        return {}

    def once(self, what: Callable[["Found"], T]) -> T:
        """What is worked out from a run, worked out no more than once."""
        if what not in self._known:
            self._known[what] = what(self)
        found: T = self._known[what]
        return found

    @property
    def only_masks(self) -> bool:
        """Whether segmenters are all that was to become better: the classifier of real images alone may be there as
        what sees the images for evaluate and audit."""
        return bool(self.of("segment")) and {arms.without_repeat(arm) for arm in self.kinds("classify")} <= {"real"}

    @cached_property
    def arm_scores(self) -> list[ArmScore]:
        found = []
        for made in self.of("classify"):
            for name, score in made.scores.items():
                if parsed := parse(name, self.cohort.facts.labels):
                    found.append(ArmScore(made.kind, made.fold or 0, *parsed, score))
        return found

    @property
    def arms(self) -> list[str]:
        return sorted(self.kinds("classify"), key=words.arm_order)

    @cached_property
    def comparisons(self) -> Comparisons | None:
        """What `compare` found of all arms; None before it."""
        made = next(iter(self.of("compare")), None)
        return comparisons.load(made.folder) if made else None

    @property
    def comparisons_file(self) -> str:
        """From the run directory on."""
        return f"{self.of('compare')[0].path}/{comparisons.COMPARISONS}"

    @property
    def unit(self) -> str:
        """The weightiest unit that was scored: eyes before patients before images."""
        return next((u for u in words.UNITS if any(s.unit == u for s in self.arm_scores)), "image")

    def metrics(self, unit: str) -> list[str]:
        """The metrics over all labels that a unit has, in the order of the table; unknown ones last."""
        known = list(words.METRICS)
        found = {s.metric for s in self.arm_scores if s.unit == unit and not s.label}
        return sorted(found, key=lambda m: (known.index(m) if m in known else len(known), m))

    def values(self, unit: str, metric: str, label: str = "") -> dict[str, dict[int, float]]:
        """arm -> fold -> value of one score, arms and folds in order."""
        wanted = [s for s in self.arm_scores if (s.unit, s.metric, s.label) == (unit, metric, label)]
        return {
            arm: {s.fold: s.score.value for s in wanted if s.arm == arm}
            for arm in self.arms
            if any(s.arm == arm for s in wanted)
        }

    def expansion_of(self, arm: Made) -> Made | None:
        """The synthetic images that a classifier trained on: its record says which folder they lay in."""
        return next((m for m in self.of("expand") if m.path in arm.get("inputs")), None)

    @cached_property
    def unlike(self) -> list[str]:
        """Sentences about classifiers that were trained otherwise than the other arms of their fold."""
        found = []
        for fold in self.folds:
            of = {made.kind: made for made in self.of("classify") if made.fold == fold}
            for arm, why in arms.unlike({arm: made.record for arm, made in of.items()}).items():
                found.append(f"{of[arm].artifact.name} was trained otherwise than the fold's other arms ({why})")
        return found

    @cached_property
    def uneven(self) -> list[str]:
        """The trainings that take no part in differences, for not all arms of their fold have as many."""
        found = []
        for fold in self.folds:
            marks = (None, self.cohort.training(fold).patients_hash())
            of = {m.kind: m for m in self.of("classify") if m.fold == fold and m.record.get("trained_on") in marks}
            otherwise = arms.unlike({arm: made.record for arm, made in of.items()})
            found += [of[name].artifact.name for name in arms.uneven(of.keys() - otherwise.keys())]
        return sorted(found)

    def outdated(self) -> list[str]:
        """Sentences about artifacts whose inputs were made again since, and arms that cannot be compared."""
        now = {m.path: m.record.get("made") for m in self.made}
        found = []
        for made in self.made:
            for path, mark in made.get("inputs").items():
                if path in now and now[path] != mark:
                    found.append(f"{made.artifact.name} was made from an earlier version of {path}")
        return [*found, *self.unlike]


def collect(artifacts: Iterable[Artifact]) -> Found:
    """Read what a run holds. The artifacts may come in any order; that of ingest must be among them."""
    order = [stage.name for stage in STAGES]
    complete = [a for a in artifacts if a.exists()]
    ingest = next(a for a in complete if a.stage == "ingest")
    root = ingest.folder.parent
    complete.sort(key=lambda a: (order.index(a.stage), a.kind or "", a.fold or 0))
    made = tuple(Made(a, a.folder.relative_to(root).as_posix(), a.record()) for a in complete)
    return Found(cohort.load(ingest.folder), made)


def parse(name: str, labels: Iterable[str]) -> tuple[str, str, str] | None:
    """`eye.auc.exudates` -> ("eye", "auc", "exudates"); `eye.auc` -> ("eye", "auc", "").

    None for a name of another form. The label may hold dots itself.
    """
    unit, _, rest = name.partition(".")
    metric, _, label = rest.partition(".")
    if unit not in words.UNITS or not metric or (label and label not in set(labels)):
        return None
    return unit, words.metric_key(metric), label


def mean_and_spread(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation over folds (n - 1); None for a single fold."""
    found = list(values)
    return fmean(found), stdev(found) if len(found) > 1 else None
