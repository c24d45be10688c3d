"""The logs of codecs, generators, classifiers and segmenters -> small plots of how training went."""

from typing import Any

from markupsafe import Markup

from medsynth import variants
from medsynth.report import figures, pictures, segmentation, words
from medsynth.report.collect import Found, Made

LOSSES = {
    "codec": "reconstruction loss", "generator": "denoising loss", "classify": "training loss",
    "segment": "training loss",
}  # fmt: skip


def facts(found: Found, fold: int) -> dict[str, Any]:
    """Curves of every training, and the last thing that each generator drew in one fold."""
    drawn = [(words.generator(kind), found.one("generator", kind, fold)) for kind in found.kinds("generator")]
    sheets = [(name, pictures.previews(made.folder)) for name, made in drawn if made]
    return {
        "curve_groups": _groups(found),
        "closeness_watched": bool(_lines(found.of("generator"), "closeness")),
        "sheets": [(name, _step(paths[-1].stem), pictures.sheet(paths[-1])) for name, paths in sheets if paths],
    }


def _step(stem: str) -> int:
    """`step-0000400` -> 400; 0 where the name holds no number."""
    return int("".join(sign for sign in stem if sign.isdecimal()) or 0)


def _groups(found: Found) -> list[tuple[str, list[Markup]]]:
    """Small plots of the codecs and generators; of the classifiers all losses on one scale, then all scores on one; of
    the segmenters, whose losses are not the same, each on its own."""
    models = [
        panel
        for stage in ("codec", "generator")
        for kind in found.kinds(stage)
        for panel in _panels(stage, kind, found.of(stage, kind))
    ]
    arms = [panel for arm in found.arms for panel in _panels("classify", arm, found.of("classify", arm))]
    arms.sort(key=lambda panel: panel.best)
    limits = {best: _limits([p for p in arms if p.best == best]) for best in {p.best for p in arms}}
    masked = [panel for kind in found.kinds("segment") for panel in _panels("segment", kind, found.of("segment", kind))]
    groups = [
        ("Codec and generator", [figures.curves(panel) for panel in models]),
        ("The classifiers", [figures.curves(panel, *limits[panel.best]) for panel in arms]),
        ("The segmenters", [figures.curves(panel) for panel in masked]),
    ]
    return [(name, drawn) for name, drawn in groups if drawn]


def _panels(stage: str, kind: str, made: list[Made]) -> list[figures.Panel]:
    title, synthetic = _named(stage, kind)
    panels = []
    for key, what in (("loss", LOSSES[stage]), ("score", "score on selection patients")):
        if lines := _lines(made, key):
            panels.append(figures.Panel(title, what, lines, synthetic, best=key == "score"))
    return panels + _watched(title, made)


def _named(stage: str, kind: str) -> tuple[str, bool]:
    """How a training is called, and whether synthetic images are in it."""
    if stage == "classify":
        return words.arm(kind), words.uses_synthetic(kind)
    if stage == "segment":
        return segmentation.called(kind), bool(variants.parted(kind)[1])
    return f"{words.generator(kind)} {stage}", stage == "generator"


def _watched(title: str, made: list[Made]) -> list[figures.Panel]:
    """What the looks at a generator found: its loss on both kinds of patients, and the shares of copies and of what is
    unusually close."""
    held_out, copies = _lines(made, "validation_loss"), _lines(made, "copy_share")
    limit = made[0].get("settings").get("copy_limit")
    panels = []
    if held_out:
        trained, kept = _lines(made, "training_loss_fixed"), _kept(made, "validation_loss")
        panels.append(figures.Panel(title, "loss; dashed: selection patients", trained, True, False, held_out, kept))
    if copies:
        close, kept = _lines(made, "closeness"), _kept(made, "copy_share")
        what = "share of copies" + ("; dashed: too close" if close else "")
        panels.append(figures.Panel(title, what, copies, True, False, close, kept, limit))
    return panels


def _lines(made: list[Made], key: str) -> list[list[tuple[float, float]]]:
    """A line for each fold in whose log a number stands more than once."""
    lines = [[(e["step"], e[key]) for e in m.log if isinstance(e.get(key), int | float) and "step" in e] for m in made]
    return [line for line in lines if len(line) > 1]


def _kept(made: list[Made], key: str) -> list[tuple[float, float]]:
    """The points of those lines at which weights were kept."""
    steps = [m.get("summary").get("kept_step") for m in made]
    return [
        (e["step"], e[key])
        for m, step in zip(made, steps, strict=True)
        for e in m.log
        if e.get("step") == step and key in e
    ]


def _limits(panels: list[figures.Panel]) -> tuple[float, float]:
    values = [v for panel in panels for line in panel.lines for _, v in figures.thinned(line)]
    return min(values), max(values)
