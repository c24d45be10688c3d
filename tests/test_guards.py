"""What has to hold before a stage is run: nobody is tested who was learned from, and nobody else is at work."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from medsynth import guards, locks
from medsynth.artifacts import cohort
from medsynth.artifacts.cohort import Cohort, Facts, Sample
from medsynth.errors import BadData, Refused
from medsynth.recipe import Recipe
from medsynth.rundir import Artifact, RunDirectory

ID = "0123456789ab"
FACTS = Facts(
    labels=("a", "b"), one_class=False, image_size=8, folds=2, selection={"0": ("P2",), "1": ("P1",)}
)  # fmt: skip
HOLDER = """
import sys
from pathlib import Path
from medsynth import locks
with locks.held(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run of two folds that holds a cohort of four patients, two to a fold; commands are typed in it."""
    monkeypatch.delenv("MEDSYNTH_RUN", raising=False)
    found = RunDirectory(tmp_path / "run")
    found.save_recipe("")
    ingest = found.artifact("ingest")
    folder = ingest.scratch(ID)
    folder.mkdir()
    samples = [
        Sample(sample=f"s{n}", patient=f"P{n}", image=folder / "images" / f"s{n}.png", labels=(1, 0), fold=n // 2)
        for n in range(4)
    ]
    cohort.save(folder, Cohort(FACTS, tuple(samples)))
    ingest.publish(ID, {})
    monkeypatch.chdir(found.root)
    return found


def made(run: RunDirectory, stage: str, fold: int | None, kind: str | None, **record: Any) -> Artifact:
    """An artifact with nothing in it but its record."""
    artifact = run.artifact(stage, fold, kind)
    artifact.scratch(ID).mkdir(parents=True)
    artifact.publish(ID, record)
    return artifact


def training(run: RunDirectory, fold: int) -> str:
    return cohort.load(run.artifact("ingest").folder).training(fold).patients_hash()


@contextmanager
def another(run: RunDirectory, name: str) -> Iterator[str]:
    """Another process that is at work on an artifact; how it is told of."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.locks()), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield f"process {process.pid} on "
        process.kill()


def test_only_what_learned_from_the_training_patients_of_the_fold_is_let_in(run: RunDirectory) -> None:
    ingest = run.artifact("ingest")
    good = made(run, "codec", 0, "kl", trained_on=training(run, 0))
    guards.refuse_leaks(run, [ingest, good], 0)
    everyone = cohort.load(ingest.folder).patients_hash()
    for n, record in enumerate(({"trained_on": everyone}, {"trained_on": None}, {}, {"trained_on": training(run, 1)})):
        bad = made(run, "generator", 0, f"g{n}", **record)
        with pytest.raises(Refused, match=f"generator g{n}, fold 0 does not carry the mark .* patients of fold 0"):
            guards.refuse_leaks(run, [ingest, good, bad], 0)
        assert guards.leaking(run, [ingest, good, bad], 0) == [bad]


def test_who_is_refused_is_told_what_makes_it_again(run: RunDirectory) -> None:
    bad = made(run, "generator", 1, "geca")
    with pytest.raises(Refused) as failure:
        guards.refuse_leaks(run, [bad], 1)
    assert failure.value.hint == "medsynth train-generator --model geca --fold 1 --force"


def test_what_is_about_all_folds_takes_a_leak_in_and_passes_its_mark_on(run: RunDirectory) -> None:
    leak = {"from": ["codec kl, fold 0"], "reason": "a trial"}
    clean, marked = made(run, "classify", 0, "real"), made(run, "classify", 0, "geca", leak=leak)
    guards.refuse_leaks(run, [clean, marked], None)
    assert guards.leaking(run, [clean, marked], None) == [marked]
    assert guards.leak_of(run, [clean], None, "why") is None


def test_a_forced_leak_says_from_what_and_every_reason_once(run: RunDirectory) -> None:
    first = made(run, "codec", 0, "kl", leak={"from": ["x"], "reason": "a trial"})
    second, third = made(run, "generator", 0, "geca", leak={"reason": "a trial"}), made(run, "expand", 0, "geca")
    good = made(run, "encode", 0, "kl", trained_on=training(run, 0))
    leak = guards.leak_of(run, [good, first, second, third], 0, "to see")
    names = ["codec kl, fold 0", "generator geca, fold 0", "expand geca, fold 0"]
    assert leak == {"from": names, "reason": "a trial; to see"}
    assert guards.leak_of(run, [third], 0, "") == {"from": ["expand geca, fold 0"], "reason": ""}
    assert guards.leak_of(run, [good], 0, "to see") is None
    assert guards.about_leak(leak) == (
        "Made with codec kl, fold 0, generator geca, fold 0, expand geca, fold 0, which may have seen patients that "
        "are tested: somebody forced it (a trial; to see). Scores of it are no valid evidence."
    )


def test_an_artifact_that_another_process_makes_is_let_alone(run: RunDirectory) -> None:
    codec, other = run.artifact("codec", 0, "kl"), run.artifact("codec", 1, "kl")
    guards.refuse_held(run, [codec, other])
    with another(run, codec.name) as who:
        with pytest.raises(Refused, match=f"codec kl, fold 0 is being made by {who}"):
            guards.refuse_held(run, [other, codec])
        with pytest.raises(Refused, match=f"codec kl, fold 0 is being made by {who}"):
            guards.refuse_busy(run, Recipe(), codec)
        guards.refuse_held(run, [other])


def test_what_another_process_makes_something_from_is_not_made_again(run: RunDirectory) -> None:
    codec, other = made(run, "codec", 0, "kl"), made(run, "codec", 1, "kl")
    guards.refuse_busy(run, Recipe(), codec)
    with another(run, "encode kl, fold 0") as who:
        with pytest.raises(Refused, match=f"codec kl, fold 0 cannot be made again now: {who}") as failure:
            guards.refuse_busy(run, Recipe(), codec)
        assert str(failure.value).endswith(" makes encode kl, fold 0 from it")
        assert failure.value.hint == locks.WAIT
        guards.refuse_busy(run, Recipe(), other)
        (codec.folder / "stage.json").unlink()  # nobody can be at work with what is not there
        guards.refuse_busy(run, Recipe(), codec)


def test_what_an_audit_compares_with_is_not_made_again_meanwhile(run: RunDirectory) -> None:
    for stage, kind in (("codec", "kl"), ("generator", "geca"), ("expand", "geca")):
        made(run, stage, 0, kind)
        made(run, stage, 1, kind)
    made(run, "audit", 0, "geca")
    with another(run, "audit geca, fold 0"):
        for stage, kind in (("generator", "geca"), ("codec", "kl")):
            with pytest.raises(Refused, match="makes audit geca, fold 0 from it"):
                guards.refuse_busy(run, Recipe(), run.artifact(stage, 1, kind))
        guards.refuse_busy(run, Recipe(), run.artifact("expand", 1, "geca"))


def test_what_takes_whatever_the_run_holds_holds_nobody_up(run: RunDirectory) -> None:
    real = made(run, "classify", 0, "real")
    with another(run, "compare"):
        guards.refuse_busy(run, Recipe(), real)


def test_a_result_whose_input_is_another_by_now_or_gone_is_refused(run: RunDirectory) -> None:
    codec, artifact = made(run, "codec", 0, "kl"), run.artifact("encode", 0, "kl")
    used = {"ingest": run.artifact("ingest").made, "fold-0/codec/kl": codec.made}
    guards.refuse_changed(run, artifact, used)
    said = "fold-0/codec/kl was made again while encode kl, fold 0 was being made from it"
    with pytest.raises(Refused, match=said):
        guards.refuse_changed(run, artifact, used | {"fold-0/codec/kl": "another"})
    (codec.folder / "stage.json").unlink()
    with pytest.raises(Refused, match=said):
        guards.refuse_changed(run, artifact, used)


def test_a_record_that_is_damaged_is_named(run: RunDirectory) -> None:
    codec, artifact = made(run, "codec", 0, "kl"), run.artifact("encode", 0, "kl")
    for content in ("{", "[]", "{}"):
        (codec.folder / "stage.json").write_text(content)
        with pytest.raises(BadData, match=r"fold-0/codec/kl/stage\.json is damaged"):
            guards.refuse_changed(run, artifact, {"fold-0/codec/kl": "x"})


def test_images_that_are_exported_are_not_made_again(run: RunDirectory) -> None:
    images, others = made(run, "expand", 0, "geca"), made(run, "expand", 1, "geca")
    with guards.exporting(run, images):
        with pytest.raises(Refused, match=r"expand geca, fold 0 cannot be made again now: .* exports it") as failure:
            guards.refuse_busy(run, Recipe(), images)
        assert failure.value.hint == locks.WAIT
        with pytest.raises(Refused, match="export geca, fold 0 is being made by"), guards.exporting(run, images):
            pass
        guards.refuse_busy(run, Recipe(), others)
        guards.refuse_busy(run, Recipe(), run.artifact("generator", 0, "geca"))
    guards.refuse_busy(run, Recipe(), images)


def test_images_of_a_run_that_may_not_be_written_to_are_exported_all_the_same(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = made(run, "expand", 0, "geca")
    before = sorted(run.root.rglob("*"))
    monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (run.root, os.W_OK))
    with guards.exporting(run, images):
        assert sorted(run.root.rglob("*")) == before
