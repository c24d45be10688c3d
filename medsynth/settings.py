"""What the sections of a recipe are made of. A sentence under a setting is its documentation, wherever it is shown."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from medsynth.sampling import NoiseSchedule, Prediction

STRICT = ConfigDict(
    frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
)

# Settings that change what is seen on the way, never what comes out: a change of them makes nothing stale.
COSMETIC = frozenset({"log_every", "preview_every", "checkpoint_seconds", "sharded"})

# Settings that say nothing where no masks are learnt; left out there, so that runs without masks stay as they are.
OF_MASKS = frozenset({"with_masks", "mask_weight"})

# Settings that recipes of before did not have; left out where nothing was chosen, so that runs of then are up to date.
LATER = frozenset({"table", "frame", "checked_for_burned_in_text", "rate_decay"})

Schedule = Literal["constant", "cosine", "exponential"]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Below1 = Annotated[float, Field(ge=0, lt=1)]


class Masked(BaseModel):
    """Whether a codec learns masks beside the pictures."""

    model_config = STRICT

    with_masks: bool = False
    """The mask of an image's lesions is one more channel of its picture: what learns the latents draws pairs of both.
    Every image of the cohort needs a mask, black where there is no lesion."""


class Fitting(BaseModel):
    """How the training loop runs. Every section that trains has these settings beside its own."""

    model_config = STRICT

    steps: Positive = 2000
    """Optimiser steps."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Train for this many minutes instead of a number of steps."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """See every training image so many times instead of a number of steps."""
    batch_size: Positive = 32
    """Images in one optimiser step, over all processes together."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Step size of AdamW after the warm-up."""
    betas: tuple[Below1, Below1] = (0.9, 0.999)
    """How slowly AdamW's running means of the gradient and of its square forget."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps over which the learning rate rises from zero."""
    schedule: Schedule = "constant"
    """What the learning rate does after the warm-up: stay, fall to zero along a cosine, or fall by a share a step."""
    rate_decay: Annotated[float, Field(gt=0, le=1)] = 0.9999
    """What an exponential schedule multiplies the learning rate by at each step."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW; tensors of one dimension, biases and gains, are spared it."""
    clip_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this norm when they exceed it; 0: never."""
    ema: Share = 0.9999
    """Decay of the running mean of the weights that is used after training; 0 uses the last weights."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the products. auto: bf16 on a GPU that has it, fp32 elsewhere."""
    log_every: Positive = 10
    """Steps between two lines of log.jsonl."""
    preview_every: Annotated[int, Field(ge=0)] = 500
    """Steps between two preview pictures; 0 draws none."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Seconds of training that a killed process loses at most."""
    sharded: bool = False
    """Share weights, gradients and moments out to the processes of torchrun: for what one GPU cannot hold."""

    @property
    def keeps(self) -> bool:
        """Whether looks are taken on the way, and the weights of one of them are kept."""
        return False

    def steps_over(self, items: int) -> int:
        """Optimiser steps over so many items: `epochs` of them where that is given, `steps` otherwise."""
        return self.steps if self.epochs is None else max(1, round(self.epochs * items / self.batch_size))


class Segmenting(Fitting):
    """How a segmenter learns and is judged. Every one of them has these settings beside its own."""

    PARITY: ClassVar[dict[str, Any]] = {"augment": False}

    augment: bool = True
    """Turn, shift and scale image and mask together, and mirror them where a mirror image is as plausible."""
    combine: Literal["mean", "majority", "staple"] = "mean"
    """How the runs of an ensemble become one mask: by their mean, by the majority, or by STAPLE, which trusts runs the
    more, the better they agree with what all of them say. The scores of the others are given as well."""
    selection_images: Positive = 200
    """Images of selection patients, at most, on which the threshold between lesion and skin is chosen."""
    tested_images: Annotated[int, Field(ge=0)] = 0
    """Test images, evenly spaced; 0: all of them."""
    failure: Share = 0.8
    """A mask with a lower Dice than this has failed: what the quality score is to find."""

    steps: Positive = 1000
    batch_size: Positive = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    schedule: Schedule = "cosine"
    ema: Share = 0.99
    preview_every: Annotated[int, Field(ge=0)] = 0


class Watched(Fitting):
    """How a generator is kept from learning images by heart. Every generator has these settings beside its own."""

    # What was published trained to the end and kept the last weights. The looks are still taken, for the report.
    PARITY: ClassVar[dict[str, Any]] = {"copy_limit": 1.0, "loss_tolerance": 1000.0, "patience": 0}

    watch_every: Annotated[int, Field(ge=0)] = 500
    """Steps between two looks at whether the generator copies and how it does on the selection patients; 0: none."""
    watch_images: Positive = 64
    """Synthetic images drawn at a look."""
    copy_limit: Share = 0.02
    """A look passes with no larger a share of copies; with 64 images one copy may be chance."""
    loss_tolerance: Annotated[float, Field(ge=0)] = 0.1
    """A look passes while the loss on the selection patients is above its lowest by no more than this share of it."""
    patience: Annotated[int, Field(ge=0)] = 3
    """Training stops after so many looks in a row that did not pass; 0: never. The last that passed is kept."""

    @property
    def keeps(self) -> bool:
        """As above."""
        return self.watch_every > 0


class Denoising(Watched):
    """How a diffusion is learnt. Every generator that removes noise has these settings beside its own."""

    # What is common to the comparison of Elbatel et al. 2024, section 3; its code hides each label alone.
    PARITY: ClassVar[dict[str, Any]] = {
        "prediction": "epsilon", "noise_schedule": "linear", "min_snr": 0.0, "label_dropout": "per-label",
        "label_dropout_rate": 0.1, "augment": False, "epochs": 14000, "batch_size": 128, "learning_rate": 1e-4,
        "warmup_steps": 0, "schedule": "constant", "weight_decay": 0.0, "ema": 0.9999,
    }  # fmt: skip

    prediction: Prediction = "v"
    """What the network predicts: the noise, as in the paper, the velocity, the image, or a rectified flow, of
    which no variance is learnt."""
    noise_schedule: NoiseSchedule = "linear"
    """How noise grows over the 1000 diffusion steps; a rectified flow has a schedule of its own."""
    min_snr: Annotated[float, Field(ge=0)] = 5.0
    """Gamma of the min-SNR loss weight; 0 weighs every noise level alike, as in the paper."""
    label_dropout: Literal["whole", "per-label"] = "whole"
    """What is hidden for classifier-free guidance: all labels at once, for a learned null, or each label alone."""
    label_dropout_rate: Share = 0.1
    """How often labels are hidden."""
    augment: bool = False
    """Learn from moved images, too, and be told how they were moved; needs encode.augmented."""

    steps: Positive = 5000
    batch_size: Positive = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    schedule: Schedule = "cosine"
    ema: Share = 0.998
    preview_every: Annotated[int, Field(ge=0)] = 1000


def said(settings: BaseModel) -> dict[str, Any]:
    """The settings that say something, as JSON values."""
    dumped, plain = settings.model_dump(mode="json"), type(settings).model_fields
    silent = {key for key in LATER & dumped.keys() if dumped[key] == plain[key].default}
    silent |= set() if dumped.get("with_masks") else OF_MASKS
    return {key: value for key, value in dumped.items() if key not in silent}
