"""Which files of weights there are: their names, who publishes them, and what their hash begins with."""

from dataclasses import dataclass

from medsynth.errors import BadUsage, nearest

OWN_FEATURES = "resnet34, the fold's own classifier of real images: --set features.extractor=resnet34"
OWN_DISTANCE = "a distance of the fold's own features, which is not called LPIPS: --set evaluate.perceptual=features"
OF_LPIPS = {"auto": "alexnet", "alex": "alexnet", "vgg": "vgg16"}  # what evaluate.perceptual says -> key of its file
TIMM = "timm/"  # before the name of any model of timm


@dataclass(frozen=True)
class Published:
    """One file as its publisher names it."""

    key: str  # what it is called here
    file: str  # its official name
    publisher: str  # where it is found, in words
    used_for: str
    instead: str  # what is done without it
    digest: str = ""  # the first hex digits of its SHA-256; "" where its name does not tell them
    megabytes: int | None = None
    licence: str = "not known here"
    url: str = ""  # where it has been for years; "" where that is not certain


def _torchvision(key: str, model: str, file: str, megabytes: int, used_for: str, instead: str) -> Published:
    """A file of torchvision, whose name ends in the first digits of its hash."""
    return Published(
        key, file, f"PyTorch (pytorch.org), torchvision's model {model}, weights IMAGENET1K_V1", used_for, instead,
        file.removesuffix(".pth").rpartition("-")[2], megabytes, "BSD-3-Clause; trained on ImageNet",
        f"https://download.pytorch.org/models/{file}",
    )  # fmt: skip


def _dinov2(key: str, letter: str, megabytes: int) -> Published:
    file = f"dinov2_vit{letter}14_pretrain.pth"
    return Published(
        key, file, f"Meta AI (github.com/facebookresearch/dinov2), ViT-{letter.upper()}/14, without registers",
        "the extractor of FLD and KD", OWN_FEATURES, megabytes=megabytes, licence="Apache-2.0",
        url=f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{letter}14/{file}",
    )  # fmt: skip


TABLE = (
    Published(
        "inception", "weights-inception-2015-12-05-6726825d.pth",
        "torch-fidelity (github.com/toshas/torch-fidelity), release v0.2.0: TensorFlow's InceptionV3 of 2015-12-05",
        "the extractor of FID and KID", OWN_FEATURES, "6726825d", 91, "Apache-2.0",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    _torchvision("alexnet", "alexnet", "alexnet-owt-7be5be79.pth", 233, "LPIPS-alex", OWN_DISTANCE),
    _torchvision("vgg16", "vgg16", "vgg16-397923af.pth", 528, "LPIPS-vgg", OWN_DISTANCE),
    _torchvision(
        "resnet34", "resnet34", "resnet34-b627a593.pth", 83, "where classifiers may begin (classify --weights)",
        "classifiers begin from scratch",
    ),
    _dinov2("dinov2", "b", 330),
    _dinov2("dinov2-small", "s", 84),
    _dinov2("dinov2-large", "l", 1161),
    _dinov2("dinov2-giant", "g", 4335),
)  # fmt: skip
BY_KEY = {published.key: published for published in TABLE}


def named(key: str) -> Published:
    """The file of a key; `timm/MODEL` is that of any model of timm. Raises BadUsage for a key that is not known."""
    if key in BY_KEY:
        return BY_KEY[key]
    model = key.removeprefix(TIMM)
    if model in (key, "") or "/" in model or model.startswith("."):
        raise BadUsage(f"there are no weights {key!r}", hint=nearest(key, [*BY_KEY, f"{TIMM}MODEL"]))
    publisher = f"Hugging Face (huggingface.co/timm/{model}), model.safetensors, to be renamed"
    return Published(key, f"{model}.safetensors", publisher, f"the extractor {key}", OWN_FEATURES)
