"""A plan that Slurm could not get out of: the rollout group on the only nodes that the learner may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from rlsif.slurm.scontrol import first_number
from rlsif.slurm.submission import Options, Submission

# What tells the nodes; slurm/rl asks the same.
SINFO = ("sinfo", "-h", "-N", "-o", "%N|%P|%G|%w")
# Of slurm/hetjob.sh.
ROLLOUT_NODES = 2


@dataclass(frozen=True)
class Node:
    """A node in one of its partitions, as sinfo tells it."""

    name: str
    partition: str
    is_default: bool
    has_gpus: bool
    weight: int


def nodes(said: str) -> list[Node]:
    """The nodes from what SINFO says, once for each of their partitions."""
    rows = [line.split("|") for line in said.splitlines() if line.count("|") == 3]
    return [
        Node(name, partition.rstrip("*"), partition.endswith("*"), "gpu" in gres, first_number(weight))
        for name, partition, gres, weight in rows
    ]


def doubt(asked: Submission, site: Mapping[str, Options], there: list[Node]) -> Optional[str]:
    """Why a job may wait indefinitely, and the two ways out; None where nothing speaks for it.

    Slurm plans one group after the other, each on the nodes with the least weight, and gives groups different nodes.
    """
    if asked.script != "hetjob" or asked.gpus == 0:
        return None
    for_learner = {node.name: node for node in _of_group("learner", site, there) if node.has_gpus}
    for_rollout = {node.name: node for node in _of_group("rollout", site, there)}
    least = [node.weight for node in for_rollout.values() if not node.has_gpus]
    taken = [name for name in for_learner if name in for_rollout and for_rollout[name].weight <= max(least, default=0)]
    wanted = (asked.rollout_nodes or ROLLOUT_NODES) + 1
    if not taken or len(taken) < len(for_learner) or len(taken) > wanted:
        return None
    partition = for_rollout[taken[0]].partition
    many = len(taken) > 1
    return (
        f"Slurm may plan the rollout group on {' '.join(taken)}, the only node{'s' * many} with GPUs in partition"
        f" {partition}, and the learner would wait indefinitely; name a partition for each group in slurm/site.conf,"
        f" as in `rollout.partition = cpu` and `learner.partition = gpu`, or have administrators give"
        f" {'these nodes' if many else 'that node'} a higher Weight than nodes without GPUs"
    )


def _of_group(group: str, site: Mapping[str, Options], there: list[Node]) -> list[Node]:
    """The nodes that a group may be planned on: those of its partitions, else of the default one."""
    options = {**site.get("", {}), **site.get(group, {})}
    if options.get("nodelist"):
        return []
    wanted = (options.get("partition") or "").split(",")
    return [node for node in there if (node.partition in wanted if wanted != [""] else node.is_default)]
