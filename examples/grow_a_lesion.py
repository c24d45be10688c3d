"""Teach an automaton to grow two lesions from one cell, and to heal them: python examples/grow_a_lesion.py FOLDER

It is told which lesion to grow, a haemorrhage or a cotton-wool spot. After about a minute on one core the folder holds
growth.png (from the seed on, a row for each lesion) and regrowth.png (whole, hit, grown back; last, told to become the
other lesion half-way).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medsynth import nca, seeds
from medsynth.data import png
from medsynth.data.drawn.canvas import Canvas, blob
from medsynth.draws import row_draws, step_draws

SIDE, LIFE = 20, 3  # cells a side; alpha, the fourth visible channel, says where there is life
BATCH, SHORTEST, LONGEST = 4, 20, 28
COLOURS = ((0.55, 0.06, 0.05), (0.98, 0.93, 0.72))  # of a haemorrhage and of a cotton-wool spot


def lesions(seed: int) -> Tensor:
    """What is to be grown, (lesion, row, column, 4): colours times alpha, and alpha."""
    dice, canvas = np.random.default_rng(seed), Canvas(SIDE)
    drops = [blob(dice, np.array([0, 0.1]), 0.5, rough=0.4), blob(dice, np.array([0.45, -0.5]), 0.2, rough=0.4)]
    lobes = [blob(dice, dice.normal(0, 0.25, 2), 0.35, rough=0.4) for _ in range(5)]
    stencils = (canvas.areas(drops, blur=0.02), canvas.areas(lobes, blur=0.06))
    alphas = torch.stack([torch.from_numpy(stencil) for stencil in stencils])[..., None]
    return torch.cat([alphas * torch.tensor(COLOURS)[:, None, None], alphas], dim=3)


def automaton() -> nca.Automaton:
    """Four visible channels, twelve hidden ones, and two that say which lesion."""
    layout = nca.Layout(visible=4, hidden=12, condition=2, alive=2 + LIFE)
    filters = nca.Filters(layout.channels)
    return nca.Automaton(
        layout, filters, nca.mlp(filters.outputs, layout.moving, (96,), nca.Form(slope=0.0, last="zero"))
    )


def train(model: nca.Automaton, targets: Tensor, steps: int, seed: int) -> None:
    """Half of every batch begins as a seed; the rest goes on from the pool: hit, or told to become the other lesion."""
    optimizer = torch.optim.Adam(model.parameters())
    slower = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    pool = nca.SamplePool(128, model.layout)
    for step in range(steps):
        draws = step_draws(seeds.derive(seed, "train", step), BATCH)
        which = torch.arange(BATCH) % 2
        fresh = nca.Sample(model.layout.seed(BATCH, (SIDE, SIDE), torch.eye(2)[which]), targets[which])
        rules = nca.Rules(nca.share_at(step, steps, delay=steps // 5), damage=0.25, change=0.25)
        drawn = pool.draw(fresh, rules, seeds.derive(seed, "pool", step))
        grown = model.grow(drawn.state, nca.lengths(draws, SHORTEST, LONGEST), draws)
        errors = (model.layout.shown(grown) - drawn.target).square().mean((1, 2, 3))
        optimizer.zero_grad()
        (errors.mean() + 0.1 * nca.overflow(grown, model.layout)).backward()
        for weights in model.parameters():  # of length one, as Mordvintsev et al. 2020 have it
            weights.grad /= weights.grad.norm() + 1e-8
        optimizer.step()
        slower.step()
        pool.add(nca.Sample(grown, drawn.target), errors)
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: error {errors.mean().item():.4f}", flush=True)


@torch.no_grad()
def shown(model: nca.Automaton, targets: Tensor, folder: Path) -> None:
    """Both pictures, and how much of the damage grows back."""
    draws, layout, film = row_draws([1, 2]), model.layout, nca.Snapshots(every=6)
    whole = model.grow(layout.seed(2, (SIDE, SIDE), torch.eye(2)), 80, draws, [film])
    strip(folder / "growth.png", [*film.states[:8], whole], layout)

    hit = nca.damaged(whole, nca.half(2, (SIDE, SIDE)), layout)
    healed = model.grow(hit, 120, draws)
    changed = model.grow(layout.with_told(whole, torch.eye(2).flip(0)), 120, draws)
    strip(folder / "regrowth.png", [whole, hit, healed, changed], layout)
    for row, name in enumerate(("haemorrhage", "cotton-wool spot")):
        error = [(layout.shown(state)[row] - targets[row]).square().mean().item() for state in (whole, hit, healed)]
        percent = nca.regeneration(*error)
        print(
            f"{name}: error {error[0]:.4f}, hit {error[1]:.4f}, in the end {error[2]:.4f}: {percent:.0f} % grown back"
        )


def strip(path: Path, states: list[Tensor], layout: nca.Layout) -> None:
    """States side by side on the colour of a retina, a row of the picture for each row of the batch."""
    visible = torch.cat([layout.shown(state) for state in states], dim=2)  # (lesion, row, state * column, 4)
    colours = visible[..., :3] + (1 - visible[..., 3:]) * torch.tensor([0.80, 0.42, 0.24])
    pixels = (255 * colours.clamp(0, 1)).byte().flatten(0, 1).numpy()
    path.write_bytes(png.encode(np.ascontiguousarray(pixels.repeat(3, axis=0).repeat(3, axis=1))))
    print(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("grown"))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    asked.folder.mkdir(parents=True, exist_ok=True)
    learner, drawn_lesions = automaton(), lesions(asked.seed)
    train(learner, drawn_lesions, asked.steps, asked.seed)
    shown(learner, drawn_lesions, asked.folder)
