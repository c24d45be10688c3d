"""What a kind is called in a run: by its folder, or, where one kind has variants, by the variant. A name that ends in
-compat is the kind as it was published, whatever the run's preset is, so that both stand side by side in one run.
"""

from dataclasses import dataclass, field
from typing import Any, get_args

from medsynth import kinds
from medsynth.errors import BadUsage, nearest

COMPAT = "-compat"
WITH = "+"  # `unet+geca`: unet, which learns from the synthetic images of geca, too
TOLD_APART = "segmenters"  # the family whose kinds have other names than their folders
BY = "variant"  # the setting whose values are the names


@dataclass(frozen=True)
class Variant:
    """What a name means."""

    kind: str
    fixed: dict[str, Any] = field(default_factory=dict)  # settings that the name itself says
    preset: str | None = None  # its own, whatever the run's is


def named(family: str, name: str) -> Variant:
    """What a name of a family means. Raises BadUsage for one that nothing has."""
    if family != TOLD_APART:
        return Variant(name, {"kind": name})
    plain, compat = (name.removesuffix(COMPAT), name.endswith(COMPAT)) if isinstance(name, str) else (name, False)
    known = _plain(family)
    if plain not in known:
        raise BadUsage(f"there is no {family[:-1]} {name!r}", hint=nearest(str(plain), list(known)))
    kind, fixed = known[plain]
    return Variant(kind, {"kind": kind} | fixed, "parity" if compat else None)


def parted(name: str) -> tuple[str, str]:
    """`unet+geca` -> "unet", "geca": a name, and whose synthetic images are learned from, too, if anybody's."""
    plain, _, generator = name.partition(WITH)
    return plain, generator


def names(family: str) -> list[str]:
    """All names of a family; the variants of one kind side by side."""
    if family != TOLD_APART:
        return kinds.names(family)
    return [*_plain(family), *(f"{name}{COMPAT}" for name in _plain(family))]


def config(family: str, name: str) -> Any:
    """The Config class that a name's settings are checked by. Raises BadUsage for a name that nothing has."""
    return kinds.config(family, named(family, name).kind)


def _plain(family: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> its kind, and what else it says."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for kind in kinds.names(family):
        setting = kinds.config(family, kind).model_fields.get(BY)
        if setting is None:
            found[kind] = (kind, {})
        else:
            found |= {value: (kind, {BY: value}) for value in get_args(setting.annotation)}
    return found
