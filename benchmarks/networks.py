"""DiT and LDM against diffusers' own classes of equal size -> docs/benchmarks/networks.*

python benchmarks/networks.py [--quick] [--device cuda] [--threads 2]
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import measure
import torch
from torch import Tensor, nn

from medsynth.codecs import Code
from medsynth.generators.dit import config as dit_config
from medsynth.generators.dit import model as dit
from medsynth.generators.ldm import config as ldm_config
from medsynth.generators.ldm import model as ldm

CELLS, LABELS, BATCH = 32, 11, 2
WORD = {"dit": "DiT", "ldm": "LDM"}

TEXT = f"""# DiT and LDM against diffusers' classes

Latents of 4 x {CELLS} x {CELLS}, {BATCH} images, float32. Ratio: how many times as fast as diffusers' class of equal
size, of the medians, and in brackets the lowest and highest of a round; training: loss and gradients. DiT is compared
with DiTTransformer2DModel of equal width, depth, heads and patch, which knows one class an image; LDM, whose network is
diffusers' UNet2DModel, with that class alone: what is measured is what medsynth adds, the embedding of several labels.
"""


def main() -> None:
    asked = measure.options(__doc__, quick="three rounds, nothing kept")
    torch.manual_seed(0)
    facts, rows = [], []
    for kind, size in (("dit", "s"), ("ldm", "b")):
        theirs, ours, parameters = (dits if kind == "dit" else unets)(size, asked.device)
        fact: dict[str, Any] = {"kind": kind, "size": size, "parameters": parameters}
        row: dict[str, Any] = {"network": f"{WORD[kind]}-{size.upper()}"}
        row |= {"parameters (diffusers')": "{:.1f} M ({:.1f} M)".format(*(count / 1e6 for count in parameters))}
        for what in (forward, training):
            took = measure.interleaved(partial(what, theirs), partial(what, ours), 3 if asked.quick else 9)
            fact[what.__name__] = took.facts()
            row[what.__name__] = took.shown()
        facts.append(fact)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    measure.write("networks", TEXT, rows, {"networks": facts})


def forward(network: Callable[[], Tensor]) -> None:
    with torch.no_grad():
        network()


def training(network: Callable[[], Tensor]) -> None:
    network().square().mean().backward()


def dits(size: str, device: str) -> tuple[Callable[[], Tensor], Callable[[], Tensor], tuple[int, int]]:
    """Diffusers' DiT and ours, each as a forward pass, and how many parameters ours and theirs have."""
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

    shape, (x, t, labels) = dit.SHAPES[size], given(device)
    theirs = DiTTransformer2DModel(
        num_attention_heads=shape.heads, attention_head_dim=shape.width // shape.heads, in_channels=4, out_channels=8,
        num_layers=shape.depth, sample_size=CELLS, patch_size=2, num_embeds_ada_norm=1000,
    ).to(device)  # fmt: skip
    config = dit_config.Config(size=size, patch=2, prediction="epsilon")
    ours = dit.Model(config, code=Code((4, CELLS, CELLS)), labels=LABELS).to(device)
    classes = labels.argmax(dim=1)
    return (
        lambda: theirs(x, timestep=t, class_labels=classes, return_dict=False)[0],
        lambda: ours.transformer(x, t, ours.label(labels)),
        (parameters_of(ours), parameters_of(theirs)),
    )


def unets(size: str, device: str) -> tuple[Callable[[], Tensor], Callable[[], Tensor], tuple[int, int]]:
    """Diffusers' U-Net as it comes and ours around it, as above."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    x, t, labels = given(device)
    config = ldm_config.Config(size=size, prediction="epsilon")
    ours = ldm.Model(config, code=Code((4, CELLS, CELLS)), labels=LABELS).to(device)
    inner = ours.unet.unet
    settings = {key: value for key, value in inner.config.items() if not key.startswith("_")}
    theirs = UNet2DModel(**settings | {"class_embed_type": None}).to(device)
    attending = ([layer for layer in network.modules() if hasattr(layer, "to_v")] for network in (inner, theirs))
    for mine, other in zip(*attending, strict=True):
        other.heads = mine.heads  # the library counts them by their width
    return (
        lambda: theirs(x, t, return_dict=False)[0],
        lambda: ours.unet(x, t, ours.label(labels)),
        (parameters_of(ours), parameters_of(theirs)),
    )


def given(device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, times and labels."""
    latents = torch.randn(BATCH, 4, CELLS, CELLS)
    return latents.to(device), torch.arange(BATCH, device=device) * 97 + 5, torch.eye(LABELS)[:BATCH].to(device)


def parameters_of(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


if __name__ == "__main__":
    main()
