"""How many of a module's lines the tests execute, in percent, as a small table.

    export COVERAGE_PROCESS_START="$PWD/pyproject.toml" COVERAGE_FILE="$PWD/.coverage"
    python -m pytest; unset COVERAGE_PROCESS_START; python -m coverage combine
    python tests/covered.py docs/trust-coverage.json

As `.ci/run` does. The processes that tests start count, unless they are killed.
"""

import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage


def table(told: Path) -> dict[str, object]:
    """From the JSON of coverage: the whole, and each module, the least covered first."""
    found = json.loads(told.read_text(encoding="utf-8"))
    modules = {Path(name).as_posix(): share["summary"]["percent_covered"] for name, share in found["files"].items()}
    whole = found["totals"]
    return {
        "lines": whole["num_statements"],
        "percent": round(whole["percent_covered"], 1),
        "modules": {name: round(modules[name], 1) for name in sorted(modules, key=lambda name: (modules[name], name))},
    }


def main(out: Path) -> None:
    counted = Coverage()
    counted.load()
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "coverage.json"
        counted.json_report(outfile=str(told))
        out.write_text(json.dumps(table(told), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
