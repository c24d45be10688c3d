"""What compare, features, evaluate and audit leave in a run, drawn by hand for the report to read: real files, written
through the modules that stages write with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from drawn_run import DrawnRun

from medsynth.artifacts import audit, cohort, comparisons, features, scores
from medsynth.artifacts.audit import Evidence, Pair
from medsynth.artifacts.comparisons import ArmFound, ArmScore, Calibration, Change, Comparison, Comparisons
from medsynth.artifacts.features import Features
from medsynth.artifacts.scores import Score
from medsynth.chain import REAL, THROUGH

Interval = tuple[float, float, float]  # difference, low, high
GAIN: Interval = (0.031, -0.004, 0.070)
OF_SPACE = (  # of an honest generator
    ("copy_ratio", 0.0, 0.0, 0.0), ("copy_excess", -0.02, -0.04, -0.01), ("patient_ratio", 0.04, 0.01, 0.09),
    ("c_t", -0.3, -1.2, 0.6),
)  # fmt: skip
EXPECTED = {"copy_ratio": 0.0, "copy_excess": 0.0, "patient_ratio": 0.05, "c_t": 0.0}
PLAIN = ("real", "real+geometric")


def comparisons_of(
    labels: Sequence[str] = ("haemorrhage", "exudate"),
    gains: Mapping[tuple[str, str], Interval] | None = None,
    *,
    folds: int = 3,
    repeats: int = 1,
    p: float = 0.3,
    permuted: float | None = 0.01,
) -> Comparisons:
    """`gains`: (arm, baseline) -> the gain in mAP; left out, GeCA against both plain arms."""
    gains = {("real+geca", plain): GAIN for plain in PLAIN} if gains is None else gains
    arms = dict.fromkeys([*PLAIN, *(name for pair in gains for name in pair), "synthetic-only"])
    names = ["map", "auc", *(f"{score}.{label}" for score in ("ap", "auc") for label in labels)]
    tested = tuple(range(folds))
    curve = Calibration(0.04, (0.1, 0.5, 0.9), (0.15, 0.4, 0.95), (8, 8, 8))
    found = [
        ArmFound(
            arm, tested, repeats, {name: ArmScore(0.7, 0.6, 0.8, 0.7, 0.01, None) for name in names}, curve, {}, {}
        )
        for arm in arms
    ]
    compared = [
        Comparison(arm, plain, True, tested, {name: Change(*gain, p / 2, permuted) for name in names}, {}, p)
        for (arm, plain), gain in gains.items()
    ]
    control = Comparison("synthetic-only", "real", False, tested, {"map": Change(-0.1, -0.2, 0.0, 0.04)}, {})
    return Comparisons(
        "eye", "map", tuple(labels), 0.95, 10000, 10000, 0.5, tuple(found), (*compared, control)
    )  # fmt: skip


def compare(run: DrawnRun, known: Comparisons | None = None) -> DrawnRun:
    artifact = run.run.artifact("compare")
    folder = _scratch(artifact.scratch("0e"))
    comparisons.save(folder, known or comparisons_of(run.facts.labels, folds=run.facts.folds))
    run.publish(artifact, "0e", {"summary": {"unit": "eye"}})
    return run


def extract(run: DrawnRun, fold: int, kind: str = "geca") -> DrawnRun:
    """Features of the real images, of a generator's, and of those that went through the codec."""
    everyone = cohort.load(run.run.artifact("ingest").folder)
    made = cohort.load(run.run.artifact("expand", fold, kind).folder)
    sets = {REAL: everyone.samples, kind: made.samples, f"{THROUGH}kl": everyone.testing(fold).samples}
    for seed, (name, samples) in enumerate(sets.items()):
        artifact = run.run.artifact("features", fold, name)
        folder = _scratch(artifact.scratch("0f"))
        values = np.random.default_rng(seed).normal(size=(len(samples), 6)).astype(np.float32)
        pixels = np.zeros((len(samples), 4, 4, 3), np.uint8)
        features.save(
            folder, Features(tuple(s.sample for s in samples), values, None, pixels, f"resnet34-fold{fold}:ab")
        )
        if name.startswith(THROUGH):
            lost = {"psnr": 30.9, "ssim": 0.942, "auc": 0.968, "auc_reconstructed": 0.951}
            scores.save(folder, {f"test.{key}": Score(value, 8, "image") for key, value in lost.items()})
        run.publish(artifact, "0f", {}, trained=fold)
    return run


