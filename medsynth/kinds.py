"""A kind is a folder: `generators/geca/` is the generator of kind "geca". There is no other list.

A kind's folder holds `config.py` with a `Config` and `model.py` with a `Model`. Looking up a Config does not import
torch.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from medsynth.errors import BadUsage, nearest


def names(family: str) -> list[str]:
    """The kinds of a family ("codecs" or "generators"), sorted."""
    package = import_module(f"medsynth.{family}")
    return sorted(module.name for module in iter_modules(package.__path__) if module.ispkg)


def config(family: str, kind: str) -> Any:
    """The Config class of a kind. Raises BadUsage for a kind that has no folder."""
    if kind not in names(family):
        raise BadUsage(f"there is no {family[:-1]} {kind!r}", hint=nearest(str(kind), names(family)))
    return import_module(f"medsynth.{family}.{kind}.config").Config


def model(family: str, kind: str) -> Any:
    """The Model class of a kind."""
    return import_module(f"medsynth.{family}.{kind}.model").Model
