"""What a run says of its segmenters to the points about models, training, scores and what was found."""

from medsynth.report import masks, segmentation, words
from medsynth.report.answer import FEWEST_FOLDS
from medsynth.report.checklist.answered import BY_YOU, RECIPE, Answered, number, records, setting
from medsynth.report.collect import Found

SCORES, TABLE = "fold-*/segment/*/scores.json", masks.SOURCE


def aims(found: Found) -> Answered:
    known = masks.gains(found)
    if not known:
        return Answered()
    declared = words.count(len(known), "comparison")
    said = (
        f"Whether synthetic images improve a segmenter, by the Dice of an image, declared before; {declared} declared."
    )
    return Answered(f"{said} Medical aim: {BY_YOU}.", TABLE)


def models(found: Found) -> Answered:
    each = [
        f"{segmentation.called(kind)}, {words.large(number(found.of('segment', kind), 'parameters'))} parameters"
        for kind in found.kinds("segment")
    ]
    return Answered(f"Segmenters: {'; '.join(each)}.", RECIPE) if each else Answered()


def first_weights(found: Found) -> Answered:
    return Answered("Segmenters: random numbers.", records("segment")) if found.of("segment") else Answered()


def training(found: Found) -> Answered:
    said = []
    for kind in found.kinds("segment"):
        made = found.of("segment", kind)
        rate, batch = (setting(made, key) for key in ("learning_rate", "batch_size"))
        steps = words.listed(dict.fromkeys(f"{m.get('summary').get('steps', 0):,}" for m in made), "or")
        said.append(f"{segmentation.called(kind)}: {steps} steps of {batch} images, step size {rate}")
    return Answered(f"Segmenters: {'; '.join(said)}.", records("segment")) if said else Answered()


def selection(found: Found) -> Answered:
    if not found.of("segment"):
        return Answered()
    return Answered("The threshold of masks on selection patients; of segmenters the last weights.", records("segment"))


def ensembles(found: Found) -> Answered:
    runs = {kind: number(found.of("segment", kind), "runs") or 1 for kind in found.kinds("segment")}
    each = [
        f"{runs[kind]:.0f} runs of {segmentation.called(kind)}, by {setting(found.of('segment', kind), 'combine')}"
        for kind in runs
        if runs[kind] > 1
    ]
    if not runs:
        return Answered()
    return Answered(f"Masks: {'; '.join(each) or 'one run an image'}.", records("segment"))


def metrics(found: Found) -> Answered:
    if not found.of("segment"):
        return Answered()
    said = "Of the mask of each image: Dice, IoU, HD95; of all pixels together: Dice, IoU."
    return Answered(said, SCORES)


def statistics(found: Found) -> Answered:
    if not found.of("segment"):
        return Answered()
    said, asked = "Of masks: 95 % intervals by a bootstrap over patients", masks.how(found)
    if masks.gains(found):
        said += (
            f"; of differences {words.percent(asked.level)}, paired ({asked.resamples:,} resamples), beside them "
            f"{asked.permutations:,} permutations within patients and a t-test over folds; Holm's adjustment over the "
            "declared comparisons"
        )
    return Answered(f"{said}.", TABLE)


def controls(found: Found) -> Answered:
    return Answered("Masks beside one of the whole image.", TABLE) if found.of("segment") else Answered()


def performance(found: Found) -> Answered:
    if not found.of("segment"):
        return Answered()
    return Answered("Of masks, on test patients, under How well masks are found.", SCORES)


def precision(found: Found) -> Answered:
    each = []
    for kind in found.kinds("segment"):
        dice = segmentation.row(kind, found.of("segment", kind)).main[0]
        each.append(f"{segmentation.called(kind)} {dice.said}" + (f" ({dice.small})" if dice.small else ""))
    return Answered(f"Mean Dice of an image: {'; '.join(each)}.", SCORES) if each else Answered()


def failures(found: Found) -> Answered:
    if not found.of("segment"):
        return Answered()
    return Answered(
        f"The scores of every image are in masks.csv, the worst masks under How well masks are found. Looking at what "
        f"went wrong: {BY_YOU}.",
        TABLE,
    )


def limits(found: Found) -> Answered:
    tested = [len(found.of("segment", kind)) for kind in found.kinds("segment")]
    if not tested:
        return Answered()
    few = f", fewer than {FEWEST_FOLDS}" if min(tested) < FEWEST_FOLDS else ""
    said = f"Each segmenter was trained once in each of {words.count(min(tested), 'fold')}{few}. Others: {BY_YOU}."
    return Answered(said, records("segment"))
