"""AutoencoderKL of diffusers, trained here or imported, with its own scale of latents."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.codecs import Code, Picture, colours, lesions
from medsynth.codecs.kl.config import Config
from medsynth.codecs.masks import mask_loss
from medsynth.codecs.scale import Scale
from medsynth.codecs.shortcut import Shortcut
from medsynth.draws import Draws
from medsynth.errors import BadUsage, MissingWeights
from medsynth.shapes import Images, Latents, Loss, Posterior

NORM_GROUPS = 8
FIRST_LOG_VARIANCE = -6.0
MASK_SHARE = 0.5  # of what a mask counts for in the linear code, against a colour of the same deviation
EDGE_WEIGHT = 1.0  # of the error of neighbouring differences, beside the error of pixels


class Model(nn.Module):
    """Images to a normal distribution over latents, and latents to images (Rombach et al. 2022, section 3.1)."""

    trains = True

    def __init__(self, config: Config, picture: Picture, architecture: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.kl_weight, self.mask_weight, self.picture = config.kl_weight, config.mask_weight, picture
        self.network = _network(architecture or _architecture(config, picture))
        self.network.requires_grad_(True)
        settings = self.network.config
        factor = 2 ** (len(settings.block_out_channels) - 1)
        if picture.size % factor:
            raise BadUsage(
                f"images of {picture.size} pixels cannot be divided into cells of {factor}",
                hint=f"--image-size {picture.size // factor * factor}, or --set codec.factor=2",
            )
        side = picture.size // factor
        self.code = Code((settings.latent_channels, side, side))
        has_shortcut = config.shortcut and not config.weights
        self.shortcut = Shortcut(picture.planes, settings.latent_channels, factor) if has_shortcut else None
        if self.shortcut:
            _begin_silent(self.network)
        self.scale = Scale(settings.latent_channels)

    @classmethod
    def from_facts(cls, config: Config, picture: Picture, facts: dict[str, Any]) -> "Model":
        return cls(config, picture, facts["architecture"])

    @classmethod
    def imported(cls, config: Config, picture: Picture, folder: Path) -> "Model":
        """Read a local folder in diffusers' format. Raises MissingWeights for one that is not whole or not for this."""
        network = _published(folder)
        channels = network.config.in_channels
        if picture.masks and channels != picture.planes:
            raise _unusable(
                folder, f"it is for pictures of {_count(channels)}, and with masks they have {picture.planes}",
                hint="--without-masks; or train an autoencoder with them: --set codec.weights=",
            )  # fmt: skip
        if channels not in (3, picture.planes):
            raise _unusable(folder, f"it is for pictures of {_count(channels)}, not of {picture.channels}")
        model = cls(config, picture, _plain(network.config))
        model.network.load_state_dict(network.state_dict())
        return model

    def facts(self) -> dict[str, Any]:
        return {"architecture": _plain(self.network.config)}

    def begin(self, images: Images) -> None:
        """Fit the linear code that the network refines."""
        if self.shortcut:
            of_mask = [MASK_SHARE] if self.picture.masks else []
            self.shortcut.fit(images, weights=[1.0] * self.picture.channels + of_mask)

    def loss(self, images: Images, draws: Draws) -> Loss:
        """Absolute error of pixels and of their differences to the neighbours, the Kullback-Leibler term, and the
        loss of the mask where there is one."""
        mean, log_variance = self.encode(images).chunk(2, dim=1)
        noise = draws.normal(*self.code.shape).to(images)
        decoded = self._decode(mean + (0.5 * log_variance).exp() * noise)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        if self.picture.masks:
            masked = self.mask_weight * mask_loss(lesions(self, decoded), lesions(self, images))
            decoded, images = colours(self, decoded), colours(self, images)
        else:
            masked = images.new_zeros(())
        edges = sum((F.l1_loss(decoded.diff(dim=side), images.diff(dim=side)) for side in (2, 3)), images.new_zeros(()))
        return F.l1_loss(decoded, images) + EDGE_WEIGHT * edges + masked + self.kl_weight * divergence

    def encode(self, images: Images) -> Posterior:
        if self.network.config.in_channels == 3 and self.picture.planes == 1:
            images = images.expand(-1, 3, -1, -1)  # grey images for an imported colour codec
        mean, log_variance = self.network.encode(images).latent_dist.parameters.chunk(2, dim=1)
        if self.shortcut:
            mean = mean + self.shortcut.encode(images)
        return torch.cat([mean, log_variance.clamp(-30, 20)], dim=1)

    def latents(self, posterior: Posterior, noise: Tensor) -> Latents:
        mean, log_variance = posterior.chunk(2, dim=1)
        return self.scale(mean + (0.5 * log_variance).exp() * noise)

    def measure(self, posterior: Posterior) -> None:
        """The deviation of latents is that of their means and the posterior's own, together."""
        mean, log_variance = posterior.chunk(2, dim=1)
        self.scale.measure(mean)
        within = log_variance.double().exp().mean(dim=(0, 2, 3))[:, None, None]
        self.scale.deviation.copy_((self.scale.deviation.double() ** 2 + within).sqrt())

    def decode(self, latents: Latents) -> Images:
        return self._decode(self.scale.undo(latents)).clamp(-1, 1)

    def embed(self, latents: Latents) -> Tensor:
        return latents.flatten(1)

    def _decode(self, raw: Tensor) -> Images:
        images = self.network.decode(raw).sample
        if self.shortcut:
            images = images + self.shortcut.decode(raw)
        return images.mean(dim=1, keepdim=True) if images.shape[1] > self.picture.planes else images


