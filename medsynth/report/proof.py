"""Numbers in words, beside the numbers to hold them against. Each table names the files that it came from."""

from dataclasses import dataclass

from medsynth.artifacts.scores import Score
from medsynth.report import words
from medsynth.report.collect import NOTHING


@dataclass(frozen=True)
class Row:
    """One number in words, and the numbers to hold it against."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Of one generator and fold, or of the whole run."""

    title: str
    heads: tuple[str, ...]
    rows: list[Row]
    sources: tuple[str, ...]  # files, from the run directory on
    verdict: str = ""
    remark: str = ""


def said(score: Score | None, *, percent: bool = False) -> str:
    """`1,277 (1,104 to 1,391)`; a share in per cent: `21.9 % (12.2 to 40.6)`."""
    if score is None:
        return NOTHING
    number = share if percent else words.number
    text = number(score.value) + (" %" if percent else "")
    if score.ci_low is None or score.ci_high is None:
        return text
    return f"{text} ({number(score.ci_low)} to {number(score.ci_high)})"


def head(name: str, images: int | None) -> str:
    """`synthetic, n = 630`: a column with the number of images that its numbers are of."""
    return name if images is None else f"{name}, n\u00a0=\u00a0{images:,}"


def sized(score: Score | None, images: int | None, *, percent: bool = False) -> str:
    """As `said`, and of how many, where that is not the column's number of images."""
    text = said(score, percent=percent)
    if score is None or score.n in (None, images):
        return text
    return f"{text}, n\u00a0=\u00a0{score.n:,}{'' if score.unit in (None, 'image') else f' {score.unit}s'}"


def share(value: float) -> str:
    """A share in per cent, without the sign: `21.9`, `0.16`."""
    return f"{100 * value:.1f}" if value == 0 or abs(value) >= 0.001 else f"{100 * value:.2g}"
