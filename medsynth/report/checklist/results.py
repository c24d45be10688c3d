"""What a run says to the points about aims, scores and what was found."""

from medsynth.arms import without_repeat
from medsynth.report import counts, novelty, words
from medsynth.report import likeness as nearness
from medsynth.report.answer import FEWEST_FOLDS, gains
from medsynth.report.checklist.answered import BY_YOU, Answered
from medsynth.report.collect import Found


def aims(found: Found) -> Answered:
    known = found.comparisons
    if known is None:
        return Answered()
    declared = sum(c.declared for c in known.comparisons)
    return Answered(
        f"Whether synthetic images improve a classifier, by its {words.metric(known.primary)} by {known.unit}, "
        f"declared before; {words.count(declared, 'comparison')} declared. Medical aim: {BY_YOU}.",
        found.comparisons_file,
    )


def likeness(found: Found) -> Answered:
    each = [
        f"{words.generator(d.made.kind)}, fold {d.made.fold}: KID × 1000 {words.number(d.ours.value)}"
        + (f", of real training images {words.number(d.real.value)}" if d.real else "")
        for d in nearness.distances(found)
    ]
    return Answered(f"{'; '.join(each)}.", "fold-*/evaluate/*/scores.json") if each else Answered()


def audited(found: Found) -> Answered:
    each = [
        f"{words.generator(a.made.kind)}, fold {a.made.fold}: {'passed' if a.passed else 'not passed'}"
        for a in novelty.audited(found)
    ]
    return Answered(f"Audit: {'; '.join(each)}.", "fold-*/audit/*/scores.json") if each else Answered()


def exported(found: Found) -> Answered:
    taken = novelty.risks(found)
    if not taken:
        return Answered()
    return Answered(f"Without a passed audit: {words.listed(what for what, _ in taken)}.", "exports.jsonl")


def metrics(found: Found) -> Answered:
    named = [words.metric(metric) for metric in found.metrics(found.unit)]
    return Answered(f"By {found.unit}: {', '.join(named)}.", "fold-*/classify/*/scores.json") if named else Answered()


def statistics(found: Found) -> Answered:
    known = found.comparisons
    if known is None:
        return Answered()
    return Answered(
        f"{words.percent(known.level)} intervals by a paired bootstrap over patients ({known.resamples:,} resamples); "
        f"beside it {known.permutations:,} permutations of arms within patients, a t-test over folds that knows of "
        "shared patients, and DeLong's test of single labels; Holm's adjustment over the declared comparisons. Claimed "
        "is what interval, adjusted p and permutation agree on.",
        found.comparisons_file,
    )


def controls(found: Found) -> Answered:
    plain = dict.fromkeys(without_repeat(arm) for arm in found.arms if not words.generators_of(arm))
    if not plain:
        return Answered()
    return Answered(f"Compared with: {words.listed(map(words.arm, plain))}.", "fold-*/classify/")


def performance(found: Found) -> Answered:
    if not found.arms:
        return Answered()
    return Answered(
        "On test patients, arm by arm and fold by fold, under Do they help?; on selection patients in each log.jsonl.",
        "fold-*/classify/*/scores.json",
    )


def precision(found: Found) -> Answered:
    known = found.comparisons
    found_gains = gains(known) if known else ()
    if known is None or not found_gains:
        return Answered()
    each = [
        f"{words.arm(g.arm)} against {words.arm(g.baseline)} {words.signed(g.difference)}"
        + (f" ({words.between(g.low, g.high)})" if g.low is not None and g.high is not None else "")
        for g in found_gains
    ]
    of = counts.tested(found.cohort, [f for c in known.comparisons if c.declared for f in c.folds], known.unit)
    standing = of.sentence(found.cohort.facts.has_patients)
    return Answered(f"{words.metric(known.primary)} gained: {'; '.join(each)}. On {standing}.", found.comparisons_file)


def failures(found: Found) -> Answered:
    if not found.arms:
        return Answered()
    return Answered(
        f"The probability of every test image is in predictions.csv. Looking at what went wrong: {BY_YOU}.",
        "fold-*/classify/*/predictions.csv",
    )


def limits(found: Found) -> Answered:
    known, said = found.comparisons, []
    if not found.cohort.facts.has_patients:
        said.append("No patient ids: a patient may be in several parts.")
    if known and known.arms:
        trainings = min(len(arm.folds) * arm.repeats for arm in known.arms)
        folds = min(len(set(arm.folds)) for arm in known.arms)
        few = f", fewer than {FEWEST_FOLDS}" if folds < FEWEST_FOLDS else ""
        said.append(
            f"Each arm was trained {words.count(trainings, 'time')} on {words.count(folds, 'fold')}{few}; intervals "
            "take trained models as they are."
        )
    return Answered(f"{' '.join(said)} Others: {BY_YOU}.", found.comparisons_file) if said and known else Answered()
