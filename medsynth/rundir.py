"""A run directory. This module knows every folder in it and when a folder is complete.

RUN/recipe.toml                      what was asked for
RUN/ingest/                          one folder a stage, named after the stage that wrote it
RUN/fold-0/generator/geca/           below a fold: what was made from that fold's training patients
RUN/fold-0/generator/geca/stage.json written last: a folder without it does not count
"""

import hashlib
import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsynth.artifacts import files, formats
from medsynth.errors import BadData, BadUsage

RECIPE, RECORD = "recipe.toml", "stage.json"
LOG_FILE = "log.jsonl"
LEAK = "leak"  # in a record: it was made from what may have seen tested patients, and why somebody forced that
EXPORTS = "exports.jsonl"  # of the run: sets that left it without a passed audit, and why
# What a record always has, if only empty.
TABLES = {"summary": dict, "notes": list, "settings": dict, "inputs": dict, "outputs": dict, "versions": dict}
UNHASHED = ("previews",)  # folders of pictures for people; nothing reads them back


@dataclass(frozen=True)
class Artifact:
    """The output folder of one stage, for one fold and kind where it has them. It exists only when it is complete."""

    folder: Path
    stage: str
    fold: int | None = None
    kind: str | None = None

    @property
    def name(self) -> str:
        """How people are told of it: `generator geca, fold 0`."""
        words = self.stage if self.kind is None else f"{self.stage} {self.kind}"
        return words if self.fold is None else f"{words}, fold {self.fold}"

    def exists(self) -> bool:
        return (self.folder / RECORD).is_file()

    def record(self) -> dict[str, Any]:
        """What is known of it. Raises BadData for a record that cannot be read, Refused for one of a later medsynth."""
        path = self.folder / RECORD
        with files.whole(path, hint="remove its folder; the command makes it again"):
            known = files.read_json(path)
            formats.refuse_later(self.folder, known.get(formats.KEY), known.get("versions"))
            record = {key: kind() for key, kind in TABLES.items()} | known
            for key, kind in (TABLES | {"id": str, "made": str}).items():
                if not isinstance(record[key], kind) or record[key] == "":
                    raise ValueError(f"{key} is {record[key]!r}")
        return record

    @property
    def id(self) -> str:
        """What was asked for: the same request has the same id."""
        return str(self.record()["id"])

    @property
    def made(self) -> str:
        """Which answer it is: a hash of everything in the folder but its diary."""
        return str(self.record()["made"])

    def scratch(self, id: str) -> Path:
        """Where it is made. What an interrupted attempt at the same id left is found there again."""
        return self.folder.with_name(f".{self.folder.name}-{id}")

    def unfinished(self) -> list[Path]:
        """The scratch folders of this artifact that are lying about."""
        found = self.folder.parent.glob(f".{self.folder.name}-*") if self.folder.parent.is_dir() else []
        return [
            p
            for p in found
            if p.is_dir() and not p.name.removeprefix(f".{self.folder.name}-").strip("0123456789abcdef")
        ]

    def publish(self, id: str, record: dict[str, Any]) -> None:
        """Turn the scratch folder into the artifact: its record last, then one rename.

        Until the record is there a killed process may go on from what else the folder holds, its checkpoints, say.
        """
        scratch = self.scratch(id)
        outputs = _digests(scratch)
        answer = fingerprint(id, {name: digest for name, digest in outputs.items() if name != LOG_FILE})
        known = {formats.KEY: formats.of(scratch), "id": id, "made": answer, **record, "outputs": outputs}
        files.write_json(scratch / RECORD, known)
        self.put_in_place(id)

    def is_ready(self, id: str) -> bool:
        """Whether an attempt came as far as its record, and lacks the rename."""
        return (self.scratch(id) / RECORD).is_file()

    def put_in_place(self, id: str) -> None:
        """Let a scratch folder with a record be the artifact. Where that cannot be done, the old one stays."""
        scratch = self.scratch(id)
        for left in list(scratch.rglob(".*")):  # checkpoints, and files that a killed process was writing
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        old = self.folder.with_name(f".{self.folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            os.rename(self.folder, old)
        try:
            os.rename(scratch, self.folder)
        except OSError:
            if old.exists():
                os.rename(old, self.folder)
            raise
        files.sync_folder(self.folder.parent)
        for left in [old, *self.unfinished()]:
            shutil.rmtree(left, ignore_errors=True)

    def verify(self, hint: str) -> None:
        """Raise BadData if what the stage wrote was changed or lost since, or something was added to its folders."""
        now = _digests(self.folder)
        for name, digest in self.record()["outputs"].items():
            if name != LOG_FILE and now.get(name) != digest:
                raise BadData(
                    f"{self.folder}/{name} is not what {self.name} wrote",
                    hint=hint,
                )


@dataclass(frozen=True)
class RunDirectory:
    """All artifacts of one experiment."""

    root: Path

    @classmethod
    def named(cls, asked: Path | None) -> "RunDirectory | None":
        """The run that the command names, else MEDSYNTH_RUN; it need not be there yet."""
        name = asked or os.environ.get("MEDSYNTH_RUN")
        return cls(Path(name)) if name else None

    @classmethod
    def find(cls, asked: Path | None) -> "RunDirectory":
        """The run that was named, else MEDSYNTH_RUN, else the one that holds the current directory."""
        named = cls.named(asked)
        if named is not None:
            if not named.exists():
                raise BadUsage(f"{named.root} is not a run directory", hint=named.typed("ingest SOURCE"))
            return named
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / RECIPE).is_file():
                return cls(folder)
        raise BadUsage(
            "no run was named, and this directory is not inside one",
            hint="medsynth ingest SOURCE --run DIR, or --run DIR",
        )

    def exists(self) -> bool:
        return (self.root / RECIPE).is_file()

    def typed(self, words: str) -> str:
        """`medsynth WORDS` as it has to be typed here: with --run, unless this is the run that is found without it."""
        here = Path.cwd()
        around = next((folder for folder in (here, *here.parents) if (folder / RECIPE).is_file()), None)
        named = RunDirectory.named(None)
        found = named.root if named else around
        if found is not None and found.resolve() == self.root.resolve():
            return f"medsynth {words}"
        return f"medsynth {words} --run {shlex.quote(str(self.root))}"

    def recipe_text(self) -> str:
        path = self.root / RECIPE
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadUsage(f"the recipe {path} is not UTF-8 text: {error.reason} at byte {error.start}") from error

    def save_recipe(self, text: str) -> None:
        files.make_folder(self.root)
        files.write_text(self.root / RECIPE, text)

    def artifact(self, stage: str, fold: int | None = None, kind: str | None = None) -> Artifact:
        below = self.root if fold is None else self.root / f"fold-{fold}"
        return Artifact(below / stage if kind is None else below / stage / kind, stage, fold, kind)

    def kinds(self, stage: str, fold: int) -> list[str]:
        """The kinds of a stage that are complete in a fold, sorted."""
        folder = self.root / f"fold-{fold}" / stage
        return sorted(p.parent.name for p in folder.glob(f"*/{RECORD}") if not p.parent.name.startswith("."))

    def locks(self) -> Path:
        return self.root / ".locks"


def fingerprint(*parts: Any) -> str:
    """Twelve hex digits that change when any part does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _digests(folder: Path) -> dict[str, str]:
    """A hash for each file of a folder, and one for each folder in it, of all that is below: `images/`, say."""
    digests: dict[str, str] = {}
    below: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") for part in parts) or parts[0] in (RECORD, *UNHASHED):
            continue
        if len(parts) == 1:
            digests[parts[0]] = files.sha256(path)
        else:
            below.setdefault(f"{parts[0]}/", []).append(("/".join(parts), files.sha256(path)))
    return digests | {name: fingerprint(found) for name, found in below.items()}
