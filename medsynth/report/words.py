"""Names that the program uses -> words that a physician reads."""

import re
from collections.abc import Iterable

from medsynth import arms

UNITS = ("eye", "patient", "image")  # what a score counts, the weightiest first
MANY = {"eye": "eyes", "patient": "patients", "image": "images"}

METRICS = {  # name in scores.json, without its punctuation -> how the table calls it; in the table's order
    "auc": "AUC",
    "map": "mAP",
    "f1": "F1",
    "balancedaccuracy": "Balanced accuracy",
    "kappaquadratic": "Quadratic kappa",
    "kappa": "Kappa",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1senspe": "F1 sen/spe",
    "f1tuned": "F1, chosen threshold",
    "sensitivitytuned": "Sensitivity, chosen threshold",
    "specificitytuned": "Specificity, chosen threshold",
    "f1senspetuned": "F1 sen/spe, chosen threshold",
    "mae": "Mean error, grades",
    "brier": "Brier score",
}
# One rises as the other falls: the highest of one alone is not the best.
TRADED = ("sensitivity", "specificity", "sensitivitytuned", "specificitytuned")
GENERATORS = {"geca": "GeCA", "ldm": "LDM", "dit": "DiT", "llamagen": "LlamaGen", "iddpm": "iDDPM"}

CONTROLS = {
    "real+randaugment": "The real training images, each changed by two operations that RandAugment draws.",
    "oversampled": "The real training images, those of rare labels more often, so that labels are seen alike.",
    "reconstructed": "The real training images and, as often as synthetic ones, what the codec makes of them.",
}
BASELINES = {  # an arm without a generator -> how sentences call what it learned from
    "real": "the real images alone",
    "real+geometric": "real images that are turned, shifted and scaled",
    "real+randaugment": "real images changed by RandAugment",
    "oversampled": "real images of which the rare are seen more often",
    "reconstructed": "real images beside the codec's copies of them",
}
NOTHING_MEANS = "A dash: not defined, because the tested fold holds no case with the finding, or none without it."

COMMANDS = {  # stage -> the command that fills its part of the report
    "ingest": "medsynth ingest SOURCE --run DIR",
    "codec": "medsynth train-codec",
    "encode": "medsynth encode",
    "generator": "medsynth train-generator",
    "expand": "medsynth expand",
    "classify": "medsynth classify",
}
STAGES = {  # stage -> what it did, in the order of the work
    "ingest": "read and checked the images, dealt patients to folds",
    "codec": "learned to write an image as a small grid of numbers, and to read it back",
    "encode": "wrote the images in that form",
    "generator": "learned to draw new images for given labels",
    "expand": "drew the synthetic images",
    "classify": "trained and tested the classifiers",
    "segment": "learned to mask what was marked, and was tested",
}


def label(name: str) -> str:
    """`cotton_wool_spots` -> "cotton wool spots"."""
    return name.replace("_", " ")


def generator(kind: str) -> str:
    return GENERATORS.get(kind, kind)


def generators_of(arm: str) -> list[str]:
    """The generators whose images an arm adds to the real ones: `real+geca` -> ["geca"]."""
    parts = arms.without_repeat(arm).split("+")
    return [part for part in parts[1:] if part not in ("geometric", "randaugment")] if parts[0] == "real" else []


def arm(name: str) -> str:
    """How the report calls an arm: `real+geca` -> "real + GeCA", `real@1` -> "real, repeat 1"."""
    plain, repeat = arms.split(name)
    return " + ".join(generator(part) for part in plain.split("+")) + (f", repeat {repeat}" if repeat else "")


def meaning(name: str) -> str:
    """What a classifier of this arm was trained on, in a sentence."""
    name = arms.without_repeat(name)
    if name in CONTROLS:
        return CONTROLS[name]
    if name.startswith("shuffled-labels"):
        return "Real images and synthetic ones whose labels were dealt among them at random: this has to hurt."
    if name == "real":
        return "The fold's real training images as they are, nothing added."
    if name == "real+geometric":
        return "The real training images, turned, shifted, scaled and, where that is plausible, mirrored at random."
    if name.startswith("synthetic-only"):
        return "Synthetic images and no real one: a control, not a proposal."
    made_by = " and ".join(generator(kind) for kind in generators_of(name))
    if made_by:
        turned = ", both turned, shifted and scaled at random" if "geometric" in name.split("+") else ""
        return f"The real training images together with the synthetic ones drawn by {made_by}{turned}."
    return "A training set of its own; see the settings."


def uses_synthetic(name: str) -> bool:
    """Whether an arm learns from images of a generator, whatever their labels."""
    controls = arms.without_repeat(name).startswith(("synthetic-only", "shuffled-labels"))
    return controls or bool(generators_of(name))


def baseline(name: str) -> str:
    return BASELINES.get(name, arm(name))


def arm_order(name: str) -> tuple[int, str]:
    """Sorts arms: what needs no generator first, the synthetic-only control last."""
    plain = arms.without_repeat(name)
    known = ["real", "real+geometric", *CONTROLS]
    if plain in known:
        return (known.index(plain), name)
    controls = plain.startswith(("synthetic-only", "shuffled-labels"))
    return (len(known) + controls, name)


def metric_key(name: str) -> str:
    """`F1_sen/spe` -> `f1senspe`: what a metric is known by whatever its punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def metric(key: str) -> str:
    return METRICS.get(key, key)


def spelled(key: str) -> str:
    """A metric as those read it who do not know its letters."""
    return {"map": "mAP (mean average precision, 0 to 1)", "auc": "AUC (0.5 is guessing, 1 is perfect)"}.get(
        key, metric(key)
    )


def listed(parts: Iterable[object], last: str = "and") -> str:
    """`a, b and c`."""
    *most, end = [str(part) for part in parts] or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


def count(number: int, one: str, many: str = "") -> str:
    """`1 fold`, `1,200 folds`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sentence(said: str) -> str:
    """With a capital at its beginning and one stop at its end."""
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def signed(value: float, decimals: int = 3) -> str:
    """`+0.031`, `−0.004`; `0.000` has no sign."""
    said = f"{value:+.{decimals}f}".replace("-", "−")
    return said if said.strip("+−0.") else said[1:]


def between(low: float, high: float) -> str:
    """`−0.024 to +0.027`."""
    return f"{signed(low)} to {signed(high)}"


def percent(share: float) -> str:
    """`95 %`."""
    return f"{100 * share:.0f} %"


def chance(p: float | None) -> str:
    """A p-value; a dash for none."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def number(value: float) -> str:
    """Three digits, whole numbers without decimals: `0.0159`, `0.460`, `28`, `1,277`, `2e+06`."""
    if abs(value) >= 1e6:
        said = f"{value:.0e}"
    elif abs(value) >= 99.95 or value == int(value):
        said = f"{value:,.0f}"
    else:
        said = f"{value:#.3g}"
    return said.replace("-", "−")


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole or not seconds else "< 1 s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def large(number: float | None) -> str:
    """`360 thousand`, `13.3 million`, `1.2 billion`, `5.7 trillion`; a dash for none."""
    if number is None:
        return "–"
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:.0f}"
