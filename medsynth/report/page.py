"""The complete artifacts of a run -> one HTML page that needs nothing but itself."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medsynth.data.safe_text import shown
from medsynth.report import contents, differences, leaks, masks, provenance, summary, words
from medsynth.report.answer import Answer
from medsynth.report.collect import Found, collect
from medsynth.report.masks import MaskGain
from medsynth.report.summary import Part
from medsynth.report.withhold import withholder
from medsynth.rundir import Artifact

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """The page, what its first page says, and what it was written from."""

    html: str
    answer: Answer
    parts: tuple[Part, ...]  # the questions
    found: Found


def render(artifacts: Iterable[Artifact], progress: Callable[[str, int, int], None] = lambda *_: None) -> Page:
    """The same artifacts give the same bytes. Those of ingest must be among them."""
    found = collect(artifacts)
    said, parts, gained = leaks.first_page(found)
    environment = _environment(found)
    gathered = [(section, section.facts(found, progress)) for section in contents.SECTIONS]
    sections = [
        (section.anchor, section.title, Markup(environment.get_template(section.template).render(facts)))
        for section, facts in gathered
        if facts is not None
    ]
    html = environment.get_template("template.html").render(
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        answer=said,
        parts=parts,
        leaks=leaks.leaks(found),
        helped="segmenter" if found.only_masks else "classifier",
        compared=summary.compared(found, said, gained),
        plots=_plots(found, said, gained),
        key_facts=_key_facts(found),
        preset=provenance.preset(found)[0],
        outdated=found.outdated(),
        unlike=masks.unlike(found),
        sections=sections,
    )
    return Page("\n".join(shown(line) for line in html.split("\n")), said, parts, found)


def _environment(found: Found) -> Environment:
    """Every text is escaped unless it is drawn here; what every template may name is global."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["withhold"] = withholder(found.cohort.samples)
    known: dict[str, Any] = {"words": words, "found": found, "facts": found.cohort.facts, "missing": _missing(found)}
    environment.globals.update(known)
    return environment


def _plots(found: Found, said: Answer, gained: Sequence[MaskGain]) -> list[tuple[Markup, str]]:
    """What was gained, and the file that it came from."""
    known, drawn = found.comparisons, []
    if known is not None:
        axis = f"difference in {words.metric(known.primary)} by {known.unit}, {words.percent(known.level)} intervals"
        drawn.append((differences.gain_plot(said.gains, axis), found.comparisons_file))
    drawn.append((masks.plot(found, gained), masks.SOURCE))
    return [(plot, source) for plot, source in drawn if plot is not None]


def _key_facts(found: Found) -> list[tuple[str, str]]:
    """Numbers and what they count: whom all of this is about."""
    samples, cohort = found.cohort.samples, found.cohort.facts
    eyes = {(s.patient, s.eye) for s in samples if s.eye}
    drawn = sum(made.images for made in found.of("expand"))
    several = ", all folds" if len(found.folds) > 1 else ""
    counted = [
        (len(found.cohort.patients()) if cohort.has_patients else 0, "patient", "patients"),
        (len(eyes), "eye", "eyes"),
        (len(samples), "real image", "real images"),
        (drawn, f"synthetic image{several}", f"synthetic images{several}"),
        (len(cohort.labels), *(("class", "classes") if cohort.one_class else ("label", "labels"))),
        (len(found.folds), "fold", "folds"),
    ]
    return [(f"{n:,}", one if n == 1 else many) for n, one, many in counted if n]


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
