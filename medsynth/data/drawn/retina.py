"""A description of an eye -> its retina in colour, and photographs of it with their lesion masks."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from medsynth import seeds
from medsynth.data.drawn import vessels
from medsynth.data.drawn.canvas import REACH, Canvas, Stencil, blob
from medsynth.data.drawn.lesions import EXUDATES, HAEMORRHAGES, WOOL_SPOTS, Lesions, scatter

FINER = 2  # everything is drawn this many times finer than it is shown, then averaged: no jagged edges
SHOWN = 0.96  # radius of the camera's field as a share of half the picture
LESION_FROM = 0.5  # a pixel belongs to the mask when a lesion covers at least this share of it


@dataclass(frozen=True)
class Eye:
    """Whose eye it is and what is wrong with it. `seed` is the cohort's."""

    seed: int
    patient: str
    side: str  # "left" or "right"
    labels: dict[str, int]

    def dice(self, purpose: str) -> np.random.Generator:
        """Random numbers of this eye. Labels have no part in them: the healthy parts look the same with and without."""
        return np.random.default_rng(seeds.derive(self.seed, "drawn cohort", purpose, self.patient, self.side))

    def patient_dice(self) -> np.random.Generator:
        """Random numbers that both eyes of the patient share."""
        return np.random.default_rng(seeds.derive(self.seed, "drawn cohort", "patient", self.patient))


@dataclass(frozen=True)
class Retina:
    """What the camera would see without its own limits, at FINER times the resolution of a photograph."""

    colour: Image.Image
    lesions: Image.Image  # grey: how much of a pixel is lesion


def draw_retina(eye: Eye, size: int) -> Retina:
    """The retina of an eye, for photographs of `size` pixels a side."""
    canvas = Canvas(round(size * FINER * REACH / SHOWN))
    dice = eye.dice("anatomy")
    disc = np.array([0.58, 0.0]) + dice.normal(0, 0.035, 2)
    colour = _ground(canvas, eye, dice, disc)
    lesions = scatter(eye.dice("lesions"), disc, eye.labels)
    waxy = canvas.areas(lesions.outlines[EXUDATES], blur=0.004)
    colour = _over(colour, waxy, (1.0, 0.90, 0.32), 0.95)
    colour = _optic_disc(canvas, colour, dice, disc)
    colour = _vessels(canvas, colour, vessels.grow(eye.dice("vessels"), disc))
    colour, wool = _wool_spots(canvas, colour, lesions, eye.dice("wool"))
    colour, blood = _haemorrhages(canvas, colour, lesions)
    covered = np.maximum(np.maximum(waxy, wool), blood)
    picture, mask = Image.fromarray(_bytes(colour)), Image.fromarray(_bytes(covered))
    if eye.side == "left":
        mirrored = Image.Transpose.FLIP_LEFT_RIGHT
        picture, mask = picture.transpose(mirrored), mask.transpose(mirrored)
    return Retina(picture, mask)


