"""A generator is watched while it learns: who learns images by heart is found, and what it was before is kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import copied
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from shell import contents, done

from medsynth import kinds
from medsynth import recipe as recipes
from medsynth.artifacts import cohort, log
from medsynth.job import Job, Result
from medsynth.rundir import RunDirectory
from medsynth.settings import Watched
from medsynth.stages import generator
from medsynth.training import Fitted, Look, Verdict
from medsynth.watch import judge, passes, remarks

RULE = Watched(copy_limit=0.1, loss_tolerance=0.05, patience=2)
GOOD, COPIES, WORSE = (0.5, 0.0), (0.5, 0.2), (0.6, 0.0)


def looks(*found: tuple[float, float]) -> list[Look]:
    """Looks with a loss on the selection patients and a share of copies each."""
    return [
        {"step": 10 * i, "validation_loss": loss, "copy_share": copies} for i, (loss, copies) in enumerate(found, 1)
    ]


def verdicts(found: list[Look], rule: Watched = RULE) -> tuple[int, int | None]:
    """Whose weights are kept at the end, and after which look training ends, counted from 1."""
    kept = 0
    for count in range(1, len(found) + 1):
        verdict = judge(found[:count], rule)
        kept = count if verdict.keep else kept
        if verdict.stop:
            return kept, count
    return kept, None


# The rule


def test_a_look_passes_with_few_copies_and_a_loss_near_its_lowest() -> None:
    found = looks((1.0, 0.0), (0.5, 0.1), (0.524, 0.0), (0.526, 0.0), (0.5, 0.11), (0.49, 0.0))
    assert passes(found, RULE) == [True, True, True, False, False, True]


@pytest.mark.parametrize(
    ("found", "kept", "stopped"),
    [
        ([GOOD, GOOD, GOOD], 3, None),
        ([GOOD, COPIES, GOOD, COPIES], 3, None),
        ([GOOD, WORSE, WORSE, GOOD], 1, 3),
        ([GOOD, COPIES, COPIES, GOOD], 1, 3),
        ([GOOD, WORSE, COPIES], 1, 3),
    ],
)
def test_the_last_look_that_passes_is_kept_and_patience_ends(
    found: list[tuple[float, float]], kept: int, stopped: int | None
) -> None:
    assert verdicts(looks(*found)) == (kept, stopped)


def test_where_no_look_passes_the_one_with_the_fewest_copies_is_kept() -> None:
    found = looks((0.9, 0.5), (0.8, 0.3), (0.7, 0.4), (0.6, 0.3), (0.6, 0.3))
    assert verdicts(found, RULE.model_copy(update={"patience": 9})) == (4, None)  # of equals, the lower loss
    assert verdicts(found) == (2, 2)


@given(st.lists(st.sampled_from([GOOD, COPIES, WORSE]), min_size=1, max_size=12))
def test_without_patience_training_never_ends_and_something_is_always_kept(found: list[tuple[float, float]]) -> None:
    kept, stopped = verdicts(looks(*found), RULE.model_copy(update={"patience": 0}))
    assert kept > 0
    assert stopped is None


def test_a_reader_is_told_what_was_kept_and_why() -> None:
    def said(*found: tuple[float, float]) -> tuple[str, ...]:
        kept, _ = verdicts(looks(*found))
        return remarks(Fitted(10 * len(found), 1.0, 0, tuple(looks(*found)), 10 * kept), RULE)

    assert said(GOOD, GOOD) == ()
    assert said(GOOD, COPIES, COPIES) == (
        "At step 30, 20% of what the generator drew were copies of training images: the weights of step 10 were kept.",
    )
    assert said(GOOD, WORSE, WORSE) == (
        "At step 30, the loss on the selection patients had risen from 0.5 to 0.6: the weights of step 10 were kept.",
    )
    assert said(COPIES, COPIES) == (
        "The generator learned images by heart: at every look more than 10% of what it drew were copies of training "
        "images. The weights of step 10 were kept, which drew 20% copies. More images, fewer steps or a smaller size "
        "help.",
    )
    assert said(COPIES, WORSE)[0].startswith(
        "The generator passed at no look: at 1 of 2 more than 10% of what it drew were copies of training images, "
        "at 1 of 2 its loss on the selection patients had risen. The weights of step 20 were kept, which drew 0% "
    )


@pytest.mark.parametrize("missing", ["validation_loss", "copy_share"])
def test_a_look_that_found_no_finite_number_does_not_pass_and_that_is_said(missing: str) -> None:
    found = looks(GOOD, GOOD)
    del found[1][missing]
    settings = RULE.model_copy(update={"copy_limit": 1.0, "loss_tolerance": 0.0})
    assert passes(found, settings) == [True, False]
    assert passes(found[1:], settings) == [False]
    assert judge(found, settings) == Verdict(keep=False)
    assert (
        "was not a finite number: the weights of step 10 were kept"
        in remarks(Fitted(20, 1.0, 0, tuple(found), 10), settings)[0]
    )
    assert (
        "at 1 of 1 its loss or what it drew was not a finite number. The weights of step 20"
        in remarks(Fitted(20, 1.0, 0, tuple(found[1:]), 20), settings)[0]
    )


# The stage


@pytest.fixture(scope="module")
def encoded(pristine: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The drawn cohort with its pixels for latents. To be read only."""
    run = copied(pristine, tmp_path_factory.mktemp("encoded") / "run")
    done("encode", "--codec", "identity", "--fold", 0, "--run", run.root)
    return run


