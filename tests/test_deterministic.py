"""The same seed gives the same bytes: another time, in another place, by another number of processes."""

import shutil
from pathlib import Path

from conftest import LABELS, TINY, copied
from shell import TORCHRUN, done, ended, start
from test_broken_disks import lasting

from medsynth.artifacts import cohort
from medsynth.rundir import RunDirectory


def test_a_chain_done_twice_from_the_images_on_has_the_same_bytes(
    drawn: Path, finished: RunDirectory, tmp_path: Path
) -> None:
    again = RunDirectory(tmp_path / "another" / "place")
    words = ("--labels", LABELS, "--mask", "mask", "--image-size", 32, "--mirror", "--folds", 2, *TINY)
    done("ingest", drawn, "--run", again.root, *words, "--set", "classify.arms=[]")
    done("train-generator", "--fold", 0, "--run", again.root)
    done("expand", "--fold", 0, "--run", again.root)
    ours = lasting(again)
    assert ours == {name: digest for name, digest in lasting(finished).items() if not name.startswith("fold-1")}
    assert sum(name.endswith(".safetensors") for name in ours) == 2
    assert sum(name.startswith("fold-0/expand/geca/images/") for name in ours) > 20


def test_another_seed_gives_other_images_of_the_same_labels(finished: RunDirectory, tmp_path: Path) -> None:
    other = copied(finished, tmp_path / "run")
    done("ingest", "--set", "seed=1", "--run", other.root)
    done("train-generator", "--fold", 0, "--run", other.root)
    done("expand", "--fold", 0, "--run", other.root)
    ours, theirs = (cohort.load(run.artifact("expand", 0, "geca").folder).samples for run in (finished, other))
    assert {s.image.read_bytes() for s in ours}.isdisjoint(s.image.read_bytes() for s in theirs)


def test_three_processes_leave_the_files_labels_and_counts_of_one(expanded: RunDirectory, tmp_path: Path) -> None:
    """Of two: tests/test_distributed.py. Seven images a batch and three processes: no share is like the other."""
    alone = copied(expanded, tmp_path / "alone")
    words = ("expand", "--fold", 0, "--factor", 3, "--set", "expand.batch_size=7")
    found = ended(start(*words, at=expanded.root, launcher=(*TORCHRUN[:-1], "3")))
    assert found.code == 0, found.err
    done(*words, at=alone.root)
    assert lasting(expanded) == lasting(alone)
    made, facts = expanded.artifact("expand", 0, "geca"), cohort.load(alone.artifact("expand", 0, "geca").folder)
    assert made.record()["processes"] == 3
    assert cohort.load(made.folder).counts() == facts.counts()


def test_a_run_that_was_moved_works_where_it_is_now(finished: RunDirectory, tmp_path: Path) -> None:
    """Whatever it needs is in it, and no path that leads out of it counts."""
    stayed, moved = copied(finished, tmp_path / "stayed"), RunDirectory(tmp_path / "deep" / "down" / "moved")
    moved.root.parent.mkdir(parents=True)
    shutil.move(copied(finished, tmp_path / "run").root, moved.root)
    text = moved.recipe_text()
    source = next(line for line in text.splitlines() if line.startswith("source = "))
    moved.save_recipe(text.replace(source, 'source = "/nowhere/labels.csv"'))
    states = {
        row["state"] for row in done("status", "--json", at=moved.root).json["stages"] if row["stage"] != "report"
    }
    assert states <= {"done", "missing"}
    for run in (stayed, moved):
        done("expand", "--fold", 0, "--factor", 1, at=run.root)
        done("train-generator", "--fold", 1, "--steps", 3, at=run.root)
        done("report", at=run.root)
    left, right = lasting(stayed), lasting(moved)
    assert {name for name in left if left[name] != right.get(name)} <= {
        "report/index.html",
        "report/report.json",
        "report/stage.json",
    }
