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

from medsynth import kinds, presets, variants
from medsynth import recipe as recipes
from medsynth.errors import BadUsage
from medsynth.recipe import FAMILY_OF, SECTIONS
from medsynth.settings import COSMETIC, LATER

WRITABLE = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates are no text
MODELS: dict[str, type[BaseModel]] = SECTIONS | {
    f"{section}.{kind}": variants.config(family, kind)
    for section, family in FAMILY_OF.items()
    for kind in variants.names(family)
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


def test_a_setting_that_older_recipes_do_not_have_is_asked_for_where_it_was_chosen() -> None:
    asked = recipes.parse("").asked("generator")
    assert not LATER & asked.keys()
    assert recipes.parse("", ["generator.rate_decay=0.99"]).asked("generator") == asked | {"rate_decay": 0.99}


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
        ("[generator]\ncodec = 'vae'", "there is no codec 'vae'", "it may be one of: identity, kl"),
        ("[generator.ldm]\ncodec = 'identty'", "there is no codec 'identty'", "did you mean identity?"),
        ("[expand]\nguidance_interval = ['0.2']", "[expand] guidance_interval = ['0.2']: two shares between 0 and 1 "
         "are meant, LOW,HIGH, as in --guidance-interval 0.2,0.8", "guidance_interval: From where"),
        ("[expand]\nguidance_interval = [0.2, 1.8]", "[expand] guidance_interval = [0.2, 1.8]: two shares", ""),
        ("[expand]\nguidance_interval = [0.8, 0.2]", "[expand] guidance_interval = [0.8, 0.2]: the first share is "
         "above the second; LOW,HIGH is meant, as in --guidance-interval 0.2,0.8", ""),
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
        ("preset = 'partiy'", "there is no preset 'partiy'", "did you mean parity?"),
        ("preset = 3", "there is no preset 3", "it may be one of: parity, recommended"),
        ("[parity]\nexpand = 3", "expand = 3, but [expand] is a section", "expand.KEY=VALUE"),
        ("parity = 3", "parity = 3, but [parity] holds sections", "[parity.SECTION]"),
        ("[parity.expand]\nfacter = 3", "[expand] has no setting 'facter'", "did you mean factor?"),
        ("[recommended.expand]\nfacter = 3", "[expand] has no setting 'facter'", "did you mean factor?"),
    ],
)  # fmt: skip
def test_a_slip_is_named_with_what_was_meant(text: str, message: str, hint: str) -> None:
    found = slip(text)
    assert str(found).startswith(message)
    assert hint in found.hint


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="cannot be read") as failure:
        recipes.load(tmp_path / "mine.toml")
    assert "eyepacs" in failure.value.hint
    with pytest.raises(BadUsage, match="there is no recipe eyepaks") as failure:
        recipes.locate("eyepaks")
    assert failure.value.hint == "did you mean eyepacs?"


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


# Presets

OVERLAID = """
[generator]
steps = 2
[recommended.generator]
steps = 3
size = "xs"
[parity.generator]
steps = 4
[parity.ingest]
image_size = 128
[parity.generator.geca]
fire_rate = 0.7
"""


@pytest.mark.parametrize("name", sorted(name for name in MODELS if presets.of(MODELS[name], "parity")))
def test_the_paper_s_settings_of_a_section_are_settings_it_has(name: str) -> None:
    wanted = presets.of(MODELS[name], "parity")
    filled = presets.filled(MODELS[name], "parity", {})
    assert {key: getattr(filled, key) for key in wanted} == wanted
    assert presets.filled(MODELS[name], "recommended", {}) == MODELS[name]()


def test_parity_is_what_the_paper_says_of_geca_and_its_sampling() -> None:
    read = recipes.parse("preset = 'parity'")
    geca, expand = read.settings("generator"), read.expand
    assert (geca.size, geca.updates, geca.fire_rate, geca.prediction, geca.min_snr) == ("s", 12, 0.5, "epsilon", 0)
    assert (geca.epochs, geca.batch_size, geca.learning_rate, geca.ema) == (14000, 128, 1e-4, 0.9999)
    assert (expand.sampler, expand.sampling_steps, expand.guidance, expand.inherit) == ("ddpm", 250, 1.5, "hidden")
    assert recipes.parse("preset = 'recommended'") == recipes.parse("")


def test_what_is_typed_beats_the_preset_s_tables_which_beat_the_recipe_which_beats_the_preset() -> None:
    default, parity = recipes.parse(OVERLAID), recipes.parse(OVERLAID, ["preset=parity"])
    found = [
        (r.settings("generator").steps, r.settings("generator").size, r.ingest.image_size) for r in (default, parity)
    ]
    assert found == [(3, "xs", 64), (4, "s", 128)]
    assert parity.settings("generator").fire_rate == 0.7
    typed = recipes.parse(OVERLAID, ["generator.steps=5", "preset=parity", "ingest.image_size=32"])
    assert (typed.settings("generator").steps, typed.ingest.image_size) == (5, 32)
    alone = recipes.parse("preset = 'parity'\n[expand]\nsampling_steps = 9").expand
    assert (alone.sampling_steps, alone.sampler) == (9, "ddpm")


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_a_resolved_recipe_says_its_preset_and_everything_else(preset: str) -> None:
    read = recipes.parse(OVERLAID, [f"preset={preset}"])
    text = recipes.dump(read)
    assert f'preset = "{preset}"' in text
    assert not [name for name in presets.PRESETS if f"[{name}" in text]
    assert recipes.parse(text) == read


