"""What each artifact of a run needs, and what in a run is missing or out of date."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medsynth import arms, locks, variants
from medsynth import recipe as recipes
from medsynth.artifacts import cohort, files
from medsynth.byhand import published, store
from medsynth.chain import BY_NAME, LOSSLESS, REAL, SKIPPABLE, STAGES, THROUGH, Stage
from medsynth.data import sources
from medsynth.errors import MissingStep, Refused
from medsynth.extractors import OWN
from medsynth.recipe import Recipe
from medsynth.rundir import Artifact, RunDirectory, fingerprint
from medsynth.sections import Ingest

OF_NO_ARM = ("arms", "seeds")  # settings of classify: an arm does not depend on what it is compared with


def folds_of(run: RunDirectory, recipe: Recipe, asked: Iterable[int] | None = None) -> list[int]:
    """The folds of a run, or those asked for. Raises Refused for one that does not exist."""
    ingest = run.artifact("ingest")
    if not ingest.exists():
        source = shlex.quote(recipe.ingest.source or "SOURCE")
        raise MissingStep("the run holds no images yet", hint=run.typed(f"ingest {source}"))
    count = cohort.load(ingest.folder).facts.folds
    chosen = sorted(set(asked)) if asked else list(range(count))
    for fold in chosen:
        if not 0 <= fold < count:
            raise Refused(
                f"there is no fold {fold}: the run has the folds 0 to {count - 1}", hint=f"--fold {count - 1}"
            )
    return chosen


def kinds_of(run: RunDirectory, recipe: Recipe, stage: Stage, fold: int | None) -> list[str | None]:
    """What a stage makes in a fold when the command names nothing."""
    if stage.name in ("codec", "encode"):
        return [recipe.codec.kind]
    if stage.name in ("generator", "expand"):
        return [recipe.generator.kind]
    if stage.name == "segment":
        return [recipe.segment.kind]
    if fold is None:
        return [None]
    if stage.name == "classify":
        return list(arms.repeated(arms_of(run, recipe, fold), recipe.classify.seeds))
    if stage.name == "features":
        return [*dict.fromkeys(name for kind in expanded(run, fold) for name in features_of(recipe, kind))]
    return [*expanded(run, fold)]


def expanded(run: RunDirectory, fold: int) -> list[str]:
    """The generators of which a fold holds synthetic images. Raises MissingStep for none."""
    found = run.kinds("expand", fold)
    if not found:
        raise MissingStep(f"fold {fold} has no synthetic images", hint=run.typed("expand"))
    return found


def features_of(recipe: Recipe, generator: str) -> list[str]:
    """The sets of features that images of a generator are judged by: of the real images, of its own, and of the real
    ones that went through its codec and back where that loses something."""
    codec = recipe.codec_of(generator)
    return [REAL, generator, *([f"{THROUGH}{codec}"] if codec != LOSSLESS else [])]


def arms_of(run: RunDirectory, recipe: Recipe, fold: int) -> list[str]:
    """The training sets that are compared: the recipe's, else what is compared by default."""
    if recipe.classify.arms:
        return list(recipe.classify.arms)
    made = run.kinds("expand", fold)
    if not made:
        raise MissingStep(
            f"fold {fold} has no synthetic images to compare with",
            hint=f"{run.typed('expand')}; or, without them, {run.typed('classify --arms real,real+geometric')}",
        )
    main = recipe.generator.kind
    return arms.defaults(made, main, lossy=recipe.codec_of(main) != LOSSLESS)


def refuse_contradiction(run: RunDirectory, recipe: Recipe) -> None:
    """Raise Refused if a recipe asks for another preset, other images or other folds than the run holds."""
    whole = recipes.parse(run.recipe_text())
    if recipe.preset != whole.preset:
        raise Refused(
            f"{run.root} was begun with the preset {whole.preset}, not {recipe.preset}",
            hint=_begun_again(run, whole.ingest, recipe.preset),
        )
    if not run.artifact("ingest").exists():
        return
    held = whole.ingest
    if recipe.ingest.source and recipe.ingest.source != held.source:
        raise Refused(
            f"{run.root} holds the images of {held.source}, not of {recipe.ingest.source}",
            hint="--run ANOTHER-DIRECTORY",
        )
    asked = recipe.ingest.tested_folds
    if asked != held.tested_folds:
        raise Refused(f"{run.root} was dealt to {held.tested_folds} folds, not {asked}", hint="--run ANOTHER-DIRECTORY")


