"""The version of each format that other programs may rely on. A file of a later version is refused, never guessed at.

stage.json says which version each file beside it has; cohort.json says its own as well. What says nothing was written
before there were versions, and is version 1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsynth import __version__
from medsynth.errors import Refused

KEY = "formats"  # in stage.json
VERSION = "version"  # in a file that says its own
VERSIONS = {
    "stage.json": 1,
    "cohort.json": 1,
    "manifest.csv": 1,
    "predictions.csv": 1,
    "selection.csv": 1,
    "scores.json": 1,
    "comparisons.json": 1,
}


def of(folder: Path) -> dict[str, int]:
    """The versions of the files right in a folder, and of the record that will be written beside them."""
    return {name: version for name, version in VERSIONS.items() if name == "stage.json" or (folder / name).is_file()}


def refuse_later(folder: Path, said: Any, packages: Any = None) -> None:
    """Raise Refused where a file of the folder is of a later version than can be read here.

    `said` is what stands in the folder, format -> version, whatever that is; `packages` what wrote it, by name.
    """
    for name, version in said.items() if isinstance(said, Mapping) else ():
        readable = VERSIONS.get(name, 0)
        if not isinstance(version, int) or version > readable:
            writer = packages.get("medsynth") if isinstance(packages, Mapping) else None
            raise Refused(
                f"{folder / name} has version {version} of its format and was written by "
                f"{f'medsynth {writer}' if writer else 'a later medsynth'}; this is medsynth {__version__}, "
                f"which reads {f'versions up to {readable}' if readable else 'no such file'}",
                hint="pip install --upgrade medsynth; then the same command",
            )
