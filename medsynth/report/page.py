"""The complete artifacts of a run -> one HTML page that needs nothing but itself."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medsynth.report import figures, nearest, pictures, proof, provenance, tables, words
from medsynth.report.answer import Answer, answer
from medsynth.report.collect import Found, Made, collect, mean_and_spread
from medsynth.report.withhold import withholder
from medsynth.rundir import Artifact

HERE = Path(__file__).parent
LOSSES = {"codec": "reconstruction loss", "generator": "denoising loss", "classify": "training loss"}


@dataclass(frozen=True)
class Page:
    """The page, its first sentence, and what it was written from."""

    html: str
    answer: Answer
    found: Found  # what it was written from


def render(artifacts: Iterable[Artifact], progress: Callable[[str, int, int], None] = lambda *_: None) -> Page:
    """The same artifacts give the same bytes. Those of ingest must be among them."""
    found = collect(artifacts)
    metric = next(iter(found.metrics(found.unit)), "auc")
    values = found.values(found.unit, metric)
    said = answer(values, metric=words.metric(metric), unit=found.unit, has_patients=found.cohort.facts.has_patients)
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["withhold"] = withholder(found.cohort.samples)
    html = environment.get_template("template.html").render(
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        words=words,
        found=found,
        facts=found.cohort.facts,
        answer=said,
        overview=_overview(values, words.metric(metric), found.unit) if values else None,
        key_facts=_key_facts(found),
        missing=_missing(found),
        outdated=found.outdated(),
        part_names=[name for name, _ in tables.parts(found)],
        description=tables.description(found),
        label_rows=(label_rows := tables.labels(found)),
        bars=[figures.bar(row.share / (max(r.share for r in label_rows[:-1]) or 1)) for row in label_rows[:-1]],
        notes=provenance.notes(found),
        **_pictures(found, progress),
        codecs=[_codec(found, kind) for kind in found.kinds("codec")],
        arms=tables.arms(found),
        score_tables=[tables.scores(found, unit) for unit in words.UNITS if found.metrics(unit)],
        label_table=tables.label_scores(found, found.unit),
        costs=tables.costs(found),
        differences=proof.differences(found),
        likeness=proof.likeness(found),
        risks=proof.risks(found),
        closeness_tables=proof.closeness(found),
        main_score=f"{words.metric(metric)} by {found.unit}",
        curve_groups=_curve_groups(found),
        closeness_watched=bool(_lines(found.of("generator"), "closeness")),
        steps=provenance.steps(found),
        versions=provenance.versions(found),
        settings=provenance.settings(found),
        preset=provenance.preset(found),
        summaries=provenance.summaries(found),
        **provenance.seen(found),
    )
    return Page(html, said, found)


def _overview(values: dict[str, dict[int, float]], metric: str, unit: str) -> Markup:
    made = frozenset(arm for arm in values if words.generators_of(arm) or arm.startswith("synthetic-only"))
    return figures.dots(
        values, {arm: words.arm(arm) for arm in values}, made, f"{metric}, {words.MANY[unit]} of held-out patients"
    )


def _key_facts(found: Found) -> list[tuple[str, str]]:
    samples = found.cohort.samples
    eyes = {(s.patient, s.eye) for s in samples if s.eye}
    facts = [
        (len(samples), "image", "real images"),
        (len(found.cohort.patients()), "patient", "patients"),
        (len(eyes), "eye", "eyes"),
    ]
    shown = [
        (f"{n:,}", one if n == 1 else many)
        for n, one, many in facts
        if n and (one != "patient" or found.cohort.facts.has_patients)
    ]
    shown += [(str(len(found.cohort.facts.labels)), "classes" if found.cohort.facts.one_class else "labels")]
    shown += [(str(len(found.folds)), "fold" if len(found.folds) == 1 else "folds")]
    drawn = sum(made.images for made in found.of("expand"))
    return shown + (
        [(f"{drawn:,}", "synthetic images, all folds" if len(found.folds) > 1 else "synthetic images")] if drawn else []
    )


def _missing(found: Found) -> dict[str, str]:
    """Stage -> what is not there yet, in words; complete stages are left out."""
    result = {}
    for stage in words.COMMANDS:
        have = {m.fold for m in found.of(stage)}
        lacking = [fold for fold in found.folds if fold not in have]
        if stage != "ingest" and lacking:
            some = f"for fold{'s' if len(lacking) > 1 else ''} {words.listed(lacking)}" if have else ""
            result[stage] = f"not done yet {some}".strip()
    return result


def _pictures(found: Found, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Rows of pictures and nearest neighbours, of the first fold that has synthetic images, else of the first."""
    expanded = sorted(m.fold or 0 for m in found.of("expand"))
    fold = expanded[0] if expanded else 0
    close = [
        nearest.closeness(found, kind, fold, progress) for kind in found.kinds("expand")
    ]  # the fold is one for all: so is the reference
    drawn = [(words.generator(kind), found.one("generator", kind, fold)) for kind in found.kinds("generator")]
    sheets = [(name, pictures.previews(made.folder)) for name, made in drawn if made]
    return {
        "picture_fold": fold,
        "picture_rows": pictures.rows(found, fold),
        "per_row": pictures.PER_ROW,
        "rows_left_out": f"Only the first {pictures.MOST_ROWS} labels are shown."
        if len(found.cohort.facts.labels) > pictures.MOST_ROWS
        else "",
        "compare_side": min(nearest.SIDE, found.cohort.facts.image_size),
        "closeness": [c for c in close if c],
        "sheets": [
            (name, int(re.sub(r"\D", "", paths[-1].stem) or 0), pictures.sheet(paths[-1]))
            for name, paths in sheets
            if paths
        ],
    }