def evaluate(
    run: DrawnRun,
    fold: int,
    kind: str = "geca",
    *,
    ours: Interval = (35.4, 17.0, 63.2),
    more: Interval | None = (38.3, -4.1, 66.0),
) -> DrawnRun:
    """`more`: by how much KID exceeds that of real images; None: it was not measured."""
    artifact = run.run.artifact("evaluate", fold, kind)
    folder = _scratch(artifact.scratch("0a"))
    found = {"synthetic.kid_across": Score(ours[0], 16, "image", ours[1], ours[2]), "synthetic.fid": Score(96.1)}
    found |= {"floor.kid_across": Score(-2.9, 8, "image", -18.5, 17.7), "floor.fid": Score(40.2)}
    if more is not None:
        found["excess.kid_across"] = Score(more[0], 4, "patient", more[1], more[2])
    scores.save(folder, found)
    run.publish(artifact, "0a", {"summary": {"extractor": f"resnet34-fold{fold}:ab"}}, trained=fold)
    return run


def look(
    run: DrawnRun, fold: int, kind: str = "geca", *, passed: bool = True, share: float = 0.05, **more: Score
) -> DrawnRun:
    """An audit, with the pairs that it kept. `more`: scores in place of those of an honest generator."""
    artifact = run.run.artifact("audit", fold, kind)
    folder = _scratch(artifact.scratch("0b"))
    found = {
        f"{space}.c05": Score(value, 16, "image", value / 2, min(1.0, 2 * value))
        for space, value in (("features", 0.01), ("appearance", share))
    }
    found |= {f"{space}.c05.expected": Score(0.05) for space in ("features", "appearance")}
    for space in ("features", "appearance"):
        found |= {f"{space}.{name}": Score(value, 16, "image", low, high) for name, value, low, high in OF_SPACE}
        found |= {f"{space}.{name}.expected": Score(value) for name, value in EXPECTED.items()}
    found |= {"membership.auc": Score(0.6, 8, "image", 0.4, 0.8)}
    found |= {f"synthetic.{kind}_duplicates": Score(0.0) for kind in ("exact", "near")}
    found |= more
    scores.save(folder, found)
    everyone = cohort.load(run.run.artifact("ingest").folder)
    made = cohort.load(run.run.artifact("expand", fold, kind).folder).samples
    training, new = everyone.training(fold).samples, everyone.testing(fold).samples
    pairs = [
        Pair(space, origin, label, sample.sample, training[i].sample, 0.1 + 0.01 * i, False)
        for space in ("features", "appearance")
        for origin, samples in (("synthetic", made), ("real", new))
        for label in ("", *run.facts.labels)
        for i, sample in enumerate(samples[:4])
    ]
    audit.save(folder, Evidence(tuple(pairs), (), ()))
    reasons = ["All is as it should be."] if passed else [f"{training[0].sample} was copied."]
    run.publish(artifact, "0b", {"summary": {"passed": passed, "reasons": reasons}}, trained=fold)
    return run


def judged(run: DrawnRun) -> DrawnRun:
    """Everything, compared, evaluated and audited; the audit of the last fold is not passed."""
    compare(run.everything())
    for fold in range(run.facts.folds):
        extract(run, fold)
        evaluate(run, fold)
        look(run, fold, passed=fold < run.facts.folds - 1, share=0.05 + 0.1 * fold)
    return run


def _scratch(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
