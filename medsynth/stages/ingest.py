"""A source -> a cohort: each image is decoded once, made square and stored as PNG; each patient is dealt to a fold."""

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from medsynth import interrupt, room
from medsynth.artifacts import cohort, files, findings
from medsynth.artifacts.cohort import IMAGES, MASKS, Cohort, Facts, Sample
from medsynth.artifacts.findings import Unreadable
from medsynth.data import decoding, folds, png, remarks, safe_text, site_secret, sources
from medsynth.data.decoding import Square
from medsynth.data.folds import Patients
from medsynth.data.remarks import Seen
from medsynth.data.site_secret import SiteSecret
from medsynth.data.sources.labels import merged
from medsynth.data.sources.listing import Asked, Entry, Listing
from medsynth.errors import BadUsage, Refused
from medsynth.job import Job, Result
from medsynth.sections import Ingest

Split = tuple[dict[str, int], dict[str, tuple[str, ...]]]  # patient -> fold; fold -> patients held out for choices

SYNCS = 16  # at a time; a disk takes many together
WORKERS = 8  # at most; a picture of the largest size takes half a gigabyte while it is decoded


def run(job: Job) -> Result:
    """Fill `job.out` with a cohort and with tables of what people should look at."""
    settings = job.settings
    secret = _secret(job)
    listing = _listing(job, secret)
    images = len(listing.entries) + len(listing.unreadable)
    remarks.refuse_unreadable(listing.unreadable, images, settings.allow_bad)
    if not listing.has_split:
        _check(job, _patients(listing.entries, listing.labels))  # before decoding takes its time

    room.require(job.out, _room(job, listing), "ingest", job.world)
    store = _Store(job.out, Square(settings.image_size, settings.crop))
    store.clear()
    seen, unreadable = _decode(job, store, listing.entries)
    unreadable = [*listing.unreadable, *unreadable]
    remarks.refuse_unreadable(unreadable, images, settings.allow_bad)
    channels = store.unify(seen)
    store.settle()

    made = _cohort(job, listing, [entry for entry in listing.entries if entry.sample in seen])
    equal = remarks.duplicates(made.samples, seen)
    notes = (
        *([site_secret.remark()] if secret else []),
        *listing.notes,
        *_about_split(listing, settings),
        *remarks.about_unreadable(unreadable),
        *remarks.about_duplicates(equal, listing.has_split),
        *remarks.about_pictures(made.samples, seen, settings.image_size),
        *remarks.about_folds(made),
        *_about_mirror(settings),
    )
    facts = replace(made.facts, channels=channels, crop=store.square.words, notes=notes)
    cohort.save(job.out, replace(made, facts=facts))
    findings.save(job.out, unreadable, equal, remarks.flat(made.samples, seen))
    summary = {
        "images": len(made.samples),
        "patients": len(made.patients()),
        "labels": made.counts(),
        "folds": made.facts.folds,
        "channels": channels,
        "unreadable": len(unreadable),
        "duplicates": sum(len(group) for group in equal),
        **({"site_secret": secret.fingerprint} if secret else {}),
    }
    return Result(summary=summary, notes=notes)


def forecast(job: Job) -> dict[str, Any]:
    """What the table says, without opening an image, and how much room the images will take."""
    listing = _listing(job)
    count = len(listing.entries)
    return {
        "images": count,
        "patients": len({entry.patient for entry in listing.entries}),
        "labels": {name: sum(e.labels[i] for e in listing.entries) for i, name in enumerate(listing.labels)},
        "megabytes": round(_room(job, listing) / 1e6, 1),
    }


def _room(job: Job, listing: Listing) -> float:
    """Bytes of disk that the images will take."""
    count, masks = len(listing.entries), sum(entry.mask is not None for entry in listing.entries)
    pixels = job.settings.image_size**2
    return room.of_files(count, pixels * 3 * png.SHARE) + room.of_files(masks, pixels * png.SHARE)


def _listing(job: Job, secret: SiteSecret | None = None) -> Listing:
    asked = Asked(**{field.name: getattr(job.settings, field.name) for field in fields(Asked)})
    listing = sources.read(_source(job), asked, secret)
    classes = job.settings.values_of_classes
    return merged(listing, classes) if classes else listing


def _source(job: Job) -> Path:
    if not job.settings.source:
        raise BadUsage("no source of images was named", hint="medsynth ingest labels.csv")
    return Path(job.settings.source)


def _secret(job: Job) -> SiteSecret | None:
    """What makes pseudonyms of ids, for a source that needs it. Raises Refused where the run has those of another."""
    source = _source(job)
    if sources.kind(source) != "dicom":
        return None
    secret = site_secret.load(job.out.parent, source)
    held = job.before.record()["summary"].get("site_secret") if job.before else None
    if held not in (None, secret.fingerprint):
        raise Refused(
            f"the run's patients have pseudonyms by another site secret ({held}) than this one ({secret.fingerprint})",
            hint=f"{site_secret.ENVIRONMENT}=FILE names the one of before; or read them into another run: --run DIR",
        )
    return secret


