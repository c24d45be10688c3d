"""Images + drawn parameters -> the images a little moved: mirrored, turned, shifted, scaled; or RandAugment."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.data import images as colours
from medsynth.draws import Draws
from medsynth.shapes import Images

MAX_DEGREES = 15.0
MAX_SHIFT = 0.05  # of the image's side
MAX_SCALE = 0.1  # from 0.9 to 1.1

Border = Literal["reflection", "zeros"]


@dataclass(frozen=True)
class Moves:
    """How each image of a batch is moved; one entry a row."""

    mirrored: Tensor  # bool, left and right swapped
    degrees: Tensor  # turned by so much, clockwise as seen
    right: Tensor  # shifted to the right by this share of the side
    down: Tensor  # shifted downwards by this share of the side
    scale: Tensor  # made larger by this factor, about the centre


def draw_moves(draws: Draws, *, mirror: bool) -> Moves:
    """Moves for every row of `draws`, uniform in their ranges; half of the rows are mirrored if `mirror`."""
    dice = draws.uniform(5)
    even = 2 * dice - 1  # in [-1, 1)
    return Moves(
        mirrored=(dice[:, 0] < 0.5) & mirror,
        degrees=even[:, 1] * MAX_DEGREES,
        right=even[:, 2] * MAX_SHIFT,
        down=even[:, 3] * MAX_SHIFT,
        scale=1 + even[:, 4] * MAX_SCALE,
    )


def parameters(moves: Moves) -> Tensor:
    """The moves as numbers, (row, 5) in [-1, 1]: mirrored, turned, shifted right and down, scaled; 0 for not at all."""
    shifts = [moves.right / MAX_SHIFT, moves.down / MAX_SHIFT]
    columns = [moves.mirrored.float(), moves.degrees / MAX_DEGREES, *shifts, (moves.scale - 1) / MAX_SCALE]
    return torch.stack(columns, dim=1)


def stay(rows: int) -> Moves:
    """The moves that leave every image as it is."""
    nothing = torch.zeros(rows)
    return Moves(nothing.bool(), nothing, nothing, nothing, torch.ones(rows))


def apply(images: Images, moves: Moves, *, border: Border = "reflection") -> Images:
    """Images mirrored, then scaled, turned and shifted, by one bilinear interpolation on the device they are on.

    What comes in from outside is the picture's own reflection, or with `border="zeros"` middle grey (0 of [-1, 1]).
    """
    grid = F.affine_grid(_inverse(moves).to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), mode="bilinear", padding_mode=border, align_corners=False)


def _inverse(moves: Moves) -> Tensor:
    """For each place of the moved image, the place it comes from: (row, 2, 3), in units of half a side."""
    angle = moves.degrees * (math.pi / 180)
    cos, sin = angle.cos() / moves.scale, angle.sin() / moves.scale
    side = torch.where(moves.mirrored, -1.0, 1.0)
    right, down = 2 * moves.right, 2 * moves.down
    across = torch.stack([side * cos, side * sin, -side * (cos * right + sin * down)], dim=1)
    along = torch.stack([-sin, cos, sin * right - cos * down], dim=1)
    return torch.stack([across, along], dim=1)


def rand_augment(images: Images, draws: Draws) -> Images:
    """RandAugment (Cubuk et al. 2020), torchvision's: two operations an image, at magnitude 9 of 31.

    Its random numbers come from torch's own generator, which is seeded for each image by `draws` and then put back.
    """
    from torchvision.transforms.v2 import RandAugment

    chosen, pixels = RandAugment(), torch.from_numpy(colours.to_pixels(images)).permute(0, 3, 1, 2)
    seeds = (draws.uniform(1)[:, 0].double() * 2**24).long().tolist()
    with torch.random.fork_rng(devices=[]):
        moved = []
        for seed, picture in zip(seeds, pixels, strict=True):
            torch.manual_seed(seed)
            moved.append(chosen(picture))
    return colours.to_images(torch.stack(moved).permute(0, 2, 3, 1).numpy())
