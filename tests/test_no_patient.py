"""What DICOM files say of their patients is nowhere in what a run writes, says, or leaves behind when it fails."""

import base64
import io
import json
import shutil
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from conftest import TINY
from dicom_files import BUNDLED, TESTS, draw
from pictures import noise, table
from PIL import Image, PngImagePlugin
from pydicom.dataset import Dataset
from safetensors.torch import save_file
from shell import Ended, contents, ended, medsynth, start
from sweep import hits, identifying

from medsynth import plan
from medsynth import recipe as recipes
from medsynth.data import site_secret
from medsynth.rundir import RunDirectory

READ = (
    *(BUNDLED / f"charset_files/chr{name}.dcm" for name in ("Arab", "Germ", "Greek", "H31", "Hbrw", "Russ", "X1")),
    *(TESTS / f"{name}.dcm" for name in ("693_J2KI", "CT_small", "J2K_pixelrep_mismatch", "JPEG2000", "MR_small")),
    *(TESTS / f"{name}.dcm" for name in ("SC_rgb_rle", "SC_rgb_jpeg_dcmtk", "SC_rgb_rle_2frame", "examples_ybr_color")),
    *(TESTS / f"examples_{name}.dcm" for name in ("jpeg2k", "overlay", "palette", "rgb_color")),
)  # fmt: skip
REFUSED = (
    *(TESTS / f"{name}.dcm" for name in ("MR_truncated", "badVR", "JPGExtended", "rtplan", "reportsi", "test-SR")),
    TESTS / "dicomdirtests" / "DICOMDIR",
)
TYPED = {"Wolstenholme", "Braithwaite"}  # the folder and the table: recipe.toml keeps their paths as they were typed
PACKED = ("--image-size", 16, "--folds", 2, "--frame", 1, "--checked-for-burned-in-text", *TINY)


@dataclass
class Story:
    """A run from files that say much about their patients, and everything that was said on the way."""

    root: Path
    words: set[str]

    @property
    def source(self) -> Path:
        return self.root / "Wolstenholme, Agatha"

    @property
    def written(self) -> Path:
        """The folder that holds all that the program wrote: runs, exports, and what it left in the system's folders."""
        return self.root / "written"

    def keep(self, name: str, said: Ended, code: int = 0) -> None:
        assert said.code == code, said.err
        (self.written / f"{name}.txt").write_text(said.out + said.err)

    def type(self, name: str, *words: object, code: int = 0, run: str = "run") -> None:
        """A command in this process."""
        self.keep(name, medsynth(*words, "--run", self.written / run), code)

    def start(self, name: str, *words: object, code: int = 0, run: str = "run", launcher: tuple[str, ...] = ()) -> None:
        """A command in a process of its own, whose warnings are heard as well."""
        places = {
            "TMPDIR": self.written / "tmp",
            "HOME": self.written / "home",
            "XDG_CONFIG_HOME": self.root / "secret",
        }
        process = start(
            *words, "--run", self.written / run, launcher=launcher, **{k: str(v) for k, v in places.items()}
        )
        self.keep(name, ended(process), code)


def talkative(path: Path, patient: int) -> Path:
    """A drawn file that says who its patient is wherever a file can: in sequences, private tags, comments, preamble."""
    name, item = f"Oyelaran^Temperance{patient}", Dataset()
    item.PatientID, item.PersonName, item.StudyDate = f"ALIAS-88{patient}", name, "19871224"
    draw(
        path, noise(patient), PatientID=f"MRN-0042-{patient}", PatientName=name, PatientBirthDate=f"1948022{patient}",
        OtherPatientIDsSequence=[item], InstitutionName="Saint Hildegard", AccessionNumber=f"ACC77123{patient}",
        PatientComments=name, StudyDate="20190704", StudyInstanceUID=pydicom.uid.generate_uid(),
    )  # fmt: skip
    data = pydicom.dcmread(path)
    data.private_block(0x0051, "MEDSYNTH TEST", create=True).add_new(1, "PN", name)
    data.preamble = name.encode().ljust(128)
    pydicom.dcmwrite(path, data)
    return path


