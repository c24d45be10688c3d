"""The program itself, and how words that are typed become settings."""

from pathlib import Path
from typing import Annotated

import typer

from medsynth import __version__

ABOUT = "Synthetic medical images, from a folder of scans to a report: do they help on patients never seen?"

app = typer.Typer(
    no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode="rich", help=ABOUT
)


def version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback(help=ABOUT)
def medsynth(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What comes before every command."""


def names(text: str | None) -> tuple[str, ...] | None:
    """`a, b` -> ("a", "b")."""
    return tuple(name.strip() for name in text.split(",")) if text else None


def absolute(path: Path | None) -> str | None:
    return str(path.resolve()) if path else None
