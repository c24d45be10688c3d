"""A recipe is read strictly, written back without loss, and changed by --set in the obvious way."""

import math
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from shell import ROOT

from medsynth import kinds
from medsynth import recipe as recipes
from medsynth.errors import BadUsage
from medsynth.recipe import FAMILY_OF, SECTIONS
from medsynth.settings import COSMETIC

WRITABLE = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates are no text
MODELS: dict[str, type[BaseModel]] = SECTIONS | {
    f"{section}.{kind}": kinds.config(family, kind)
    for section, family in FAMILY_OF.items()
    for kind in kinds.names(family)
}
SHIPPED = sorted((ROOT / "recipes").glob("*.toml"))


def slip(text: str, overrides: list[str] | None = None) -> BadUsage:
    with pytest.raises(BadUsage) as failure:
        recipes.parse(text, overrides)
    return failure.value


# Written back without loss


def test_an_empty_recipe_is_the_default_one() -> None:
    read = recipes.parse("")
    assert (read.seed, read.codec.kind, read.generator.kind, read.expand.factor, read.ingest.folds) == (
        0,
        "kl",
        "geca",
        5,
        5,
    )


def test_a_written_recipe_reads_back_as_it_was() -> None:
    read = recipes.parse("", ["seed=7", "codec.kind=identity", "generator.min_snr=1e-7", "classify.arms=['real']"])
    assert recipes.parse(recipes.dump(read)) == read
    assert recipes.dump(recipes.parse(recipes.dump(read))) == recipes.dump(read)


@given(
    source=WRITABLE,
    labels=st.lists(WRITABLE, max_size=3),
    rate=st.floats(1e-12, 1e12),
    seed=st.integers(-(2**63), 2**63),
)
def test_any_text_and_any_number_survive_being_written(source: str, labels: list[str], rate: float, seed: int) -> None:
    table: dict[str, Any] = {
        "seed": seed,
        "ingest": {"source": source, "labels": labels},
        "classify": {"learning_rate": rate},
    }
    read = recipes.from_table(table)
    assert (read.seed, read.ingest.source, read.ingest.labels, read.classify.learning_rate) == (
        seed,
        source,
        tuple(labels),
        rate,
    )
    assert recipes.parse(recipes.dump(read)).ingest == read.ingest
    assert recipes.parse(recipes.dump(read)).classify == read.classify


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_setting_is_written_with_its_meaning_above_it(name: str) -> None:
    lines = recipes.dump(recipes.parse(f"[{name}]")).splitlines()
    start = lines.index(f"[{name}]")
    settings = [key for key in MODELS[name].model_fields if key != "kind"]
    for number, key in enumerate(settings):
        meaning, setting = lines[start + 1 + 2 * number : start + 3 + 2 * number]
        assert re.fullmatch(r"# \S.{8,}[.;:)].*", meaning), f"{name}.{key} has no documentation"
        assert setting.removeprefix("# ").startswith(f"{key} =")


def test_settings_that_change_nothing_of_the_result_are_no_part_of_what_was_asked() -> None:
    changed = recipes.parse(
        "", ["generator.log_every=3", "generator.preview_every=7", "generator.checkpoint_seconds=5"]
    )
    assert changed.asked("generator") == recipes.parse("").asked("generator")
    assert not COSMETIC & changed.asked("generator").keys()
    assert recipes.parse("", ["generator.steps=3"]).asked("generator") != recipes.parse("").asked("generator")


# Slips


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[expnad]", "the recipe has no section [expnad]", "did you mean expand?"),
        ("[expand]\nfacter = 2", "[expand] has no setting 'facter'", "did you mean factor?"),
        ("[generator]\nstep = 2", "[generator] has no setting 'step'", "did you mean steps?"),
        ("[codec.kl]\nwidht = 2", "[codec] has no setting 'widht'", "did you mean width?"),
        ("[codec.identity]\nwidth = 2", "[codec.identity] has no setting 'width'", "it may be one of: kind"),
        ("[generator]\nkind = 'gecca'", "there is no generator 'gecca'", "did you mean geca?"),
        ("[codec]\nkind = 'vae'", "there is no codec 'vae'", "it may be one of: identity, kl"),
        ("[codec]\nkind = 3", "there is no codec 3", "it may be one of: identity, kl"),
        ("[codec]\nkind = ['kl']", "there is no codec ['kl']", "it may be one of: identity, kl"),
        ("[generator.nca]\nsteps = 3", "there is no generator 'nca'", "geca"),
        ("[expand]\nsampler = 'dmp++'", "[expand] sampler = 'dmp++': input should be 'ddpm', ", "sampler: ddpm"),
        ("[expand]\nfactor = 'five'", "[expand] factor = 'five': input should be a valid integer", "factor: Synthetic"),
        ("[expand]\nfactor = 0", "[expand] factor = 0: input should be greater than or equal to 1", "factor: "),
        ("[classify]\nlearning_rate = nan", "[classify] learning_rate = nan: ", "learning_rate: "),
        ("[generator]\nminutes = inf", "[generator] minutes = inf: ", "minutes: "),
        ("expand = 3", "expand = 3, but [expand] is a section", "expand.KEY=VALUE"),
        ("generator = 'geca'", "generator = 'geca', but [generator] is a section", "generator.KEY=VALUE"),
        ("seed = 'x'", "seed = 'x', but it must be a whole number", ""),
        ("seed = true", "seed = True, but it must be a whole number", ""),
        ("[expand", "recipe.toml is not TOML: ", ""),
    ],
)  # fmt: skip
def test_a_slip_is_named_with_what_was_meant(text: str, message: str, hint: str) -> None:
    found = slip(text)
    assert str(found).startswith(message)
    assert hint in found.hint


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="cannot be read") as failure:
        recipes.load(tmp_path / "mine.toml")
    assert "eyepacs-geca" in failure.value.hint
    with pytest.raises(BadUsage, match="there is no recipe eyepacs-gecca") as failure:
        recipes.locate("eyepacs-gecca")
    assert failure.value.hint == "did you mean eyepacs-geca?"


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"seed = 1 # \xff\xfe")
    with pytest.raises(BadUsage, match=r"mine\.toml is not UTF-8"):
        recipes.load(tmp_path / "mine.toml")


