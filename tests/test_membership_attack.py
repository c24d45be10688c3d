"""What a generator's loss gives away: of one that knows by heart what it learned, beside one that has not seen it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medsynth import codecs, kinds
from medsynth.artifacts.cohort import Sample, evenly
from medsynth.codecs import Picture
from medsynth.data import images
from medsynth.data.loading import ImageSet
from medsynth.draws import Draws
from medsynth.membership import Asked, Knower, attack, draw_seeds
from medsynth.metrics.measured import Bootstrap
from medsynth.metrics.membership import membership_auc
from medsynth.rundir import RunDirectory
from medsynth.shapes import Labels, Latents, Loss

SIDE = 8
SETTINGS = Asked(draw_seeds(0), images=50)


class Rote(nn.Module):
    """A generator that knows some latents by heart: all others are the harder for it the more contrast they have."""

    def __init__(self, known: Latents) -> None:
        super().__init__()
        self.known = known

    def loss(self, latents: Latents, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        away = (latents[:, None] - self.known[None]).flatten(2).square().mean(2).amin(1)
        noise = draws.normal(1).square().mean().to(latents)
        return latents.square().mean() + 0.3 * away.mean() + 0.1 * noise + 0 * labels.sum()


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Two images each of twenty patients, tested in the folds 0 to 4 in turn; those of fold 1 show hardly a thing."""
    dice, found = np.random.default_rng(0), []
    for place in range(40):
        fold = place // 2 % 5
        contrast = 3 if fold == 1 else 40
        path = tmp_path / f"{place:02d}.png"
        images.write_png(path, np.clip(dice.normal(128, contrast, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8))
        found.append(Sample(sample=f"s{place:02d}", patient=f"p{place // 2}", image=path, labels=(1, 0), fold=fold))
    return found


@pytest.fixture
def codec(samples: list[Sample]) -> object:
    found = codecs.build(kinds.config("codecs", "identity")(), Picture(3, SIDE))
    found.measure(found.encode(ImageSet(samples).tensor(range(40))))
    return found.eval()


def knower(codec: object, learned: list[Sample]) -> Knower:
    posterior = codec.encode(ImageSet(learned).tensor(range(len(learned))))  # type: ignore[attr-defined]
    return Knower(Rote(codec.latents(posterior, torch.zeros(len(learned), 3, SIDE, SIDE))), codec)  # type: ignore[attr-defined]


def without(samples: list[Sample], fold: int) -> list[Sample]:
    return [s for s in samples if s.fold != fold]


def test_easy_images_hide_who_was_learned_until_another_generator_says_how_easy_they_are(
    samples: list[Sample], codec: object
) -> None:
    """Fold 0 is tested, and fold 1's patients are held back for selection: they were not learned from either."""
    others = [s for s in samples if s.fold == 1]
    members = [s for s in samples if s.fold > 1]
    references = {fold: knower(codec, without(samples, fold)) for fold in range(1, 5)}
    plain, calibrated = attack(knower(codec, members), references, (members, others), SETTINGS)
    assert (plain.calibrated, calibrated.calibrated) == (False, True)
    assert membership_auc(plain.members, plain.others, Bootstrap(0, 0)).value == 0
    assert membership_auc(calibrated.members, calibrated.others, Bootstrap(0, 0)).value == 1
    assert calibrated.others.patients.tolist() == [s.patient for s in others]


def test_only_a_generator_that_has_not_seen_an_image_says_how_easy_it_is(samples: list[Sample], codec: object) -> None:
    members, others = samples[4:12], samples[12:20]  # of the folds 2, 3, 4, 0 and 1, 2, 3, 4
    references = {2: knower(codec, without(samples, 2)), 3: knower(codec, without(samples, 3))}
    _, calibrated = attack(knower(codec, members), references, (members, others), SETTINGS)
    assert set(calibrated.members.patients) == {s.patient for s in members if s.fold in (2, 3)}
    assert set(calibrated.others.patients) == {s.patient for s in others if s.fold in (2, 3)}


def test_without_other_folds_there_are_plain_scores_alone(samples: list[Sample], codec: object) -> None:
    found = attack(knower(codec, samples[:10]), {}, (samples[:10], samples[10:]), SETTINGS)
    assert [each.calibrated for each in found] == [False]
    assert attack(knower(codec, samples[:10]), {}, (samples[:10], []), SETTINGS) == []


def test_an_image_has_one_score_whoever_is_asked_about_beside_it(samples: list[Sample], codec: object) -> None:
    asked = knower(codec, samples[:10])
    many = attack(asked, {}, (samples[:10], samples[10:]), SETTINGS)[0]
    few = attack(asked, {}, (samples[3:5], samples[10:11]), SETTINGS)[0]
    assert few.members.values.tolist() == many.members.values[3:5].tolist()
    assert few.others.values.tolist() == many.others.values[:1].tolist()


def test_so_many_images_are_asked_about_as_is_set_evenly_spaced(samples: list[Sample], codec: object) -> None:
    told: list[tuple[int, int]] = []
    settings = Asked(draw_seeds(0), 5, lambda done, count: told.append((done, count)))
    found = attack(knower(codec, samples[:10]), {}, (samples[:30], samples[30:]), settings)[0]
    assert found.members.patients.tolist() == [samples[place].patient for place in (0, 6, 12, 18, 24)]
    assert told == [(done, 5) for done in range(1, 6)] * 2
    assert evenly([0, 1, 2], 5) == (0, 1, 2)
    assert evenly([], 5) == ()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_trained_generator_is_asked_with_the_codec_it_learned_with(finished: RunDirectory, seed: int) -> None:
    folders = [finished.artifact(stage, 0, kind).folder for stage, kind in (("generator", "geca"), ("codec", "kl"))]
    asked = Knower.load(*folders)
    image, labels = torch.rand(1, 3, 32, 32) * 2 - 1, torch.tensor([[1.0, 0.0]])
    found = [asked.score(image, labels, draw_seeds(seed)) for _ in range(2)]
    assert found[0] == found[1] < 0
    assert asked.score(image, labels, draw_seeds(seed + 1)) != found[0]
