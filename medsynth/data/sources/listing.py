"""What a source says, before any image is opened: one entry an image, and what is true of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.artifacts.findings import Unreadable
from medsynth.errors import BadUsage

if TYPE_CHECKING:
    from medsynth.data.decoding import Picture

FOLD_OF = {"train": 1, "val": 2, "test": 0}  # of a source's own split: fold 0 is tested; val selects

Where = Callable[[Sequence[int]], str]  # entries by number, from 0 -> where people find them: `labels.csv line 17`


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user said about a source. None and () mean: find it by its usual name."""

    image: str | None = None
    patient: str | None = None
    eye: str | None = None
    mask: str | None = None
    label: str | None = None
    labels: tuple[str, ...] = ()
    every_image_is_a_patient: bool = False
    official_split: str | None = None
    table: str | None = None
    frame: int | None = None
    checked_for_burned_in_text: bool = False

    def refuse_words_for_dicom(self, source: str) -> None:
        """Raise BadUsage if something was said that only DICOM files can be asked for."""
        for name in ("table", "frame", "checked_for_burned_in_text"):
            if getattr(self, name):
                flag = f"--{name.replace('_', '-')}"
                raise BadUsage(f"{flag} is for a folder of DICOM files, and {source} is none", hint=f"leave {flag} out")

    def refuse_columns(self, source: str) -> None:
        """Raise BadUsage if a column was named, for the sources that have none."""
        for name in ("image", "patient", "eye", "mask", "label", "labels", "official_split"):
            if getattr(self, name):
                value = ",".join(self.labels) if name == "labels" else getattr(self, name)
                flag = "--set ingest.official_split=" if name == "official_split" else f"--{name} "
                raise BadUsage(
                    f"{flag}{value} names a column, and {source} has no columns", hint=f"leave {flag.rstrip(' =')} out"
                )


def without_patients(source: str) -> str:
    """What a reader of results has to know where images stand for patients."""
    return (
        f"Every image of {source} was taken for a patient of its own, as asked. If some show the same patient, "
        "a model is tested on patients that it has learnt from, and its scores are too good."
    )


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image. Its texts are safe to write anywhere."""

    where: str  # where people find it in the source
    sample: str  # a name for it: unique in the source, safe as a file name
    patient: str
    labels: tuple[int, ...]  # 0 or 1, in the order of Listing.labels
    picture: "Picture"
    eye: str = ""
    mask: Path | None = None
    fold: int | None = None  # where the source's own split puts it


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Every image of a source."""

    source: str  # the file's or folder's name, without its place
    labels: tuple[str, ...]
    one_class: bool  # exactly one label is 1 in every entry
    ordinal: bool  # the classes are grades, in the order of `labels`
    entries: tuple[Entry, ...]
    unreadable: tuple[Unreadable, ...] = ()  # images that already their headers rule out
    has_patients: bool  # False: every image was taken for a patient of its own
    has_split: bool = False  # every entry has a fold: 0 is tested, 1 trains, 2 selects
    notes: tuple[str, ...] = ()  # sentences that somebody has to read