def _architecture(config: Config, picture: Picture) -> dict[str, Any]:
    levels = {2: 2, 4: 3, 8: 4, 16: 5}[config.factor]
    widths = [config.width * min(2**level, 4) for level in range(levels)]
    return {
        "in_channels": picture.planes,
        "out_channels": picture.planes,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "block_out_channels": widths,
        "layers_per_block": config.blocks,
        "latent_channels": config.channels + (config.channels // 2 if picture.masks else 0),
        "norm_num_groups": NORM_GROUPS,
        "sample_size": picture.size,
        "mid_block_add_attention": False,
    }


def _begin_silent(network: Any) -> None:
    """Make the network add nothing at first, with posteriors narrow against the linear code's unit deviation."""
    nn.init.zeros_(network.quant_conv.weight)
    nn.init.zeros_(network.quant_conv.bias)
    nn.init.constant_(network.quant_conv.bias.data.chunk(2)[1], FIRST_LOG_VARIANCE)
    nn.init.zeros_(network.decoder.conv_out.weight)
    nn.init.zeros_(network.decoder.conv_out.bias)


def _network(architecture: dict[str, Any]) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(**architecture)


def _published(folder: Path) -> Any:
    """The autoencoder in a folder, every one of its weights a number that was read from there."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise _unusable(folder, "it needs config.json and diffusion_pytorch_model.safetensors")
    try:
        network, loading = AutoencoderKL.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    except Exception as error:  # the files are anybody's: whatever goes wrong with them, they are the reason
        raise _unusable(folder, " ".join(str(error).split())[:300]) from error
    # What a file lacks would silently be random.
    wrong = [name for names in loading.values() for name in names]
    wrong += [name for name, value in network.state_dict().items() if not value.isfinite().all()]
    if wrong:
        raise _unusable(folder, f"{len(wrong)} of its weights do not fit or are no numbers, {wrong[0]} for one")
    return network


def _unusable(folder: Path, reason: str, hint: str = "") -> MissingWeights:
    return MissingWeights(
        f"{folder} holds no autoencoder that can be used: {reason}",
        hint=hint or "--weights FOLDER, as diffusers' save_pretrained writes it",
    )


def _count(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"


def _plain(config: Any) -> dict[str, Any]:
    """The part of a diffusers configuration that its class needs; private entries name files and versions."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in config.items()
        if not key.startswith("_")
    }
