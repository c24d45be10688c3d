"""The arms of a run -> the table that papers print (Elbatel et al. 2024, table 2), as LaTeX, Markdown or CSV.

Mean and standard deviation over folds, in per cent, and the p of the difference to the real images alone: that of the
paired bootstrap over patients of the score that was declared to decide.
"""

import csv
import io

from medsynth.report import words
from medsynth.report.collect import NOTHING, Found, mean_and_spread

FORMATS = ("latex", "markdown", "csv")
COLUMNS = ("sensitivity", "specificity", "auc", "f1", "f1senspe", "map", "balancedaccuracy", "kappaquadratic", "kappa")
BASELINE = "real"


def table(found: Found, form: str) -> str:
    """The table of the weightiest unit that was scored."""
    metrics = [metric for metric in COLUMNS if metric in found.metrics(found.unit)]
    chances = _chances(found)
    head = ["Trained on", *(words.metric(metric) for metric in metrics), "p"]
    rows = [[words.arm(arm), *_cells(found, arm, metrics), chances.get(arm, NOTHING)] for arm in found.arms]
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


def _cells(found: Found, arm: str, metrics: list[str]) -> list[str]:
    cells = []
    for metric in metrics:
        folds = found.values(found.unit, metric).get(arm, {})
        if not folds:
            cells.append(NOTHING)
            continue
        mean, deviation = mean_and_spread(folds.values())
        cells.append(f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}"))
    return cells


def _chances(found: Found) -> dict[str, str]:
    """arm -> p against the real images alone."""
    known = found.comparisons
    if known is None:
        return {}
    return {
        c.arm: words.chance(c.changes[known.primary].p)
        for c in known.comparisons
        if c.baseline == BASELINE and known.primary in c.changes
    }


def _escaped(text: str) -> str:
    """What LaTeX would take for something else: names of generators and arms hold little of it."""
    for sign in "\\&%$#_{}":
        text = text.replace(sign, f"\\{sign}" if sign != "\\" else r"\textbackslash ")
    return text.replace("±", r"$\pm$").replace("<", "$<$").replace("–", "--")
