"""The sections of the page, in their order. A new one is a line here, a template in parts/, and a module that gathers
its facts from what was found; where it has nothing to show, it gives None and is left out, with its place in the menu.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from medsynth.report import (
    codec,
    costs,
    counts,
    differences,
    embedding,
    figures,
    gallery,
    likeness,
    masks,
    nearest,
    novelty,
    pictures,
    provenance,
    reliability,
    segmentation,
    tables,
    training,
    words,
)
from medsynth.report.checklist import points
from medsynth.report.collect import Found

Progress = Callable[[str, int, int], None]
Facts = dict[str, Any]  # name in the template -> value


@dataclass(frozen=True)
class Section:
    """One part of the page below its first page."""

    anchor: str
    title: str
    facts: Callable[[Found, Progress], Facts | None]

    @property
    def template(self) -> str:
        return f"parts/{self.anchor}.html"


def _cohort(found: Found, _: Progress) -> Facts:
    rows = tables.labels(found)
    most = max(row.share for row in rows[:-1]) or 1
    return {
        "description": tables.description(found),
        "part_names": [name for name, _ in tables.parts(found)],
        "label_rows": rows,
        "notes": dict(provenance.notes(found)).get("ingest", []),
        "bars": [figures.bar(row.share / most) for row in rows[:-1]],
    }


def _help(found: Found, _: Progress) -> Facts | None:
    if found.only_masks:
        return None
    known = found.comparisons
    metric = next(iter(found.metrics(found.unit)), "auc")
    values = found.values(found.unit, metric)
    folds = [fold for arm in known.arms for fold in arm.folds] if known else []
    tested = counts.tested(found.cohort, folds, known.unit) if known else None
    return {
        "known": known,
        "differences": differences.table(found, known) if known else None,
        "pooled": differences.pooled(found, known) if known else None,
        "areas": differences.areas(found, known) if known else None,
        "decisions": differences.decisions(found, known) if known else None,
        "of_labels": differences.of_labels(known, tested) if known and tested else [],
        "tested": tested,
        "reliability": reliability.panels(known.arms) if known else [],
        "overview": figures.arms(values, f"{words.metric(metric)}, {words.MANY[found.unit]} of test patients")
        if values
        else None,
        "arms": tables.arms(found),
        "score_tables": [tables.scores(found, unit) for unit in words.UNITS if found.metrics(unit)],
        "label_table": tables.label_scores(found, found.unit),
    }


def _like(found: Found, _: Progress) -> Facts:
    fold = picture_fold(found)
    first, others = likeness.tables(found)
    return {
        "fold": fold,
        "rows": pictures.rows(found, fold),
        "per_row": pictures.PER_ROW,
        "left_out": len(found.cohort.facts.labels) > pictures.MOST_ROWS,
        "most_rows": pictures.MOST_ROWS,
        "maps": embedding.maps(found),
        "unlikely": gallery.unlikely(found),
        "tables": first,
        "other_tables": others,
    }


def _new(found: Found, progress: Progress) -> Facts:
    """What the audit found; of generators without an audit, the nearest training images by their pixels."""
    first, others = novelty.tables(found)
    audited = {made.kind for made in found.of("audit")}
    fold = picture_fold(found)
    unaudited = [kind for kind in found.kinds("expand") if kind not in audited]
    close = [nearest.closeness(found, kind, fold, progress) for kind in unaudited]
    return {
        "tables": first,
        "other_tables": others,
        "by_label": novelty.by_label(found),
        "galleries": gallery.galleries(found),
        "closeness": [c for c in close if c],
        "compare_side": min(nearest.SIDE, found.cohort.facts.image_size),
        "risks": novelty.risks(found),
    }


def _masks(found: Found, _: Progress) -> Facts | None:
    known = segmentation.facts(found)
    return known and known | {"gains": masks.table(found), "unlike": masks.unlike(found)}


def _cost(found: Found, _: Progress) -> Facts | None:
    rows = costs.costs(found)
    metric = next(iter(found.metrics(found.unit)), "auc")
    return {"costs": rows, "main_score": f"{words.metric(metric)} by {found.unit}"} if rows else None


def _training(found: Found, _: Progress) -> Facts:
    fold = picture_fold(found)
    return training.facts(found, fold) | {"fold": fold}


def _run(found: Found, _: Progress) -> Facts:
    return {
        "steps": provenance.steps(found),
        "notes": provenance.notes(found),
        "versions": provenance.versions(found),
        "settings": provenance.settings(found),
        "departures": provenance.preset(found)[1],
        "summaries": provenance.summaries(found),
        **provenance.seen(found),
    }


def picture_fold(found: Found) -> int:
    """The fold whose pictures are shown: the first that has synthetic images, else the first."""
    return min((made.fold or 0 for made in found.of("expand")), default=0)


SECTIONS = (
    Section("cohort", "Images and patients", _cohort),
    Section("help", "Do they help?", _help),
    Section("like", "Are they like new patients' images?", _like),
    Section("new", "Are they new?", _new),
    Section("masks", "How well masks are found", _masks),
    Section("codec", "What the codec keeps", lambda found, _: {"codecs": codec.facts(found)}),
    Section("cost", "What each generator costs and what it gives", _cost),
    Section("curves", "How training went", _training),
    Section("checklist", "A checklist for papers", lambda found, _: {"groups": points.groups(found)}),
    Section("run", "What was run", _run),
    Section("words", "Words", lambda _found, _progress: {}),
)
