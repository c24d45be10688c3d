"""Runs -> docs/results.md: what was typed, how long it took, and the tables that each run's report shows.

    python benchmarks/results.py NAME=RUN [NAME=RUN ...]

Each run's numbers are kept in docs/results/NAME.json; without any run, the page is written again from these files.
"""

import json
import sys
from pathlib import Path
from typing import Any

import measure

from medsynth import chain, plan, recipe
from medsynth.artifacts import files
from medsynth.report import costs, masks, segmentation, tables, words
from medsynth.report.collect import Found, collect
from medsynth.rundir import RunDirectory

DOCS = Path(__file__).parents[1] / "docs"
HEAD = """# What came out

Each section is one run: the command, how long it took, and the tables of its report as they stand there, arms side by
side, mean ± standard deviation over the tested folds. The demo's recipe was tuned on the cohort it draws; the others
were run once, and nothing was chosen afterwards. Written by `python benchmarks/results.py NAME=RUN ...` from the run
directories; the numbers are kept in `docs/results/`. Commands stand as they were typed then: the recipe `eyepacs-geca`
is today's `eyepacs`, and the others, too, are called after their data alone. Where a command names such a recipe, GeCA
predicted the velocity and took 20 diffusion steps; since then it learns a rectified flow and takes 12, so that the same
words lead to other figures today.

In the table of what each generator costs and gives, KID [resnet34 of the fold] is against the real images of the tested
patients, in the features of the fold's classifier of real images, all of equal length; in brackets that of the real
training images (floor) and of the codec's reconstructions (ceiling). After the audit's outcome, the share of synthetic
images that are closer to a training image than all but 5 % of new patients' images are, by features and by appearance.
Last, that score which the sentence above is about. (Sections without these were written before there were such
numbers.)
"""

SEGMENTERS = """Masks of test images; in brackets the 95 % interval by resampling patients, or lesions where these
stand for them. Where minutes were given and not steps, a segmenter learns in so many steps as it gets
done beside the others. To be beaten were, on ISIC 2018 at 256 pixels after hours on a GPU: 0.878 Dice, each image at
five thresholds, of the paper of MultiCBAM-MedSegDiffNCA with 412 thousand parameters; 0.895 pooled over all pixels, of
convolutional networks of 50 thousand (EGE-UNet and its like). Other pictures, sizes and protocols: whoever is near them
here has not beaten them. "As published" are the network, its diffusion and how it learns; runs of an ensemble, batches
and tested images are as the command sets them, and times and multiply-adds are those of so many runs. `everything,
Dice` is what a mask of the whole image reaches on the same images."""
EVERYTHING = "everything, Dice"
NO_BETTER = 0.01  # in Dice


def facts_of(run: RunDirectory) -> dict[str, Any]:
    """What the page says of one run, as JSON."""
    asked = recipe.parse(run.recipe_text())
    artifacts = [a for a in plan.everything(run, asked) if a.exists()]
    found = collect([a for a in artifacts if a.stage != "report"])
    report = next(a.record() for a in artifacts if a.stage == "report")
    records = [(a, a.record()) for a in artifacts]
    return {
        "source": found.cohort.facts.source,
        "images": len(found.cohort.samples),
        "patients": len(found.cohort.patients()) if found.cohort.facts.has_patients else None,
        "patient_column": asked.ingest.patient,
        "image_size": found.cohort.facts.image_size,
        "folds_tested": len({a.fold for a in artifacts if a.stage in ("classify", "segment")}),
        "folds": found.cohort.facts.folds,
        "answer": report["summary"]["answer"],
        "minutes": {
            stage.name: round(sum(r["seconds"] for a, r in records if a.stage == stage.name) / 60, 1)
            for stage in chain.STAGES
        },
        "device": sorted({r["device"] for _, r in records}),
        "versions": report["versions"],
        "summaries": {a.name: r["summary"] for a, r in records if a.stage in ("codec", "generator", "expand")},
        "generators": _generators(found),
        "differences": next((m.get("summary") for m in found.of("compare")), {}),
        "tables": [_table(found, unit) for unit in words.UNITS if found.metrics(unit)],
        "segmenters": _segmenters(found),
        "masks": {gain.kind: _gained(gain) for gain in masks.gains(found)},
        "notes": sorted({note for _, r in records for note in r["notes"]}),
    }


