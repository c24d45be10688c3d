"""How few steps will do: KID and synthetic-only AUC on a drawn cohort over steps and samplers -> docs/benchmarks/.

    python benchmarks/steps.py KIND [FOLDER]

KIND is geca, dit, ldm or iddpm. GeCA is trained three times: as shipped; to predict the velocity, for the ancestral
sampler; and that with half of its examples grown from the hidden state of a pass before (generator.heredity), sampled
with it. The folder keeps the run.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import measure
import studio
import torch

STEPS = (250, 100, 50, 25, 12)
SAMPLERS = ("ddpm", "ddim", "dpm++", "unipc")
FACTOR = 1  # synthetic images for every real one
TRAINED = 2000  # steps
HEREDITY = ("generator.heredity=0.5", "expand.inherit=hidden")
SOLVERS = SAMPLERS[1:]  # a rectified flow has no ancestral sampler
VELOCITY = ("generator.prediction=v",)
WAYS = (
    ("GeCA", "geca", (), SOLVERS, STEPS),
    ("GeCA, velocity", "geca", VELOCITY, ("ddpm",), STEPS),
    ("GeCA, velocity, inheriting hidden", "geca", (*VELOCITY, *HEREDITY), ("ddpm", "dpm++"), STEPS),
    ("DiT", "dit", (), SAMPLERS, STEPS),
    ("LDM", "ldm", (), ("dpm++",), (25, 12)),
    ("iDDPM", "iddpm", (), ("dpm++",), (25, 12)),
)

TEXT = f"""# How few steps will do

Drawn cohort (seed {studio.SEED}, {studio.PATIENTS} patients, fold 0), the demo's recipe with {TRAINED:,} training steps
and {FACTOR} synthetic image for every real one. KID x 1000 [resnet34-fold0] against the held-out patients; AUC: macro,
on their eyes, of a classifier trained on the synthetic images alone. One training and one set of images a cell:
differences of a few units are chance. DPM-Solver++ with 12 steps is the default: no table gives a reason for more.
"""


def main() -> None:
    """Measure what is missing, then write the table."""
    asked_for = sys.argv[1]
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    torch.set_num_threads(1)
    base = [f"generator.{kind}.steps={TRAINED}" for kind in ("geca", "dit", "ldm", "iddpm")]
    place = studio.drawn(folder, f"expand.factor={FACTOR}", *base)
    place.done("classify", ["real"])
    reference, cells = place.reference(), []
    rows: list[dict[str, Any]] = []
    for name, kind, changes, samplers, all_steps in (way for way in WAYS if way[1] == asked_for):
        for sampler in samplers:
            row: dict[str, Any] = {"generator": name, "sampler": sampler}
            for steps in STEPS:
                if steps not in all_steps:
                    row[f"{steps} steps"] = ""
                    continue
                asked = (
                    f"generator.kind={kind}",
                    *changes,
                    f"expand.sampler={sampler}",
                    f"expand.sampling_steps={steps}",
                )
                found = place.measured(kind, *asked)
                cells.append({"generator": name, "sampler": sampler, "steps": steps} | found)
                row[f"{steps} steps"] = f"{found['kid']:.1f} / {found['auc']:.3f}"
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
    text = f"{TEXT}\nKID / AUC of the real training images themselves: {reference['kid']:.1f} / {reference['auc']:.3f}."
    measure.write(f"steps-{asked_for}", text, rows, {"reference": reference, "cells": cells})


if __name__ == "__main__":
    main()