def photograph(retina: Retina, dice: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One shot: a picture (row, column, 3) and its lesion mask (row, column) of 0 and 255, both uint8.

    The camera is never placed twice the same: the shift, the turn, the zoom and the light come from `dice`.
    """
    turn, zoom = np.deg2rad(dice.normal(0, 3)), dice.uniform(0.95, 1.04)
    shift = np.clip(dice.normal(0, 0.03, 2), -0.06, 0.06)
    light, warmth = dice.uniform(0.88, 1.1), dice.normal(0, 0.025)
    shine = np.clip(dice.normal(0, 0.15, 2), -0.3, 0.3)

    fine, middle = size * FINER, retina.colour.width / 2
    ratio = retina.colour.width / (2 * REACH) / (fine / 2 * SHOWN) / zoom
    a, b = ratio * np.cos(turn), ratio * np.sin(turn)
    x, y = middle + shift * retina.colour.width / (2 * REACH)
    matrix = (a, b, x - (a + b) * fine / 2, -b, a, y - (a - b) * fine / 2)
    shot, mask = (
        picture.transform((fine, fine), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        for picture in (retina.colour, retina.lesions)
    )

    line = ((np.arange(fine, dtype=np.float32) + 0.5) / fine * 2 - 1) / SHOWN
    distance = np.hypot(line[None, :], line[:, None])
    uneven = np.hypot(line[None, :] - shine[0], line[:, None] - shine[1])
    aperture = np.clip((1 - distance) / 0.035, 0, 1)
    lit = aperture * light * (1.06 - 0.34 * uneven**2)
    colour = np.asarray(shot, dtype=np.float32) / 255 * lit[..., None] * _rgb(1 + warmth, 1.0, 1 - warmth)
    seen = _average(colour) + dice.normal(0, 0.012, (size, size, 3)) * _average(aperture)[..., None]
    covered = _average(np.asarray(mask, dtype=np.float32) / 255 * (aperture > 0))
    return _bytes(seen), np.where(covered >= LESION_FROM, 255, 0).astype(np.uint8)


def _ground(canvas: Canvas, eye: Eye, dice: np.random.Generator, disc: np.ndarray) -> np.ndarray:
    """The red-orange of the fundus with the choroid's texture and the dark macula."""
    person = eye.patient_dice()
    pale, hue = person.uniform(-1, 1), person.normal(0, 0.025, 3)
    tint = np.array([0.80, 0.40, 0.17]) + pale * np.array([0.07, 0.08, 0.06]) + hue
    texture = 0.05 * canvas.clouds(dice, 7) + 0.04 * canvas.clouds(dice, 19) + 0.03 * canvas.clouds(dice, 45)
    fovea = np.exp(-((canvas.distance(*dice.normal(0, 0.02, 2)) / 0.20) ** 2))
    glow = np.exp(-((canvas.distance(*disc) / 0.55) ** 2))  # the nerve fibres about the disc reflect more
    brightness = 1 + texture - person.uniform(0.30, 0.42) * fovea + 0.10 * glow
    return brightness.astype(np.float32)[..., None] * _rgb(*tint)


def _optic_disc(canvas: Canvas, colour: np.ndarray, dice: np.random.Generator, disc: np.ndarray) -> np.ndarray:
    radius = dice.uniform(0.18, 0.21)
    rim = canvas.areas([blob(dice, np.zeros(2), radius, rough=0.03) * (0.92, 1.05) + disc], blur=0.015)
    cup = canvas.areas(
        [blob(dice, disc - np.array([0.02, 0]), radius * dice.uniform(0.4, 0.58), rough=0.05)], blur=0.025
    )
    return _over(_over(colour, rim, (0.97, 0.74, 0.40), 0.95), cup, (1.0, 0.90, 0.64), 0.9)


def _vessels(canvas: Canvas, colour: np.ndarray, tree: list[vessels.Vessel]) -> np.ndarray:
    arteries = [(v.points, v.widths) for v in tree if not v.vein]
    veins = [(v.points, v.widths) for v in tree if v.vein]
    gleam = [(points, widths * 0.3) for points, widths in arteries if widths[0] > 0.035]
    for lines, left in ((arteries, (0.80, 0.50, 0.45)), (veins, (0.60, 0.30, 0.32))):
        covered = canvas.strokes(lines, blur=0.006)[..., None]
        colour = colour * (1 - covered * (1 - _rgb(*left)))
    return _over(colour, canvas.strokes(gleam, blur=0.006), (0.95, 0.55, 0.35), 0.35)


def _wool_spots(
    canvas: Canvas, colour: np.ndarray, lesions: Lesions, dice: np.random.Generator
) -> tuple[np.ndarray, Stencil]:
    """Pale, thickest in the middle, without an edge; they hide the vessels beneath them."""
    if not lesions.outlines[WOOL_SPOTS]:
        return colour, np.zeros((canvas.pixels, canvas.pixels), np.float32)
    covered = canvas.areas(lesions.outlines[WOOL_SPOTS], blur=0.045)
    fluff = 1 + 0.07 * canvas.clouds(dice, 24) + 0.07 * canvas.clouds(dice, 60)
    return _over(colour, np.clip(covered * fluff * 1.05, 0, 1), (0.92, 0.87, 0.78), 0.92), covered


def _haemorrhages(canvas: Canvas, colour: np.ndarray, lesions: Lesions) -> tuple[np.ndarray, Stencil]:
    """Dark red, darkest in the middle."""
    if not lesions.outlines[HAEMORRHAGES]:
        return colour, np.zeros((canvas.pixels, canvas.pixels), np.float32)
    covered = canvas.areas(lesions.outlines[HAEMORRHAGES], blur=0.008)
    deep = canvas.areas(lesions.outlines[HAEMORRHAGES], blur=0.04)
    return _over(_over(colour, covered, (0.46, 0.06, 0.05), 0.9), covered * deep, (0.24, 0.01, 0.02), 0.8), covered


def _over(colour: np.ndarray, covered: Stencil, paint: tuple[float, float, float], opacity: float) -> np.ndarray:
    painted = _rgb(*paint) - colour
    painted *= (covered * np.float32(opacity))[..., None]
    painted += colour
    return painted


def _rgb(red: float, green: float, blue: float) -> np.ndarray:
    return np.array([red, green, blue], dtype=np.float32)


def _average(fine: np.ndarray) -> np.ndarray:
    size = len(fine) // FINER
    return fine.reshape(size, FINER, size, FINER, *fine.shape[2:]).mean(axis=(1, 3))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
