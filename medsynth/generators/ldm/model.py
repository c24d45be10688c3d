"""A latent diffusion model: a U-Net that learns to remove noise from latents and is told the labels."""

from torch import Tensor, nn

from medsynth.codecs import Code
from medsynth.draws import Draws, RowDraws
from medsynth.generators.ldm.config import Config
from medsynth.nn.diffusion import Diffusion
from medsynth.nn.embeddings import LabelEmbedding
from medsynth.nn.labelled import Labelled
from medsynth.nn.unet import Shape, UNet
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Latents, Loss

# b: multipliers 1, 2, 3, 4 and two residual blocks a level are those of the models of faces in Rombach et al. 2022; of
# its LDM-B the GeCA paper gives the size alone, 17.3 million parameters, and 56 is the multiple of eight that comes
# nearest with 4 x 32 x 32 latents and 11 labels (17.22 million). Attention at 16 x 16 cells and coarser. tiny is
# as wide everywhere as the transformer of that size: with 64 channels, twice a latent cell's, it learnt far slower.
SHAPES = {
    "b": Shape(channels=(56, 112, 168, 224), blocks=2, attention=16, heads=7, groups=8),
    "tiny": Shape(channels=(128, 128), blocks=1, attention=16, heads=4, groups=16),
}


class Model(nn.Module):
    """Latent diffusion (Rombach et al. 2022), labels by an embedding that is added to that of time."""

    def __init__(self, config: Config, *, code: Code, labels: int) -> None:
        super().__init__()
        self.config = config
        diffusion = Diffusion(config.prediction, config.noise_schedule, learns_variance=False, min_snr=config.min_snr)
        self.unet = UNet(SHAPES[config.size], code.shape, out=code.shape[0])
        self.label = LabelEmbedding(labels, self.unet.width, config.label_dropout, augment=config.augment)
        self.labelled = Labelled(self.unet, self.label, diffusion, code.shape)

    def loss(self, latents: Latents, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        """Mean squared error of the prediction, the labels hidden now and then."""
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
