"""What a network should predict: KID on a drawn cohort for each objective, generator and seed -> docs/benchmarks/.

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

OBJECTIVES = {
    "noise, as in the paper": ("epsilon", 0.0),
    "noise, min-SNR 5": ("epsilon", 5.0),
    "velocity, min-SNR 5": ("v", 5.0),
    "rectified flow, logit-normal t": ("flow", 0.0),
}
KINDS = {"geca": "GeCA", "dit": "DiT"}
FOLDS = (0, 1)
TRAINED, IMAGES = 2000, 256

TEXT = f"""# What a network should predict

Drawn cohort (seed {studio.SEED}, {studio.PATIENTS} patients), the demo's recipe, {TRAINED:,} training steps; KID x 1000
[resnet34 of the fold] of {IMAGES} synthetic images against the held-out patients, DPM-Solver++ with 25 steps, at
guidance 1 / 1.5; a pair for each of the {len(FOLDS)} folds, then the mean of them all.
"""


def main() -> None:
    """Train and measure every combination."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    places = [replace(studio.drawn(folder), fold=fold) for fold in FOLDS]
    for place in places:
        place.done("classify", ["real"])
    rows: list[dict[str, Any]] = []
    for kind, name in KINDS.items():
        for objective, (prediction, gamma) in OBJECTIVES.items():
            asked = (f"prediction={prediction}", f"min_snr={gamma}", f"steps={TRAINED}", "watch_every=0")
            pairs = []
            for place in places:
                place.done("generator", [kind], *(f"generator.{kind}.{change}" for change in asked))
                pairs.append([place.kid_of(kind, Sampling(scale, "dpm++", 25), IMAGES) for scale in (1.0, 1.5)])
            shown = ", ".join(f"{plain:.0f} / {guided:.0f}" for plain, guided in pairs)
            mean = round(fmean(value for pair in pairs for value in pair), 1)
            rows.append({"generator": name, "objective": objective, "KID x 1000": shown, "mean": mean})
            print(rows[-1], file=sys.stderr, flush=True)
    measure.write("objectives", TEXT, rows, {"rows": rows})


if __name__ == "__main__":
    main()
