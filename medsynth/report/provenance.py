"""The records of a run's artifacts -> what was run: times, settings, versions, marks and notes, as plain text."""

from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from medsynth import kinds, presets
from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, Made
from medsynth.report.withhold import WITHHELD
from medsynth.sections import Expand, Ingest


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
    done = dict.fromkeys((m.stage, m.kind) for m in found.made if m.stage != "classify")
    for stage, kind in [*done, *(("classify", arm) for arm in found.arms)]:
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


Facts = list[tuple[str, list[tuple[str, str]]]]  # heading -> pairs of a name and its value


def settings(found: Found) -> Facts:
    """Stage and kind -> the settings it ran with; where folds or arms differ, every value."""
    headings = dict.fromkeys((m.stage, None if m.stage == "classify" else m.kind) for m in found.made)
    table = [(stage, kind, _gathered(found.of(stage, kind), "settings")) for stage, kind in headings]
    shown = [(f"{stage} {kind or ''}".strip(), values) for stage, kind, values in table]
    return [
        (heading, [(key, " / ".join(dict.fromkeys(texts))) for key, texts in values.items()])
        for heading, values in shown
    ]


@dataclass(frozen=True)
class Departure:
    """One setting of a run of the preset parity that is not the published one."""

    step: str
    setting: str
    here: str
    published: str


def preset(found: Found) -> tuple[str, list[Departure]]:
    """Which preset was used, in a sentence, and where settings differ from the published ones.

    Nothing is said of runs that know of no preset, and of the preset recommended no differences.
    """
    names = sorted({str(m.record["preset"]) for m in found.made if m.record.get("preset")})
    if not names:
        return "", []
    if names != ["parity"]:
        return (
            f"Settings: the preset {words.listed(names)}, which goes by what measured best with this program, not by "
            "what the methods were published with, where the recipe or the command line said nothing else.",
            [],
        )
    differing = [row for stage, kind in _sections(found) for row in _departures(found, stage, kind)]
    but = f", but for {words.count(len(differing), 'setting')}, listed under What was run" if differing else ""
    return f"Settings: the preset parity, that is what the methods were published with{but}.", differing


def _sections(found: Found) -> list[tuple[str, str]]:
    """Stage and kind of every section of the recipe that something was made by."""
    return list(dict.fromkeys((m.stage, m.kind if m.stage in ("codec", "generator") else "") for m in found.made))


def _departures(found: Found, stage: str, kind: str) -> list[Departure]:
    if kind:
        known = kinds.config(f"{stage}s", kind) if kind in kinds.names(f"{stage}s") else None
    else:
        known = {"ingest": Ingest, "expand": Expand}.get(stage)
    name, rows = f"{stage} {words.generator(kind)}".strip(), []
    ran = [m.get("settings") for m in found.of(stage, kind or None)]
    for key, value in (presets.of(known, "parity") if known else {}).items():
        published = list(value) if isinstance(value, tuple) else value  # as JSON has it
        here = [_said(settings, key) for settings in ran if key in settings and settings[key] != published]
        if here:
            rows.append(Departure(name, key, " / ".join(dict.fromkeys(here)), _plain(published)))
    return rows


def _said(settings: dict[str, Any], key: str) -> str:
    """The value of a setting; of one that was left out, what was said in its place."""
    if settings[key] is not None:
        return _plain(settings[key])
    rivals = next((group for group in presets.RIVALS if key in group), ())
    return next((f"{_plain(settings[k])} {k}" for k in rivals if settings.get(k) is not None), NOTHING)


def summaries(found: Found) -> Facts:
    """Stage and kind -> the facts that it gave for people; where folds differ, a value a fold."""
    headings = dict.fromkeys((m.stage, m.kind) for m in found.made)
    table = [(f"{stage} {kind}".strip(), _gathered(found.of(stage, kind), "summary")) for stage, kind in headings]
    return [
        (heading, [(key, texts[0] if len(set(texts)) == 1 else " · ".join(texts)) for key, texts in values.items()])
        for heading, values in table
    ]


def _gathered(made: list[Made], part: str) -> dict[str, list[str]]:
    """Key -> its values in all these artifacts, as text; what was left out is left out."""
    values: dict[str, list[str]] = {}
    for one in made:
        for key, value in one.get(part).items():
            if text := _plain(value):
                values.setdefault(str(key), []).append(_without_folder(text, str(key), one))
    return values


def _without_folder(text: str, key: str, made: Made) -> str:
    """The file's name alone where the text is an absolute path: folders name people and places.

    Of DICOM files nothing of it, nor of their table: records of before have their names.
    """
    if made.stage == "ingest" and key in ("source", "table") and "site_secret" in made.get("summary"):
        return WITHHELD
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute() or text.startswith("~"):
            return path.name
    return text


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
        which = "The one model carries" if len(trained) == 1 else f"All {len(trained)} models and what they made carry"
        said.append(f"{which} the mark of exactly the fold's training patients: none has seen a patient who is tested.")
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
