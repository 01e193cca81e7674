"""A job without Slurm: its roles as processes of this machine, described as Slurm would describe its nodes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from rlsif.cluster.job import LOCAL_PID
from rlsif.errors import InputError
from rlsif.slurm.folder import LOCAL
from rlsif.slurm.submission import SCRIPTS, Submission

# An environment steps on one core as it does on more.
CPUS = 1
NODES = {"hetjob": 2, "multinode": 2, "node": 1}


@dataclass(frozen=True)
class Group:
    """Stand-ins for nodes, which are processes of this machine; CPU cores and GPUs of each."""

    nodes: tuple[str, ...]
    cpus: int
    gpus: int


def line(asked: Submission, checkout: Path, runs: Path, train: list[str]) -> str:
    """The line that runs a job on this machine, quoted for a shell. Raises InputError."""
    if asked.script == "rollout":
        raise InputError(f"--local is for {', '.join(NODES)}; nodes are lent to a job of Slurm's")
    if asked.time:
        raise InputError(f"--time is {asked.time}, and no job has a time limit without Slurm; use train's --stop-time")
    job = f"{LOCAL}{number(runs)}"
    variables = {**_of_slurm(job, groups(asked)), "RL_RUNS": str(runs), "RL_LOCAL_PID": LOCAL_PID}
    if asked.dashboard:
        variables["RL_DASHBOARD"] = "1"
    slurm = checkout / "slurm"
    words = ["env", *(f"{name}={value}" for name, value in variables.items())]
    return shlex.join([*words, str(slurm / "local/run"), str(slurm / f"{asked.script}.sh"), *train])


def number(runs: Path) -> int:
    """The next number of a job in this folder."""
    taken = [path.name.partition("-")[2] for path in runs.glob(f"{LOCAL}*")]
    return max((int(text) for text in taken if text.isdecimal()), default=0) + 1


def groups(asked: Submission) -> list[Group]:
    """The groups of a job, each node with one core unless told otherwise, and no GPUs unless some are asked for."""
    many, cpus = asked.rollout_nodes or NODES[asked.script], asked.cpus or CPUS
    if len(SCRIPTS[asked.script]) == 1:
        # The first of them learns, so that one alone needs a core more.
        names = tuple(f"node{i}" for i in range(1, many + 1))
        return [Group(names, max(cpus, 2) if many == 1 else cpus, asked.gpus or 0)]
    rollout = Group(tuple(f"rollout{i}" for i in range(1, many + 1)), cpus, 0)
    return [Group(("head",), CPUS, 0), rollout, Group(("learner",), CPUS, asked.gpus or 0)]


def _of_slurm(job: str, found: list[Group]) -> dict[str, str]:
    """What Slurm sets in the environment of a batch script, and what the stand-ins of its commands read."""
    variables = {"SLURM_JOB_ID": job, "RL_LOCAL_GPUS": " ".join(str(group.gpus) for group in found)}
    for i, group in enumerate(found):
        suffix = f"_HET_GROUP_{i}" if len(found) > 1 else ""
        variables[f"SLURM_JOB_NODELIST{suffix}"] = ",".join(group.nodes)
        variables[f"SLURM_JOB_CPUS_PER_NODE{suffix}"] = f"{group.cpus}(x{len(group.nodes)})"
    return variables
