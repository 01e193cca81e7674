"""Where a job's folder is, and how its user stops it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional

from rlsif.cluster.job import ENDED, LOCAL_PID, STOP, JobFolder
from rlsif.errors import InputError
from rlsif.slurm.scontrol import Fields

# Of a job, and of one without Slurm.
LOCAL = "local-"
NUMBER = re.compile(rf"({LOCAL})?\d+")
RUNNING = ("RUNNING", "SUSPENDED")
WAITING = ("PENDING", "REQUEUED", "CONFIGURING", "REQUEUE_HOLD", "SPECIAL_EXIT")


def is_local(folder: Path) -> bool:
    """Whether a job runs without Slurm, which then knows nothing of it."""
    return folder.name.startswith(LOCAL)


def check_number(job: str) -> None:
    """Refuse what is no job's number. Raises InputError."""
    if not job:
        raise InputError("no job is named; give its number, as in `slurm/rl status 123`; `squeue --me` lists yours")
    if not NUMBER.fullmatch(job):
        raise InputError(f"{job} is not the number of a job; `squeue --me` lists yours")


def check_forgotten(job: str, said: str) -> None:
    """Whether a job is over is known where Slurm says that it has forgotten it, not where it fails to answer.

    Raises InputError there. Slurm never knew of a job without it.
    """
    if not job.startswith(LOCAL) and "invalid job" not in said.lower():
        raise InputError(f"Slurm does not tell of job {job}: {said.rpartition('error: ')[2].strip()}")


def of_job(job: str, known: Optional[Fields], runs: str, here: Path) -> Path:
    """The folder of a job: runs/JOB where it was submitted. Raises InputError for one that cannot be found."""
    folder = (Path(runs) if runs else Path(known["WorkDir"] if known else here) / "runs") / job
    if job.startswith(LOCAL) and not folder.is_dir():
        raise InputError(f"there is no job {job}: no folder {folder}; go to where it was started, or set RL_RUNS")
    if not known and not folder.is_dir():
        raise InputError(
            f"Slurm does not know job {job}, and there is no {folder};"
            " if it is over, go to where it was submitted or set RL_RUNS"
        )
    return folder


def local_process(folder: Path) -> Optional[int]:
    """The process on this machine that runs a job without Slurm, and starts it again; None: there is none."""
    try:
        number = int((folder / LOCAL_PID).read_text())
        return number if b"slurm/local/run" in Path(f"/proc/{number}/cmdline").read_bytes() else None
    except (OSError, ValueError):
        return None


def stop(folder: Path, known: Optional[Fields]) -> tuple[str, list[str]]:
    """Ask a run to end after its iteration; give what to tell the user, and the command that cancels its job, if any.

    A job that has begun once may be on its way to the next start, which heeds the file, too.
    """
    job, state = folder.name, known.get("JobState", "") if known else ""
    meeting, process = JobFolder(folder).rendezvous(), local_process(folder)
    here = bool(process) or (is_local(folder) and meeting is not None and meeting.state != ENDED)
    begun = meeting is not None or JobFolder(folder).run.is_file()
    if begun and (here or state in RUNNING):
        # Not empty: the job is not to be requeued.
        (folder / STOP).write_text("for good\n")
        return f"job {job} ends after the iteration in progress, with a checkpoint", []
    if here or state in RUNNING or state in WAITING:
        how = "waits to be started again; it is" if begun else "had not begun to train and is"
        return f"job {job} {how} cancelled", ["kill", str(process)] if process else ["scancel", job]
    return f"job {job} is over{f': {state}' if state else ''}", []
