"""What a paper about artificial intelligence on medical images should say -> each point filled from the run, or left to
its authors. Points and numbers: CLAIM (Mongan, Moy and Kahn 2020), in our words; those of synthesis have no number.
"""

from collections.abc import Callable
from dataclasses import dataclass

from medsynth.report.checklist import data, masks, models, results
from medsynth.report.checklist.answered import Answered
from medsynth.report.collect import Found


@dataclass(frozen=True)
class Point:
    """One point of the list, before anything is filled in."""

    number: int | None  # of the edition of 2020
    asks: str
    by: Callable[[Found], Answered] | None = None  # None: no run can know it
    of_masks: Callable[[Found], Answered] | None = None  # the same of segmenters


@dataclass(frozen=True)
class Item:
    """One point of the list."""

    number: int | None
    asks: str
    said: str  # "" where authors have to fill it in
    sources: tuple[str, ...]  # files it was filled from


@dataclass(frozen=True)
class Group:
    """The points of one part of a paper."""

    name: str
    items: tuple[Item, ...]

    @property
    def filled(self) -> int:
        return sum(bool(item.said) for item in self.items)


POINTS = {
    "Title, abstract, introduction": (
        Point(1, "The title or abstract says that this is a study of artificial intelligence, and of which kind."),
        Point(2, "The abstract is in parts: design, methods, results, conclusions."),
        Point(3, "The medical background, and for whom and at which point of care the method is meant."),
        Point(4, "Aims, and what was expected before the data were seen.", results.aims, masks.aims),
    ),
    "Study and data": (
        Point(5, "Whether data were gathered for the study or had been there before."),
        Point(6, "What kind of study it is: a first model, a comparison, a test of feasibility."),
        Point(7, "Where the data come from.", data.source),
        Point(8, "Who and which images were taken in, and who was left out, why.", data.eligible),
        Point(9, "What was done to the images before anything learned from them.", data.preprocessing),
        Point(10, "Which part of each image or data set was used.", data.subset),
        Point(11, "What each label or grade means.", data.labels),
        Point(12, "How names and other marks of a person were taken off the data.", data.names_removed),
        Point(13, "What was done about what was missing or unreadable.", data.missing),
    ),
    "Reference standard": (
        Point(14, "What counts as the truth, in enough detail to be repeated."),
        Point(15, "Why this truth was chosen."),
        Point(16, "Who labelled the images, and how experienced they are."),
        Point(17, "With which tools they were labelled."),
        Point(18, "How far those who labelled agree, and how disagreement was settled."),
    ),
    "Partitions": (
        Point(19, "How many, and how that number was arrived at.", data.size),
        Point(20, "How data were dealt to training, selection and test, and in which shares.", data.dealt),
        Point(21, "At which level the parts have nothing in common: image, eye, patient, clinic.", data.disjoint),
    ),
    "Models": (
        Point(22, "The models, in enough detail to be built again.", models.models, masks.models),
        Point(23, "The software, with its versions.", models.software),
        Point(24, "Which weights training began with.", models.first_weights, masks.first_weights),
    ),
    "Training": (
        Point(25, "How models were trained: augmentation, step size, number of steps and all other choices.",
              models.training, masks.training),
        Point(26, "How the final model was chosen among those there were.", models.selection, masks.selection),
        Point(27, "How models were combined, if they were.", models.ensembles, masks.ensembles),
    ),
    "Synthesis": (
        Point(None, "How many synthetic images were drawn for how many real ones.", models.factor),
        Point(None, "How they were drawn: sampler, steps, guidance.", models.sampling),
        Point(None, "How near they are to real images of new patients.", results.likeness),
        Point(None, "Whether training images or patients were looked for in them, and what was found.",
              results.audited),
        Point(None, "Which of them left the project, and why.", results.exported),
    ),
    "Evaluation": (
        Point(28, "By which scores models were judged.", results.metrics, masks.metrics),
        Point(29, "How uncertainty and significance were measured.", results.statistics, masks.statistics),
        Point(30, "How far results hold when something is changed.", results.controls, masks.controls),
        Point(31, "How the models' decisions were explained, and whether that was checked."),
        Point(32, "Whether they were tested on data from elsewhere.", data.external),
    ),
    "Results": (
        Point(33, "How many patients and images went each way, best as a diagram.", data.flow),
        Point(34, "Age, sex and disease of the patients in each part.", data.demographics),
        Point(35, "How the best model did on every part.", results.performance, masks.performance),
        Point(36, "How exact it is, with intervals.", results.precision, masks.precision),
        Point(37, "Which cases it got wrong, looked at one by one.", results.failures, masks.failures),
    ),
    "Discussion and other": (
        Point(38, "Limits of the study: bias, what cannot be carried over, what is uncertain.", results.limits,
              masks.limits),
        Point(39, "What follows for practice, and what use is meant."),
        Point(40, "Number and name of the registration, if there is one."),
        Point(41, "Where the whole protocol can be read.", models.protocol),
        Point(42, "Who paid, and what part they had in the study."),
    ),
}  # fmt: skip


def groups(found: Found) -> list[Group]:
    return [Group(name, tuple(_item(found, point) for point in points)) for name, points in POINTS.items()]


def _item(found: Found, point: Point) -> Item:
    said = point.by(found) if point.by else Answered()
    both = [part for part in (said, point.of_masks(found) if point.of_masks else Answered()) if part.text]
    text, sources = " ".join(part.text for part in both), dict.fromkeys(part.source for part in both)
    return Item(point.number, point.asks, text, tuple(sources))