def sources_of(story: Path) -> set[str]:
    """A folder of files that are named after their patients, with its table; returns what must not be found."""
    words, rows = set(), []
    for n, file in enumerate([*READ, *REFUSED]):
        words |= identifying(file)
        name = f"patient Featherstonehaugh/Featherstonehaugh {n:02d}.dcm"
        (story / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, story / name)
        rows.append({"file": name, "grade": n % 2})
    for n in range(6):
        file = talkative(story / "more" / f"Featherstonehaugh-{n}", n)
        words |= identifying(file)
        uid = str(pydicom.dcmread(file).SOPInstanceUID)
        rows.append({"file": uid if n % 2 else f"more/{file.name}", "grade": n % 2})
    table(story / "Braithwaite's labels.csv", rows)
    return words | {"Featherstonehaugh", *TYPED}


CRASH = """
import runpy, sys
from medsynth.data.site_secret import SiteSecret
def pseudonym(self, patient):
    try:
        raise KeyError(patient)
    except KeyError as error:
        raise ValueError(f"no pseudonym for {patient}") from error
SiteSecret.pseudonym = pseudonym
sys.argv = ["medsynth", *sys.argv[3:]]
runpy.run_module("medsynth", run_name="__main__")
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    """Everything a run does with such files, well and badly."""
    made = Story(tmp_path_factory.mktemp("story"), set())
    made.words = sources_of(made.source)
    for name in ("tmp", "home"):
        (made.written / name).mkdir(parents=True)
    bad = ("--allow-bad", len(REFUSED), "--table", made.source / "Braithwaite's labels.csv")
    made.start("refused", "ingest", made.source, *PACKED, code=3)
    made.start("ingest", "ingest", made.source, *PACKED, *bad)
    made.start("crash", "ingest", made.source, *PACKED, *bad, code=1, run="crashed", launcher=("-c", CRASH))
    for word in ("train-codec", "train-generator", "expand"):
        made.type(word, word, "--fold", 0, "--verbose")
    made.type("report", "report")
    for form in ("folder", "dicom", "npz"):
        out = made.written / f"out-{form}"
        made.type(f"export-{form}", "export", out, "--format", form, "--acknowledge-risk", "a test")
    made.type("status", "status", "--json")
    made.type("again", "ingest", made.source, "--folds", 3, code=4)
    shutil.copytree(made.written / "run", made.root / "before")  # for a test that changes it
    facts = RunDirectory(made.written / "run").artifact("codec", 0, "kl").folder / "facts.json"
    facts.write_text("{}")
    made.type("damaged", "expand", "--fold", 0, "--force", code=3)
    return made


def test_no_name_id_date_or_uid_is_in_any_file_or_word_of_a_run(story: Story) -> None:
    assert len(story.words) > 150  # it is worth while to look
    assert {"Lestrade", "CompressedSamples", "山田", "MRN-0042-3", "ALIAS-884", "19871224", "4MR1"} <= story.words
    assert len(contents(story.written)) > 100
    typed = {
        (path.relative_to(story.written).as_posix(), word)
        for path in story.written.rglob("recipe.toml")
        for word in TYPED
    }
    assert set(hits(story.written, story.words)) - typed == set()


def test_a_report_of_a_record_of_before_names_neither_folder_nor_table(story: Story) -> None:
    """It had them."""
    run = RunDirectory(story.root / "before")
    place = run.artifact("ingest").folder / "stage.json"
    known = json.loads(place.read_text())
    named = {"source": str(story.source), "table": str(story.source / "Braithwaite's labels.csv")}
    assert known["settings"] | named != known["settings"]
    place.write_text(json.dumps(known | {"settings": known["settings"] | named}))
    assert medsynth("report", "--force", "--run", run.root).code == 0
    assert hits(run.root / "report", TYPED) == []


def test_a_run_whose_record_withholds_its_source_is_up_to_date(story: Story) -> None:
    run = RunDirectory(story.written / "run")
    recipe = recipes.parse(run.recipe_text())
    assert plan.is_current(run, recipe, run.artifact("ingest"))
    assert plan.why_stale(run, recipe, run.artifact("ingest")) == "it was asked for"


def test_the_file_about_a_crash_says_where_and_not_about_whom(story: Story) -> None:
    (diary,) = (story.written / "tmp").glob("medsynth-*.log")
    said = diary.read_text()
    assert said.count("Traceback") == 2
    assert said.rstrip().endswith("ValueError")
    assert "sources/dicom.py" in said


def test_what_was_refused_is_listed_by_line(story: Story) -> None:
    said = (story.written / "refused.txt").read_text()
    listed = (story.written / "run" / "ingest" / "unreadable.csv").read_text()
    for line in range(2 + len(READ), 2 + len(READ) + len(REFUSED)):
        assert f"the table line {line},line-{line:02d}," in listed
        cut_off = line == 2 + len(READ)  # of which only the pixels tell
        assert (f"the table line {line}: line-{line:02d}: " in said) != cut_off


def test_the_secret_is_outside_of_all_that_was_written(story: Story) -> None:
    path = story.root / "secret" / "medsynth" / "site-secret"
    assert hits(story.written, [path.read_text().strip()]) == []
    assert site_secret.SiteSecret(path.read_bytes().strip()).fingerprint in (story.written / "ingest.txt").read_text()


def as_chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk."""
    file = io.BytesIO()
    Image.fromarray(noise(0)).save(file, "PNG")
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return file.getvalue()[:-12] + chunk + file.getvalue()[-12:]


