"""What an audit found that speaks of copying -> a few words for the first page. A passed audit alone is not taken for
an absence of copies: near copies are few among many images, and images far from everything real are near to nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from medsynth.report import words
from medsynth.report.collect import Made
from medsynth.report.proof import share

SPACES = {"features": "the extractor's features", "appearance": "vessels and spots"}
NEEDED = ("copy_ratio", "patient_ratio")  # in both spaces; without them nothing is said to be absent
SHARES = {  # score of a space -> what more of it than expected means
    "copy_ratio": "of the images are near copies of a training image",
    "patient_ratio": "are unusually close to one training patient",
    "c05": "are closer to a training image than nearly all new patients' images",
}
COUNTS = {
    "synthetic.exact_duplicates": ("image is a training image", "images are a training image", " in every pixel"),
    "synthetic.near_duplicates": ("image shows", "images show", " nearly the picture of a training image"),
}
WEIGHTS = ("membership.auc", "membership.auc_uncalibrated")  # the first that there is
BETRAYED = "the generator's weights give away who was trained on (AUC {:.2f})"
TOO_FAR = "these images lie too far from everything real for this to say much"


@dataclass(frozen=True)
class Signs:
    """Of one audit, or the largest of several."""

    shares: dict[str, float]  # score -> the larger share of both spaces, where it is more than expected beyond doubt
    counts: dict[str, int]  # score -> synthetic images, more than none
    weights: float | None  # AUC by which the generator's loss tells training images, where it does beyond doubt
    weights_asked: bool
    too_far: bool  # in a space: farther from the training images than new patients' images, beyond doubt
    whole: bool  # everything was looked for

    @property
    def of_images(self) -> bool:
        return bool(self.shares or self.counts)


def signs(made: Made) -> Signs:
    shares: dict[str, float] = {}
    for space in SPACES:
        for key in SHARES:
            if _more(made, f"{space}.{key}"):
                shares[key] = max(shares.get(key, 0.0), made.scores[f"{space}.{key}"].value)
    counts = {key: int(made.scores[key].value) for key in COUNTS if key in made.scores and made.scores[key].value}
    asked = next((made.scores[key] for key in WEIGHTS if key in made.scores), None)
    told = asked is not None and asked.ci_low is not None and asked.ci_low > 0.5
    away = [score.ci_low for space in SPACES if (score := made.scores.get(f"{space}.c_t"))]
    needed = [f"{space}.{key}" for space in SPACES for key in NEEDED]
    whole = all(key in made.scores and made.scores[key].ci_low is not None for key in needed)
    return Signs(
        shares, counts, asked.value if asked and told else None, asked is not None,
        any(low is not None and low > 0 for low in away), whole and "synthetic.near_duplicates" in made.scores,
    )  # fmt: skip


def _more(made: Made, name: str) -> bool:
    """Whether a share is more than is expected of a perfect generator, beyond doubt. Of copies the difference to new
    patients' images has an interval of its own, of both; audits before it have the share alone."""
    beyond = made.scores.get(name.replace("copy_ratio", "copy_excess")) if name.endswith("copy_ratio") else None
    if beyond is not None:
        return beyond.ci_low is not None and beyond.ci_low > 0
    found, expected = made.scores.get(name), made.scores.get(f"{name}.expected")
    return found is not None and found.ci_low is not None and found.ci_low > (expected.value if expected else 0.0)


def verdict(found: Iterable[Signs], *, failed: int, of: int, close: bool) -> str:
    """The answer to whether the images are new. `failed` of `of` audits were not passed; `close`: more images than
    expected are close to a training image, if not beyond doubt."""
    some = [*found]
    seen, weights = _named(some), [each.weights for each in some if each.weights is not None]
    betrayed = [BETRAYED.format(max(weights))] if weights else []
    if failed:
        many = f" in {failed} of {of} cases" if of > 1 else ""
        return f"Not shown; the audit was not passed{many}{_after(seen + betrayed)}."
    if seen:
        return f"Signs of copying, though the audit was passed{_after(seen + betrayed)}."
    if any(each.too_far for each in some):
        return f"The audit was passed, but {words.listed([TOO_FAR, *betrayed])}."
    if betrayed:
        return f"No sign of copying in the images, but {betrayed[0]}."
    if not all(each.whole for each in some):
        return "Not settled; the audit was passed, but not everything was looked for."
    if close:
        return "Not settled; the audit was passed, but closer than expected."
    if not all(each.weights_asked for each in some):
        return "No sign of copying in the images; the audit was passed."
    return "No sign of copying; the audit was passed."


def _named(some: list[Signs]) -> list[str]:
    """Every kind of sign once, with its largest number."""
    said = []
    for key, (one, many, what) in COUNTS.items():
        counts = [each.counts[key] for each in some if key in each.counts]
        if counts:
            up_to = "up to " if len(set(counts)) > 1 else ""
            said.append(f"{up_to}{words.count(max(counts), one, many)}{what}")
    for key, what in SHARES.items():
        shares = [each.shares[key] for each in some if key in each.shares]
        if shares:
            said.append(f"{'up to ' if len(shares) > 1 else ''}{share(max(shares))} % {what}")
    return said


def _after(said: list[str]) -> str:
    return f": {'; '.join(said)}" if said else ""
