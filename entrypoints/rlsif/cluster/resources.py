"""The CPUs, GPUs and memory that this process may really use."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Resources:
    """What this process may use: CPU cores, whole GPUs, bytes of memory."""

    cpus: int
    gpus: int
    memory: int


@dataclass(frozen=True)
class Cluster:
    """What the nodes of a job offer a run together."""

    rollout_cpus: int
    learner_cpus: int
    learner_gpus: int
    # The same CPUs by node; empty where there is one, or it does not matter.
    of_rollout_nodes: tuple[int, ...] = ()

    def env_runners(self, cores: int) -> int:
        """How many env runners of so many cores there is room for; one has all of them on one node."""
        return sum(cpus // cores for cpus in self.of_rollout_nodes or (self.rollout_cpus,))


def available() -> Resources:
    """Read affinity, cgroup limits and GPU devices of this process."""
    return Resources(cpus=_cpus(), gpus=_gpus(), memory=_memory())


def _cpus() -> int:
    """The cores in the affinity mask, or fewer where a cgroup allows less CPU time."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, _cpu_quota(_own_cgroups()) or allowed))


def _own_cgroups() -> list[Path]:
    """The cgroup folders of this process, from its own up to the root."""
    folders = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = CGROUP if not controllers else CGROUP / controllers
        own = root / path.lstrip("/")
        folders += [own, *(p for p in own.parents if p.is_relative_to(root))]
    return folders


def _cpu_quota(cgroups: list[Path]) -> int | None:
    """The smallest CPU quota of these cgroups in whole cores, rounded up; None where there is none."""
    quotas = []
    for folder in cgroups:
        second = _words(folder / "cpu.max")
        first = [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
        for words in (second, first):
            if len(words) == 2 and words[0] not in ("max", "-1"):
                quotas.append(math.ceil(int(words[0]) / int(words[1])))
    return min(quotas, default=None)


def _memory() -> int:
    """The machine's memory, or less where a cgroup allows less. Bytes."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _own_cgroups():
        for name in ("memory.max", "memory.limit_in_bytes"):
            limits += [int(word) for word in _words(folder / name) if word.isdecimal()]
    return min(limits)


def _gpus() -> int:
    """The NVIDIA devices here, or as many of them as CUDA_VISIBLE_DEVICES names."""
    devices = len([p for p in Path("/dev").glob("nvidia[0-9]*")])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return devices
    named = [v for v in visible.split(",") if v.strip() not in ("", "-1", "NoDevFiles")]
    return min(devices, len(named))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
