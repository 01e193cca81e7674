"""`rl`: what the nodes of a Slurm job run. The scripts in slurm/ call it; it calls nothing of Slurm."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlsif.commands import cli, slurm

if TYPE_CHECKING:
    from rlsif.cluster.job import JobFolder
    from rlsif.cluster.ray_node import NodeShare

JOB = Annotated[Path, typer.Option(help="Folder of the job; every node sees it.")]
TEMPORARY = Annotated[Path, typer.Option(help="Folder on this node for Ray; its caller removes it.")]
NODE = Annotated[str, typer.Option(help="Name of this node.")]
CPUS = Annotated[int, typer.Option(min=1, help="CPU cores that the job has of this node.")]
VISIBLE_GPUS = Annotated[str, typer.Option(help="CUDA_VISIBLE_DEVICES as Slurm sets it on this node.")]
MEM_PER_NODE = Annotated[str, typer.Option(help="SLURM_MEM_PER_NODE on this node, in MB.")]
MEM_PER_CPU = Annotated[str, typer.Option(help="SLURM_MEM_PER_CPU on this node, in MB. Without either: all memory.")]
RESTART_COUNT = Annotated[int, typer.Option(min=0, help="How often Slurm has restarted the job.")]
UNTIL = Annotated[Path, typer.Option(help="File that is there once the batch script has ended.")]
INTERFACE = Annotated[str, typer.Option(help="Network interface, as ib0. Default: the one towards the head.")]
WAIT = Annotated[float, typer.Option(min=1, help="Seconds for the others to come up.")]


def head(
    job: JOB,
    until: UNTIL,
    temporary: TEMPORARY,
    node: NODE,
    cpus: CPUS,
    arguments: Annotated[list[str] | None, typer.Argument(help="Options of `train`, or `sweep ...`, after --.")] = None,
    visible_gpus: VISIBLE_GPUS = "",
    mem_per_node: MEM_PER_NODE = "",
    mem_per_cpu: MEM_PER_CPU = "",
    restart_count: RESTART_COUNT = 0,
    interface: INTERFACE = "",
    wait: WAIT = 300,
    started: Annotated[float, typer.Option(help="When the batch script began, in seconds since the epoch.")] = 0,
    rollout_nodes: Annotated[str, typer.Option(help="Names of the rollout nodes, by blank.")] = "",
    rollout_cpus: Annotated[int, typer.Option(min=0, help="CPU cores of them all.")] = 0,
    learner_node: Annotated[str, typer.Option(help="Name of the learner's node; none: the head learns.")] = "",
    learner_cpus: Annotated[int, typer.Option(min=0, help="CPU cores of it.")] = 0,
    learner_gpus: Annotated[int, typer.Option(min=0, help="GPUs of it.")] = 0,
    dashboard_by: Annotated[str, typer.Option(help="user@host of the login node, for Ray's dashboard.")] = "",
) -> int:
    """Bring the job's cluster up, and train on it.

    Without a learner node, this one learns and spends its other cores on env runners.
    """
    from rlsif.cluster.resources import Cluster
    from rlsif.commands import sweep, train
    from rlsif.roles.head import Head, lead
    from rlsif.roles.work import Sweeping, Training
    from rlsif.slurm import on_node
    from rlsif.training.options import TrainOptions

    learns_here = not learner_node
    own_rollout = cpus - 1 if learns_here else 0
    gpus = on_node.gpus(visible_gpus)
    rollouts = rollout_nodes.split()
    described = Head(
        job=_folder(job, until),
        temporary=temporary,
        restart_count=restart_count,
        share=_share(
            node,
            cpus if learns_here else 0,
            gpus if learns_here else 0,
            on_node.memory(mem_per_node, mem_per_cpu, cpus),
            {"learner": 1, "rollout": own_rollout} if learns_here else {"head": 1},
        ),
        interface=interface,
        expected={"rollout": rollouts, "learner": [learner_node] if learner_node else []},
        cluster=Cluster(
            rollout_cpus=own_rollout + rollout_cpus,
            learner_cpus=cpus if learns_here else learner_cpus,
            learner_gpus=gpus if learns_here else learner_gpus,
            # Slurm gives the nodes of a group the same.
            of_rollout_nodes=(own_rollout, *(rollout_cpus // len(rollouts) for _ in rollouts)),
        ),
        started=started,
        seconds=wait,
        dashboard_by=dashboard_by,
    )
    asked = sweep.parse(arguments[1:]) if arguments and arguments[0] == "sweep" else train.parse(arguments or [])
    if isinstance(asked, int):
        return asked
    work = Training(asked, described.job) if isinstance(asked, TrainOptions) else Sweeping(asked, described.job)
    return lead(described, work)


def rollout(
    job: JOB,
    until: UNTIL,
    temporary: TEMPORARY,
    node: NODE,
    cpus: CPUS,
    mem_per_node: MEM_PER_NODE = "",
    mem_per_cpu: MEM_PER_CPU = "",
    restart_count: RESTART_COUNT = 0,
    interface: INTERFACE = "",
    wait: WAIT = 300,
) -> int:
    """Lend this node to the job's env runners, one a core."""
    from rlsif.slurm import on_node

    return _join(
        "rollout",
        _folder(job, until),
        temporary,
        _share(node, cpus, 0, on_node.memory(mem_per_node, mem_per_cpu, cpus), {"rollout": cpus}),
        restart_count,
        interface,
        wait,
    )


def learner(
    job: JOB,
    until: UNTIL,
    temporary: TEMPORARY,
    node: NODE,
    cpus: CPUS,
    visible_gpus: VISIBLE_GPUS = "",
    mem_per_node: MEM_PER_NODE = "",
    mem_per_cpu: MEM_PER_CPU = "",
    restart_count: RESTART_COUNT = 0,
    interface: INTERFACE = "",
    wait: WAIT = 300,
) -> int:
    """Lend this node and its GPUs to the job's learner."""
    from rlsif.slurm import on_node

    memory = on_node.memory(mem_per_node, mem_per_cpu, cpus)
    return _join(
        "learner",
        _folder(job, until),
        temporary,
        _share(node, cpus, on_node.gpus(visible_gpus), memory, {"learner": 1}),
        restart_count,
        interface,
        wait,
    )


def _join(
    role: str, job: JobFolder, temporary: Path, share: NodeShare, restart_count: int, interface: str, wait: float
) -> int:
    from rlsif.roles.member import Member, join

    return join(Member(job, temporary, restart_count, role, share, interface, wait))


def _folder(path: Path, until: Path) -> JobFolder:
    from rlsif.cluster.job import JobFolder
    from rlsif.errors import InputError

    if not path.is_dir():
        raise InputError(
            f"--job is {path}, which is not a folder that this node sees; RL_RUNS must be on a shared disk"
        )
    return JobFolder(path, until)


def _share(node: str, cpus: int, gpus: int, memory: int, roles: dict[str, float]) -> NodeShare:
    from rlsif.cluster.ray_node import NodeShare
    from rlsif.cluster.resources import available

    return NodeShare(node, cpus, gpus, memory or available().memory, roles)


def main() -> None:
    """Run the command."""
    # Bash had it ignored, so that it outlives what is in here; this process is to end by it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cli.run({"head": head, "rollout": rollout, "learner": learner, **slurm.COMMANDS}, "slurm/rl")
