"""A job as its batch script sees it: paths, images and steps, as values for bash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from rlsif.cluster.job import CLUSTER, ENDED_SUFFIX, IMAGE, LOG_SUFFIX, LOGS, OVER, RUN, STARTS, STOP, TOKEN
from rlsif.errors import REQUEUE, InputError
from rlsif.slurm import scontrol
from rlsif.slurm.allocation import read
from rlsif.slurm.requeue import Job, ask_by
from rlsif.slurm.shell import Value
from rlsif.slurm.steps import binds_cpus, steps, words


def describe(script: str, said: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, Value]:
    """What the batch script of a job is to know, by the names of its variables. Raises RlsifError."""
    most_requeues(variables)
    _check_wait(variables)
    lent_to = variables.get("RL_LENT_TO")
    paths = _own(variables) if lent_to is None else _lent(lent_to, said.get("other", ""), variables)
    allocation = read(said[""], variables)
    found = steps(script, allocation)
    images = [variables["RL_IMAGE_GPU" if step.with_gpu else "RL_IMAGE"] for step in found]
    role_script = str(Path(variables["RL_ROOT"]) / "slurm/role.sh")
    binds = binds_cpus(said.get("config", ""))
    commands = {f"step_{step.role}": words(step, image, role_script, binds) for step, image in zip(found, images)}
    return {
        **paths,
        **commands,
        "roles": [step.role for step in found],
        "images": sorted(set(images), key=images.index),
        "job_end": allocation.end or 0,
        "ask_by": ask_by(allocation.end),
        "REQUEUE": REQUEUE,
    }


def _own(variables: Mapping[str, str]) -> dict[str, Value]:
    return _paths(Path(variables["RL_RUNS"]) / variables["SLURM_JOB_ID"], "")


def _check_wait(variables: Mapping[str, str]) -> None:
    """Refuse a time to wait that is none. Raises InputError."""
    given = variables.get("RL_WAIT", "300")
    if not (given.isdecimal() and int(given)):
        raise InputError(f"RL_WAIT is {given!r}; it must be a number of seconds, as in RL_WAIT=300")


def _lent(other: str, said: str, variables: Mapping[str, str]) -> dict[str, Value]:
    """The paths of the job that nodes are lent to. Raises InputError for one that has no use for them."""
    if not other.isdecimal():
        wrong = f"{other} is not the number of a job" if other else "no job is named"
        raise InputError(f"{wrong}; as in `sbatch slurm/rollout.sh 123`")
    first = next(iter(scontrol.groups(said, other)), None)
    if first is None:
        raise InputError(f"Slurm does not know job {other}; `squeue --me` lists yours")
    if first["JobState"] != "RUNNING":
        raise InputError(f"job {other} is {first['JobState']}; nodes can be lent to a job that is RUNNING")
    runs = variables.get("RL_RUNS_GIVEN") or f"{first['WorkDir']}/runs"
    paths = _paths(Path(runs) / other, f"-{variables['SLURM_JOB_ID']}")
    return {"lent_from": first["WorkDir"], "RL_RUNS": runs, **paths}


def _paths(folder: Path, lent_by: str) -> dict[str, Value]:
    """Where bash and Python meet; the names stand in rlsif.cluster.job."""
    return {
        "RL_JOB": str(folder),
        "RL_LENT_BY": lent_by,
        "RL_OVER": f"{folder / OVER}{lent_by}",
        "RL_LOGS": str(folder / LOGS),
        "RL_LOG_SUFFIX": LOG_SUFFIX,
        "RL_ENDED_SUFFIX": ENDED_SUFFIX,
        "stop_file": str(folder / STOP),
        "image_file": str(folder / IMAGE),
        # What a start of the job leaves, and what belongs to all of them.
        "of_a_start": [str(folder / name) for name in (CLUSTER, TOKEN)],
        "of_the_job": [str(folder / name) for name in (RUN, STARTS, LOGS)],
    }


def job_of(said: str, variables: Mapping[str, str], folder: Path) -> Job:
    """What a decision on a requeue needs to know. Raises InputError."""
    found = scontrol.groups(said, variables["SLURM_JOB_ID"])
    first = found[0] if found else {}
    return Job(
        id=variables["SLURM_JOB_ID"],
        folder=folder,
        restart_count=int(variables.get("SLURM_RESTART_COUNT") or 0),
        time_limit=first.get("TimeLimit", "the job's"),
        most=most_requeues(variables),
        may=first.get("Requeue", "1") != "0",
    )


def most_requeues(variables: Mapping[str, str]) -> Optional[int]:
    """How often the job may be requeued; None: without limit. Raises InputError for what is no number."""
    given = variables.get("RL_MAX_REQUEUES", "")
    if given and not given.isdecimal():
        raise InputError(f"RL_MAX_REQUEUES is {given!r}; it must be a number, as in RL_MAX_REQUEUES=10")
    return int(given) if given else None
