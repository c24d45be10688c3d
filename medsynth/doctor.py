"""What this machine has of what the program needs, as plain facts: versions, device, memory, disk, threads, weights.

Nothing is sent and nothing is fetched. No network, no fonts and no browser are needed, so that none is looked for.
"""

import os
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from medsynth import installed
from medsynth.byhand import published, store
from medsynth.byhand.store import Seen

GIB = 2**30
LITTLE_DISK, LITTLE_MEMORY = 5.0, 4.0  # GiB
MUST_LOAD = ("torchvision", "timm")  # installed for another torch, they fail only when they are loaded
CGROUP = Path("/sys/fs/cgroup")


def examine(place: Path, named: Mapping[str, Path]) -> dict[str, Any]:
    """All facts, and under "problems" sentences that somebody has to read; `place` is where a run would be.

    `named` are the files of weights that --weights or a recipe names.
    """
    problems: list[str] = []
    return {
        "versions": versions(problems.append),
        "device": device(problems.append),
        "threads": threads(),
        "memory": memory(problems.append),
        "disk": disk(place, problems.append),
        "weights": weights([*dict.fromkeys([*published.BY_KEY, *named])], named),
        "weights_places": [str(folder) for folder in store.places()],
        "problems": problems,
    }


def versions(report: Callable[[str], None]) -> dict[str, str]:
    """Of Python, of the program and of every package that it needs."""
    found = installed.versions() | {"system": platform.platform()}
    for name in installed.needed():
        if name not in found:
            found[name] = "missing"
            report(f"the package {name} is not installed: pip install {name}")
    return found


def device(report: Callable[[str], None]) -> dict[str, Any]:
    """Where tensors are multiplied: the GPUs that torch sees, else the CPU."""
    try:
        import torch
    except Exception as error:  # whatever keeps it from loading, it is the reason
        report(f"torch cannot be loaded: {_short(error)}")
        return {"device": "none"}
    for name in MUST_LOAD:
        try:
            import_module(name)
        except Exception as error:
            report(f"{name} cannot be loaded, and classify and features need it: {_short(error)}")
    if not torch.cuda.is_available():
        return {"device": "cpu", "torch_threads": torch.get_num_threads()}
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return {
        "device": "cuda",
        "cuda": torch.version.cuda,
        "bf16": torch.cuda.is_bf16_supported(),
        "gpus": [{"name": card.name, "gib": round(card.total_memory / GIB, 1)} for card in cards],
    }


def threads() -> dict[str, Any]:
    """How many CPU cores this process may use, and what the environment says of threads."""
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _words(CGROUP / "cpu.max")
    if len(quota) == 2 and quota[0].isdecimal():
        cores = min(cores, round(int(quota[0]) / int(quota[1]), 1))
    said = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY") if name in os.environ}
    return {"cores": cores, **said}


def memory(report: Callable[[str], None]) -> dict[str, float]:
    """GiB of main memory: all there is, and what is free; nothing where the system does not tell."""
    lines = _text(Path("/proc/meminfo")).splitlines()
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines if len(line.split()) > 1}
    found = {name: kib[key] / 2**20 for name, key in (("gib", "MemTotal"), ("gib_free", "MemAvailable")) if key in kib}
    limit, used = (_words(CGROUP / f"memory.{name}") for name in ("max", "current"))
    if limit and limit[0].isdecimal() and used:
        found["gib"] = min(found.get("gib", float("inf")), int(limit[0]) / GIB)
        found["gib_free"] = min(found.get("gib_free", float("inf")), (int(limit[0]) - int(used[0])) / GIB)
    if found.get("gib", LITTLE_MEMORY) < LITTLE_MEMORY:
        report(f"{found['gib']:.1f} GiB of memory is little: smaller images or batches may be needed")
    return {name: round(value, 1) for name, value in found.items()}


def disk(place: Path, report: Callable[[str], None]) -> dict[str, Any]:
    """GiB that are free where a run would be."""
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free / GIB
    if free < LITTLE_DISK:
        report(f"{free:.1f} GiB are free at {there}: a run with several generators may need more")
    if not os.access(there, os.W_OK):
        report(f"{there} cannot be written to")
    return {"place": str(there), "gib_free": round(free, 1)}


def weights(keys: Iterable[str], named: Mapping[str, Path]) -> list[dict[str, Any]]:
    """How it stands with the file of every key: which file, from where, to which place, with which hash, and the fix.

    Raises BadUsage for a key that is not known.
    """
    return [_row(store.look(key, named.get(key))) for key in keys]


def _row(seen: Seen) -> dict[str, Any]:
    asked = seen.published
    return {
        "key": asked.key, "state": seen.state, "used_for": asked.used_for, "file": asked.file,
        "megabytes": asked.megabytes, "from": asked.publisher, "url": asked.url, "licence": asked.licence,
        "to": str(store.destination(asked)), "sha256_begins_with": asked.digest, "instead": asked.instead,
        "path": str(seen.path) if seen.path else "", "sha256": seen.digest, "remark": seen.remark, "fix": seen.fix,
    }  # fmt: skip


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
