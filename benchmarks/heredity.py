"""What a step of GeCA should leave to the next: the ablation of Gene Heredity Guidance -> docs/benchmarks/heredity.*.

    medsynth new RUN --recipe retinamnist --set ingest.source=FILE
    python benchmarks/heredity.py RUN

GeCA is trained as the paper has it (noise prediction, 12 updates, half of the cells firing, a fresh seed for every
example) and sampled as the paper has it (250 ancestral steps, guidance 1.5), but for its size, the size of the images
and the length of the training. The paper's KID x 1000 on fundus images stands beside what comes out here.
"""

import math
import sys
from pathlib import Path
from typing import Any

import measure
import studio
import torch

from medsynth import recipe
from medsynth.rundir import RunDirectory
from medsynth.sampling import Inherit, Sampling

PAPER: dict[Inherit, float] = {"nothing": 19.37, "output": 44.22, "both": 12.84, "hidden": 7.42}
IMAGES = 256
AS_IN_THE_PAPER = (
    "generator.updates=12", "generator.fire_rate=0.5", "generator.prediction=epsilon", "generator.min_snr=0",
    "generator.noise_schedule=linear", "generator.label_dropout=per-label", "generator.heredity=0",
    "generator.steps=3000", "generator.preview_every=1000", "generator.watch_every=0",
)  # fmt: skip
WAYS = (("ddpm", 250), ("ddpm", 50), ("dpm++", 25))


def main() -> None:
    """Train once, draw in every way, measure each."""
    torch.set_num_threads(1)
    place = studio.Studio(RunDirectory(Path(sys.argv[1])), AS_IN_THE_PAPER)
    place.done("ingest", [])
    place.done("classify", ["real"])
    record = place.done("generator", ["geca"])
    rows: list[dict[str, Any]] = []
    for sampler, steps in WAYS:
        row: dict[str, Any] = {"sampler": f"{sampler}, {steps} steps"}
        for inherit in PAPER:
            distance = place.kid_of("geca", Sampling(1.5, sampler, steps, inherit=inherit), IMAGES)
            row[inherit] = distance if math.isfinite(distance) else "no number"
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    rows.append({"sampler": "the paper's, 250 steps", **PAPER})
    summary, reference = record["summary"], place.reference()
    images = recipe.parse(place.run.recipe_text()).ingest
    text = f"""# Gene Heredity Guidance: what a diffusion step leaves to the next

{Path(images.source).name} at {images.image_size} pixels, {summary["images"]} training images; GeCA of
{summary["parameters"]:,} parameters, {summary["steps"]:,} training steps of {record["settings"]["batch_size"]} images.
KID x 1000 [resnet34-fold{place.fold}] of {IMAGES} synthetic images against the held-out real ones; the paper's is
[Inception] at 256 pixels: orders can be compared, values cannot. The real training images: {reference["kid"]:.1f}: the
extractor has learnt them, so that they lie further from new patients' images than what it has never seen."""
    facts = {"reference": reference, "summary": summary, "settings": record["settings"], "rows": rows}
    measure.write("heredity", text, rows, facts)


if __name__ == "__main__":
    main()
