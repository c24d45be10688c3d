"""Settings of MedSegDiffNCA."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medsynth.settings import Positive, Segmenting

Variant = Literal["basic", "cbam", "multi", "multicbam"]


class Config(Segmenting):
    """Settings of MedSegDiffNCA."""

    # The paper and its published code. There, every hidden layer has a norm over height, width and channels as well,
    # which holds 99 in 100 of its parameters, is not counted, and ties it to one size of image; it is left out.
    PARITY: ClassVar[dict[str, Any]] = {
        "size": "paper", "levels": 2, "rollout": 10, "filters": "dense", "norm": "none", "dropout": 0.25,
        "frozen": False, "prediction": "epsilon", "schedule_of_noise": "linear", "noise_shift": 1.0, "min_snr": 0.0,
        "levels_of_noise": 100, "guidance_loss": "mse", "guidance_weight": 1.0, "sampler": "ddpm",
        "sampling_steps": 100, "sampling_start": 1.0, "ensemble": 10, "batch_size": 8, "learning_rate": 1e-4,
        "warmup_steps": 0, "schedule": "constant", "clip_norm": 0.0, "ema": 0.9999,
    }  # fmt: skip

    kind: Literal["medsegdiffnca"] = "medsegdiffnca"
    """An automaton that removes the noise from a mask and is shown the image."""
    variant: Variant = "multi"
    """basic: one level; multi: coarse levels first; cbam, multicbam: with attention to the whole grid at each step."""
    size: Literal["small", "paper"] = "small"
    """paper: 64 channels and a hidden layer of 512, of basic 256; small: 32 and 128, for two CPU cores."""
    levels: Annotated[int, Field(ge=1, le=4)] = 3
    """Levels of multi and multicbam, each with weights of its own; the grid of the coarsest is 4 times coarser than the
    image with two levels, and 8 times with three; two in the paper."""
    rollout: Positive = 10
    """Steps of the automaton on each level for one step of the diffusion."""
    fire_rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Probability with which a cell takes part in a step."""
    filters: Literal["depthwise", "dense"] = "depthwise"
    """What a cell sees of its neighbours: two filters a channel, or two that mix all channels, as in the paper."""
    norm: Literal["none", "layer", "rms"] = "rms"
    """Norm of a cell's hidden layer, for images of any size."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a cell's hidden layer that is hidden in training."""
    frozen: bool = True
    """Image, noised mask, time and position stay as they are; in the paper they drift with the other channels."""
    prediction: Literal["epsilon", "v", "x0"] = "x0"
    """What is predicted: the noise, as in the paper, the velocity, or the mask itself, by cross-entropy and Dice."""
    schedule_of_noise: Literal["linear", "cosine"] = "cosine"
    """How noise grows."""
    noise_shift: Annotated[float, Field(gt=0)] = 0.1
    """The ratio of mask to noise is so many times smaller: a mask is seen through more noise than a photograph."""
    levels_of_noise: Positive = 1000
    """Levels of noise; 100 in the paper."""
    min_snr: Annotated[float, Field(ge=0)] = 5.0
    """Gamma of the min-SNR loss weight, for epsilon and v; 0 weighs every level of noise alike, as in the paper."""
    guidance_loss: Literal["mse", "overlap"] = "overlap"
    """What teaches the colour channels, which are to become the mask: squared error, or cross-entropy and Dice."""
    guidance_weight: Annotated[float, Field(ge=0)] = 1.0
    """How much that counts; 0: nothing. 1 in the paper, 10 in its code."""
    sampler: Literal["ddpm", "ddim"] = "ddim"
    """ddpm adds noise at every step, as in the paper; ddim does not, and needs fewer steps."""
    sampling_steps: Positive = 4
    """Steps from noise to a mask."""
    sampling_start: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Where sampling begins, as a share of the diffusion's time; below 1 it begins with what guidance says of the mask,
    under so much noise."""
    ensemble: Positive = 5
    """Runs that a mask is combined from."""

    steps: Positive = 1500

    @property
    def shrinks(self) -> tuple[int, ...]:
        """How many times coarser than the image the grid of each level is."""
        if self.variant in ("basic", "cbam"):
            return (1,)
        return {1: (1,), 2: (4, 1), 3: (8, 4, 1), 4: (16, 8, 4, 1)}[self.levels]

    @property
    def widths(self) -> tuple[int, int]:
        """Channels of a cell and width of its hidden layer."""
        if self.size == "small":
            return 32, 128
        return 64, 256 if self.variant == "basic" else 512
