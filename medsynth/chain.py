"""The stages of the chain as data: their order, and what each needs.

A stage has one name. It is the module in `stages/`, the section of the recipe, the folder in the run and, with `train-`
before the two that train a model, the command.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One step of the chain, as data."""

    name: str
    command: str
    needs: tuple[str, ...] = ()
    prepares: tuple[str, ...] = ()  # needs that are done on the way when they are missing or out of date
    per_fold: bool = True
    parallel: bool = False  # every process of a torchrun works; otherwise the first works and the others wait
    gathers: tuple[str, ...] = ()  # stages of which it takes whatever the run holds, finished or not
    on_request: bool = False  # done when it is named, or on the way to another one; not because a recipe is run
    across_folds: bool = False  # what it finds in a fold depends on what other folds hold, too


STAGES = (
    Stage("ingest", "ingest", per_fold=False),
    Stage("codec", "train-codec", needs=("ingest",), parallel=True),
    Stage("encode", "encode", needs=("ingest", "codec"), prepares=("codec",)),
    Stage(
        "generator", "train-generator", needs=("ingest", "codec", "encode"), prepares=("codec", "encode"), parallel=True
    ),
    Stage("expand", "expand", needs=("ingest", "codec", "generator"), parallel=True),
    Stage("classify", "classify", needs=("ingest", "expand", "codec", "encode"), prepares=("codec", "encode")),
    Stage(
        "features", "features", needs=("ingest", "classify", "expand", "codec"), prepares=("classify",),
        on_request=True,
    ),
    Stage(
        "evaluate", "evaluate", needs=("ingest", "classify", "expand", "features"),
        prepares=("classify", "features"),
    ),
    Stage(
        "audit", "audit", needs=("ingest", "expand", "features", "generator", "codec"),
        prepares=("classify", "features"), across_folds=True,
    ),
    Stage("segment", "segment", needs=("ingest", "expand"), parallel=True, on_request=True),
    Stage("compare", "compare", needs=("ingest",), per_fold=False, gathers=("classify",), across_folds=True),
    Stage(
        "report", "report", needs=("ingest",), prepares=("compare",), per_fold=False, across_folds=True,
        gathers=(
            "codec", "encode", "generator", "expand", "classify", "features", "evaluate", "audit", "segment", "compare",
        ),
    ),
)  # fmt: skip
REAL, THROUGH = "real", "through-"  # kinds of features: of real images, of real images that went through a codec
SKIPPABLE = ("evaluate", "audit")  # a run may leave them out: nothing is made from what they find
WITHOUT_TORCH = ("ingest", "compare", "report")  # numbers and files only
LOSSLESS = "identity"  # the codec that loses nothing
BY_NAME = {stage.name: stage for stage in STAGES}
