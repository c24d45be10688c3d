"""A seed -> `labels.csv`, `images/` and `masks/`: the files of a small eye clinic that does not exist.

The pictures are drawn, not photographed. They are there to try the program, and to see within minutes whether a
generator follows its labels. No number that is measured on them says anything about medicine.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from medsynth import seeds
from medsynth.artifacts import files
from medsynth.data import images
from medsynth.data.drawn.lesions import EXUDATES, HAEMORRHAGES, WOOL_SPOTS
from medsynth.data.drawn.retina import Eye, draw_retina, photograph
from medsynth.errors import BadUsage

LABELS = (HAEMORRHAGES, EXUDATES, WOOL_SPOTS)
SHARES = {HAEMORRHAGES: 0.40, EXUDATES: 0.25, WOOL_SPOTS: 0.12}  # of the eyes, as far as whole eyes allow
SHOTS = (2, 3)  # fewest and most photographs of an eye
SMALLEST = 32  # pixels a side; below, a lesion may be too small for its mask
COLUMNS = ("image", "patient", "eye", "mask", *LABELS)

# What an eye's inclination to a lesion comes from: the patient's illness, the patient's inclination to this kind of
# lesion, the eye's illness, and chance. The squares add up to 1.
FROM_PATIENT, FROM_KIND, FROM_EYE, FROM_CHANCE = 0.5, 0.5, 0.3, 0.64


def draw_cohort(
    folder: Path,
    *,
    patients: int,
    seed: int,
    size: int = 96,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Draw both eyes of so many patients, two or three photographs each, and return the path of labels.csv.

    `size` is pixels a side. Every picture has a mask of its lesions (0 and 255), black where there are none. labels.csv
    has the columns image,patient,eye,mask (paths relative to the folder) and a 0/1 column a label; it is written last.
    A picture depends on the seed, the patient, the eye, its number and the eye's labels, and on no other picture.
    Raises BadUsage for fewer than one patient or SMALLEST pixels.
    """
    if patients < 1 or size < SMALLEST:
        raise BadUsage(
            f"{patients} patients at {size} pixels cannot be drawn", hint=f"at least 1 patient and {SMALLEST} pixels"
        )
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    eyes = draw_eyes(patients, seed)
    for done, eye in enumerate(eyes):
        if progress:
            progress("drawing eyes", done, len(eyes))
        retina = draw_retina(eye, size)
        for shot in range(1, int(eye.dice("shots").integers(SHOTS[0], SHOTS[1] + 1)) + 1):
            picture, mask = photograph(retina, eye.dice(f"shot {shot}"), size)
            name = f"{eye.patient}-{eye.side}-{shot}.png"
            images.write_png(folder / "images" / name, picture)
            images.write_png(folder / "masks" / name, mask[..., None])
            table.writerow([f"images/{name}", eye.patient, eye.side, f"masks/{name}", *eye.labels.values()])
    files.write_text(folder / "labels.csv", text.getvalue())
    if progress:
        progress("drawing eyes", len(eyes), len(eyes))
    return folder / "labels.csv"


def draw_eyes(patients: int, seed: int) -> list[Eye]:
    """The eyes of the cohort, right before left, with labels whose shares of the eyes are those of SHARES."""
    dice = np.random.default_rng(seeds.derive(seed, "drawn cohort", "labels"))
    inclined = (
        FROM_PATIENT * dice.standard_normal((patients, 1, 1))
        + FROM_KIND * dice.standard_normal((patients, 1, len(LABELS)))
        + FROM_EYE * dice.standard_normal((patients, 2, 1))
        + FROM_CHANCE * dice.standard_normal((patients, 2, len(LABELS)))
    ).reshape(-1, len(LABELS))
    counts = [max(1, round(SHARES[name] * 2 * patients)) for name in LABELS]
    ranks = (-inclined).argsort(axis=0).argsort(axis=0)
    names = [(f"P{patient + 1:03d}", side) for patient in range(patients) for side in ("right", "left")]
    return [
        Eye(seed, patient, side, {name: int(ranks[row, i] < counts[i]) for i, name in enumerate(LABELS)})
        for row, (patient, side) in enumerate(names)
    ]
