"""GeCA as a generator: training on latents, sampling with Gene Heredity Guidance."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medsynth.codecs import Code
from medsynth.draws import Draws, RowDraws
from medsynth.errors import BadUsage
from medsynth.generators.geca.config import Config
from medsynth.generators.geca.dense import Dense
from medsynth.generators.geca.firing import Firing
from medsynth.generators.geca.rule import SHAPES, Rule
from medsynth.nn.diffusion import Diffusion, guided
from medsynth.nn.embeddings import LabelEmbedding
from medsynth.nn.neighbourhood import NEIGHBOURS
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Latents, Loss


class Model(nn.Module):
    """A cellular automaton that predicts the noise in a latent (Elbatel et al., MICCAI 2024, arXiv 2407.03018)."""

    def __init__(self, config: Config, *, code: Code, labels: int) -> None:
        super().__init__()
        shape = SHAPES[config.size]
        self.config, self.code = config, code
        self.channels, self.grid = code.shape[0], (code.shape[1], code.shape[2])
        self.state_channels = 2 * self.channels + shape.hidden
        self.diffusion = Diffusion(
            config.prediction, config.noise_schedule, learns_variance=True, min_snr=config.min_snr
        )
        label = LabelEmbedding(labels, shape.width, config.label_dropout, augment=config.augment)
        self.rule = Rule(shape, self.channels, self.grid, label)
        self.form: type[Dense] | type[Firing] = (
            Firing if self.rule.prefers_firing(config.updates, config.fire_rate) else Dense
        )

    def loss(self, latents: Latents, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        """The diffusion's loss; the automaton grows from a fresh seed for every example."""
        condition = self.rule.label.with_dropout(labels, self.config.label_dropout_rate, draws, augmentation)
        state = self.seed_state(draws).to(latents.device)
        fires = self.fires(draws, self.config.updates).to(latents.device)

        heirs = (draws.uniform() < self.config.heredity).nonzero().flatten().to(latents.device)
        earlier = self.fires(draws, self.config.updates).to(latents.device) if self.config.heredity else fires

        def network(x_t: Latents, t: Tensor) -> Tensor:
            born = state
            if len(heirs):  # a pass before, without gradients, as latent self-conditioning has it (Jabri et al. 2023)
                with torch.no_grad():
                    before = self.form.of(self.rule, x_t[heirs], t[heirs.cpu()], condition[heirs])
                    left = self.grow(state[heirs], earlier[:, heirs], before)
                    born = state.index_copy(0, heirs, self.inherit(state[heirs], left, "hidden"))
            return self.output(self.grow(born, fires, self.form.of(self.rule, x_t, t, condition)))

        return self.diffusion.loss(network, latents, draws)

    @torch.no_grad()
    def sample(self, labels: Labels, draws: RowDraws, sampling: Sampling) -> Latents:
        """Latents for labels, (row, channel, row, column). Heredity works with guidance and without.

        The halves of guidance share seed and fire masks, so that they differ by the labels only; their hidden states
        are their own. A weaker self is the same growth cut short: its prediction is met on the way and costs nothing.
        """
        device = next(self.parameters()).device
        conditional, rows = self.rule.label(labels.to(device)), draws.rows
        both = torch.cat([conditional, self.rule.label.unconditional(rows)])
        updates = sampling.updates or self.config.updates
        weaker = self._weaker(sampling, updates)
        unlabelled = sampling.guide == "unlabelled" and sampling.guidance != 1
        inherited: Tensor | None = None

        def network(x_t: Latents, t: Tensor) -> Tensor:
            nonlocal inherited
            scale = sampling.scale_at(float(t[0]))
            # Whoever inherits has to live through every step, also those without guidance.
            halves = 2 if unlabelled and (scale != 1 or sampling.inherit != "nothing") else 1
            state = self.seed_state(draws).to(device).repeat(halves, 1, 1)
            if inherited is not None:
                state = self.inherit(state, inherited, sampling.inherit)
            fires = self.fires(draws, updates).to(device).repeat(1, halves, 1)
            condition = both if halves == 2 else conditional
            step = self.form.of(self.rule, x_t.repeat(halves, 1, 1, 1), t.repeat(halves), condition)
            young = self.grow(state, fires[:weaker], step)
            inherited = self.grow(young, fires[weaker:], step)
            answer = self.output(inherited)
            if scale == 1:
                return answer[:rows]
            guide = self.output(young) if sampling.guide == "weaker" else answer[rows:]
            return guided(answer[:rows], guide, scale, self.channels)

        start = draws.normal(*self.code.shape).to(device)
        return self.diffusion.sample(network, start, sampling.sampler, sampling.steps, draws)

    def _weaker(self, sampling: Sampling, updates: int) -> int:
        """Updates of the weaker self: half of them where nothing else is asked for. Raises BadUsage."""
        weaker = sampling.guide_updates or max(1, updates // 2)
        if weaker >= updates and sampling.guide == "weaker" and sampling.guidance != 1:
            raise BadUsage(
                f"guidance by a weaker self of {weaker} updates, but the automaton itself has {updates}",
                hint=f"--set expand.guide_updates={updates - 1}" if updates > 1 else "--guide unlabelled",
            )
        return min(weaker, updates)

    def macs(self) -> int:
        """Multiplications and additions of one forward pass for one image, counting every cell in every update."""
        rule, block = self.rule, self.rule.block
        layers = (rule.cell_embedding, block.qkv, block.attention_out, *block.mlp, rule.final.linear)
        linear = sum(layer.weight.numel() for layer in layers)
        attention = 2 * NEIGHBOURS * rule.width  # scores, and the sum of values
        return self.grid[0] * self.grid[1] * self.config.updates * (linear + attention)

    def evaluations(self, sampling: Sampling) -> float:
        """Passes for one image; with more or fewer updates than in training a pass counts as much more or less."""
        if sampling.guide == "weaker":  # met on the way
            passes = self.diffusion.evaluations(replace(sampling, guidance=1.0))
        elif sampling.inherit != "nothing":  # both halves live through every step
            passes = self.diffusion.evaluations(replace(sampling, interval=(0.0, 1.0)))
        else:
            passes = self.diffusion.evaluations(sampling)
        return passes * (sampling.updates or self.config.updates) / self.config.updates

    def seed_state(self, draws: Draws) -> Tensor:
        """C_out and C_h are zero but for the centre cell's C_out, which is standard normal; (row, cell, channel)."""
        rows, columns = self.grid
        state = torch.zeros(draws.rows, rows * columns, self.state_channels)
        state[:, rows // 2 * columns + columns // 2, : 2 * self.channels] = draws.normal(2 * self.channels)
        return state

    def fires(self, draws: Draws, updates: int) -> Tensor:
        """Which cells take part in which update: Bernoulli for each, as in the paper; bool (update, row, cell)."""
        return (draws.uniform(updates, self.grid[0] * self.grid[1]) < self.config.fire_rate).transpose(0, 1)

    def grow(self, state: Tensor, fires: Tensor, step: Dense | Firing) -> Tensor:
        """The M updates. state (row, cell, channel) -> the same; fires (M, row, cell)."""
        for mask in fires:
            if self.config.recompute and torch.is_grad_enabled():
                state = checkpoint(step.update, state, mask, use_reentrant=False, preserve_rng_state=False)
            else:
                state = step.update(state, mask, lean=torch.is_grad_enabled())
        return state

    def output(self, state: Tensor) -> Tensor:
        """C_out as a prediction and, where it is learnt, its variance, (row, 2 * channel, row, column)."""
        channels = 2 * self.channels if self.diffusion.has_variance else self.channels
        return state[..., :channels].transpose(1, 2).unflatten(2, self.grid)

    def inherit(self, seed: Tensor, left: Tensor, mode: str) -> Tensor:
        """A new state in which some part is what the last diffusion step left (eq. 5 to 7)."""
        output, hidden = seed.split([2 * self.channels, self.state_channels - 2 * self.channels], dim=2)
        if mode in ("output", "both"):
            output = left[..., : 2 * self.channels]
        if mode in ("hidden", "both"):
            hidden = left[..., 2 * self.channels :]
        return torch.cat([output, hidden], dim=2)