def _generators(found: Found) -> list[dict[str, str]]:
    """What each generator costs and gives; its KID is that of `evaluate`, whether it copies is what `audit` said."""
    rows = []
    for row, kind in zip(costs.costs(found), found.kinds("expand"), strict=True):
        parameters, macs, passes = row.network
        rows.append({
            "generator": row.name, "parameters": parameters, "MACs a pass": macs, "passes an image": passes,
            "seconds an image (network)": row.seconds, "peak memory": row.memory, "training": row.training,
            "KID x 1000 (floor, ceiling)": " / ".join(_distances(m.get("summary")) for m in found.of("evaluate", kind)),
            "audit": " / ".join(_audited(m.get("summary")) for m in found.of("audit", kind)),
            "real + its images": f"{row.added.mean} {row.added.spread}".strip(),
            "its images alone": f"{row.alone.mean} {row.alone.spread}".strip(),
        })  # fmt: skip
    return rows


def _segmenters(found: Found) -> list[dict[str, str]]:
    """How well each segmenter's masks fit and what they cost, as the report has it."""
    heads = [head for shown in (segmentation.MAIN, segmentation.MORE) for head, _ in shown.values()]
    rows = []
    for kind in found.kinds("segment"):
        made = found.of("segment", kind)
        row, everything = segmentation.row(kind, made), segmentation.floor(made, segmentation.FAILURE)
        fit = {
            head: f"{cell.said} ({cell.small})" if cell.small else cell.said
            for head, cell in zip(heads, (*row.main, *row.more), strict=True)
        }
        tested = str(sum(m.get("summary").get("tested", 0) for m in made))
        cost = {**dict(zip(segmentation.COSTS, row.cost, strict=True)), "training": row.training}
        rows.append({"segmenter": row.name, "images": tested, EVERYTHING: everything.main[0].said, **fit, **cost})
    return rows


def _gained(gain: masks.MaskGain) -> str:
    """A segmenter with a generator's images minus the same without, as its page has it."""
    scores = (
        f"{masks.SCORES[name]} {words.signed(of.value)} ({words.between(of.low, of.high)})"
        for name, of in gain.changes.items()
    )
    dice = gain.changes[masks.DECIDES]
    chances = f"bootstrap {words.chance(dice.p)}, permuted {words.chance(dice.permutation_p)}"
    chances = f"p of Dice: {chances}, that by Holm {words.chance(gain.holm_p)}"
    folds = words.count(len(gain.folds), "fold")
    name = f"{gain.segmenter} + {gain.generator} - {gain.segmenter}"
    return f"{name}: {', '.join(scores)}; {chances}; {gain.standing}, {folds}"


def _reached(facts: dict[str, Any]) -> str:
    """Who fits best, in a sentence; and who learned nothing that a mask of everything does not know."""
    order = sorted(facts["segmenters"], key=lambda row: -float(row["Dice"].split()[0]))
    learned = [row for row in order if float(row["Dice"].split()[0]) > float(row[EVERYTHING]) + NO_BETTER]
    said = [f"{row['segmenter']} {row['Dice'].split()[0]} ({row['parameters']} parameters)" for row in learned]
    failed = [row["segmenter"] for row in order if row not in learned]
    no_better = f" Too little was learned to be better than marking the whole image: {'; '.join(failed)}."
    reached = "; ".join(said) or "nothing"
    return (
        f"**Reached at {facts['image_size']} pixels, mean Dice of an image: {reached}.**{no_better if failed else ''}"
    )


def _distances(summary: dict[str, Any]) -> str:
    """A fold's distance, and in brackets that of real training images and of the codec's reconstructions."""
    synthetic, *others = (summary.get(f"{of}.kid") for of in ("synthetic", "floor", "ceiling"))
    return f"{_rounded(synthetic)} ({', '.join(map(_rounded, others))})"


def _rounded(number: float | None) -> str:
    return "–" if number is None else f"{number:.3g}"


