"""What commands share -> the options that all of them take, and help texts that name the kinds there are."""

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from medsynth import kinds, presets
from medsynth.command import Common
from medsynth.report.words import listed

COMMON: dict[str, Any] = {
    "run": (
        Path | None,
        typer.Option("--run", "-r", help="Run directory (left out: MEDSYNTH_RUN, else the one around here)."),
        None,
    ),
    "fold": (list[int], typer.Option("--fold", help="Only this fold; may be repeated."), []),
    "set": (list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting of the recipe."), []),
    "json": (bool, typer.Option("--json", help="One JSON object on stdout."), False),
    "quiet": (bool, typer.Option("--quiet", "-q", help="Results and errors only."), False),
    "verbose": (bool, typer.Option("--verbose", "-v", help="Also say what is usually left out."), False),
    "device": (str, typer.Option("--device", help="auto, cpu or cuda."), "auto"),
    "threads": (int | None, typer.Option("--threads", min=1, max=1024, help="CPU threads for tensor products."), None),
    "dry_run": (bool, typer.Option("--dry-run", help="Say what would be done; write nothing."), False),
    "force": (bool, typer.Option("--force", help="Do it again although nothing changed."), False),
    "force_leak": (
        str | None,
        typer.Option(
            "--force-leak",
            metavar="REASON",
            help="Use what may have seen tested patients, and say why: what is made with it is marked as no evidence.",
        ),
        None,
    ),
}

Preset = Annotated[
    str | None,
    typer.Option(help="; ".join(f"{name}: {meaning}" for name, meaning in presets.PRESETS.items()) + "."),
]


def _sizes() -> Iterator[str]:
    for kind in kinds.names("generators"):
        if size := kinds.config("generators", kind).model_fields.get("size"):
            yield f"{kind}: {listed(get_args(size.annotation), 'or')}"


CODECS, GENERATORS = listed(kinds.names("codecs"), "or"), listed(kinds.names("generators"), "or")
SIZES = "; ".join(_sizes())


def with_common(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all have; the command gets them as one `Common`, its first argument."""
    own = list(inspect.signature(function).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
        for name, (kind, option, default) in COMMON.items()
    ]

    @functools.wraps(function)
    def wrapped(**words: Any) -> None:
        asked = {name: words.pop(name) for name in COMMON}
        changes = tuple(asked.pop("set"))
        function(Common(**asked | {"fold": tuple(asked["fold"]), "changes": changes}), **words)

    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    wrapped.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*keyword, *shared]}
    return wrapped
