"""What a run says to the points about models, training and synthesis."""

from medsynth.arms import START
from medsynth.report import provenance, words
from medsynth.report.checklist.answered import RECIPE, Answered, number, records, setting
from medsynth.report.collect import Found

SAMPLING = ("sampler", "sampling_steps", "guidance", "guidance_interval")
OF_TOKENS = ("guidance", "temperature", "top_k", "top_p")  # of generators that draw one token after the other


def models(found: Found) -> Answered:
    named = [f"codec {kind}" for kind in found.kinds("codec")]
    named += [
        f"generator {words.generator(kind)}, "
        f"{words.large(number(found.of('generator', kind), 'parameters'))} parameters"
        for kind in found.kinds("generator")
    ]
    named += ["classifier ResNet-34"] if found.arms else []
    return (
        Answered(f"{words.sentence('; '.join(named))} All settings are under What was run.", RECIPE)
        if named
        else Answered()
    )


def software(found: Found) -> Answered:
    known = provenance.versions(found)
    return Answered(", ".join(known) + ".", "fold-*/*/*/stage.json") if known else Answered()


def first_weights(found: Found) -> Answered:
    began = dict.fromkeys(str(m.get("summary")["weights_at_start"]) for m in found.of("classify")
                          if m.get("summary").get("weights_at_start"))  # fmt: skip
    if not began:
        return Answered()
    alike = (
        ", not the same for all arms"
        if any(START in why for why in found.unlike)
        else ", the same for all arms of a fold"
    )
    return Answered(f"Classifiers: {words.listed(began)}{alike}.", records("classify"))


def training(found: Found) -> Answered:
    said = []
    for stage, name in (("codec", "codec"), ("generator", "generator"), ("classify", "classifiers")):
        if steps := setting(found.of(stage), "steps"):
            rate, batch = (setting(found.of(stage), key) for key in ("learning_rate", "batch_size"))
            said.append(f"{name}: {steps} steps of {batch} images, step size {rate}")
    return (
        Answered(f"{words.sentence('; '.join(said))} The rest is under What was run.", RECIPE) if said else Answered()
    )


def selection(found: Found) -> Answered:
    chosen = {"classify": "a classifier's weights by its score",
              "generator": "a generator's by its loss and the share of copies among what it draws"}  # fmt: skip
    there = [stage for stage in chosen if found.of(stage)]
    if not there:
        return Answered()
    said = words.listed(chosen[stage] for stage in there)
    return Answered(f"On selection patients, of whom nothing learns: {said}.", records(there[0]))


def ensembles(found: Found) -> Answered:
    known = found.comparisons
    if known is None:
        return Answered()
    most = max(arm.repeats for arm in known.arms)
    said = "None." if most == 1 else f"Probabilities of {most} trainings of an arm in a fold were averaged."
    return Answered(said, found.comparisons_file)


def factor(found: Found) -> Answered:
    drawn = [m for m in found.of("expand") if "factor" in m.get("settings")]
    each = [
        f"{words.generator(m.kind)}, fold {m.fold}: "
        f"{m.images:,} for {len(found.cohort.training(m.fold or 0).samples):,}"
        for m in drawn
    ]
    return Answered(f"{'; '.join(each)}; the same labels for each.", records("expand")) if drawn else Answered()


def sampling(found: Found) -> Answered:
    said = []
    for kind in found.kinds("expand"):
        made = found.of("expand", kind)
        tokens = any("/codec/vq" in path for m in made for path in m.get("inputs"))
        known = [(key, setting(made, key)) for key in (OF_TOKENS if tokens else SAMPLING)]
        said.append(f"{words.generator(kind)}: {', '.join(f'{key} {value}' for key, value in known if value)}")
    return Answered(f"{'; '.join(said)}.", records("expand")) if said else Answered()


def protocol(found: Found) -> Answered:
    ids = {str(m.record["id"]) for m in found.made if m.record.get("id")}
    if not ids:
        return Answered()
    return Answered(f"The recipe holds every setting; {len(ids)} steps carry a mark of what was asked for.", RECIPE)
