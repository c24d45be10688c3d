"""What a run found, for other programs: report.json. Only numbers and names of settings; no sample, no patient."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from medsynth.report import leaks, masks, words
from medsynth.report.answer import Answer
from medsynth.report.collect import Found, Made, mean_and_spread
from medsynth.report.summary import Part

VERSION = 2  # 1 had the name of the file in place of the comparisons


def facts(found: Found, answer: Answer, parts: Iterable[Part]) -> dict[str, Any]:
    """Every score of every arm as mean, deviation over folds and each fold; every evaluation, audit and comparison."""
    cohort = found.cohort.facts
    return {
        "version": VERSION,
        "leaks": [asdict(leak) for leak in leaks.leaks(found)],  # what is no valid evidence
        "answer": {"headlines": list(answer.headlines), "sentences": list(answer.sentences), "caution": answer.caution},
        "questions": {part.key: _part(part) for part in parts},
        "cohort": {
            "images": len(found.cohort.samples),
            "patients": len(found.cohort.patients()) if cohort.has_patients else None,
            "labels": list(cohort.labels), "one_class": cohort.one_class, "folds": cohort.folds,
            "image_size": cohort.image_size,
        },
        "arms": {arm: _scores(found, arm) for arm in found.arms},
        "comparisons": _comparisons(found),
        "segmenters": _by_kind(found, "segment"),
        "mask_comparisons": [{"from": masks.SOURCE, **asdict(gain)} for gain in masks.gains(found)],
        "evaluate": _by_kind(found, "evaluate"),
        "audit": _by_kind(found, "audit"),
    }  # fmt: skip


def _part(part: Part) -> dict[str, Any]:
    """What the first page says to a question, in words; the numbers themselves are in the files that it names."""
    return {
        "question": part.question, "verdict": part.verdict, "measured": bool(part.lines), "meaning": part.meaning,
        "standing": part.standing,
        "numbers": [asdict(line) for line in part.lines],
    }  # fmt: skip


def _scores(found: Found, arm: str) -> dict[str, Any]:
    """`eye.auc` -> mean, deviation, folds."""
    table = {}
    for unit in words.UNITS:
        for metric in found.metrics(unit):
            folds = found.values(unit, metric).get(arm, {})
            if folds:
                mean, deviation = mean_and_spread(folds.values())
                table[f"{unit}.{metric}"] = {"mean": mean, "deviation": deviation, "folds": folds}
    return table


def _comparisons(found: Found) -> dict[str, Any] | None:
    """The whole of what `compare` found, in the form of its own file, which is named beside it."""
    return {"from": found.comparisons_file, **asdict(found.comparisons)} if found.comparisons else None


def _by_kind(found: Found, stage: str) -> dict[str, Any]:
    """generator -> fold -> what the stage said of it, with the folder that its numbers are in."""
    table: dict[str, Any] = {}
    for made in found.of(stage):
        table.setdefault(made.kind, {})[str(made.fold)] = _said(made)
    return table


def _said(made: Made) -> dict[str, Any]:
    scores = {
        name: {key: value for key, value in vars(score).items() if value is not None}
        for name, score in made.scores.items()
    }
    return {"from": f"{made.path}/scores.json", "summary": made.get("summary"), "scores": scores}
