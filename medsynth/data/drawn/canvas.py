"""Outlines on the retina -> soft stencils: arrays in [0, 1] that say how much of each pixel is covered.

The retina's own coordinates: x to the right, y down, the fovea about (0, 0), the camera's field a disc of radius 1.
A right eye is drawn; its nasal side, where the optic disc is, is the side of positive x.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WAVES = np.array([2, 3, 5, 7])  # around an irregular outline
REACH = 1.2  # the retina is drawn beyond the camera's field, for photographs that are a little off centre

Points = np.ndarray  # (point, 2): x and y on the retina
Stencil = np.ndarray  # (row, column) float32 in [0, 1]


@dataclass(frozen=True)
class Canvas:
    """A square of `pixels` by `pixels` that shows the retina from -REACH to REACH."""

    pixels: int

    @property
    def scale(self) -> float:
        """Pixels in one unit of the retina."""
        return self.pixels / (2 * REACH)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x as a row and y as a column: together the coordinates of every pixel's centre."""
        line = ((np.arange(self.pixels, dtype=np.float32) + 0.5) / self.scale - REACH).astype(np.float32)
        return line[None, :], line[:, None]

    def distance(self, x: float, y: float) -> np.ndarray:
        """How far every pixel is from a point."""
        across, down = self.grid()
        return np.hypot(across - x, down - y)

    def areas(self, outlines: Iterable[Points], *, blur: float = 0.0) -> Stencil:
        """Filled outlines; `blur` is the radius of the soft edge, in units of the retina."""
        picture, pen = self._blank()
        for outline in outlines:
            pen.polygon(self._place(outline), fill=255)
        return self._stencil(picture, blur)

    def strokes(self, lines: Iterable[tuple[Points, np.ndarray]], *, blur: float = 0.0) -> Stencil:
        """Lines of varying width: each a row of points and the width at each of them."""
        picture, pen = self._blank()
        for points, widths in lines:
            places = self._place(points)
            for start, end, width in zip(places, places[1:], widths * self.scale, strict=False):
                pen.line([start, end], fill=255, width=max(1, round(float(width))))
                radius = width / 2 - 0.5
                if radius > 0.5:  # rounds off the joint
                    pen.ellipse([start[0] - radius, start[1] - radius, start[0] + radius, start[1] + radius], fill=255)
        return self._stencil(picture, blur)

    def clouds(self, dice: np.random.Generator, cells: int) -> np.ndarray:
        """Smooth noise of about zero mean and unit deviation, `cells` lumps across."""
        lumps = Image.fromarray(dice.standard_normal((cells, cells)).astype(np.float32))
        return np.asarray(lumps.resize((self.pixels, self.pixels), Image.Resampling.BICUBIC))

    def _blank(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        picture = Image.new("L", (self.pixels, self.pixels))
        return picture, ImageDraw.Draw(picture)

    def _place(self, points: Points) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in (points + REACH) * self.scale]

    def _stencil(self, picture: Image.Image, blur: float) -> Stencil:
        if blur:
            picture = picture.filter(ImageFilter.GaussianBlur(blur * self.scale))
        return np.asarray(picture, dtype=np.float32) / 255


def blob(dice: np.random.Generator, centre: Points, radius: float, *, rough: float = 0.2) -> Points:
    """An irregular round outline; `rough` is the share of the radius by which it wavers."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    heights, phases = dice.normal(0, rough, len(WAVES)) / WAVES, dice.uniform(0, 2 * np.pi, len(WAVES))
    waver = heights @ np.cos(WAVES[:, None] * angles + phases[:, None])
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return centre + radius * (1 + np.tanh(waver))[:, None] * around
