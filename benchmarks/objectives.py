"""What a network should predict, and from what: KID on a drawn cohort for each way to train -> docs/benchmarks/.

python benchmarks/objectives.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import measure
import studio
import torch

from medsynth.sampling import Sampling

WAYS = {
    "noise, as in the paper": ("prediction=epsilon", "min_snr=0"),
    "velocity, min-SNR 5": ("prediction=v", "min_snr=5"),
    "rectified flow, logit-normal t": ("prediction=flow", "min_snr=0"),
    "velocity, min-SNR 5, moved copies": ("prediction=v", "min_snr=5", "augment=true"),
}
KINDS = {"geca": "GeCA", "dit": "DiT"}
TRAINED, IMAGES = 1500, 256

TEXT = f"""# What a network should predict

Drawn cohort (seed {studio.SEED}, {studio.PATIENTS} patients, fold 0), the demo's recipe, {TRAINED:,} training steps.
KID x 1000 [resnet34-fold0] of some {IMAGES} synthetic images against the held-out patients, DPM-Solver++ with 25 steps,
at guidance 1 / 1.5, and the AUC of a classifier trained on images drawn at 1.5 alone. One training each. With moved
copies, seven a training image, the generator is told how they were moved.
"""


def main() -> None:
    """Train and measure every combination."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    place = studio.drawn(folder, "encode.augmented=7", "expand.factor=2", "expand.sampling_steps=25")
    place.done("classify", ["real"])
    reference = place.reference()
    rows: list[dict[str, Any]] = []
    for kind, name in KINDS.items():
        for way, changes in WAYS.items():
            asked = [f"generator.{kind}.{change}" for change in (*changes, f"steps={TRAINED}", "watch_every=0")]
            guided = place.measured(kind, f"generator.kind={kind}", *asked)
            plain = place.kid_of(kind, Sampling(1.0, "dpm++", 25), IMAGES)
            shown = f"{plain:.0f} / {guided['kid']:.0f}"
            rows.append({"generator": name, "trained on": way, "KID x 1000": shown, "AUC": guided["auc"]})
            print(rows[-1], file=sys.stderr, flush=True)
    real = {"generator": "real training images", "trained on": "", "AUC": reference["auc"]}
    rows.append(real | {"KID x 1000": f"{reference['kid']:.0f}"})
    measure.write("objectives", TEXT, rows, {"rows": rows})


if __name__ == "__main__":
    main()