@dataclass(frozen=True)
class _Store:
    """The folder that pictures are put into."""

    folder: Path
    square: Square

    def clear(self) -> None:
        """Forget what an interrupted attempt left: its source may have been mended since."""
        for name in (IMAGES, MASKS):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(parents=True)
        for name in (findings.UNREADABLE, findings.DUPLICATES, findings.FLAT):
            (self.folder / name).unlink(missing_ok=True)

    def put(self, entry: Entry) -> Seen | Unreadable:
        """Decode one image and store it, and its mask if it has one."""
        try:
            decoded = decoding.decode(entry.picture, entry.mask, self.square)
        except decoding.Unreadable as reason:
            name = entry.picture.name if isinstance(entry.picture, Path) else entry.sample
            return Unreadable(safe_text.cell(entry.where), safe_text.cell(name), safe_text.cell(str(reason)))
        _write(_image(self.folder, entry.sample), decoded.pixels)
        if decoded.mask is not None:
            _write(_mask(self.folder, entry.sample), decoded.mask)
        deviation = float(decoded.pixels.astype(np.float32).std(axis=(0, 1)).max())
        return Seen(
            decoded.pixels.shape[-1], decoded.digest, deviation, decoded.has_16_bits, decoded.side, decoded.lost
        )

    def unify(self, seen: dict[str, Seen]) -> int:
        """Give every picture the same number of channels, which is returned: 1, or 3 where any has colour."""
        channels = max(picture.channels for picture in seen.values())
        for sample, picture in seen.items():
            if picture.channels != channels:
                path = _image(self.folder, sample)
                _write(path, np.repeat(png.read(path), channels, axis=-1))
        return channels

    def settle(self) -> None:
        """Bring all pictures to the disk together: one after the other, that takes longer than all the decoding."""
        if not any((self.folder / MASKS).iterdir()):
            (self.folder / MASKS).rmdir()
        folders = [self.folder / name for name in (IMAGES, MASKS) if (self.folder / name).is_dir()]
        with ThreadPoolExecutor(SYNCS) as pool:
            list(pool.map(files.sync, (path for folder in folders for path in folder.iterdir())))
        for folder in folders:
            files.sync_folder(folder)


def _decode(job: Job, store: _Store, entries: Sequence[Entry]) -> tuple[dict[str, Seen], list[Unreadable]]:
    """Store every image: what was seen in each, by sample, and what could not be used. In the order of the source."""
    seen: dict[str, Seen] = {}
    unreadable: list[Unreadable] = []
    with _workers() as pool:
        for done, (entry, outcome) in enumerate(zip(entries, pool.map(store.put, entries), strict=True), 1):
            interrupt.check()
            job.progress("ingest", done, len(entries))
            if isinstance(outcome, Seen):
                seen[entry.sample] = outcome
            else:
                unreadable.append(outcome)
    return seen, unreadable


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """Threads that decode, without the warnings of decoders; whatever was not begun is dropped at an error."""
    pool = ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _cohort(job: Job, listing: Listing, entries: Sequence[Entry]) -> Cohort:
    """The entries that could be read, each patient in a fold. Facts about their pixels are still to be added."""
    settings = job.settings
    fold_of, selection = _official(entries) if listing.has_split else _dealt(job, entries, listing.labels)
    samples = tuple(
        Sample(
            sample=entry.sample, patient=entry.patient, eye=entry.eye, labels=entry.labels, fold=fold_of[entry.patient],
            image=_image(job.out, entry.sample), mask=_mask(job.out, entry.sample) if entry.mask else None,
        )
        for entry in entries
    )  # fmt: skip
    facts = Facts(
        labels=listing.labels, one_class=listing.one_class, ordinal=listing.ordinal, source=listing.source,
        folds=len(selection), selection=selection, has_patients=listing.has_patients,
        image_size=settings.image_size, mirror=settings.mirrors,
    )  # fmt: skip
    return Cohort(facts, samples)


def _dealt(job: Job, entries: Sequence[Entry], labels: tuple[str, ...]) -> Split:
    """The fold of each patient, and for each fold the patients that choices are made on."""
    settings, seed = job.settings, job.recipe.seed
    patients = _patients(entries, labels)
    _check(job, patients)
    if settings.split:
        tested, selected = folds.split(patients, settings.split, seed)
        return {id: 1 for id in patients.ids} | {id: 0 for id in tested}, {"0": selected}
    fold_of = folds.folds_of(patients, settings.folds, seed)
    selection = {}
    for fold in range(settings.folds):
        others = patients.part(np.array([fold_of[patient] != fold for patient in patients.ids]))
        selection[str(fold)] = folds.selection(others, settings.selection_share, seed, fold)
    return fold_of, selection


def _check(job: Job, patients: Patients) -> None:
    if job.settings.split:
        folds.check_split(patients)
    else:
        folds.check(patients, job.settings.folds)


def _official(entries: Sequence[Entry]) -> Split:
    """The source's own split: fold 0 is tested, fold 2 selects, the rest trains."""
    fold_of = {entry.patient: entry.fold for entry in entries if entry.fold is not None}
    return fold_of, {"0": tuple(patient for patient, fold in fold_of.items() if fold == 2)}


def _image(folder: Path, sample: str) -> Path:
    return folder / IMAGES / f"{sample}.png"


def _mask(folder: Path, sample: str) -> Path:
    return folder / MASKS / f"{sample}.png"


def _write(path: Path, pixels: np.ndarray) -> None:
    """Not synced here: settle() brings all pictures to the disk together."""
    files.write(path, lambda file: file.write(png.encode(pixels)), synced=False)


def _about_split(listing: Listing, settings: Ingest) -> list[str]:
    if not listing.has_split or (settings.folds == 1 and not settings.split):
        return []
    asked = "by shares" if settings.split else f"to {settings.folds} folds"
    return [f"The official split of {listing.source} was kept as one fold: it was not dealt {asked}."]


def _about_mirror(settings: Ingest) -> list[str]:
    if settings.modality is not None or settings.mirror is not None:
        return []
    return [
        "It was not said what the images show, so no mirror images are used: --modality fundus, or --mirror, where a "
        "mirrored image is as plausible; --no-mirror where it is not."
    ]


def _patients(entries: Sequence[Entry], labels: tuple[str, ...]) -> Patients:
    return Patients.of([entry.patient for entry in entries], [entry.labels for entry in entries], labels)