def as_text_of_png(word: str) -> bytes:
    file, said = io.BytesIO(), PngImagePlugin.PngInfo()
    said.add_text("Comment", word, zip=True)
    Image.fromarray(noise(0)).save(file, "PNG", pnginfo=said)
    return file.getvalue()


def as_safetensors(word: str, folder: Path) -> bytes:
    save_file({"w": torch.zeros(2)}, folder / "x", {"who": word})
    return (folder / "x").read_bytes()


def as_npz(word: str) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, who=np.array([word]), more=np.zeros(3))
    return file.getvalue()


def as_zip(word: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.txt", word * 3)
    return file.getvalue()


def as_page(word: str) -> bytes:
    return b'<img src="data:image/png;base64,' + base64.b64encode(as_chunk(b"tEXt", f"a\0{word}".encode())) + b'">'


@pytest.mark.parametrize("word", ["Oyelaran", "4MR1", "やまだ", "19871224"])
@pytest.mark.parametrize(
    "how", ["plain", "json", "utf-16", "png", "zipped png", "page", "npz", "zip", "safetensors", "file name"]
)
def test_a_word_that_is_planted_is_found(tmp_path: Path, word: str, how: str) -> None:
    """Or else the sweep above could find nothing."""
    planted = tmp_path / "planted"
    planted.mkdir()
    content = {
        "plain": lambda: f"x {word.upper()} y".encode(),
        "json": lambda: json.dumps({"a": word}).encode(),
        "utf-16": lambda: f"some {word}".encode("utf-16-le"),
        "png": lambda: as_chunk(b"tEXt", f"a\0{word}".encode()),
        "zipped png": lambda: as_text_of_png(word),
        "page": lambda: as_page(word),
        "npz": lambda: as_npz(word),
        "zip": lambda: as_zip(word),
        "safetensors": lambda: as_safetensors(word, tmp_path),
        "file name": lambda: b"",
    }[how]()
    (planted / (f"{word}.txt" if how == "file name" else "x")).write_bytes(content)
    found = [hit for _, hit in hits(planted, [word, "Nobody^Else"])]
    packed = how in ("utf-16", "npz") and len(word.encode()) < 6  # by its own rule: too short for what is no text
    assert found == ([] if packed else [word])
