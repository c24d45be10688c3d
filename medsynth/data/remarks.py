"""What was seen while decoding -> sentences that somebody has to read, or a refusal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medsynth.artifacts import findings
from medsynth.artifacts.cohort import Cohort, Sample
from medsynth.artifacts.findings import Unreadable
from medsynth.data.decoding import MISSING, SIXTEEN_BIT_RULE
from medsynth.errors import BadData

FLAT_DEVIATION = 5.0  # of values from 0 to 255; a very dark photograph of an eye still has 14
LISTED = 20  # unreadable images in an error


@dataclass(frozen=True)
class Seen:
    """What is remembered of one picture once it is stored."""

    channels: int
    digest: str  # equal pictures, equal digest
    deviation: float  # of its grey values, 0 to 255
    has_16_bits: bool
    side: int  # pixels a side of the square before it was resized
    lost: bool  # its mask has no lesion left


def refuse_unreadable(unreadable: Sequence[Unreadable], images: int, allowed: int) -> None:
    """Raise BadData if more images are unreadable than the user accepts, or if all are."""
    if len(unreadable) <= allowed and len(unreadable) < images:
        return
    reasons = "".join(f"\n  {bad.where}: {bad.image}: {bad.reason}" for bad in unreadable[:LISTED])
    more = f"\n  and {len(unreadable) - LISTED:,} more" if len(unreadable) > LISTED else ""
    hint = "are the paths right? They are relative to the folder of the table"
    if len(unreadable) < images:
        hint = f"mend these images, or leave them out with --allow-bad {len(unreadable)}"
    elif any(bad.reason != MISSING for bad in unreadable):
        hint = "mend these images"
    raise BadData(
        f"{len(unreadable):,} of {images:,} images cannot be used (--allow-bad is {allowed}):{reasons}{more}",
        hint=hint,
    )


def duplicates(samples: Sequence[Sample], seen: Mapping[str, Seen]) -> list[list[Sample]]:
    """Groups of samples with the same picture that do not all belong to one patient."""
    groups: dict[str, list[Sample]] = {}
    for s in samples:
        groups.setdefault(seen[s.sample].digest, []).append(s)
    return [group for group in groups.values() if len({s.patient for s in group}) > 1]


def flat(samples: Sequence[Sample], seen: Mapping[str, Seen]) -> list[tuple[Sample, float]]:
    """The samples in which next to nothing is to be seen, with the deviation of their grey values."""
    return [(s, seen[s.sample].deviation) for s in samples if seen[s.sample].deviation < FLAT_DEVIATION]


def about_pictures(samples: Sequence[Sample], seen: Mapping[str, Seen], image_size: int) -> list[str]:
    """Sentences about pictures that are kept and not as one would wish."""
    notes = []
    deep = sum(seen[s.sample].has_16_bits for s in samples)
    if deep:
        notes.append(
            f"{_images(deep)} had 16 bits a channel: {SIXTEEN_BIT_RULE}. If they look dark, their values do not fill "
            "that range: bring them to 8 bits in the program they come from."
        )
    small = sum(seen[s.sample].side < image_size for s in samples)
    if small:
        notes.append(f"{_images(small)} had fewer than {image_size} pixels a side: enlarging them added no detail.")
    lost = sum(seen[s.sample].lost for s in samples)
    if lost:
        notes.append(
            f"The lesion of {_images(lost)} is too small for {image_size} pixels a side, or lies outside the square "
            "that is kept: their masks are empty, and count as such. --image-size N keeps smaller ones."
        )
    empty = len(flat(samples, seen))
    if empty:
        notes.append(f"{_images(empty)} showed next to nothing (black, white, one colour): see {findings.FLAT}.")
    return notes


def about_duplicates(groups: Sequence[Sequence[Sample]], has_split: bool) -> list[str]:
    """A sentence about equal pictures of different patients, if any. `has_split`: the folds are the source's own."""
    if not groups:
        return []
    copies = sum(len(group) for group in groups)
    what = "1 picture" if len(groups) == 1 else f"{len(groups)} pictures"
    text = f"{copies} images are only {what}, equal to the pixel, of different patients: see {findings.DUPLICATES}."
    contradicting = sum(len({s.labels for s in group}) > 1 for group in groups)
    if contradicting:
        text += f" Copies of {contradicting} have different labels."
    leaking = sum(len({s.fold for s in group}) > 1 for group in groups)
    if leaking:
        text += f" Copies of {leaking} lie in different folds, a leak: what is tested there is trained on as well."
        mend = "Leave the copies out, or give them one patient id, and ingest again."
        text += f" {'The source itself splits them like that.' if has_split else mend}"
    return [text]


def about_unreadable(unreadable: Sequence[Unreadable]) -> list[str]:
    if not unreadable:
        return []
    left = "1 image of the source was" if len(unreadable) == 1 else f"{len(unreadable):,} images of the source were"
    return [f"{left} left out, for the reasons in {findings.UNREADABLE}."]


def about_folds(cohort: Cohort) -> list[str]:
    """Sentences about labels that some part of a fold lacks."""
    notes = []
    for fold in range(cohort.facts.folds):
        parts = {"tested": cohort.testing, "training": cohort.training, "selection": cohort.selection}
        for name, part in ((name, part(fold)) for name, part in parts.items()):
            lacking = [label for label, count in part.counts().items() if not count]
            if lacking:
                notes.append(f"Fold {fold} has no {name} image with {_listed(lacking)}.")
    return notes


def _listed(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
