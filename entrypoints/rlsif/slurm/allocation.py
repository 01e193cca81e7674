"""What Slurm gave a job: groups of nodes, with CPUs and GPUs, until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from rlsif.errors import RlsifError
from rlsif.slurm import hostlist, scontrol
from rlsif.slurm.scontrol import Fields


@dataclass(frozen=True)
class Group:
    """Nodes of one kind: their names, the CPU cores that the job has of each, and the GPUs of each."""

    nodes: tuple[str, ...]
    cpus: tuple[int, ...]
    gpus: int


@dataclass(frozen=True)
class Allocation:
    """The groups of a job, in the order that the script asks for them, and what Slurm says of the whole."""

    job: str
    groups: tuple[Group, ...]
    state: str
    # Where it was submitted.
    folder: str
    # Seconds since the epoch; None where the site sets no limit.
    end: Optional[int]
    # Whether Slurm would requeue it.
    requeue: bool


def read(said: str, variables: Mapping[str, str]) -> Allocation:
    """An allocation from `scontrol show job` and from Slurm's variables in the batch script. Raises RlsifError."""
    job = variables["SLURM_JOB_ID"]
    found = scontrol.groups(said, job)
    if not found:
        raise RlsifError(f"`scontrol show job {job}` says nothing of this job")
    first = found[0]
    return Allocation(
        job=job,
        groups=tuple(_group(of, variables, f"_HET_GROUP_{i}" * (len(found) > 1)) for i, of in enumerate(found)),
        state=first.get("JobState", ""),
        folder=first.get("WorkDir", ""),
        end=scontrol.epoch(first.get("EndTime", "")),
        requeue=first.get("Requeue", "1") != "0",
    )


def _group(fields: Fields, variables: Mapping[str, str], suffix: str) -> Group:
    """One group; what the batch script is told comes first, for scontrol has no CPUs of each node."""
    nodes = hostlist.names(variables.get(f"SLURM_JOB_NODELIST{suffix}") or fields.get("NodeList", ""))
    cpus = hostlist.counts(variables.get(f"SLURM_JOB_CPUS_PER_NODE{suffix}", ""))
    if len(cpus) != len(nodes):
        cpus = _shared(scontrol.first_number(fields.get("NumCPUs", "1")), len(nodes))
    return Group(tuple(nodes), tuple(cpus), scontrol.gpus_of_a_node(fields))


def _shared(cpus: int, nodes: int) -> list[int]:
    """CPUs shared among nodes as evenly as can be."""
    return [cpus // nodes + (number < cpus % nodes) for number in range(nodes)]
