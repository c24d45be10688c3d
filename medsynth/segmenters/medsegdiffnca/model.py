"""MedSegDiffNCA: a diffusion of masks whose denoiser is an automaton, on one grid or on coarse grids first."""

import torch
from torch import Tensor, nn

from medsynth import nca
from medsynth.draws import Draws, RowDraws
from medsynth.nn.masks import overlap_loss
from medsynth.segmenters.levels import Cells, grids
from medsynth.segmenters.medsegdiffnca.config import Config
from medsynth.segmenters.medsegdiffnca.noise import Noise
from medsynth.segmenters.medsegdiffnca.states import Answer, Drifting, Frozen
from medsynth.segmenters.runs import run_by_run
from medsynth.shapes import Images, Loss, Masks


class Model(nn.Module):
    """Image, noised mask and level of noise -> what the automaton says of the noise, and, by its colour channels, of
    the mask (guidance).
    """

    def __init__(self, config: Config, *, channels: int) -> None:
        super().__init__()
        width, hidden = config.widths
        self.config = config
        self.noise = Noise(config.levels_of_noise, config.schedule_of_noise, config.noise_shift)
        self.states = Frozen(width, channels) if config.frozen else Drifting(width)
        self.cells = Cells(
            hidden, config.filters, attentive="cbam" in config.variant, norm=config.norm, dropout=config.dropout,
            slope=0.0 if config.frozen else 0.01, fire_rate=config.fire_rate,
        )  # fmt: skip
        self.automata = nn.ModuleList(self.cells.automaton(self.states.layout) for _ in config.shrinks)

    def loss(self, images: Images, masks: Masks, draws: Draws) -> Loss:
        """That of the prediction at a random level of noise, and that of guidance."""
        t = (draws.uniform() * self.noise.levels).long()
        x_0 = self.states.coded(masks)
        epsilon = draws.normal(*masks.shape[1:]).to(x_0)
        signal, noise = (share.to(x_0.device) for share in self.noise.shares(t))
        answer = self.answer(images, signal * x_0 + noise * epsilon, t, draws)
        if self.config.prediction == "x0":
            of_prediction = overlap_loss(answer.prediction, masks)
        else:
            target = self.noise.target(self.config.prediction, x_0, epsilon, t)
            weight = self.noise.weight(self.config.prediction, t, self.config.min_snr).to(target.device)
            of_prediction = weight * (answer.prediction - target).square().flatten(1).mean(1)
        return (of_prediction + self.config.guidance_weight * self._of_guidance(answer.guidance, masks)).mean()

    def _of_guidance(self, guidance: Tensor, masks: Masks) -> Tensor:
        """(batch,). Every colour channel has the mask for target: squared errors are added up over the channels, as in
        the paper's formula; its code compares one channel with the masks of the whole batch.
        """
        masks = masks.expand_as(guidance)
        if self.config.guidance_loss == "overlap":
            each = overlap_loss(guidance.flatten(0, 1)[:, None], masks.flatten(0, 1)[:, None])
            return each.view(guidance.shape[:2]).mean(1)
        return (guidance - masks).square().mean((2, 3)).sum(1)

    def answer(self, images: Images, x_t: Tensor, t: Tensor, draws: Draws, *, fast: bool = True) -> Answer:
        """What the automaton says. x_t (batch, 1, row, column); t (batch,), on the CPU."""
        state, levels = None, grids((images.shape[2], images.shape[3]), self.config.shrinks)
        share = t.to(images) / self.noise.levels
        for automaton, grid in zip(self.automata, levels, strict=True):
            assert isinstance(automaton, nca.Automaton)
            state = self.states.begun(images, x_t, share, self.noise.levels, grid, state)
            state = automaton.grow(state, self.config.rollout, draws, fast=fast)
        assert state is not None
        return self.states.answer(state)

    @torch.no_grad()
    def predict(self, images: Images, draws: RowDraws, runs: int | None = None) -> Tensor:
        """Probabilities, (batch, run, row, column); every run begins from noise of its own."""
        return run_by_run(lambda own: self.sample(images, own), draws, runs or self.config.ensemble)

    @torch.no_grad()
    def sample(self, images: Images, draws: RowDraws, *, fast: bool = True) -> Tensor:
        """One run: probabilities, (batch, 1, row, column); `fast` as in Automaton.grow."""
        config, grid = self.config, images.shape[2:]
        timesteps = self.noise.timesteps(config.sampling_steps, config.sampling_start)
        x = draws.normal(1, *grid).to(images)
        if config.sampling_start < 1:
            last = torch.full((len(images),), self.noise.levels - 1)
            guess = self.states.coded(self._guessed(self.answer(images, x, last, draws, fast=fast).guidance))
            signal, noise = (share.to(x) for share in self.noise.shares(torch.full((1,), timesteps[0])))
            x = signal * guess + noise * draws.normal(1, *grid).to(images)

        def cleaner(x_t: Tensor, t: Tensor) -> Tensor:
            prediction = self.answer(images, x_t, t, draws, fast=fast).prediction.float()
            if config.prediction == "x0":
                return self.states.coded(prediction.sigmoid())
            return self.noise.clean(config.prediction, prediction, x_t, t).clamp(-1, 1)

        return self.states.decoded(self.noise.sample(cleaner, x, timesteps, draws, config.sampler)).clamp(0, 1)

    def round(self, images: Images, draws: RowDraws) -> Answer:
        """One answer of the automaton, as there is one at every step of the diffusion."""
        x_t = draws.normal(1, *images.shape[2:]).to(images)
        return self.answer(images, x_t, torch.full((len(images),), self.noise.levels - 1), draws)

    def _guessed(self, guidance: Tensor) -> Tensor:
        """The mask as guidance has it, (batch, 1, row, column), from 0 to 1."""
        each = guidance.float().sigmoid() if self.config.guidance_loss == "overlap" else guidance.clamp(0, 1)
        return each.mean(1, keepdim=True)

    def evaluations(self) -> int:
        """Answers of the automaton that one run takes."""
        steps = len(self.noise.timesteps(self.config.sampling_steps, self.config.sampling_start))
        return steps + (self.config.sampling_start < 1)

    def macs(self, grid: tuple[int, int]) -> int:
        """Multiply-accumulates of one run for one image, counted as if all cells fired."""
        cells = sum(rows * columns for rows, columns in grids(grid, self.config.shrinks))
        return self.evaluations() * self.config.rollout * cells * self.cells.macs(self.states.layout)
