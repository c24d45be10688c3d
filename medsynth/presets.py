"""Layers of settings -> the settings that hold: defaults, a preset's, the recipe's, what is typed; the upper one wins.

`recommended` is what measured best here: the defaults of every section. `parity` is what the paper used: the `PARITY`
of every section that has one. A recipe may say more for one preset, in tables of its name: `[parity.ingest]`.
"""

from typing import Any

from pydantic import BaseModel

from medsynth.errors import BadUsage, nearest

PRESETS = {"recommended": "what measured best here", "parity": "the paper's settings"}

# Settings that say the same thing in different ways: one that is given empties the others in the layers below. Within a
# layer the first counts.
RIVALS = (
    ("minutes", "epochs", "steps"), ("label", "labels"), ("patient", "every_image_is_a_patient"), ("split", "folds"),
)  # fmt: skip

Table = dict[str, Any]


def named(preset: object) -> str:
    """The preset of this name, `recommended` for None. Raises BadUsage."""
    if preset is None:
        return "recommended"
    if not isinstance(preset, str) or preset not in PRESETS:
        raise BadUsage(f"there is no preset {preset!r}", hint=nearest(str(preset), list(PRESETS)))
    return preset


def is_given(value: Any) -> bool:
    """Whether a value of a setting says something: that of a rival which is not used does not."""
    return value not in (None, False, "", (), [])


def idle(settings: BaseModel) -> set[str]:
    """The settings that a rival makes idle, and that nobody has set."""
    fields = type(settings).model_fields
    found = set()
    for rivals in RIVALS:
        first = next((n for n, key in enumerate(rivals) if is_given(getattr(settings, key, None))), len(rivals))
        later = [key for key in rivals[first + 1 :] if key in fields]
        found |= {key for key in later if getattr(settings, key) == fields[key].default}
    return found


def laid_over(lower: Table, upper: Table) -> Table:
    """Both tables in one, down to the last table in them; None is a value, and means the default again."""
    given = {key for key, value in upper.items() if is_given(value)}
    emptied = {key for rivals in RIVALS if given & {*rivals} for key in rivals} - upper.keys()
    merged = {key: value for key, value in lower.items() if key not in emptied}
    for key, value in upper.items():
        below = lower.get(key)
        merged[key] = laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def of(model: type[BaseModel], preset: str) -> Table:
    """What a preset says of a section beyond the section's defaults."""
    if preset != "parity":
        return {}
    return {key: value for part in reversed(model.__mro__) for key, value in vars(part).get("PARITY", {}).items()}


def filled(model: type[BaseModel], preset: str, table: Table) -> Any:
    """A section with the preset's settings where the table says nothing. Raises pydantic's ValidationError."""
    below = of(model, preset)
    settings = {k: below.get(k) if v is None else v for k, v in laid_over(below, table).items()}
    return model(**{key: value for key, value in settings.items() if value is not None})


def resolved(recipe: Table, preset: str, own_kind: dict[str, str]) -> Table:
    """A recipe's tables with those of one preset laid over them. Raises BadUsage.

    `own_kind` names, of every section that has kinds, the one that is meant where nothing else is said.
    """
    base, overlay = {key: value for key, value in recipe.items() if key not in PRESETS}, recipe.get(preset, {})
    if not isinstance(overlay, dict):
        raise BadUsage(f"{preset} = {overlay!r}, but [{preset}] holds sections", hint=f"[{preset}.SECTION]")
    for section, kind in own_kind.items():
        base |= _tucked_away(base, section, kind)
        own = base[section].get("kind", kind) if isinstance(base.get(section), dict) else kind
        overlay = overlay | _tucked_away(overlay, section, own)
    return laid_over(base, overlay) | {"preset": preset}


def _tucked_away(table: Table, section: str, kind: str) -> Table:
    """The keys of `[generator]` moved into `[generator.<kind>]`, so that another kind may be chosen without them."""
    value = table.get(section)
    if not isinstance(value, dict):
        return {}
    kind = str(value.get("kind", kind))
    own = {key: v for key, v in value.items() if key != "kind" and not isinstance(v, dict)}
    rest = {key: v for key, v in value.items() if key not in own}
    return {section: rest | ({kind: laid_over(rest.get(kind, {}), own)} if own else {})}
