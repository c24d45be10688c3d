"""A network whose weights lie in parts with several processes (FSDP2), and the same weights whole again.

For networks that are too large for one GPU with their gradients, their running mean and AdamW's moments: every process
keeps its share of each of these, and fetches the weights of a block while the block is at work.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from medsynth.distributed import World
from medsynth.settings import Fitting


def wanted(settings: Fitting, world: World) -> bool:
    """Whether a training is sharded: it was asked for, and there are several to share."""
    return settings.sharded and world.size > 1


def shard(objective: nn.Module, world: World, device: str) -> nn.Module:
    """Leave each process its share of a module's weights.

    They are all fetched for a step, but for those of the modules that one of its modules names in `shards()`: these
    are called as a whole, and theirs are fetched for the call alone.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device, (world.size,))
    parts: list[Any] = [part for part in objective.modules() if hasattr(part, "shards")]
    named = [block for part in parts for block in part.shards()]
    for part in (*named, objective):
        fully_shard(part, mesh=mesh)
    return objective


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What lies in parts, put together, in every process; all of them have to ask."""
    from torch.distributed.tensor import DTensor

    return {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in tensors.items()}


def local(tensors: list[Tensor]) -> list[Tensor]:
    """Of what lies in parts, the part that is here."""
    from torch.distributed.tensor import DTensor

    return [value.to_local() if isinstance(value, DTensor) else value for value in tensors]


def parted(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor in parts, as another lies. Every process has to hold it whole."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


class Mirror:
    """A plain copy of a model that is about to be sharded: for whoever looks at it, in one process alone."""

    def __init__(self, model: nn.Module) -> None:
        self.copy = copy.deepcopy(model).eval()

    def showing(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """The copy, with these weights."""
        self.copy.load_state_dict(weights)
        return self.copy


@torch.no_grad()
def gather(model: nn.Module) -> None:
    """Give every process all the weights of a sharded model as plain parameters. It learns no more."""
    weights: dict[str, Any] = whole(dict(model.named_parameters()))
    for name, value in weights.items():
        path, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(path), leaf, nn.Parameter(value, requires_grad=False))
