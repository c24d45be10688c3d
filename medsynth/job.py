"""What a stage is given, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medsynth.distributed import World
from medsynth.recipe import Recipe
from medsynth.rundir import Artifact

Progress = Callable[[str, int, int], None]  # what is being done, how much of it is done, how much there is


@dataclass(frozen=True)
class Job:
    """A stage sees the artifacts that it declared as its needs, and no other."""

    recipe: Recipe
    inputs: tuple[Artifact, ...]
    out: Path  # to fill; may hold what an interrupted attempt left
    fold: int | None
    kind: str | None
    progress: Progress
    device: str = "cpu"  # or "cuda"
    world: World = field(default_factory=World)
    settings: Any = None  # the recipe's section for this stage and kind
    references: tuple[Artifact, ...] = ()  # of other folds: to compare with, never to learn from
    before: Artifact | None = None  # what will be replaced, if it is there
    say: Callable[[str], None] = lambda _sentence: None  # what somebody should know now

    def input(self, stage: str) -> Path:
        """The folder of the one artifact of a stage."""
        (artifact,) = self.all(stage)
        return artifact.folder

    def all(self, stage: str) -> list[Artifact]:
        """Every artifact of a stage, for the stages that gather."""
        return [artifact for artifact in self.inputs if artifact.stage == stage]


@dataclass(frozen=True)
class Result:
    """What a stage found out."""

    summary: dict[str, Any]  # a few facts for people: shown after the command, kept in stage.json
    trained_on: str | None = None  # patients_hash of the patients that what was made has seen
    notes: tuple[str, ...] = ()  # sentences that somebody has to read