def _begun_again(run: RunDirectory, held: Ingest, preset: str) -> str:
    """The command that begins a run beside this one with the same images and another preset."""
    words = ["medsynth", *(["ingest", held.source] if held.source else ["new"])]
    for key, value in held.model_dump(exclude_defaults=True, exclude={"source", "image_size"}).items():
        words += ["--set", f"ingest.{key}={recipes.toml_value(value)}"]
    beside = f"{run.root.resolve()}-{preset}"
    return shlex.join([*words, "--preset", preset, *(["--run", beside] if held.source else [beside])])


def refuse_other_folds(run: RunDirectory, asked: int) -> None:
    """Raise Refused if the run has another number of folds than asked for."""
    count = len(folds_of(run, recipes.parse(run.recipe_text())))
    if asked != count:
        raise Refused(
            f"the run has {count} folds, not {asked}: patients were dealt to folds when they were read",
            hint=f"--folds {count}, or another run: medsynth ingest SOURCE --folds {asked} --run DIR",
        )


def needs_of(run: RunDirectory, recipe: Recipe, stage: Stage, fold: int | None, kind: str | None) -> list[Artifact]:
    """The artifacts that one artifact is made from, all of its own fold."""
    ingest = run.artifact("ingest")
    if stage.gathers:
        held = [a for a in everything(run, recipe) if a.stage in stage.gathers]
        compared = any(a.stage == "classify" and a.exists() for a in held)  # or else there is nothing to prepare from
        return [ingest, *(a for a in held if (compared if a.stage in stage.prepares else a.exists()))]
    wanted = _kinds_needed(recipe, stage.name, kind)
    found = [ingest] if "ingest" in stage.needs else []
    return found + [run.artifact(need, fold, name) for need in stage.needs for name in wanted.get(need, ())]


def _kinds_needed(recipe: Recipe, stage: str, kind: str | None) -> dict[str, list[str]]:
    """Stage -> the kinds of it that one artifact is made from."""
    if kind is None:
        return {}
    if stage == "segment":
        return {"expand": [generator for generator in variants.parted(kind)[1:] if generator]}
    if stage == "classify":
        arm = arms.named(kind, recipe.generator.kind)
        codecs = [recipe.codec_of(recipe.generator.kind)] if arm.reconstructed else []
        return {"expand": [arm.generator] if arm.generator else [], "codec": codecs, "encode": codecs}
    if stage == "features":
        codec = kind.removeprefix(THROUGH)
        of = {"codec": [codec]} if kind.startswith(THROUGH) else {"expand": [kind] if kind != REAL else []}
        return of | {"classify": ["real"]}
    if stage in ("codec", "encode"):
        return {"codec": [kind]}
    codecs, made = [recipe.codec_of(kind)], [kind]
    found = {"codec": codecs, "encode": codecs, "generator": made, "expand": made, "classify": ["real"]}
    return found | {"features": features_of(recipe, kind) if stage == "evaluate" else [REAL, kind]}


def references_of(
    run: RunDirectory, recipe: Recipe, stage: Stage, fold: int | None, kind: str | None
) -> list[Artifact]:
    """What one artifact is compared with: of an audit, the same generator as other folds trained it, with its codec.

    They have seen patients that this fold tests, which is why nothing may be learned from them.
    """
    if stage.name != "audit" or kind is None:
        return []
    others = [other for other in folds_of(run, recipe) if other != fold]
    pairs = [
        (run.artifact("generator", other, kind), run.artifact("codec", other, recipe.codec_of(kind)))
        for other in others
    ]
    return [part for pair in pairs if all(part.exists() for part in pair) for part in pair]


def everything(run: RunDirectory, recipe: Recipe) -> list[Artifact]:
    """Every artifact that the run has or that the recipe asks for, in the order of the stages."""
    if not run.artifact("ingest").exists():
        return [run.artifact("ingest")]
    found = []
    for stage in STAGES:
        for fold in folds_of(run, recipe) if stage.per_fold else [None]:
            found += [run.artifact(stage.name, fold, kind) for kind in _kinds_to_show(run, recipe, stage, fold)]
    return found


def _kinds_to_show(run: RunDirectory, recipe: Recipe, stage: Stage, fold: int | None) -> list[str | None]:
    if fold is None:
        return [None]
    present: list[str | None] = [*run.kinds(stage.name, fold)]
    if stage.on_request or stage.name in SKIPPABLE:  # shown once it is there
        return present
    try:
        asked = kinds_of(run, recipe, stage, fold)
    except MissingStep:
        asked = ["real", "real+geometric"] if stage.name == "classify" else []
    return asked + [kind for kind in present if kind not in asked]