def test_a_kind_that_comes_later_has_the_preset_s_settings_too() -> None:
    later = recipes.parse(recipes.dump(recipes.parse("preset = 'parity'")), ["codec.kind=identity"])
    assert (later.preset, later.codec.kind) == ("parity", "identity")
    assert later.settings("generator", "geca").size == "s"
    assert recipes.Recipe(preset="parity").settings("generator", "geca").size == "s"


def test_tables_of_a_preset_may_name_another_kind() -> None:
    text = "[codec]\nsteps = 2\n[parity.codec]\nkind = 'identity'\n[recommended.codec.kl]\nwidth = 8"
    assert recipes.parse(text).settings("codec").width == 8
    parity = recipes.parse(text, ["preset=parity"])
    assert (parity.codec.kind, parity.settings("codec", "kl").steps) == ("identity", 2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], (14000, None)),
        (["generator.steps=7"], (None, None)),
        (["generator.minutes=7"], (None, 7)),
        (["generator.steps=7", "generator.minutes=3"], (None, 3)),
        (["generator.minutes=3", "generator.epochs=2"], (2, None)),
        (["generator.epochs="], (14000, None)),
    ],
)
def test_steps_minutes_and_epochs_take_turns_also_after_being_written(
    changes: list[str], expected: tuple[float | None, float | None]
) -> None:
    for text in ("preset = 'parity'", recipes.dump(recipes.parse("preset = 'parity'"))):
        read = recipes.parse(text, changes)
        assert (read.settings("generator").epochs, read.settings("generator").minutes) == expected
        assert recipes.parse(recipes.dump(read)) == read


@pytest.mark.parametrize("preset", presets.PRESETS)
@pytest.mark.parametrize("change", ["minutes=3", "epochs=3", "steps=3"])
def test_going_back_from_a_change_of_the_length_is_the_preset_again(change: str, preset: str) -> None:
    for kind in kinds.names("generators"):
        before = recipes.parse(f"preset = '{preset}'\n[generator]\nkind = '{kind}'")
        between = recipes.parse(recipes.dump(before), [f"generator.{change}"])
        text = recipes.dump(between)
        assert recipes.parse(text) == between != before
        assert recipes.parse(text, [f"generator.{change.partition('=')[0]}="]) == before


def test_what_a_recipe_says_beside_a_rival_stays_written() -> None:
    read = recipes.parse("[generator]\nminutes = 3\nsteps = 9")
    assert recipes.parse(recipes.dump(read)) == read
    assert recipes.parse(recipes.dump(read), ["generator.minutes="]).settings("generator").steps == 9


def test_epochs_become_steps_by_the_number_of_images() -> None:
    settings = recipes.parse("preset = 'parity'").settings("generator")
    assert settings.steps_over(1080) == 118_125
    assert recipes.parse("", ["generator.epochs=0.001"]).settings("generator").steps_over(10) == 1
    assert recipes.parse("", ["generator.steps=9"]).settings("generator").steps_over(1080) == 9


def test_a_preset_is_typed_like_any_setting_and_empty_means_recommended() -> None:
    assert recipes.parse("", ["preset=parity"]).preset == "parity"
    assert recipes.parse("preset = 'parity'", ["preset="]).preset == "recommended"
    assert slip("", ["preset=partiy"]).hint == "did you mean parity?"


# Shipped recipes


@pytest.mark.parametrize("preset", presets.PRESETS)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_read_by_its_name_under_both_presets(path: Path, preset: str) -> None:
    read = recipes.load(recipes.locate(path.stem), [f"preset={preset}"])
    assert read.preset == preset
    assert recipes.parse(recipes.dump(read)) == read


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_leaves_the_paper_s_settings_of_its_models_alone(path: Path) -> None:
    read = recipes.load(recipes.locate(path.stem), ["preset=parity"])
    for stage in ("ingest", "codec", "expand", *(("generator", kind) for kind in kinds.names("generators"))):
        settings = read.settings(*stage) if isinstance(stage, tuple) else read.settings(stage)
        for key, value in presets.of(type(settings), "parity").items():
            assert getattr(settings, key) == value, f"{path.stem}: {stage} {key}"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_key_of_a_shipped_recipe_has_a_comment(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if re.match(r"\w+ *=", line):
            assert above.startswith("# ") or " # " in line, f"{path.name}: {line}"


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if recipes.load(path).ingest.modality == "fundus"], ids=lambda path: path.stem
)
def test_a_shipped_recipe_of_fundus_photographs_mirrors_until_it_is_told_of_another_modality(path: Path) -> None:
    assert recipes.load(path).ingest.mirrors
    assert not recipes.load(path, ["ingest.modality=oct"]).ingest.mirrors


def test_recipes_are_shipped_for_the_data_that_the_readme_names() -> None:
    assert {"demo", "eyepacs", "odir", "retinamnist"} <= set(recipes.shipped())


def test_numbers_that_are_none_never_reach_a_recipe() -> None:
    for value in (math.inf, -math.inf, math.nan):
        with pytest.raises(BadUsage):
            recipes.from_table({"expand": {"guidance": value}})
    assert tomllib.loads(recipes.dump(recipes.parse("", ["expand.guidance=0"])))["expand"]["guidance"] == 0
