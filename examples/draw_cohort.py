"""Draw a small cohort of retina photographs, to try the pipeline by hand: python examples/draw_cohort.py FOLDER"""

import argparse
from pathlib import Path

from medsynth.data.drawn import LABELS, draw_cohort

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, nargs="?", default=Path("drawn"))
parser.add_argument("--patients", type=int, default=60)
parser.add_argument("--size", type=int, default=96, help="pixels a side")
parser.add_argument("--seed", type=int, default=0)
asked = parser.parse_args()

labels = draw_cohort(asked.folder, patients=asked.patients, seed=asked.seed, size=asked.size)
print(f"medsynth ingest {labels} --labels {','.join(LABELS)} --mask mask --image-size 32 --run runs/drawn")
