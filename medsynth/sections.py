"""The sections of a recipe whose settings are the same for every kind of model: where images come from, how they are
expanded and classified, and how all of it is judged."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from medsynth.sampling import Arithmetic, Guide, Inherit, Sampler
from medsynth.settings import STRICT, Fitting, Positive, Schedule, Share


def _interval(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    example = "as in --guidance-interval 0.2,0.8"
    try:
        low, high = handler(value)
    except ValidationError:
        raise ValueError(f"two shares between 0 and 1 are meant, LOW,HIGH, {example}") from None
    if low > high:
        raise ValueError(f"the first share is above the second; LOW,HIGH is meant, {example}")
    return low, high


Interval = Annotated[tuple[Share, Share], WrapValidator(_interval)]


def _split(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        shares = handler(value)
    except ValidationError:
        shares = (0.0,)
    if shares and (len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-3):
        raise ValueError("three shares that add up to 1 are meant, TRAINING,SELECTION,TEST, as in --split 0.5,0.2,0.3")
    return shares


Split = Annotated[tuple[Share, ...], WrapValidator(_split)]


def _values_of(asked: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Class -> the values that it is made of, from texts like `npdr = 2 + 3`."""
    found: dict[str, tuple[str, ...]] = {}
    for text in asked:
        left, _, right = text.partition("=")
        name, values = left.strip(), tuple(value.strip() for value in right.split("+"))
        if not name or not all(values):
            raise ValueError(
                f"{text!r} is not NAME = VALUE or NAME = VALUE + VALUE, as in --classes healthy=0,npdr=2+3"
            )
        if name in found:
            raise ValueError(f"the class {name} is there twice; its values are joined by +, as in {name} = 2 + 3")
        found[name] = values
    return found


