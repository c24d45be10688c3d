"""The arms of a run -> the table that papers print (Elbatel et al. 2024, table 2), as LaTeX, Markdown or CSV.

Mean and standard deviation over all trainings of an arm, every fold and repeat, in per cent, and the p of the
difference to the real images alone: that of the paired bootstrap over patients of the score that was declared to
decide, as it is and adjusted by Holm over all declared comparisons, where a control has a dash. Beside sensitivity and
specificity stands that of McNemar's test of the decisions for all labels together.

Where nothing but segmenters was tested, the table is theirs: scores of their masks.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from medsynth.arms import without_repeat
from medsynth.report import masks, segmentation, words
from medsynth.report.collect import NOTHING, Found, Made, mean_and_spread

FORMATS = ("latex", "markdown", "csv")
COLUMNS = ("sensitivity", "specificity", "auc", "f1", "f1senspe", "map", "balancedaccuracy", "kappaquadratic", "kappa")
BASELINE = "real"
SHARES, LENGTHS = ("dice", "iou", "dice_lesions", "iou_lesions"), ("hd95",)  # of masks: in per cent; in pixels


def table(found: Found, form: str, *, of_masks: bool = False) -> str:
    """Classifiers by the weightiest unit that was scored; segmenters by their masks where these are asked for, or
    where nothing else was to become better."""
    head, rows = _segmenters(found) if of_masks or found.only_masks else _classifiers(found)
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *rows])
        return text.getvalue()
    if form == "markdown":
        ruled = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in ruled)
    body = [" & ".join(map(_escaped, cells)) + r" \\" for cells in [head, *rows]]
    columns = "l" + "r" * (len(head) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", body[0], r"\hline", *body[1:], r"\hline", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _classifiers(found: Found) -> tuple[list[str], list[list[str]]]:
    metrics = [metric for metric in COLUMNS if metric in found.metrics(found.unit)]
    chances, decided = _chances(found), {metric: _decided(found, metric) for metric in metrics}
    head = ["Trained on"]
    for metric in metrics:
        head += [words.metric(metric), *([f"p, {words.metric(metric).lower()}"] if decided[metric] else [])]
    known = found.comparisons
    decides = words.metric(known.primary if known else "")
    head += [f"p, {decides}", f"p, {decides}, Holm"] if known else []
    dashes = (NOTHING, NOTHING) if known else ()
    rows = [
        [words.arm(arm), *_cells(found, repeats, decided), *chances.get(arm, dashes)]
        for arm, repeats in _repeats(found).items()
    ]
    return head, rows


def _segmenters(found: Found) -> tuple[list[str], list[list[str]]]:
    """Means and deviations over folds, and the p of Dice against the same segmenter without synthetic images."""
    gained = {gain.kind: gain for gain in masks.gains(found)}
    shown = [name for name in SHARES + LENGTHS if any(f"image.{name}" in m.scores for m in found.of("segment"))]
    rows = []
    for kind in found.kinds("segment"):
        made = found.of("segment", kind)
        size = words.large(made[0].get("summary").get("parameters"))
        gain = gained.get(kind)
        chances = (gain.changes[masks.DECIDES].p, gain.holm_p) if gain else (None, None)
        cells = [_of_masks(made, name) for name in shown]
        rows.append([segmentation.called(kind), *cells, size, *map(words.chance, chances)])
    return [
        "Segmenter",
        *(segmentation.MAIN[name][0] for name in shown),
        "parameters",
        "p, Dice",
        "p, Dice, Holm",
    ], rows


def _of_masks(made: Sequence[Made], name: str) -> str:
    values = [score.value for m in made if (score := m.scores.get(f"image.{name}"))]
    return _spread(values, 1 if name in LENGTHS else 100) if values else NOTHING


def _repeats(found: Found) -> dict[str, list[str]]:
    """arm -> it and its repeats, in the order of the arms."""
    arms: dict[str, list[str]] = {}
    for name in found.arms:
        arms.setdefault(without_repeat(name), []).append(name)
    return arms


def _cells(found: Found, repeats: Sequence[str], decided: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Of each metric its mean and spread, and the p of its decisions where any arm has one."""
    cells, arm = [], without_repeat(repeats[0])
    for metric, chances in decided.items():
        values = found.values(found.unit, metric)
        trainings = [value for name in repeats for value in values.get(name, {}).values()]
        cells.append(_spread(trainings) if trainings else NOTHING)
        cells += [chances.get(arm, NOTHING)] if chances else []
    return cells


def _spread(values: Iterable[float], times: int = 100) -> str:
    mean, deviation = mean_and_spread(values)
    return f"{times * mean:.2f}" + ("" if deviation is None else f" ± {times * deviation:.2f}")


def _chances(found: Found) -> dict[str, tuple[str, str]]:
    """arm -> p against the real images alone, as it is and adjusted."""
    known = found.comparisons
    if known is None:
        return {}
    return {
        c.arm: (words.chance(c.changes[known.primary].p), words.chance(c.holm_p))
        for c in known.comparisons
        if c.baseline == BASELINE and known.primary in c.changes
    }


def _decided(found: Found, metric: str) -> dict[str, str]:
    """arm -> p of McNemar's test against the real images alone; empty for a metric that is of no decisions."""
    known = found.comparisons
    if known is None or known.unit != found.unit:
        return {}
    against = [c for c in known.comparisons if c.baseline == BASELINE and metric in c.mcnemar]
    return {c.arm: words.chance(c.mcnemar[metric].p) for c in against}


def _escaped(text: str) -> str:
    """What LaTeX would take for something else: names of generators and arms hold little of it."""
    for sign in "\\&%$#_{}":
        text = text.replace(sign, f"\\{sign}" if sign != "\\" else r"\textbackslash ")
    return text.replace("±", r"$\pm$").replace("<", "$<$").replace("–", "--")
