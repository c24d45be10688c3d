"""Improved DDPM: a U-Net that removes noise from pixels, and learns how sure it is of it."""

from torch import Tensor, nn

from medsynth.codecs import Code
from medsynth.draws import Draws, RowDraws
from medsynth.generators.iddpm.config import Config
from medsynth.nn.diffusion import Diffusion
from medsynth.nn.embeddings import LabelEmbedding
from medsynth.nn.labelled import Labelled
from medsynth.nn.unet import Shape, UNet
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Latents, Loss

# paper: the 64 x 64 ImageNet model of Nichol & Dhariwal 2021 (section 2 and appendix A), 121 million parameters.
SHAPES = {
    "paper": Shape(channels=(128, 256, 384, 512), blocks=3, attention=16, heads=4, groups=32, scale_shift=True),
    "tiny": Shape(channels=(16, 16, 32, 64), blocks=1, attention=8, heads=4, groups=4, scale_shift=True),
}


class Model(nn.Module):
    """Improved DDPM (Nichol & Dhariwal 2021) on the pixels of the identity codec.

    Their 4000 levels of noise are 1000 here, as for every generator. Their pixels lie in [-1, 1]; here every channel
    deviates by one, so that a level of noise leaves more of the image. What is implied of x_0 is brought between black
    and white at every step of sampling, as there.
    """

    def __init__(self, config: Config, *, code: Code, labels: int) -> None:
        super().__init__()
        self.config = config
        diffusion = Diffusion(
            config.prediction, config.noise_schedule, learns_variance=True, min_snr=config.min_snr, bounds=code.bounds
        )
        out = (2 if diffusion.has_variance else 1) * code.shape[0]
        self.unet = UNet(SHAPES[config.size], code.shape, out)
        self.label = LabelEmbedding(labels, self.unet.width, config.label_dropout, augment=config.augment)
        self.labelled = Labelled(self.unet, self.label, diffusion, code.shape)

    def loss(self, latents: Latents, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        """L_hybrid (Nichol & Dhariwal, eq. 16), the labels hidden now and then."""
        return self.labelled.loss(latents, labels, draws, self.config.label_dropout_rate, augmentation)

    def sample(self, labels: Labels, draws: RowDraws, sampling: Sampling) -> Latents:
        """Latents for labels, (row, channel, row, column)."""
        return self.labelled.sample(labels, draws, sampling)

    def evaluations(self, sampling: Sampling) -> float:
        """Forward passes that one image takes."""
        return self.labelled.evaluations(sampling)

    def macs(self) -> int:
        """Multiply-accumulates of one forward pass for one image."""
        return self.unet.macs()
