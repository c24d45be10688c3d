"""log.jsonl: one JSON object a line, written while a model trains."""

import json
from pathlib import Path
from typing import Any

from medsynth.artifacts import files

LOG = "log.jsonl"


def append(folder: Path, entry: dict[str, Any]) -> None:
    files.append(folder / LOG, json.dumps(entry, allow_nan=False))


def load(folder: Path) -> list[dict[str, Any]]:
    """Every whole line; a line cut off by a kill is dropped, as is one that no training wrote."""
    if not (folder / LOG).is_file():
        return []
    entries = []
    for line in (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step", 0), int):
            entries.append(entry)
    return entries


def rewind(folder: Path, step: int) -> None:
    """Forget what was logged after `step`, because training goes on from there."""
    if not (folder / LOG).is_file():
        return
    kept = [entry for entry in load(folder) if entry.get("step", 0) <= step]
    files.write_text(folder / LOG, "".join(json.dumps(entry) + "\n" for entry in kept))
