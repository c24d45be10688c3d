"""The training sets that are compared. An arm's name says what it learns from."""

from dataclasses import dataclass

from medsynth import kinds
from medsynth.errors import BadUsage


@dataclass(frozen=True)
class Arm:
    """What is learned from."""

    real: bool
    geometric: bool = False  # images are turned, shifted, scaled and, where that is plausible, mirrored
    generator: str | None = None  # whose synthetic images; None: none


def named(name: str, main_generator: str) -> Arm:
    """real, real+geometric, real+GENERATOR, synthetic-only (the main generator's) or synthetic-only-GENERATOR.

    Raises BadUsage for any other name.
    """
    if name in ("real", "real+geometric"):
        return Arm(real=True, geometric=name != "real")
    if name == "synthetic-only":
        return Arm(real=False, generator=main_generator)
    for prefix, real in (("real+", True), ("synthetic-only-", False)):
        if name.startswith(prefix) and name != prefix:
            return Arm(real=real, generator=_known(name.removeprefix(prefix)))
    raise BadUsage(f"there is no arm {name!r}", hint="--arms real,real+geometric,real+geca,synthetic-only")


def _known(generator: str) -> str:
    kinds.config("generators", generator)  # says so when there is no such kind
    return generator
