"""A recipe: everything one experiment asks for, one section a stage, checked when it is read.

A section whose stage has kinds (codec, generator) names the run's own kind and holds its settings; other kinds live
beside it in tables of their own:

    [generator]
    kind = "geca"
    steps = 2000

    [generator.ldm]
    steps = 3000
"""

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from medsynth import kinds
from medsynth.errors import BadUsage, nearest
from medsynth.sections import Classify, Expand, Ingest
from medsynth.settings import COSMETIC, Fitting

SECTIONS: dict[str, Any] = {"ingest": Ingest, "expand": Expand, "classify": Classify}
FAMILY_OF = {"codec": "codecs", "generator": "generators"}  # sections whose keys depend on their kind
EXAMPLE = "--set expand.factor=2"
DEFAULT_KIND = {"codec": "kl", "generator": "geca"}


@dataclass(frozen=True)
class Chosen:
    """A section with kinds: the run's own kind, and the settings of every kind that the recipe names."""

    kind: str
    settings: dict[str, Any]

    def of(self, kind: str, family: str) -> Any:
        return self.settings.get(kind) or kinds.config(family, kind)()


@dataclass(frozen=True)
class Recipe:
    """One experiment."""

    seed: int = 0
    ingest: Ingest = field(default_factory=Ingest)
    codec: Chosen = field(default_factory=lambda: Chosen("kl", {}))
    generator: Chosen = field(default_factory=lambda: Chosen("geca", {}))
    expand: Expand = field(default_factory=Expand)
    classify: Classify = field(default_factory=Classify)

    def settings(self, stage: str, kind: str | None = None) -> Any:
        """The settings of one stage (for a stage with kinds: of one kind); None for a stage that has none."""
        if stage in FAMILY_OF:
            chosen: Chosen = getattr(self, stage)
            return chosen.of(kind or chosen.kind, FAMILY_OF[stage])
        return getattr(self, stage, None)

    def asked(self, stage: str, kind: str | None = None) -> dict[str, Any]:
        """The settings that what comes out of a stage depends on."""
        settings = self.settings(stage, kind)
        return {} if settings is None else settings.model_dump(mode="json", exclude=set(COSMETIC))

    def codec_of(self, generator: str) -> str:
        """The kind of codec whose latents a generator learns."""
        return str(self.settings("generator", generator).codec or self.codec.kind)


