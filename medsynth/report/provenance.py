"""The records of a run's artifacts -> what was run: times, settings, versions, marks and notes, as plain text."""

from dataclasses import dataclass
from typing import Any

from medsynth.report import words
from medsynth.report.collect import NOTHING, Found


@dataclass(frozen=True)
class StepRow:
    """One stage and kind: how long every fold took, and on what."""

    name: str
    what: str  # said once a stage
    folds: list[str]  # none for a stage that is not done by fold
    total: str
    device: str


def steps(found: Found) -> list[StepRow]:
    """How long everything took: a row a stage and kind."""
    rows: list[StepRow] = []
    for stage, kind in dict.fromkeys((m.stage, m.kind) for m in found.made):
        made = found.of(stage, kind)
        seconds = {m.fold: m.record["seconds"] for m in made if isinstance(m.record.get("seconds"), int | float)}
        each = (
            [words.duration(seconds[fold]) if fold in seconds else NOTHING for fold in found.folds]
            if made[0].fold is not None
            else []
        )
        devices = sorted({str(m.record["device"]) for m in made if m.record.get("device")})
        name = words.arm(kind) if stage == "classify" else words.generator(kind)
        what = "" if any(row.name.split()[0] == stage for row in rows) else words.STAGES.get(stage, "")
        total = words.duration(sum(seconds.values())) if seconds else NOTHING
        rows.append(StepRow(f"{stage} {name}".strip(), what, each, total, ", ".join(devices)))
    return rows


def total_time(found: Found) -> str:
    known = [m.record["seconds"] for m in found.made if isinstance(m.record.get("seconds"), int | float)]
    return words.duration(sum(known))


def versions(found: Found) -> list[str]:
    """`torch 2.13.0`; a library that changed on the way is listed with every version."""
    seen: dict[str, set[str]] = {}
    for made in found.made:
        for name, version in made.get("versions").items():
            seen.setdefault(str(name), set()).add(str(version))
    return [f"{name} {', '.join(sorted(found))}" for name, found in sorted(seen.items())]


def settings(found: Found) -> list[tuple[str, list[tuple[str, str]]]]:
    """Stage and kind -> the settings it ran with; where folds differ, every value."""
    result = []
    for stage, kind in dict.fromkeys((m.stage, "" if m.stage == "classify" else m.kind) for m in found.made):
        values: dict[str, list[str]] = {}
        for made in found.of(stage, kind or None):
            for key, value in made.get("settings").items():
                text = _plain(value)
                if text and text not in values.setdefault(str(key), []):
                    values[str(key)].append(text)
        pairs = [(key, " / ".join(texts)) for key, texts in values.items() if texts]
        if pairs:
            result.append((f"{stage} {kind}".strip(), pairs))
    return result


def summaries(found: Found) -> list[tuple[str, list[tuple[str, str]]]]:
    """Artifact -> the facts that its stage gave for people."""
    named = [
        (made.artifact.name, [(str(key), _plain(value)) for key, value in made.get("summary").items()])
        for made in found.made
    ]
    return [(name, [pair for pair in pairs if pair[1]]) for name, pairs in named if any(pair[1] for pair in pairs)]


def _plain(value: object) -> str:
    """A setting or fact as text; nothing for what was left out."""
    if value is None or value in ("", [], {}, ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(part)}" for key, part in value.items())
    return ", ".join(_plain(part) for part in value) if isinstance(value, list | tuple) else str(value)


def seen(found: Found) -> dict[str, Any]:
    """How long it took, from which seed, and whether every model carries the mark of its fold's training patients."""
    marks = {fold: found.cohort.training(fold).patients_hash() for fold in found.folds}
    trained = [m for m in found.made if m.record.get("trained_on") and m.fold is not None]
    strangers = [m.artifact.name for m in trained if m.record["trained_on"] != marks.get(m.fold or 0)]
    seeds = sorted({str(m.record["seed"]) for m in found.made if "seed" in m.record})
    said = [f"Computing time in all: {total_time(found)}."]
    if seeds:
        said.append(f"Seed {words.listed(seeds)}.")
    if trained and not strangers:
        which = (
            "The one trained artifact carries" if len(trained) == 1 else f"All {len(trained)} trained artifacts carry"
        )
        said.append(f"{which} the mark of exactly its fold's training patients: none has seen a patient who is tested.")
        if any(m.get("settings").get("weights") for m in found.made):
            said.append("That says nothing of what imported weights had seen before.")
    return {
        "run_sentences": said,
        "strangers": strangers,
        "ids": [
            (
                m.path,
                str(m.record.get("id", "")),
                str(m.record.get("made", "")),
                str(m.record.get("trained_on") or "")[:12],
            )
            for m in found.made
        ],
    }


def notes(found: Found) -> list[tuple[str, list[str]]]:
    """What the stages want read, once each, under the stage that said it."""
    said: dict[str, list[str]] = {"ingest": list(found.cohort.facts.notes)}
    for made in found.made:
        for note in made.record.get("notes") or []:
            if note not in said.setdefault(made.stage, []):
                said[made.stage].append(str(note))
    return [(stage, sentences) for stage, sentences in said.items() if sentences]
