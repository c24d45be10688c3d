"""The recipe of the autoregressive paper's experiment asks for that experiment."""

from pathlib import Path

from pictures import clinic, rows_of
from shell import done

from medsynth import recipe as recipes
from medsynth.generators.llamagen.transformer import SHAPES


def test_under_parity_it_is_the_paper_s() -> None:
    read = recipes.load(recipes.locate("npdr"), ["preset=parity"])
    ingest, codec, generator = read.ingest, read.settings("codec"), read.settings("generator")
    assert ingest.values_of_classes == {"healthy": ("0",), "npdr": ("2", "3")}
    assert (ingest.split, ingest.crop, ingest.modality) == ((0.5, 0.2, 0.3), "centre", "fundus")
    assert (read.codec.kind, codec.codebook, codec.dimension) == ("vq", 16384, 8)
    assert ingest.image_size // codec.factor == 32
    assert (read.generator.kind, generator.codec, generator.epochs, generator.batch_size) == ("llamagen", "vq", 300, 32)
    shape = SHAPES[generator.size]
    assert (shape.depth, shape.width, shape.heads) == (36, 1280, 20)
    assert (generator.learning_rate, generator.betas, generator.weight_decay) == (1e-4, (0.9, 0.95), 0.05)
    assert (generator.clip_norm, generator.dropout, generator.label_dropout_rate) == (1.0, 0.1, 0.1)
    assert (read.expand.temperature, read.expand.top_p, read.expand.top_k) == (1.0, 1.0, 0)
    assert 1 <= read.expand.guidance <= 4


def test_as_recommended_both_sides_learn_from_equally_many_images() -> None:
    read = recipes.load(recipes.locate("npdr"))
    ours, theirs = (read.settings("generator", kind) for kind in ("llamagen", "iddpm"))
    assert (ours.steps, ours.batch_size) == (theirs.steps, theirs.batch_size)


def test_it_deals_grades_to_two_classes_and_three_parts(tmp_path: Path) -> None:
    rows = rows_of(40, lambda n, row: row | {"level": n // 2 % 5})
    source = clinic(
        tmp_path / "clinic", [{"patient_id" if k == "patient" else k: v for k, v in r.items()} for r in rows]
    )
    run = tmp_path / "run"
    done("new", run, "--recipe", "npdr", "--set", "ingest.image_size=8")
    made = done("ingest", source, "--run", run, "--json").json["results"][0]
    assert made["summary"]["labels"] == {"healthy": 16, "npdr": 32}
    assert made["summary"]["folds"] == 1
    assert any("16 with level=1, 16 with level=4" in note for note in made["notes"])