def load(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a TOML recipe, then apply `section.key=value` overrides. Raises BadUsage."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadUsage(f"the recipe {path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise BadUsage(
            f"the recipe {path} cannot be read: {error.strerror}", hint=f"shipped recipes: {', '.join(shipped())}"
        ) from error
    return parse(text, overrides, name=str(path))


def parse(text: str, overrides: list[str] | None = None, *, name: str = "recipe.toml") -> Recipe:
    """A recipe from TOML text. Raises BadUsage with the place of the slip and the nearest known name."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadUsage(f"{name} is not TOML: {error}") from error
    for section in FAMILY_OF:
        _tuck_away(table, section)
    for override in overrides or []:
        _override(table, override)
    return from_table(table)


def from_table(table: dict[str, Any]) -> Recipe:
    """A recipe from tables as TOML gives them. Raises BadUsage."""
    parts: dict[str, Any] = {}
    table = {section: {} for section in FAMILY_OF} | table
    for name, value in table.items():
        if name == "seed" and value is None:
            continue
        if name == "seed":
            if not isinstance(value, int) or isinstance(value, bool):
                raise BadUsage(f"seed = {value!r}, but it must be a whole number")
            parts[name] = value
        elif name not in SECTIONS and name not in FAMILY_OF:
            raise BadUsage(f"the recipe has no section [{name}]", hint=nearest(name, [*SECTIONS, *FAMILY_OF, "seed"]))
        elif not isinstance(value, dict):
            raise BadUsage(
                f"{name} = {value!r}, but [{name}] is a section", hint=f"set one key of it, as in {name}.KEY=VALUE"
            )
        elif name in FAMILY_OF:
            parts[name] = _chosen(name, value)
        else:
            parts[name] = _section(name, SECTIONS[name], value)
    return Recipe(**parts)


def dump(recipe: Recipe) -> str:
    """The recipe as TOML, every key with its documentation above it."""
    lines = [
        "# The resolved recipe of this run. `medsynth COMMAND --set section.key=value` changes it.",
        f"seed = {recipe.seed}",
    ]
    for name in ("ingest", "codec", "generator", "expand", "classify"):
        value = getattr(recipe, name)
        if isinstance(value, Chosen):
            lines += ["", f"[{name}]", f"kind = {toml_value(value.kind)}"]
            for kind in value.settings:
                lines += _table(f"{name}.{kind}", value.settings[kind])
        else:
            lines += _table(name, value)
    return "\n".join(lines) + "\n"


def shipped() -> list[str]:
    """Names of the recipes that come with the program."""
    return sorted(path.stem for folder in _recipe_folders() for path in folder.glob("*.toml"))


def locate(name: str) -> Path:
    """The file of a recipe: a path, or the name of a shipped one. Raises BadUsage."""
    if Path(name).is_file():
        return Path(name)
    for folder in _recipe_folders():
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    raise BadUsage(f"there is no recipe {name}", hint=nearest(name, shipped()))


def _recipe_folders() -> list[Path]:
    here = Path(__file__).parent
    return [folder for folder in (here / "recipes", here.parent / "recipes") if folder.is_dir()]


def _tuck_away(table: dict[str, Any], section: str) -> None:
    """Move the keys of `[generator]` into `[generator.<kind>]`, so that another kind may be chosen without them."""
    value = table.get(section)
    if isinstance(value, dict):
        kind = str(value.get("kind", DEFAULT_KIND[section]))
        own = {key: value.pop(key) for key in [*value] if key != "kind" and not isinstance(value[key], dict)}
        value[kind] = value.get(kind, {}) | own


def _chosen(section: str, table: dict[str, Any]) -> Chosen:
    family = FAMILY_OF[section]
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    own = {key: value for key, value in table.items() if key not in tables}
    kind = own.pop("kind", None) or DEFAULT_KIND[section]
    known = kinds.config(family, kind)  # says so when there is no such kind
    settings = {kind: _section(section, known, tables.pop(kind, {}) | own | {"kind": kind})}
    for other, value in tables.items():
        settings[other] = _section(f"{section}.{other}", kinds.config(family, other), value)
    return Chosen(kind, settings)


def _section(name: str, model: Any, table: dict[str, Any]) -> Any:
    try:
        return model(**{key: value for key, value in table.items() if value is not None})
    except ValidationError as error:
        slip = error.errors()[0]
        key = ".".join(str(part) for part in slip["loc"])
        if slip["type"] == "extra_forbidden":
            raise BadUsage(f"[{name}] has no setting {key!r}", hint=nearest(key, list(model.model_fields))) from None
        meaning = model.model_fields[str(slip["loc"][0])].description if slip["loc"] else ""
        problem = slip["msg"][0].lower() + slip["msg"][1:]
        raise BadUsage(f"[{name}] {key} = {slip['input']!r}: {problem}", hint=f"{key}: {meaning}") from None


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise BadUsage(f"--set {override} is not section.key=value", hint=EXAMPLE)
    *path, name = key.strip().split(".")
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise BadUsage(f"--set {override}: {part} is not a section", hint=EXAMPLE)
    try:
        # Nothing at all is the default again.
        table[name] = tomllib.loads(f"x = {value}")["x"] if value.strip() else None
    except tomllib.TOMLDecodeError:
        table[name] = value


def _table(name: str, settings: BaseModel) -> list[str]:
    lines = ["", f"[{name}]"]
    for key, info in type(settings).model_fields.items():
        if key == "kind":  # the table's name says it
            continue
        value = getattr(settings, key)
        meaning = info.description or Fitting.model_fields[key].description or ""
        lines.append(f"# {' '.join(meaning.split())}")
        lines.append(f"# {key} =" if value is None else f"{key} = {toml_value(value)}")
    return lines


def toml_value(value: Any) -> str:
    """A value as TOML writes it. Raises BadUsage for a file name whose bytes are no text."""
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadUsage(f"{value!r} is not UTF-8 text", hint="rename the file or folder") from error
    return text
