"""What a run says to the points about its data."""

from medsynth.report import provenance, words
from medsynth.report.checklist.answered import BY_YOU, FACTS, MANIFEST, Answered, setting
from medsynth.report.collect import Found


def source(found: Found) -> Answered:
    facts = found.cohort.facts
    if not facts.source:
        return Answered()
    return Answered(f"{facts.source}: {_size(found)}. Clinic, years and device: {BY_YOU}.", FACTS)


def eligible(found: Found) -> Answered:
    notes = " ".join(found.cohort.facts.notes) or " ".join(map(str, found.of("ingest")[0].record.get("notes") or ()))
    said = f"Taken in: {_size(found)}. {notes}".strip()
    return Answered(f"{said} Who came into question: {BY_YOU}.", FACTS)


def preprocessing(found: Found) -> Answered:
    facts = found.cohort.facts
    colour = "grey" if facts.channels == 1 else "colour"
    crop = words.sentence(facts.crop) if facts.crop else ""
    return Answered(f"{crop} {facts.image_size} × {facts.image_size} pixels, in {colour}.".strip(), FACTS)


def subset(found: Found) -> Answered:
    crop = setting(found.of("ingest"), "crop")
    if not crop:
        return Answered()
    return Answered(
        f"Of each picture what the crop leaves ({crop}); all images that could be read.", "ingest/stage.json"
    )


def labels(found: Found) -> Answered:
    facts = found.cohort.facts
    kind = "classes" + (", which are grades" if facts.ordinal else "") if facts.one_class else "labels"
    return Answered(
        f"{len(facts.labels)} {kind}: {words.listed(map(words.label, facts.labels))}. What they mean: {BY_YOU}.", FACTS
    )


def names_removed(found: Found) -> Answered:
    ids = (
        "Patients' ids stay in the run's own tables" if found.cohort.facts.has_patients else "There were no patient ids"
    )
    return Answered(
        f"Images were written anew from their pixels, without the metadata of their files. {ids}; the report names "
        f"nobody. What was done before the images came here: {BY_YOU}.",
        MANIFEST,
    )


def missing(found: Found) -> Answered:
    summary = found.of("ingest")[0].get("summary")
    if "unreadable" not in summary:
        return Answered()
    lost = int(summary["unreadable"])
    said = f"{words.count(lost, 'image')} could not be read and were left out" if lost else "Every image could be read"
    return Answered(f"{said}. What was missing before: {BY_YOU}.", "ingest/stage.json")


def size(found: Found) -> Answered:
    return Answered(f"{_size(found)}; how this number was arrived at: {BY_YOU}.", MANIFEST)


def dealt(found: Found) -> Answered:
    parts = [
        [
            len(part.patients())
            for part in (found.cohort.training(f), found.cohort.selection(f), found.cohort.testing(f))
        ]
        for f in found.folds
    ]
    who = "patients" if found.cohort.facts.has_patients else "images"
    each = [f"fold {fold}: {a:,} / {b:,} / {c:,}" for fold, (a, b, c) in zip(found.folds, parts, strict=True)]
    return Answered(f"{who.capitalize()} to training / selection / test, {'; '.join(each)}.", MANIFEST)


def disjoint(found: Found) -> Answered:
    if not found.cohort.facts.has_patients:
        return Answered("Image: there were no patient ids, so the same patient may be in several parts.", MANIFEST)
    seen = provenance.seen(found)
    checked = "" if seen["strangers"] else " " + " ".join(s for s in seen["run_sentences"] if "mark" in s)
    return Answered(f"Patient.{checked}", MANIFEST)


def flow(found: Found) -> Answered:
    return Answered(f"Under Images and patients, part by part. How many there were before: {BY_YOU}.", MANIFEST)


def demographics(found: Found) -> Answered:
    return Answered(f"Labels of each part are under Images and patients. Age and sex: {BY_YOU}.", MANIFEST)


def external(found: Found) -> Answered:
    return Answered(f"No: all test patients are of {found.cohort.facts.source or 'the same source'}.", FACTS)


def _size(found: Found) -> str:
    images = words.count(len(found.cohort.samples), "image")
    if not found.cohort.facts.has_patients:
        return images
    return f"{images} of {words.count(len(found.cohort.patients()), 'patient')}"
