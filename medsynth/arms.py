"""The training sets that are compared. An arm's name says what it learns from."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from medsynth import kinds
from medsynth.errors import BadUsage

REPEAT = "@"  # `real@1`: the arm real trained once more, from another seed


@dataclass(frozen=True)
class Arm:
    """What is learned from."""

    real: bool = True
    augmentation: str = ""  # "geometric": turned, shifted, scaled, mirrored where plausible; "randaugment"
    oversampled: bool = False  # images of rare labels are seen more often, so that labels are seen alike
    reconstructed: bool = False  # the real images once more, after they went through the codec and back
    generator: str | None = None  # whose synthetic images; None: none
    shuffled: bool = False  # the synthetic images have each other's labels: this has to hurt
    repeat: int = 0  # which training of this arm


PLAIN = {
    "real": Arm(),
    "real+geometric": Arm(augmentation="geometric"),
    "real+randaugment": Arm(augmentation="randaugment"),
    "oversampled": Arm(oversampled=True),
    "reconstructed": Arm(reconstructed=True),
}
OF_GENERATOR = {"synthetic-only": Arm(real=False), "shuffled-labels": Arm(shuffled=True)}


def named(name: str, main_generator: str) -> Arm:
    """A plain arm, real+GENERATOR, or a control of the main generator (`synthetic-only`) or of another one
    (`synthetic-only-GENERATOR`); each with `@N` for its Nth repeat.

    Raises BadUsage for any other name.
    """
    plain, repeated, number = name.partition(REPEAT)
    if repeated:
        if not number.isdecimal() or int(number) == 0:
            raise BadUsage(f"there is no arm {name!r}", hint=f"--seeds 3 trains {plain} three times")
        return replace(named(plain, main_generator), repeat=int(number))
    if name in PLAIN:
        return PLAIN[name]
    if name in OF_GENERATOR:
        return replace(OF_GENERATOR[name], generator=main_generator)
    for prefix, arm in {"real+": Arm(), **{f"{control}-": arm for control, arm in OF_GENERATOR.items()}}.items():
        if name.startswith(prefix) and name != prefix:
            return replace(arm, generator=_known(name.removeprefix(prefix)))
    raise BadUsage(f"there is no arm {name!r}", hint=f"--arms {','.join([*PLAIN, 'real+geca', *OF_GENERATOR])}")


def defaults(generators: list[str], main_generator: str, *, lossy: bool) -> list[str]:
    """What is compared when nobody says: the real images and their plain augmentations, each generator's images, and
    the controls; `reconstructed` only for a codec that loses something."""
    plain = [name for name, arm in PLAIN.items() if lossy or not arm.reconstructed]
    others = [kind for kind in generators if kind != main_generator]
    own = [*OF_GENERATOR] if main_generator in generators else []
    return [*plain, *(f"real+{kind}" for kind in generators), *own, *(f"synthetic-only-{kind}" for kind in others)]


def repeated(names: list[str], seeds: int) -> list[str]:
    """Each arm so many times: `real`, `real@1`, ..."""
    return [again(name, n) for n in range(seeds) for name in names]


def again(arm: str, repeat: int) -> str:
    """ "real", 1 -> `real@1`; "real", 0 -> `real`."""
    return f"{arm}{REPEAT}{repeat}" if repeat else arm


def split(name: str) -> tuple[str, int]:
    """`real@1` -> "real", 1; `real` -> "real", 0."""
    plain, _, repeat = name.partition(REPEAT)
    return plain, int(repeat or 0)


def without_repeat(name: str) -> str:
    """`real@1` -> "real"."""
    return split(name)[0]


def uneven(names: Iterable[str]) -> list[str]:
    """Which trainings of a fold not all of its arms have: `real+geca@1` where `real` was trained once.

    Probabilities of an arm's repeats are averaged, which alone makes an arm better: so arms are compared after the same
    repeats. An arm without the repeat that most have is left out as a whole.
    """
    names, trained = [*names], dict[str, set[int]]()
    for arm, repeat in map(split, names):
        trained.setdefault(arm, set()).add(repeat)
    count = Counter(repeat for of in trained.values() for repeat in of)
    usual = min(count, key=lambda repeat: (-count[repeat], repeat), default=0)
    shared = set.intersection(*(of for of in trained.values() if usual in of)) if trained else set()
    return [name for name in names if usual not in trained[split(name)[0]] or split(name)[1] not in shared]


def completing(names: Iterable[str]) -> tuple[list[str], int]:
    """The arms of a fold that lack a repeat which another one has, and how often each has to be trained."""
    known = [*map(split, names)]
    seeds = 1 + max((repeat for _, repeat in known), default=0)
    wanted = {repeat for _, repeat in known}
    return [arm for arm in dict.fromkeys(a for a, _ in known) if wanted - {n for a, n in known if a == arm}], seeds


def _known(generator: str) -> str:
    kinds.config("generators", generator)  # says so when there is no such kind
    return generator


# Settings that say nothing of how one arm was trained.
OF_THE_STAGE = ("arms", "seeds", "fewest_patients", "tested_images", "failure")
START = "weights_at_start"


def unlike(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Which arms of one fold were trained otherwise than the rest, and in what: `steps 60, not 600`.

    `records` are those of the fold's classifiers, by arm. For each setting that counts which most arms have, and of as
    many that of `real`; a setting that a record of an earlier version lacks is not held against it.
    """
    trained = {name: _settings(records[name]) for name in sorted(records, key=lambda name: (name != "real", name))}
    found: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for settings in trained.values() for key in settings):
        said = {name: settings[key] for name, settings in trained.items() if key in settings}
        usual, _ = Counter(said.values()).most_common(1)[0]  # of as many the first, which is that of `real`
        for name, value in said.items():
            if value != usual:
                # The path of imported weights is nobody's business.
                found.setdefault(name, []).append(key if key == "weights" else f"{key} {value}, not {usual}")
    return {name: "; ".join(what) for name, what in found.items()}


def _settings(record: Mapping[str, Any]) -> dict[str, str]:
    settings = {key: str(value) for key, value in record.get("settings", {}).items() if key not in OF_THE_STAGE}
    start = record.get("summary", {}).get(START)
    return settings | ({START: str(start)} if start is not None else {})
