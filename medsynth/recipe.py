"""A recipe: everything one experiment asks for, one section a stage, checked when it is read.

A section whose stage has kinds (codec, generator) names the run's own kind and holds its settings; other kinds live
beside it in tables of their own:

    [generator]
    kind = "geca"
    steps = 2000

    [generator.ldm]
    steps = 3000

`preset` says which settings hold where the recipe says nothing. What is meant for one preset alone stands in tables of
its name, as in `[parity.ingest]`; the resolved recipe of a run has none of them, for it says everything.
"""

import json
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from medsynth import kinds, presets, variants
from medsynth.errors import BadUsage, nearest
from medsynth.sections import Audit, Classify, Compare, Encode, Evaluate, Expand, Features, Ingest
from medsynth.settings import COSMETIC, said

SECTIONS: dict[str, Any] = {
    "ingest": Ingest, "encode": Encode, "expand": Expand, "classify": Classify, "features": Features,
    "evaluate": Evaluate, "audit": Audit, "compare": Compare,
}  # fmt: skip
TOP = ("preset", "seed")
# Sections whose keys depend on their kind.
FAMILY_OF = {"codec": "codecs", "generator": "generators", "segment": "segmenters"}
EXAMPLE = "--set expand.factor=2"
DEFAULT_KIND = {"codec": "kl", "generator": "geca", "segment": "multi"}


@dataclass(frozen=True)
class Chosen:
    """A section with kinds: the run's own kind, and the settings of every kind that the recipe names."""

    kind: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """One experiment."""

    preset: str = "recommended"
    seed: int = 0
    ingest: Ingest = field(default_factory=Ingest)
    codec: Chosen = field(default_factory=lambda: Chosen("kl", {}))
    encode: Encode = field(default_factory=Encode)
    generator: Chosen = field(default_factory=lambda: Chosen("geca", {}))
    expand: Expand = field(default_factory=Expand)
    classify: Classify = field(default_factory=Classify)
    features: Features = field(default_factory=Features)
    evaluate: Evaluate = field(default_factory=Evaluate)
    audit: Audit = field(default_factory=Audit)
    compare: Compare = field(default_factory=Compare)
    segment: Chosen = field(default_factory=lambda: Chosen("multi", {}))

    def settings(self, stage: str, kind: str | None = None) -> Any:
        """The settings of one stage (for a stage with kinds: of one kind); None for a stage that has none."""
        if stage in FAMILY_OF:
            chosen: Chosen = getattr(self, stage)
            kind = variants.parted(kind or chosen.kind)[0]
            return chosen.settings.get(kind) or _of_kind(stage, stage, kind, {}, self.preset)
        return getattr(self, stage, None)

    def asked(self, stage: str, kind: str | None = None) -> dict[str, Any]:
        """The settings that what comes out of a stage depends on."""
        settings = self.settings(stage, kind)
        return {} if settings is None else {key: value for key, value in said(settings).items() if key not in COSMETIC}

    def codec_of(self, generator: str) -> str:
        """The kind of codec whose latents a generator learns."""
        return str(self.settings("generator", generator).codec or self.codec.kind)

    def with_generators(self, asked: list[str]) -> "Recipe":
        """The recipe with the settings of these kinds in it; the first is the run's own unless it is among them."""
        settings = self.generator.settings | {kind: self.settings("generator", kind) for kind in asked}
        own = self.generator.kind if self.generator.kind in asked else asked[0]
        return replace(self, generator=Chosen(own, settings))


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
    except (ValueError, RecursionError) as error:  # of TOML, of a number too long, of tables too deep
        raise BadUsage(f"{name} is not TOML: {error}") from error
    preset, others = _preset(table, overrides or [])
    for other in presets.PRESETS:
        if other != preset and other in table:
            from_table(presets.resolved(table, other, DEFAULT_KIND))  # a slip is better known now than when it is used
    table = presets.resolved(table, preset, DEFAULT_KIND)
    for override in others:
        table = presets.laid_over(table, _typed(override, table))
    return from_table(table)


def from_table(table: dict[str, Any]) -> Recipe:
    """A recipe from tables as TOML gives them, without tables of presets. Raises BadUsage."""
    preset = presets.named(table.get("preset"))
    parts: dict[str, Any] = {"preset": preset}
    table = {section: {} for section in (*SECTIONS, *FAMILY_OF)} | table
    for name, value in table.items():
        if name == "preset" or (name == "seed" and value is None):
            continue
        if name == "seed":
            if not isinstance(value, int) or isinstance(value, bool):
                raise BadUsage(f"seed = {value!r}, but it must be a whole number")
            parts[name] = value
        elif name not in SECTIONS and name not in FAMILY_OF:
            raise BadUsage(f"the recipe has no section [{name}]", hint=nearest(name, [*SECTIONS, *FAMILY_OF, *TOP]))
        elif not isinstance(value, dict):
            raise BadUsage(
                f"{name} = {value!r}, but [{name}] is a section", hint=f"set one key of it, as in {name}.KEY=VALUE"
            )
        elif name in FAMILY_OF:
            parts[name] = _chosen(name, value, preset)
        else:
            parts[name] = _section(name, SECTIONS[name], value, preset)
    return Recipe(**parts)


