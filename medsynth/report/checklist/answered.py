"""What a run says to a point of the checklist, and how settings and records are read for it.

A point that the run knows nothing of is empty: no sentence guesses.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from medsynth.report.collect import Made

MANIFEST, FACTS, RECIPE = "ingest/manifest.csv", "ingest/cohort.json", "recipe.toml"
BY_YOU = "to be filled in by you"


@dataclass(frozen=True)
class Answered:
    """A point's sentence, "" where there is none, and the file that it was filled from."""

    text: str = ""
    source: str = ""


def setting(made: Iterable[Made], key: str) -> str:
    """A setting as text, every value where artifacts differ; "" where none has it."""
    values = [m.get("settings")[key] for m in made if m.get("settings").get(key) is not None]
    return " / ".join(dict.fromkeys(_text(value) for value in values))


def _text(value: Any) -> str:
    return (
        " to ".join(map(_text, value))
        if isinstance(value, list)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def number(made: Iterable[Made], key: str) -> float | None:
    return next((v for m in made if isinstance(v := m.get("summary").get(key), int | float)), None)


def records(stage: str) -> str:
    return f"fold-*/{stage}/*/stage.json"