def asked_id(run: RunDirectory, recipe: Recipe, artifact: Artifact) -> str:
    """The mark of a request: stage, fold, kind, seed, settings, and which inputs."""
    stage, inputs = BY_NAME[artifact.stage], {a.name: a.made for a in _looked_at(run, recipe, artifact)}
    asked = recipe.asked(stage.name, artifact.kind) | from_outside(recipe, artifact)
    if stage.name == "classify":
        for name in OF_NO_ARM:
            asked.pop(name)
    return fingerprint(stage.name, artifact.fold, artifact.kind, recipe.seed, asked, inputs)


def from_outside(recipe: Recipe, artifact: Artifact) -> dict[str, str]:
    """Hashes of what an artifact is made from and the run does not hold, by the setting that names it."""
    asked, found = recipe.asked(artifact.stage, artifact.kind), {}
    if key := _by_hand(artifact.stage, asked):
        found["weights"] = store.look(key, asked["weights"]).digest  # of the file that is named or found
    elif asked.get("weights"):
        found["weights"] = files.fingerprint(Path(asked["weights"]))  # other bytes at the same place are other weights
    if artifact.stage == "ingest":
        found["source"] = sources.fingerprint(Path(asked["source"])) if asked["source"] else ""
        if asked.get("table"):
            found["table"] = files.fingerprint(Path(asked["table"]))
    return found


def _by_hand(stage: str, asked: dict[str, Any]) -> str | None:
    """The key of the file of weights by which a stage judges images; None where it needs none."""
    if stage == "features":
        return None if asked["extractor"] == OWN else str(asked["extractor"])
    return published.OF_LPIPS.get(asked["perceptual"]) if stage == "evaluate" else None


def _looked_at(run: RunDirectory, recipe: Recipe, artifact: Artifact) -> list[Artifact]:
    """What there is of all that an artifact is made from or compared with."""
    asked = (run, recipe, BY_NAME[artifact.stage], artifact.fold, artifact.kind)
    return [a for a in (*needs_of(*asked), *references_of(*asked)) if a.exists()]


def state_of(run: RunDirectory, recipe: Recipe, artifact: Artifact) -> str:
    """ "running", "done", "stale" (made by other settings or from other inputs), "unfinished" or "missing"."""
    if is_current(run, recipe, artifact):
        return "done"
    if locks.is_held(run.locks(), artifact.name):
        return "running"
    if artifact.exists():
        return "stale"
    return "unfinished" if artifact.unfinished() else "missing"


def is_current(run: RunDirectory, recipe: Recipe, artifact: Artifact) -> bool:
    """Whether an artifact is what the recipe asks for, made from what its inputs are now."""
    if not artifact.exists():
        return False
    if artifact.stage == "ingest" and not Path(recipe.ingest.source).exists():
        return True  # the images were copied in: a run may be moved away from their source
    needs = needs_of(run, recipe, BY_NAME[artifact.stage], artifact.fold, artifact.kind)
    return all(need.exists() for need in needs) and artifact.id == asked_id(run, recipe, artifact)


def why_stale(run: RunDirectory, recipe: Recipe, artifact: Artifact) -> str:
    """What differs between the request that made an artifact and the one of now, in words."""
    record = artifact.record()
    old, new = record["settings"], recipe.asked(artifact.stage, artifact.kind)
    changes = [
        f"{key} {old.get(key)} -> {new.get(key)}"
        for key in dict.fromkeys([*new, *old])
        if old.get(key) not in (new.get(key), sources.WITHHELD) and key not in OF_NO_ARM
    ]
    if record.get("seed") != recipe.seed:
        changes.append(f"seed {record.get('seed')} -> {recipe.seed}")
    changes += [
        f"{a.name} changed"
        for a in _looked_at(run, recipe, artifact)
        if record["inputs"].get(a.folder.relative_to(run.root).as_posix()) != a.made
    ]
    if not changes and not is_current(run, recipe, artifact):
        changes = ["its source changed"]
    return ", ".join(changes) or "it was asked for"


def command_for(artifact: Artifact, source: str = "") -> str:
    """The command that makes an artifact; `source` where the run does not know its own."""
    stage = BY_NAME[artifact.stage]
    words = [stage.command]
    if stage.name == "ingest" and source:
        words.append(shlex.quote(source))
    if artifact.kind and stage.name in ("codec", "encode"):
        words += ["--codec", artifact.kind]
    if artifact.kind and stage.name in ("generator", "expand", "evaluate", "audit"):
        words += ["--model", artifact.kind]
    if artifact.kind and stage.name == "classify":
        words += ["--arms", artifact.kind]
    if artifact.kind and stage.name == "segment":
        variant, generator = variants.parted(artifact.kind)
        words += ["--variant", variant, *(["--arms", f"real{variants.WITH}{generator}"] if generator else [])]
    return " ".join([*words, *(["--fold", str(artifact.fold)] if artifact.fold is not None else [])])