def _audited(summary: dict[str, Any]) -> str:
    shares = ", ".join(f"{summary[f'{space}.c05']:.1%}" for space in ("features", "appearance"))
    return f"{'passed' if summary['passed'] else 'not passed'} ({shares})"


def _table(found: Found, unit: str) -> dict[str, Any]:
    table = tables.scores(found, unit)
    rows = [[name, *(f"{cell.mean} {cell.spread}".strip() for cell in cells)] for name, cells in table.rows]
    return {"unit": unit, "tested": table.tested, "arms": [words.arm(arm) for arm in found.arms], "rows": rows}


def section(name: str, facts: dict[str, Any], command: str) -> str:
    """One run as Markdown."""
    patients = f" of {facts['patients']:,} patients" if facts["patients"] else ", no patients known"
    column = facts.get("patient_column") or ""
    patients += f" (told apart by {column})" if facts["patients"] and "patient" not in column and column else ""
    spent = ", ".join(f"{stage} {minutes}" for stage, minutes in facts["minutes"].items() if minutes >= 0.1)
    lines = [
        f"## {name}", "", f"`{command}`", "",
        f"{facts['source']}: {facts['images']:,} images{patients}, at {facts['image_size']} pixels; "
        f"{facts['folds_tested']} of {facts['folds']} folds tested; on {', '.join(facts['device'])}. Minutes, "
        f"summed over folds that ran side by side: {spent}.", "",
    ]  # fmt: skip
    if facts["tables"] or facts.get("masks"):
        lines += [f"**{facts['answer']}**", ""]
    if facts.get("generators"):
        lines += ["What each generator costs, and what it gives:", "", measure.table(facts["generators"]), ""]
    told = {
        name: said for name, said in facts.get("differences", {}).items() if isinstance(said, str) and " - " in name
    }
    if told:
        lines += ["On the same patients (95 % interval by resampling them; p by the same draws, adjusted by Holm):", ""]
        lines += [*(f"- {name}: {said}" for name, said in told.items()), ""]
    if facts.get("segmenters"):
        lines += [SEGMENTERS, "", _reached(facts), "", measure.table(facts["segmenters"]), ""]
    if facts.get("masks"):
        lines += ["With and without synthetic images, on the same images (95 % interval by resampling patients):", ""]
        lines += [*(f"- {said}" for said in facts["masks"].values()), ""]
    for before, table in zip([None, *facts["tables"]], facts["tables"], strict=False):
        if before and before["rows"] == table["rows"]:
            lines += [f"By {table['unit']}: the same, one of each {before['unit']}.", ""]
            continue
        lines += [f"By {table['unit']} ({table['tested']}):", ""]
        lines += ["| | " + " | ".join(table["arms"]) + " |", "|---|" + "--:|" * len(table["arms"])]
        lines += ["| " + " | ".join(row) + " |" for row in table["rows"]] + [""]
    by_class = measure.DOCS / f"fid-{name}.json"  # written by benchmarks/fid.py
    if by_class.is_file():
        said = "Distance to the test images, class by class; [what these numbers are]"
        rows = json.loads(by_class.read_text())["rows"]
        lines += [f"{said}(benchmarks/fid-{name}.md):", "", measure.table(rows), ""]
    made = [
        f"{name}: " + ", ".join(f"{k} {v}" for k, v in summary.items()) for name, summary in facts["summaries"].items()
    ]
    if made:
        lines += ["What was trained and drawn:", "", *(f"- {line}" for line in made), ""]
    lines += [f"- {note}" for note in facts["notes"]]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Take in the runs that are named, then write the page from everything kept."""
    kept = DOCS / "results"
    kept.mkdir(parents=True, exist_ok=True)
    for argument in sys.argv[1:]:
        name, _, folder = argument.partition("=")
        files.write_json(kept / f"{name}.json", facts_of(RunDirectory(Path(folder))))
    commands = json.loads((kept / "commands.json").read_text())
    sections = [
        section(name, json.loads((kept / f"{name}.json").read_text()), command)
        for name, command in commands.items()
        if (kept / f"{name}.json").is_file()
    ]
    files.write_text(DOCS / "results.md", "\n".join([HEAD, *sections]))


if __name__ == "__main__":
    main()
