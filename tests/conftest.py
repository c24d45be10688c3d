"""A drawn cohort and runs that hold it: made once, and every test that changes something gets a copy."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# Before torch is loaded: threads that wait by spinning slow a shared machine down many times over.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # promises to the bit are promises of a CPU
os.environ.pop("MEDSYNTH_RUN", None)

import pytest
import torch
from hypothesis import settings
from offline.no_network import refuse
from shell import OFFLINE, done

from medsynth import generators, kinds
from medsynth.data.drawn import draw_cohort
from medsynth.rundir import RunDirectory

torch.set_num_threads(1)
settings.register_profile("medsynth", deadline=None)  # a busy machine is no failure
settings.load_profile("medsynth")

# No network, neither here nor in what a test starts: Python loads the guard there by its name.
sys.addaudithook(refuse)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")]))

LARGE = 10_000_000  # bytes
LABELS = "haemorrhages,exudates"

# A whole chain in seconds on one thread.
TINY = tuple(
    word
    for change in (
        "codec.width=8", "codec.factor=4", "codec.channels=4", "codec.steps=3", "codec.batch_size=4",
        "codec.vq.width=4", "codec.vq.codebook=16", "codec.vq.steps=3", "codec.vq.batch_size=4",
        "generator.size=tiny", "generator.updates=2",
        "generator.prediction=v", "generator.steps=2", "generator.batch_size=4",
        "generator.watch_images=2",
        "expand.factor=2", "expand.sampling_steps=2", "expand.batch_size=8",
        "classify.steps=2", "classify.batch_size=4", "classify.evaluate_every=2",
        "evaluate.bootstrap=20", "evaluate.reference_draws=2", "evaluate.pairs=4",
        "audit.bootstrap=20", "audit.membership_images=2",
    )
    for word in ("--set", change)
)  # fmt: skip


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """labels.csv of 59 drawn images of 12 patients, enough of each label for 5 folds."""
    return draw_cohort(tmp_path_factory.mktemp("clinic"), patients=12, seed=2, size=32)


def ingest(drawn: Path, root: Path, folds: int = 2, size: int = 32, arms: Sequence[str] = ()) -> RunDirectory:
    """A run that holds the drawn cohort, with a recipe under which a whole chain takes seconds."""
    words = ("--labels", LABELS, "--mask", "mask", "--image-size", size, "--mirror", "--folds", folds, *TINY)
    done("ingest", drawn, "--run", root, *words, "--set", f"classify.arms={list(arms)}")
    return RunDirectory(root)


@pytest.fixture(scope="session")
def pristine(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Ingested, in two folds. To be read only."""
    return ingest(drawn, tmp_path_factory.mktemp("pristine") / "run")


@pytest.fixture(scope="session")
def finished(pristine: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Codec, latents, generator and synthetic images of both folds. To be read only."""
    run = copied(pristine, tmp_path_factory.mktemp("finished") / "run")
    done("train-generator", "--run", run.root)
    done("expand", "--run", run.root)
    return run


@pytest.fixture
def ingested(pristine: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A run of two folds that holds images and nothing else, to do anything with."""
    return copied(pristine, tmp_path / "run")


@pytest.fixture
def expanded(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A run of two folds with everything up to the synthetic images, to do anything with."""
    return copied(finished, tmp_path / "run")


@pytest.fixture
def more_kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The generators in tests/kinds beside the package's, for as long as the test runs: a folder is all it takes."""
    own = Path(__file__).parent / "kinds"
    monkeypatch.setattr(generators, "__path__", [*generators.__path__, str(own)])
    yield
    for folder in own.iterdir():
        for name in [name for name in sys.modules if name.startswith(f"medsynth.generators.{folder.name}")]:
            del sys.modules[name]


def draws_tokens(kind: str) -> bool:
    """Whether a generator's codec is discrete."""
    codec = kinds.config("generators", kind)().codec
    return bool(codec) and "codebook" in kinds.config("codecs", codec).model_fields


def copied(run: RunDirectory, root: Path) -> RunDirectory:
    """The same run in another place. Large files are shared with it: they are replaced, never written into."""

    def copy(source: str, target: str) -> None:
        large = os.stat(source).st_size > LARGE
        os.link(source, target) if large else shutil.copy2(source, target)

    shutil.copytree(run.root, root, copy_function=copy)
    return RunDirectory(root)