@pytest.fixture
def parrot(more_kinds: None) -> str:
    """A generator that copies."""
    return "parrot"


class Cut(Exception):
    """The power went."""


def trained(run: RunDirectory, out: Path, cut: int | None = None, **changes: Any) -> Result:
    """Train the parrot of fold 0; the power goes after a step."""
    out.mkdir(exist_ok=True)

    def progress(_name: str, done: int, _total: int) -> None:
        if done == cut:
            raise Cut

    settings = kinds.config("generators", "parrot")(**changes)
    inputs = (run.artifact("ingest"), run.artifact("codec", 0, "identity"), run.artifact("encode", 0, "identity"))
    return generator.run(Job(recipes.parse(run.recipe_text()), inputs, out, 0, "parrot", progress, settings=settings))


def test_who_copies_is_found_and_the_last_weights_from_before_are_kept(
    encoded: RunDirectory, parrot: str, tmp_path: Path
) -> None:
    result = trained(encoded, tmp_path, loss_tolerance=9.0)
    shares = {entry["step"]: entry["copy_share"] for entry in log.load(tmp_path) if "copy_share" in entry}
    assert shares == {2: 0, 4: 0, 6: 0, 8: 1, 10: 1, 12: 1}
    assert {name: result.summary[name] for name in ("steps", "kept_step", "stopped_early")} == {
        "steps": 12, "kept_step": 6, "stopped_early": True,
    }  # fmt: skip
    assert load_file(tmp_path / "weights.safetensors")["steps"] == 6
    assert "100% of what the generator drew were copies" in result.notes[0]


def test_who_draws_what_is_no_number_does_not_pass_and_leaves_no_such_number_behind(
    encoded: RunDirectory, parrot: str, tmp_path: Path
) -> None:
    result = trained(encoded, tmp_path, honest_steps=99, sound_steps=7, loss_tolerance=9.0)
    looked = [entry for entry in log.load(tmp_path) if "validation_loss" in entry]
    assert [entry["step"] for entry in looked if "copy_share" in entry] == [2, 4, 6]
    assert [entry["step"] for entry in looked] == [2, 4, 6, 8, 10, 12]
    assert result.summary["kept_step"] == 6
    assert "was not a finite number" in result.notes[0]


def test_who_does_not_copy_learns_to_the_end(encoded: RunDirectory, parrot: str, tmp_path: Path) -> None:
    result = trained(encoded, tmp_path, honest_steps=99, steps=7)
    assert (result.summary["kept_step"], result.summary["stopped_early"], result.notes) == (7, False, ())
    assert [entry["step"] for entry in log.load(tmp_path) if "copy_share" in entry] == [2, 4, 6, 7]


def found(folder: Path) -> list[dict[str, float]]:
    """What the looks found."""
    return [{k: v for k, v in e.items() if k != "seconds"} for e in log.load(folder)]


def without_cost(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if not key.startswith(("seconds", "peak"))}


def written(folder: Path) -> dict[str, str]:
    """What a training leaves for good: its log and the checkpoint, which goes when it is published, tell seconds."""
    return {name: digest for name, digest in contents(folder).items() if not name.startswith((".", "log.jsonl"))}


def test_a_watched_training_that_is_killed_and_repeated_ends_the_same(
    encoded: RunDirectory, parrot: str, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"checkpoint_seconds": 0, "loss_tolerance": 9.0}
    whole = trained(encoded, tmp_path / "whole", **changes)
    assert whole.summary["stopped_early"]
    for step in (1, 3, 6, 7, 8, 10, 11, 12):
        with pytest.raises(Cut):
            trained(encoded, tmp_path / f"cut-{step}", cut=step, **changes)
        again = trained(encoded, tmp_path / f"cut-{step}", **changes)
        assert without_cost(again.summary) == without_cost(whole.summary)
        assert found(tmp_path / f"cut-{step}") == found(tmp_path / "whole")
        assert written(tmp_path / f"cut-{step}") == written(tmp_path / "whole")


def test_a_training_that_nobody_watches_says_nothing_of_copies(
    encoded: RunDirectory, parrot: str, tmp_path: Path
) -> None:
    result = trained(encoded, tmp_path, watch_every=0)
    assert "kept_step" not in result.summary
    assert result.notes == ()
    assert load_file(tmp_path / "weights.safetensors")["steps"] == 12


def test_a_fold_without_selection_patients_cannot_be_watched_and_that_is_said(
    encoded: RunDirectory, parrot: str, tmp_path: Path
) -> None:
    run = copied(encoded, tmp_path / "run")
    everyone = cohort.load(run.artifact("ingest").folder)
    held_out = {s.sample for s in everyone.selection(0).samples}
    few = replace(everyone, samples=tuple(s for s in everyone.samples if s.sample not in held_out))
    cohort.save(run.artifact("ingest").folder, few)
    result = trained(run, tmp_path / "out")
    assert result.notes == ("Fold 0 has no selection patients: nobody watched whether the generator copies images.",)