def test_a_byte_order_mark_is_no_slip(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("seed = 3", encoding="utf-8-sig")
    assert recipes.load(tmp_path / "mine.toml").seed == 3


# --set


@pytest.mark.parametrize(
    ("change", "section", "key", "value"),
    [
        ("expand.factor=2", "expand", "factor", 2),
        ("expand.factor = 2", "expand", "factor", 2),
        ("expand.guidance=1", "expand", "guidance", 1.0),
        ("expand.sampler=ddim", "expand", "sampler", "ddim"),
        ('expand.sampler="ddim"', "expand", "sampler", "ddim"),
        ("ingest.mirror=true", "ingest", "mirror", True),
        ("ingest.labels=['a', 'b']", "ingest", "labels", ("a", "b")),
        ("ingest.source=data/a=b.csv", "ingest", "source", "data/a=b.csv"),
        ("classify.learning_rate=1e-5", "classify", "learning_rate", 1e-5),
        ("generator.steps=7", "generator", "steps", 7),
        ("generator.geca.steps=7", "generator", "steps", 7),
        ("codec.kind=identity", "codec", "kind", "identity"),
    ],
)
def test_set_changes_one_setting(change: str, section: str, key: str, value: object) -> None:
    assert getattr(recipes.parse("", [change]).settings(section), key) == value


def test_a_later_change_wins() -> None:
    assert recipes.parse("[expand]\nfactor = 9", ["expand.factor=2", "expand.factor=3"]).expand.factor == 3


def test_an_empty_value_is_the_default_again() -> None:
    text = recipes.dump(recipes.parse("", ["generator.minutes=3", "generator.steps=9", "expand.updates=4", "seed=4"]))
    read = recipes.parse(text, ["generator.minutes=", "generator.steps=", "expand.updates=", "seed="])
    assert read == recipes.parse("")


@pytest.mark.parametrize("change", ["expand.factor", "=2", "factor", "expand.factor.x=2", "seed.x=1"])
def test_set_that_is_no_setting_is_refused(change: str) -> None:
    found = slip("seed = 1\n[expand]\nfactor = 3", [change])
    assert change in str(found)
    assert found.hint


# Kinds side by side


def test_the_settings_of_another_kind_stay_beside_those_of_the_chosen_one() -> None:
    text = "[codec]\nkind = 'kl'\nwidth = 8\n\n[codec.identity]\n\n[generator]\nsteps = 3\ncodec = 'identity'"
    read = recipes.parse(text)
    assert [*read.codec.settings] == ["kl", "identity"]
    assert (read.codec.kind, read.codec_of("geca")) == ("kl", "identity")
    other = recipes.parse(recipes.dump(read), ["codec.kind=identity"])
    assert other.codec.kind == "identity"
    assert other.settings("codec", "kl").width == 8
    assert recipes.parse(recipes.dump(other), ["codec.kind=kl"]).settings("codec") == read.settings("codec")


def test_a_change_goes_to_the_kind_that_is_chosen_with_it() -> None:
    read = recipes.parse("[codec]\nkind = 'identity'", ["codec.kind=kl", "codec.width=16"])
    assert read.settings("codec").width == 16
    assert recipes.parse("[codec]\nkind = 'identity'", ["codec.width=16", "codec.kind=kl"]) == read


def test_a_generator_learns_the_runs_codec_unless_it_names_another() -> None:
    assert recipes.parse("[codec]\nkind = 'identity'").codec_of("geca") == "identity"


# Shipped recipes


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_read_by_its_name(path: Path) -> None:
    read = recipes.load(recipes.locate(path.stem))
    assert recipes.parse(recipes.dump(read)) == read


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_key_of_a_shipped_recipe_has_a_comment(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if re.match(r"\w+ *=", line):
            assert above.startswith("# ") or " # " in line, f"{path.name}: {line}"


def test_recipes_are_shipped_for_the_data_that_the_readme_names() -> None:
    assert {"demo", "eyepacs-geca", "odir-geca", "retinamnist-geca"} <= set(recipes.shipped())


def test_numbers_that_are_none_never_reach_a_recipe() -> None:
    for value in (math.inf, -math.inf, math.nan):
        with pytest.raises(BadUsage):
            recipes.from_table({"expand": {"guidance": value}})
    assert tomllib.loads(recipes.dump(recipes.parse("", ["expand.guidance=0"])))["expand"]["guidance"] == 0
