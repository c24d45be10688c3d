"""A trained segmenter -> an ONNX file of one run, for devices without torch.

What is random comes in as inputs, so that whoever runs it decides, and the same numbers give the same mask as here:

    image      (1, channel, row, column), colours from -1 to 1
    uniform_R_C   (count, 1, R, C), uniform in [0, 1): which cells of an R x C grid fire, step after step
    normal_R_C    (count, 1, 1, R, C), standard normal: what a diffusion begins with
    -> mask    (1, 1, row, column), probabilities
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medsynth import segmenters
from medsynth.applied import marks, refuse_occupied, square_of, trained
from medsynth.artifacts import files, weights
from medsynth.draws import RowDraws, row_draws
from medsynth.errors import BadUsage, MedsynthError
from medsynth.rundir import LEAK, Artifact, RunDirectory

MOST_STEPS = 600  # of an automaton: every one of them is written out
CLOSE = 1e-4  # the largest difference of two probabilities that rounding explains
SEED = 0  # of the numbers that a file is checked with


@dataclass(frozen=True)
class Written:
    """What was written."""

    path: Path
    inputs: dict[str, tuple[int, ...]]  # name -> shape
    difference: float | None  # the largest from torch's probabilities; None: onnxruntime is not installed
    about: dict[str, Any]  # what the file says of itself, under `medsynth` in its metadata
    marks: list[str]  # what has to be read beside its masks


@dataclass
class _Tape:
    """Draws that are written down (`known` is empty), or read off again."""

    source: RowDraws | None = None
    known: dict[str, Tensor] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    drawn: dict[str, list[Tensor]] = field(default_factory=dict)
    rows: int = 1

    def normal(self, *shape: int) -> Tensor:
        return self._next("normal", shape)

    def uniform(self, *shape: int) -> Tensor:
        return self._next("uniform", shape)

    def apart(self, device: torch.device) -> "RowDraws":
        raise MedsynthError("this segmenter draws numbers in a way that cannot be written down")

    def _next(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        name = f"{kind}_{shape[-2]}_{shape[-1]}"
        if self.source is None:
            self.taken[name] += 1
            return self.known[name][self.taken[name] - 1]
        numbers: Tensor = getattr(self.source, kind)(*shape)
        self.drawn.setdefault(name, []).append(numbers)
        return numbers


class _Run(nn.Module):
    """One run as a function of an image and of its numbers."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, image: Tensor, *numbers: Tensor) -> Tensor:
        tape = _Tape(known=dict(zip(self.names, numbers, strict=True)))
        mask: Tensor = self.model.sample(image, tape, fast=False)
        return mask


def export(run: RunDirectory, path: Path, variant: str, fold: int = 0, size: tuple[int, int] | None = None) -> Written:
    """Write a segmenter for images of so many rows and columns; left out: of those that it learned from.

    Raises BadUsage where the packages for it are missing or where the file would be endless, MissingStep without a
    trained segmenter, and MedsynthError where the file does not say what torch does.
    """
    artifact = exportable(run, path, variant, fold)
    files.make_folder(path.resolve().parent)
    facts = weights.facts(artifact.folder)
    rows, columns = size or (facts["image_size"], facts["image_size"])
    model = segmenters.load(artifact.folder)
    image = 2 * row_draws([SEED]).uniform(facts["channels"], rows, columns) - 1
    tape = _Tape(row_draws([SEED + 1]))
    with torch.no_grad():
        said = model.sample(image, tape, fast=False)
    steps = sum(len(drawn) for name, drawn in tape.drawn.items() if name.startswith("uniform"))
    if steps > MOST_STEPS:
        hint = f"--set segment.{variant}.sampling_steps=4, and train it again; or --variant direct"
        raise BadUsage(f"{variant} takes {steps:,} steps for a mask, too many for a file", hint=hint)
    numbers = {name: torch.stack(drawn) for name, drawn in tape.drawn.items()}
    inputs = {"image": image, **numbers}
    about = {"variant": variant, "fold": fold, "made": artifact.made, **_about(run, facts)}
    if leak := artifact.record().get(LEAK):
        about[LEAK] = leak
    content, differences = _content(_Run(model, list(numbers)), inputs, about), []

    def check(written: Path) -> None:
        differences.append(_difference(written, inputs, said))

    files.write(path, lambda file: file.write(content), check=check)
    shapes = {name: tuple(value.shape) for name, value in inputs.items()}
    return Written(path, shapes, differences[0], about, marks(artifact))


def exportable(run: RunDirectory, path: Path, variant: str, fold: int) -> Artifact:
    """The segmenter that would be written. Raises what `export` raises before its work."""
    _refuse_without("onnx", "onnxscript")
    hint = "--out FILE.onnx, one that is not there yet"
    if path.exists():
        raise BadUsage(f"{path} is there already", hint=hint)
    refuse_occupied(path, hint)
    return trained(run, variant, fold)


def _about(run: RunDirectory, facts: dict[str, Any]) -> dict[str, Any]:
    """How a picture has to be prepared, and how what runs say becomes a mask, as it was tested."""
    runs, square = facts["config"].get("ensemble", 1), square_of(run, facts)
    chosen = f"the {facts['combine']} of {runs} runs" if runs > 1 else "one run"
    return {
        "image_size": square.size, "crop": square.crop, "prepared": square.words, "runs": runs,
        "combine": facts["combine"], "threshold": facts["threshold"],
        "threshold_chosen_for": chosen if facts.get("chosen_on") else None,
    }  # fmt: skip


def _content(module: nn.Module, inputs: dict[str, Tensor], about: dict[str, Any]) -> bytes:
    """What stands in the file."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(), tuple(inputs.values()), input_names=list(inputs), output_names=["mask"], dynamo=True,
            verbose=False,
        )  # fmt: skip
    assert program is not None
    ClearMetadataAndDocStringPass()(program.model)  # of every operation the lines of source that it came from
    program.model.doc_string = None
    program.model.metadata_props.clear()
    program.model.metadata_props["medsynth"] = json.dumps(about)
    content: bytes = program.model_proto.SerializeToString()
    return content


def _difference(path: Path, inputs: dict[str, Tensor], said: Tensor) -> float | None:
    """How far onnxruntime is from torch at most. Raises MedsynthError where that is not rounding."""
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (mask,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    difference = float((torch.from_numpy(mask) - said).abs().max())
    if difference > CLOSE:
        raise MedsynthError(
            f"the file would say something else than torch does, by up to {difference:.2g}",
            hint="another release of torch or onnxruntime",
        )
    return difference


def _refuse_without(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise BadUsage(f"{' and '.join(missing)} cannot be imported", hint=f"pip install {' '.join(missing)}")