def dump(recipe: Recipe) -> str:
    """The recipe as TOML, every key with its documentation above it."""
    lines = [
        "# The resolved recipe of this run. `medsynth COMMAND --set section.key=value` changes it.",
        f"# {'; '.join(f'{name}: {meaning}' for name, meaning in presets.PRESETS.items())}. A run keeps its preset.",
        f"preset = {toml_value(recipe.preset)}",
        "# Every random draw is derived from this number.",
        f"seed = {recipe.seed}",
    ]
    for name in (part.name for part in fields(recipe) if part.name not in TOP):
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


def _preset(table: dict[str, Any], overrides: list[str]) -> tuple[str, list[str]]:
    """The preset that is asked for, and the overrides that are about something else."""
    asked, others = table.get("preset"), []
    for override in overrides:
        typed = _typed(override, table)
        if "preset" in typed:
            asked = typed["preset"]
        else:
            others.append(override)
    return presets.named(asked), others


def _chosen(section: str, table: dict[str, Any], preset: str) -> Chosen:
    family = FAMILY_OF[section]
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    own = {key: value for key, value in table.items() if key not in tables}
    kind = own.pop("kind", None) or DEFAULT_KIND[section]
    variants.config(family, kind)  # says so when there is no such kind
    settings = {kind: _of_kind(section, section, kind, presets.laid_over(tables.pop(kind, {}), own), preset)}
    for other, value in tables.items():
        settings[other] = _of_kind(section, f"{section}.{other}", other, value, preset)
    for codec in (getattr(of, "codec", None) for of in settings.values()):
        if codec is not None:
            kinds.config("codecs", codec)  # says so when there is no such kind
    return Chosen(kind, settings)


def _of_kind(section: str, where: str, kind: str, table: dict[str, Any], preset: str) -> Any:
    """The settings of one kind; what its name says need not be said, and is not contradicted."""
    meant = variants.named(FAMILY_OF[section], kind)
    for key, value in meant.fixed.items():
        if key != "kind" and table.get(key, value) != value:
            other = f"[{section}.{table[key]}]"
            raise BadUsage(f"[{where}] {key} = {table[key]!r}, but by its name it is {value}", hint=other)
    known = kinds.config(FAMILY_OF[section], meant.kind)
    return _section(where, known, table | meant.fixed, meant.preset or preset)


def _section(name: str, model: Any, table: dict[str, Any], preset: str) -> Any:
    try:
        return presets.filled(model, preset, table)
    except ValidationError as error:
        slip = error.errors()[0]
        key = ".".join(str(part) for part in slip["loc"])
        if slip["type"] == "extra_forbidden":
            raise BadUsage(f"[{name}] has no setting {key!r}", hint=nearest(key, list(model.model_fields))) from None
        meaning = meaning_of(model, str(slip["loc"][0])) if slip["loc"] else ""
        said = slip["msg"].removeprefix("Value error, ")  # what our own checks say is a sentence already
        problem = said[0].lower() + said[1:]
        raise BadUsage(f"[{name}] {key} = {slip['input']!r}: {problem}", hint=f"{key}: {meaning}") from None


def _typed(override: str, table: dict[str, Any]) -> dict[str, Any]:
    """`a.b=1` as the tables that TOML would make of it; nothing after the sign is None, the default again."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise BadUsage(f"--set {override} is not section.key=value", hint=EXAMPLE)
    *path, name = key.strip().split(".")
    below: Any = table
    for part in path:
        below = below.get(part, {})
        if not isinstance(below, dict):
            raise BadUsage(f"--set {override}: {part} is not a section", hint=EXAMPLE)
    try:
        value = {name: tomllib.loads(f"x = {text}")["x"] if text.strip() else None}
    except (ValueError, RecursionError):
        value = {name: text}
    for part in reversed(path):
        value = {part: value}
    return value


def _table(name: str, settings: BaseModel) -> list[str]:
    """A section. What a rival makes idle is a comment: as a value it would count once the rival is gone."""
    lines, idle = ["", f"[{name}]"], presets.idle(settings)
    for key in type(settings).model_fields:
        if key == "kind":  # the table's name says it
            continue
        value = getattr(settings, key)
        meaning = meaning_of(type(settings), key)
        lines.append(f"# {' '.join(meaning.split())}")
        lines.append(f"# {key} =" if value is None or key in idle else f"{key} = {toml_value(value)}")
    return lines


def meaning_of(section: type[BaseModel], key: str) -> str:
    """The documentation of a setting: a section that only changes the default leaves the words to where it is from."""
    parts = [part for part in section.__mro__ if issubclass(part, BaseModel) and key in part.model_fields]
    return next((text for part in parts if (text := part.model_fields[key].description)), "")


def toml_value(value: Any) -> str:
    """A value as TOML writes it. Raises BadUsage for a file name whose bytes are no text."""
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadUsage(f"{value!r} is not UTF-8 text", hint="rename the file or folder") from error
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