def _classes(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Each spelled one way."""
    return tuple(f"{name} = {' + '.join(values)}" for name, values in _values_of(asked).items())


Classes = Annotated[tuple[str, ...], AfterValidator(_classes)]

Crop = Literal["centre", "pad", "inside-field"]


class Ingest(BaseModel):
    """Where the images are, and how patients are dealt to folds."""

    model_config = STRICT
    PARITY: ClassVar[dict[str, Any]] = {"image_size": 256}  # Elbatel et al. 2024, section 3

    source: str = ""
    """CSV file, MedMNIST .npz, folder of class folders or folder of DICOM files."""
    table: str | None = None
    """Of a folder of DICOM files: the CSV file with their labels; left out: the only one right in the folder."""
    frame: Annotated[int, Field(ge=1)] | None = None
    """Which frame is taken of DICOM files that have several, from 1; left out: such files are refused."""
    checked_for_burned_in_text: bool = False
    """Somebody has looked at every DICOM file that does not say so itself: no text is burned into its pixels."""
    image: str | None = None
    """Column with the image's path; left out: found by its usual names."""
    patient: str | None = None
    """Column with the patient's id; left out: found by its usual names."""
    eye: str | None = None
    """Column that says which eye; left out: found by its usual names, if there is one."""
    mask: str | None = None
    """Column with the path of a lesion mask, if there is one."""
    label: str | None = None
    """Column with the class of an image, for one class an image."""
    labels: tuple[str, ...] = ()
    """Columns that are 0 or 1, for several labels an image."""
    classes: Classes = ()
    """Classes made of the values of the class column, as in ["healthy = 0", "npdr = 2 + 3"]: images with other values
    are left out. Left out: each value is a class."""
    every_image_is_a_patient: bool = False
    """There are no patient ids: take every image for a patient of its own."""
    image_size: Annotated[int, Field(ge=8, le=1024)] = 64
    """Pixels a side after cropping and resizing."""
    crop: Crop = "centre"
    """How a picture becomes a square. centre: the long side is cut about its centre, which leaves the largest centred
    square; pad: the short side is padded with black; inside-field: of a round field of view the square inscribed in
    it, diameter / sqrt 2, is left, without black corners and without the retina beyond it."""
    modality: Literal["fundus", "oct", "dermoscopy", "other"] | None = None
    """What the images show. Where mirror is left out, it decides: of a fundus a mirrored image is as plausible, a left
    eye for a right one; of all others none is used."""
    mirror: bool | None = None
    """A mirrored image, left and right swapped, is as plausible as the image; left out: as the modality has it."""
    official_split: str | None = None
    """Column that says train, valid or test: the source's own split is kept as one fold; valid is for choices."""
    split: Split = ()
    """One fold instead of several: shares of patients that train, that choices are made on, that are tested."""
    folds: Annotated[int, Field(ge=1, le=100)] = 5
    """Folds that patients are dealt to; each is tested once."""
    selection_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    """Share of a fold's training patients on which choices are made; nothing trains on them. A split has its own."""
    allow_bad: Annotated[int, Field(ge=0)] = 0
    """How many images may be unreadable."""

    @field_validator("folds")
    @classmethod
    def _alone(cls, folds: int, others: ValidationInfo) -> int:
        """Only folds that somebody has set come here."""
        if folds != 1 and others.data.get("split"):
            shares = ", ".join(map(str, others.data["split"]))
            raise ValueError(
                f"split = [{shares}] is one fold, and the two contradict each other; leave one of them out"
            )
        return folds

    @property
    def values_of_classes(self) -> dict[str, tuple[str, ...]]:
        """Class -> the values of the class column that it is made of; nothing where each value is a class."""
        return _values_of(self.classes)

    @property
    def tested_folds(self) -> int:
        """How many folds there will be, unless the source has a split of its own."""
        return 1 if self.split else self.folds

    @property
    def mirrors(self) -> bool:
        """Whether mirror images are used: as it is said, else as the modality has it."""
        return self.modality == "fundus" if self.mirror is None else self.mirror


class Encode(BaseModel):
    """What is stored of every image for a generator to learn from, beside the image and its mirror image."""

    model_config = STRICT

    augmented: Annotated[int, Field(ge=0, le=64)] = 0
    """Moved copies of a training image, turned, shifted and scaled a little, for generators with augment = true. A
    change makes every generator of the codec stale, those without augment, too."""


class Expand(BaseModel):
    """How synthetic images are drawn."""

    model_config = STRICT
    # Elbatel et al. 2024: ancestral sampling in 250 respaced steps, and Gene Heredity Guidance (eq. 5 to 8).
    PARITY: ClassVar[dict[str, Any]] = {
        "factor": 5, "guidance": 1.5, "guidance_interval": (0.0, 1.0), "guide": "unlabelled", "sampler": "ddpm",
        "sampling_steps": 250, "inherit": "hidden",
    }  # fmt: skip

    factor: Positive = 5
    """Synthetic images for every real training image."""
    guidance: Annotated[float, Field(ge=0)] = 1.5
    """Scale of guidance by labels; 1 is none."""
    guidance_interval: Interval = (0.0, 1.0)
    """From where to where guidance works, as shares of the diffusion's time: 0 is clean, 1 is noise."""
    guide: Guide = "unlabelled"
    """What guidance leads away from: the prediction without labels, or that of a weaker self (GeCA: fewer updates)."""
    guide_updates: Positive | None = None
    """GeCA: updates of the weaker self; left out: half of them."""
    sampler: Sampler = "dpm++"
    """ddpm: ancestral, with the learned variance, as in the paper; ddim, dpm++ and unipc need fewer steps."""
    sampling_steps: Annotated[int, Field(ge=1, le=1000)] = 12
    """Diffusion steps from noise to an image; where it was measured, more of them gained nothing (docs/benchmarks)."""
    batch_size: Positive = 64
    """Images drawn at once; which images are drawn does not depend on it."""
    updates: Positive | None = None
    """GeCA: updates in one diffusion step; left out: as many as in training."""
    inherit: Inherit = "nothing"
    """GeCA: what of a cell a diffusion step leaves to the next (Gene Heredity Guidance). hidden: the paper's, for
    hundreds of small steps; few large ones need generator.heredity for it."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """LlamaGen: below 1 likely tokens are drawn more often still."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """LlamaGen: draw among so many of the likeliest tokens; 0: among all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """LlamaGen: draw among the likeliest tokens that together have this probability."""
    arithmetic: Arithmetic = "exact"
    """LlamaGen: int8 rounds weights and activations; faster on a CPU, and the images differ a little."""


class Classify(Fitting):
    """The ResNet-34 that measures whether synthetic images help."""

    arms: tuple[str, ...] = ()
    """Training sets to compare; left out: real and its plain augmentations, real+<generator> for each expansion, and
    the controls of the recipe's own generator."""
    seeds: Annotated[int, Field(ge=1, le=99)] = 1
    """Trainings of every arm: how far two trainings of one arm differ is part of what can be chance."""
    fewest_patients: Positive = 2
    """A label is scored in a fold with so many patients that have it and so many that do not; with fewer, the reason
    stands there instead of a number."""
    weights: str | None = None
    """Start from this local safetensors file instead of from scratch."""
    evaluate_every: Positive = 50
    """Steps between two looks at the selection patients; the best look is kept."""

    steps: Positive = 600
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    schedule: Schedule = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    ema: Share = 0.99
    preview_every: Annotated[int, Field(ge=0)] = 0

    @property
    def keeps(self) -> bool:
        """The weights of the best look."""
        return True


class Features(BaseModel):
    """What images are compared by: how a network sees them."""

    model_config = STRICT

    extractor: str = "resnet34"
    """resnet34: the fold's own classifier of real images; another one has its weights in a local file."""
    weights: str | None = None
    """The local file of the extractor's weights; left out: MEDSYNTH_WEIGHTS and the usual places are looked into."""
    unverified: bool = False
    """Take weights whose hash is not the published one; the name of every number then says so."""
    batch_size: Positive = 64
    """Images that the extractor sees at once; features do not depend on it."""


class Evaluate(BaseModel):
    """How well synthetic images resemble those of new patients, and how different they are from each other."""

    model_config = STRICT

    bootstrap: Annotated[int, Field(ge=0)] = 1000
    """Resamples of patients for an interval; 0: none."""
    neighbours: Positive = 5
    """Neighbours that precision, recall, density and coverage look at."""
    pairs: Positive = 200
    """Pairs of images of one class whose distance is averaged for diversity: a network looks at both once more."""
    perceptual: Literal["auto", "alex", "vgg", "features"] = "auto"
    """Distance of a pair: LPIPS by alex or vgg from a local file, or distance of features; auto: alex where its file
    is, features otherwise."""
    weights: str | None = None
    """The local file of LPIPS' trunk; left out: MEDSYNTH_WEIGHTS and the usual places are looked into."""
    unverified: bool = False
    """Take a trunk whose hash is not the published one; the name of the distance then says so."""
    reference_draws: Annotated[int, Field(ge=0)] = 20
    """Draws of held-out patients for the band in which a perfect generator's generalisation gap lies."""


class Audit(BaseModel):
    """How close synthetic images come to training images, measured against how close new patients come."""

    model_config = STRICT

    threshold: Share = 0.05
    """The audit is not passed where more synthetic images than this share are certainly closer to a training image than
    all but 5 % of new patients' images are, or where one is an exact copy."""
    bootstrap: Annotated[int, Field(ge=0)] = 1000
    """Resamples of patients for an interval; 0: none."""
    gallery: Positive = 20
    """Closest pairs that are kept to be looked at."""
    membership_images: Annotated[int, Field(ge=0)] = 200
    """Training images, and as many of selection patients, of which the generator is asked whether it knows them; 0:
    none."""


class Compare(BaseModel):
    """The statistics of the classifiers."""

    model_config = STRICT

    bootstrap: Annotated[int, Field(ge=1)] = 10000
    """Resamples of patients."""
    permutations: Annotated[int, Field(ge=1)] = 10000
    """Permutations of the two arms within patients."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of every interval."""
