"""What is installed of what the program needs, with versions; and all there is, as a list that other programs check."""

import platform
import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from medsynth import __version__
from medsynth.errors import BadUsage, MedsynthError

EXTRA = re.compile(r";.*\bextra\b")
LISTER = "cyclonedx_py"  # of the package cyclonedx-bom


def needed() -> list[str]:
    """The packages that the program names as its requirements, and torchvision, which some of them need."""
    try:
        wanted = metadata.requires("medsynth") or []
    except metadata.PackageNotFoundError:  # run from a folder without being installed
        wanted = []
    return sorted({re.split(r"[^\w.-]", text)[0] for text in wanted if not EXTRA.search(text)} | {"torchvision"})


def versions() -> dict[str, str]:
    """What everything runs with: Python, medsynth, and every package that it needs and that is there."""
    found = {"python": platform.python_version(), "medsynth": __version__}
    for name in needed():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_bill(out: Path) -> None:
    """Every installed package with its version and licence, as a CycloneDX list in JSON.

    Raises BadUsage where cyclonedx-bom, which knows how, is not installed or the place cannot be written to.
    """
    if find_spec(LISTER) is None:
        raise BadUsage("cyclonedx-bom, which makes the list, is not installed", hint="pip install 'medsynth[sbom]'")
    if not out.absolute().parent.is_dir():
        raise BadUsage(f"there is no folder {out.absolute().parent}", hint="name a file in a folder that is there")
    words = ["environment", "--output-format", "JSON", "--output-reproducible", "-o", str(out.absolute())]
    command = [sys.executable, "-P", "-m", LISTER, *words]  # of itself: another Python would look into this folder
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or [f"it ended with {ended.returncode}"])[-1]
        raise MedsynthError(f"cyclonedx-bom did not make the list: {reason}", hint=" ".join(map(str, command)))