def _codec(found: Found, kind: str) -> dict[str, Any]:
    """Reconstruction error of a codec over the folds, and its last preview of the first fold."""
    made = found.of("codec", kind)
    numbers = {}
    for name in ("psnr", "mae"):
        values = [m.scores[f"selection.{name}"].value for m in made if f"selection.{name}" in m.scores]
        if values:
            mean, spread = mean_and_spread(values)
            numbers[name] = f"{mean:.3g}" + ("" if spread is None else f" ± {spread:.2g}")
    sheets = pictures.previews(made[0].folder)
    sheets = [path for path in sheets if not path.stem.startswith("step")] or sheets  # the finished codec's own, if any
    return {
        "kind": kind,
        "numbers": numbers,
        "fold": made[0].fold,
        "sheet": pictures.sheet(sheets[-1]) if sheets else None,
    }


def _curve_groups(found: Found) -> list[tuple[str, list[Markup]]]:
    """Small plots of the codecs and generators; of the classifiers all losses on one scale, then all scores on one."""
    models = [
        panel
        for stage in ("codec", "generator")
        for kind in found.kinds(stage)
        for panel in _panels(stage, kind, found.of(stage, kind))
    ]
    arms = [panel for arm in found.arms for panel in _panels("classify", arm, found.of("classify", arm))]
    arms.sort(key=lambda panel: panel.best)
    limits = {best: _limits([p for p in arms if p.best == best]) for best in {p.best for p in arms}}
    groups = [
        ("Codec and generator", [figures.curves(panel) for panel in models]),
        ("The classifiers", [figures.curves(panel, *limits[panel.best]) for panel in arms]),
    ]
    return [(name, drawn) for name, drawn in groups if drawn]


def _panels(stage: str, kind: str, made: list[Made]) -> list[figures.Panel]:
    title = words.arm(kind) if stage == "classify" else f"{words.generator(kind)} {stage}"
    synthetic = stage == "generator" or bool(words.generators_of(kind)) or kind.startswith("synthetic-only")
    panels = []
    for key, what in (("loss", LOSSES[stage]), ("score", "score on selection patients")):
        if lines := _lines(made, key):
            panels.append(figures.Panel(title, what, lines, synthetic, best=key == "score"))
    return panels + _watched(title, made)


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
