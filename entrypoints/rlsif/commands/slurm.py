"""The commands of `rl` that batch scripts and slurm/rl call: read what Slurm says on the standard input, and print.

What begins with a name and `=` is for bash to evaluate; everything else is for the user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from rlsif.slurm.requeue import Job

FOLDER = Annotated[Path, typer.Option(help="The job's folder.")]


def allocation(script: Annotated[str, typer.Option(help="The script of slurm/, without .sh.")]) -> int:
    """Describe to the batch script what Slurm gave it and what it starts where.

    The standard input: `scontrol show job` of this job; `== other` and the same of the job that nodes are lent to;
    `== config` and `scontrol show config`; `== environment` and the batch script's.
    """
    from rlsif.slurm import describe, shell

    parts = shell.sections(sys.stdin.read())
    variables = shell.variables(parts["environment"])
    print(shell.assignments(describe.describe(script, parts, variables)))
    return 0


def alike(
    first: Annotated[str, typer.Option(help="Path of an image.")],
    second: Annotated[str, typer.Option(help="Path of another one.")],
) -> int:
    """Refuse two images that cannot be in one job. The standard input: labels of the first, `== second`, and its."""
    from rlsif.slurm import labels, shell

    parts = shell.sections(sys.stdin.read())
    labels.check_alike(first, parts[""], second, parts["second"])
    return 0


def begin(folder: FOLDER) -> int:
    """Note a start of the job, unless it has been started too often. The standard input: as for allocation."""
    from rlsif.slurm.requeue import begin as begin_start

    begin_start(_job(folder))
    return 0


def warning() -> int:
    """Tell when the job ends and by when it must ask to be requeued; the standard input: as for allocation."""
    from rlsif.slurm import requeue, scontrol, shell

    parts = shell.sections(sys.stdin.read())
    first = scontrol.groups(parts[""], shell.variables(parts["environment"])["SLURM_JOB_ID"])[0]
    end = scontrol.epoch(first.get("EndTime", ""))
    print(shell.assignments({"job_end": end or 0, "requeue_at": requeue.ask_by(end)}))
    return 0


def requeue(folder: FOLDER, why: Annotated[str, typer.Option(help="What happened.")]) -> int:
    """Tell whether a job may be requeued, and what to say of it. The standard input: as for allocation."""
    from rlsif.slurm import shell
    from rlsif.slurm.requeue import resume

    print(shell.assignments({**_decided(_job(folder), why), "by_hand": resume(folder)}))
    return 0


def abandoned(folder: FOLDER) -> int:
    """Tell a node whether its job has lost the node of the batch script, and whether it may be requeued then.

    The standard input: as for allocation.
    """
    from rlsif.slurm import requeue, scontrol, shell
    from rlsif.slurm.describe import job_of

    parts = shell.sections(sys.stdin.read())
    variables = shell.variables(parts["environment"])
    first = next(iter(scontrol.groups(parts[""], variables["SLURM_JOB_ID"])), {})
    node = requeue.lost_with_its_batch_script(first)
    answer: dict[str, shell.Value] = {"lost": node, "output": first.get("StdOut", "")}
    if node:
        answer.update(_decided(job_of(parts[""], variables, folder), f"node {node}, the first one, has failed"))
    print(shell.assignments(answer))
    return 0


def _decided(job: Job, why: str) -> dict[str, Any]:
    from rlsif.errors import RlsifError
    from rlsif.slurm.requeue import decide

    try:
        return {"may": 1, "message": decide(job, why)}
    except RlsifError as refused:
        return {"may": 0, "message": str(refused)}


def _job(folder: Path) -> Job:
    from rlsif.slurm import shell
    from rlsif.slurm.describe import job_of

    parts = shell.sections(sys.stdin.read())
    return job_of(parts[""], shell.variables(parts["environment"]), folder)


def submit(
    script: Annotated[str, typer.Argument(help="hetjob, multinode, node, or rollout for more nodes.")],
    train: Annotated[
        list[str] | None,
        typer.Argument(help="Options of `train`, or `sweep ...`, after --; for rollout the number of the job."),
    ] = None,
    rollout_nodes: Annotated[
        Optional[int], typer.Option(min=1, help="Rollout nodes; for multinode, all nodes of the job.")
    ] = None,
    cpus: Annotated[Optional[int], typer.Option(min=1, help="CPU cores of each of them.")] = None,
    gpus: Annotated[Optional[int], typer.Option(min=0, help="GPUs of the learner's node.")] = None,
    time: Annotated[Optional[str], typer.Option(help="Time limit, as 12:00:00.")] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Start Ray's dashboard; output and status say how to open it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the line for sbatch and do nothing.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Run the job's roles on this machine, without Slurm, to debug.")
    ] = False,
    checkout: Annotated[Path, typer.Option(hidden=True)] = Path(),
) -> int:
    """Build the sbatch line of a job, with what slurm/site.conf says, and run it.

    slurm/rl submit hetjob --rollout-nodes 8 -- --env CartPole-v1
    """
    from rlsif.slurm import local as local_job
    from rlsif.slurm.planning import doubt, nodes
    from rlsif.slurm.submission import Submission, line, read_site

    asked = Submission(script, rollout_nodes, cpus, gpus, time, dashboard)
    if local:
        runs = Path(os.environ.get("RL_RUNS") or Path.cwd() / "runs")
        built = local_job.line(asked, checkout, runs, train or [])
    else:
        site = read_site(checkout / "slurm/site.conf")
        built = line(asked, site, checkout, train or [])
        warned = doubt(asked, site, nodes("" if sys.stdin.isatty() else sys.stdin.read()))
        if warned:
            print(f"warning: {warned}", file=sys.stderr)
    # The host script evaluates the line.
    print(f"would run: {built}" if dry_run else built)
    return 0


def find(
    job: Annotated[str, typer.Option(help="Number of the job, as given.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="The input is why `scontrol` failed.")] = False,
) -> int:
    """Tell slurm/rl where a job's folder is. The standard input: `scontrol show job`."""
    from rlsif.cluster.job import LOG_SUFFIX, LOGS
    from rlsif.slurm import folder as folders
    from rlsif.slurm import scontrol, shell

    said = sys.stdin.read()
    folders.check_number(job)
    if failed:
        folders.check_forgotten(job, said)
    first = None if failed else next(iter(scontrol.groups(said, job)), None)
    folder = folders.of_job(job, first, os.environ.get("RL_RUNS", ""), Path.cwd())
    print(shell.assignments({"folder": str(folder), "log_folder": str(folder / LOGS), "log_suffix": LOG_SUFFIX}))
    return 0


def status(folder: FOLDER) -> int:
    """Describe a job, from its folder and from `scontrol show job` on the standard input."""
    from rlsif.slurm.scontrol import groups
    from rlsif.slurm.status import describe

    print(describe(groups(sys.stdin.read(), folder.name), folder))
    return 0


def stop(folder: FOLDER) -> int:
    """Have a run end after its iteration; tell how to cancel its job instead. The input: as for status."""
    from rlsif.slurm import shell
    from rlsif.slurm.folder import stop as stop_job
    from rlsif.slurm.scontrol import groups

    message, cancel = stop_job(folder, next(iter(groups(sys.stdin.read(), folder.name)), None))
    print(shell.assignments({"message": message, "cancel": cancel}))
    return 0


COMMANDS: dict[str, Callable[..., Any]] = {
    "allocation": allocation,
    "alike": alike,
    "begin": begin,
    "warning": warning,
    "requeue": requeue,
    "abandoned": abandoned,
    "submit": submit,
    "find": find,
    "status": status,
    "stop": stop,
}
