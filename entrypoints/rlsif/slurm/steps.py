"""What a batch script starts where: the steps of each script, as words for srun."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rlsif.errors import InputError
from rlsif.slurm.allocation import Allocation, Group

# A site may have srun pass on no environment and start MPI. The death of a node is to end its own task alone.
HOW = ["--export=ALL", "--mpi=none", "--ntasks-per-node=1", "--overlap", "--unbuffered"]
HOW += ["--no-kill", "--kill-on-bad-exit=0", "--wait=0"]
# A role's threads may use all cores of its node; Slurm would bind a task to one.
UNBOUND = "--cpu-bind=none"


@dataclass(frozen=True)
class Step:
    """One role on its nodes: which ones, as options for srun; whether it uses GPUs; what the role is told."""

    role: str
    where: tuple[str, ...]
    with_gpu: bool
    told: tuple[str, ...] = ()


def steps(script: str, allocation: Allocation) -> list[Step]:
    """The steps of a script of slurm/, in the order of their start. Raises InputError for a job of another kind."""
    groups = 3 if script == "hetjob" else 1
    if len(allocation.groups) != groups:
        raise InputError(
            f"slurm/{script}.sh is for a job with {groups} group{'s' * (groups > 1)} of resources, and this one has"
            f" {len(allocation.groups)}; see its #SBATCH lines"
        )
    return SCRIPTS[script](allocation.groups)


def _hetjob(groups: tuple[Group, ...]) -> list[Step]:
    _, rollout, learner = groups
    told = ["--rollout-nodes", " ".join(rollout.nodes), "--rollout-cpus", str(sum(rollout.cpus))]
    told += ["--learner-node", learner.nodes[0], "--learner-cpus", str(learner.cpus[0])]
    return [
        Step("head", ("--het-group=0",), False, (*told, "--learner-gpus", str(learner.gpus))),
        Step("rollout", ("--het-group=1", f"--ntasks={len(rollout.nodes)}"), False),
        Step("learner", ("--het-group=2",), learner.gpus > 0),
    ]


def _multinode(groups: tuple[Group, ...]) -> list[Step]:
    [group] = groups
    first, *others = group.nodes
    told = ("--rollout-nodes", " ".join(others), "--rollout-cpus", str(sum(group.cpus[1:])))
    found = [Step("head", ("--nodes=1", "--ntasks=1", f"--nodelist={first}"), group.gpus > 0, told)]
    if others:
        found.append(Step("rollout", (*_on(len(others)), f"--exclude={first}"), False))
    return found


def _node(groups: tuple[Group, ...]) -> list[Step]:
    return [Step("head", (), groups[0].gpus > 0)]


def _rollout(groups: tuple[Group, ...]) -> list[Step]:
    return [Step("rollout", _on(len(groups[0].nodes)), False)]


def _on(nodes: int) -> tuple[str, ...]:
    return (f"--nodes={nodes}", f"--ntasks={nodes}")


SCRIPTS: Mapping[str, Callable[[tuple[Group, ...]], list[Step]]] = {
    "hetjob": _hetjob,
    "multinode": _multinode,
    "node": _node,
    "rollout": _rollout,
}


def words(step: Step, image: str, role_script: str, binds: bool) -> list[str]:
    """The arguments of srun for a step; the user's own follow those of the head."""
    how = [*HOW, UNBOUND] if binds else HOW
    end = ["--"] if step.role == "head" else []
    return [*step.where, *how, role_script, step.role, image, *step.told, *end]


def binds_cpus(config: str) -> bool:
    """Whether tasks are bound to CPUs at this site, from `scontrol show config`; srun warns of the option where not."""
    plugins = re.search(r"^TaskPlugin\s*=\s*(\S+)", config, flags=re.M)
    return not plugins or any(name in plugins[1] for name in ("affinity", "cgroup"))
