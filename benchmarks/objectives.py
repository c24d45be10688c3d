"""What a network should predict, and from what: KID on a drawn cohort for each way to train -> docs/benchmarks/.

python benchmarks/objectives.py [FOLDER]
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import measure
import studio
import torch

from medsynth.sampling import Sampling

WAYS = {
    "noise, as in the paper": ("prediction=epsilon", "min_snr=0"),
    "noise, min-SNR 5": ("prediction=epsilon", "min_snr=5"),
    "velocity, min-SNR 5": ("prediction=v", "min_snr=5"),
    "rectified flow, logit-normal t": ("prediction=flow", "min_snr=0"),
    "velocity, min-SNR 5, moved copies": ("prediction=v", "min_snr=5", "augment=true"),
}
KINDS = {"geca": "GeCA", "dit": "DiT"}
FOLDS = (0, 1)
TRAINED, IMAGES = 1500, 256

TEXT = f"""# What a network should predict

Drawn cohort (seed {studio.SEED}, {studio.PATIENTS} patients), the demo's recipe, {TRAINED:,} training steps; KID x 1000
[resnet34 of the fold] of {IMAGES} synthetic images against the held-out patients, DPM-Solver++ with 25 steps, at
guidance 1 / 1.5; a pair for each of the {len(FOLDS)} folds, then the mean of them all. With moved copies, seven a
training image, the generator is told how they were moved.
"""


def main() -> None:
    """Train and measure every combination."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    places = [replace(studio.drawn(folder, "encode.augmented=7"), fold=fold) for fold in FOLDS]
    for place in places:
        place.done("classify", ["real"])
    rows: list[dict[str, Any]] = []
    for kind, name in KINDS.items():
        for way, changes in WAYS.items():
            asked = [f"generator.{kind}.{change}" for change in (*changes, f"steps={TRAINED}", "watch_every=0")]
            pairs = []
            for place in places:
                place.done("generator", [kind], *asked)
                pairs.append([place.kid_of(kind, Sampling(scale, "dpm++", 25), IMAGES) for scale in (1.0, 1.5)])
            shown = ", ".join(f"{plain:.0f} / {guided:.0f}" for plain, guided in pairs)
            mean = round(fmean(value for pair in pairs for value in pair), 1)
            rows.append({"generator": name, "trained on": way, "KID x 1000": shown, "mean": mean})
            print(rows[-1], file=sys.stderr, flush=True)
    measure.write("objectives", TEXT, rows, {"rows": rows})


if __name__ == "__main__":
    main()
