"""This machine: what it has, and the files of weights that come by hand."""

from pathlib import Path
from typing import Annotated, Any

import typer

from medsynth import command, console
from medsynth import recipe as recipes
from medsynth.byhand import published, store
from medsynth.cli.app import app
from medsynth.errors import MissingWeights
from medsynth.extractors import OWN
from medsynth.rundir import RunDirectory

PANEL = "This machine"

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Keys = Annotated[list[str], typer.Argument(metavar="KEY...", help=f"{', '.join(published.BY_KEY)}, timm/MODEL.")]
Named = Annotated[
    list[str], typer.Option("--weights", metavar="KEY=PATH", help="A file that lies elsewhere; may be repeated.")
]

weights = typer.Typer(no_args_is_help=True, help="Files of weights that come by hand: nothing fetches them unasked.")
app.add_typer(weights, name="weights", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL)
def doctor(
    run: Annotated[Path | None, typer.Option("--run", "-r", help="Where a run is, or would be.")] = None,
    named: Named = [],  # noqa: B006
    sbom: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write what is installed as a CycloneDX list, JSON.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what this machine has: versions, device, memory, disk, threads, weights found and missing, with the fix."""
    from medsynth import doctor as examination
    from medsynth import installed

    if sbom is not None:
        installed.write_bill(sbom)
    place = RunDirectory.named(run)
    found = examination.examine(place.root if place else Path.cwd(), _named(run, named))
    if json:
        command.print_json(found)
        return
    parts = ("device", "threads", "memory", "disk", "versions")
    console.table(("", ""), [(name.replace("_", " "), _said(v)) for part in parts for name, v in found[part].items()])
    _show(found["weights"])
    console.say(_looked_into())
    for sentence in found["problems"]:
        console.note(sentence)
    if not found["problems"]:
        console.say("nothing is missing that the program cannot do without; no network, font or browser is needed")


@weights.command("list")
def list_weights(json: Json = False) -> None:
    """Which files there are, who publishes them, and where they are looked for. Opens none of them."""
    places = [str(place) for place in store.places()]
    if json:
        known = [vars(asked) | {"to": str(store.destination(asked))} for asked in published.TABLE]
        command.print_json({"places": places, "weights": known})
        return
    shown: list[tuple[str, str, object]] = []
    for asked in published.TABLE:
        shown += [(asked.key, "for", asked.used_for), ("", "file", _file(asked.file, asked.megabytes, asked.digest))]
        shown += [("", "from", asked.publisher), ("", "licence", asked.licence), ("", "to", store.destination(asked))]
    console.table(("weights", "", ""), shown)
    console.say(_looked_into())


@weights.command()
def check(
    keys: Keys = [],  # noqa: B006
    named: Named = [],  # noqa: B006
    run: Annotated[Path | None, typer.Option("--run", "-r", help="Whose recipe may name files.")] = None,
    json: Json = False,
) -> None:
    """Check files by their hash: which file, from where, to which place, with which hash. No key: all of them.

    Ends with exit code 6 for a file that is not what it should be, and for one that was asked for and is not ready.
    """
    from medsynth import doctor as examination

    given, typed = _named(run, named), store.named_on_the_line(named)
    asked = [*dict.fromkeys([*keys, *typed])]
    rows = examination.weights(asked or [*dict.fromkeys([*published.BY_KEY, *given])], given)
    bad = next((row for row in rows if row["state"] == "wrong" or (asked and row["state"] != "ready")), None)
    if json:
        command.print_json({"weights": rows})
        raise typer.Exit(MissingWeights.exit_code if bad else 0)
    _show(rows)
    if bad:
        raise MissingWeights(bad["remark"], hint=bad["fix"])


@weights.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A .pth, .pt or .bin file of tensors by name.")],
    out: Annotated[Path | None, typer.Option(help="The safetensors file; left out: beside the other one.")] = None,
    json: Json = False,
) -> None:
    """Turn a pickle of weights into a safetensors file, in a process of its own that runs nothing of the file."""
    from medsynth.byhand import convert as conversion
    from medsynth.byhand import identity

    out = out or file.with_suffix(identity.READABLE)
    conversion.convert(file, out)
    if json:
        command.print_json({"file": str(out.absolute()), "sha256_of_source": identity.digest(out)})
        return
    console.outcome(str(out), "written", {"made from": file.name, "sha256": identity.digest(out)})


@weights.command()
def fetch(
    keys: Keys,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Without it, it is only said what would be fetched from where.")
    ] = False,
    json: Json = False,
) -> None:
    """Fetch files over the network, check their hash, convert them. The one command that opens a connection."""
    from medsynth.byhand import convert as conversion
    from medsynth.byhand import fetch as fetching

    done = []
    for asked in [published.named(key) for key in keys]:
        with console.progress(quiet=json) as progress:
            path = fetching.fetch(asked, store.places()[0], allowed=allow_download, progress=progress)
        out = store.destination(asked)
        if out != path:
            conversion.convert(path, out)
        done.append({"key": asked.key, "file": str(out)})
        if not json:
            console.outcome(asked.key, "fetched", {"file": str(out)})
    if json:
        command.print_json({"weights": done})


def _named(run: Path | None, words: list[str]) -> dict[str, Path]:
    """The files that are named: by a run's recipe, and before these by --weights."""
    place = RunDirectory.named(run) or RunDirectory(Path.cwd())
    typed = store.named_on_the_line(words)
    if not place.exists():
        return typed
    recipe = recipes.parse(place.recipe_text())
    extractor, trunk = recipe.features.extractor, published.OF_LPIPS.get(recipe.evaluate.perceptual)
    in_recipe = {} if extractor == OWN else {extractor: recipe.features.weights}
    in_recipe |= {trunk: recipe.evaluate.weights} if trunk else {}
    return {key: Path(file) for key, file in in_recipe.items() if file} | typed


def _looked_into() -> str:
    places = ", then ".join(map(str, store.places()))
    return f"weights are looked for in {places}; MEDSYNTH_WEIGHTS names the first; others by --weights or a recipe"


def _show(rows: list[dict[str, Any]]) -> None:
    """For every key what is there; where nothing is ready, which file, from where, to which place."""
    shown: list[tuple[str, str, object]] = []
    for row in rows:
        shown.append((row["key"], row["state"], row["used_for"]))
        if row["state"] == "ready":
            shown.append(("", "file", f"{row['path']}  sha256 {row['sha256'][: store.DIGITS]}"))
            shown += [("", "but", row["remark"])] if row["remark"] else []
            continue
        file = _file(row["file"], row["megabytes"], row["sha256_begins_with"])
        shown += [("", "file", file), ("", "from", row["from"]), ("", "to", row["to"])]
        if row["path"]:
            shown.append(("", "but", row["remark"]))
        shown.append(("", "next", f"medsynth weights check {row['key']}"))
    console.table(("weights", "", ""), shown)


def _file(name: str, megabytes: int | None, digest: str) -> str:
    size = f", {megabytes} MB" if megabytes else ""
    return f"{name}{size}, SHA-256 begins with {digest}" if digest else f"{name}{size}, no SHA-256 known here"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(", ".join(map(str, part.values())) for part in value)
    return str(value)
