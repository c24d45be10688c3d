"""The command line: words in, one call, result out."""

import sys

from medsynth import command, distributed
from medsynth.cli.app import app

# Each brings its commands, and --help lists them in this order.
# isort: off
from medsynth.cli import data, models, evidence, masks, whole, machine

# isort: on

__all__ = ["app", "data", "evidence", "machine", "masks", "models", "run", "whole"]


def run() -> None:
    """Run the command line; every bad ending is a sentence and an exit code."""
    json_asked = "--json" in sys.argv
    try:
        with command.ending(json_asked):
            # On its own, Typer prints what it does not understand; with --json that, too, has to be an object.
            sys.exit(app(prog_name="medsynth", standalone_mode=not json_asked))
    except SystemExit as left:
        distributed.leave(int(left.code or 0))
        raise
