"""What each generator costs, in time and memory, and what its images give."""

from dataclasses import dataclass
from statistics import fmean

from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, Made
from medsynth.report.tables import Cell, cells


@dataclass(frozen=True)
class CostRow:
    """What a generator costs, means over the folds in words, and what its images give."""

    name: str
    network: list[str]  # parameters, multiply-accumulates of a pass, passes an image
    seconds: str  # to draw an image, and the network's share of it
    memory: str
    training: str
    added: Cell  # the main score with its images beside the real ones
    alone: Cell  # and with its images alone


def costs(found: Found) -> list[CostRow]:
    """A row a generator that has drawn images, with the first score of the weightiest unit."""
    metric = next(iter(found.metrics(found.unit)), "auc")
    reached = dict(zip(found.arms, cells(found, found.unit, metric), strict=True))

    def cell(kind: str, first_word: str) -> Cell:
        """Of the arm that begins so and learned from this generator's images alone."""
        for arm in found.arms:
            used = {made.kind for m in found.of("classify", arm) if (made := found.expansion_of(m))}
            if arm.startswith(first_word) and used == {kind}:
                return reached[arm]
        return Cell(NOTHING, "", [])

    rows = []
    for kind in found.kinds("expand"):
        drawn, trained = found.of("expand", kind), found.of("generator", kind)
        share, steps = _mean(drawn, "network_share"), _mean(trained, "steps")
        gpu, process = _mean(drawn, "peak_gpu_megabytes"), _mean(drawn, "peak_process_megabytes")
        each, macs = _mean(trained, "seconds_per_step"), _mean(trained, "mega_macs_per_forward")
        network = [
            words.large(_mean(trained, "parameters")),
            words.large(None if macs is None else macs * 1e6),
            _said("{:,.4g}", _mean(drawn, "evaluations_per_image")),
        ]
        seconds = _said("{:.2g} s", _mean(drawn, "seconds_per_image"))
        memory = _said("{:,.0f} MB, GPU", gpu) if gpu else _said("{:,.0f} MB, process", process)
        training = _said("{:,.0f} steps", steps)
        if share is not None:
            seconds += f" ({share:.0%})"
        if steps and each:
            training += f", {words.duration(steps * each)}"
        added, alone = cell(kind, "real+"), cell(kind, "synthetic-only")
        rows.append(CostRow(words.generator(kind), network, seconds, memory, training, added, alone))
    return rows


def _mean(made: list[Made], key: str) -> float | None:
    """Of a number that stages reported, over the folds that have it."""
    values = [value for m in made if isinstance(value := m.get("summary").get(key), int | float)]
    return fmean(values) if values else None


def _said(form: str, value: float | None) -> str:
    return NOTHING if value is None else form.format(value)
