"""Whether a job is requeued: not without end, and not where it makes no progress."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

from rlsif.cluster.job import STARTS, JobFolder
from rlsif.errors import RlsifError, counted
from rlsif.files import replace
from rlsif.slurm import hostlist
from rlsif.slurm.scontrol import Fields

# So often a job may be started without a new checkpoint.
STARTS_WITHOUT_PROGRESS = 3
# To be requeued a job must ask while it still has so many seconds.
SECONDS_TO_REQUEUE = 20


@dataclass(frozen=True)
class Start:
    """What a start of the job found: the newest checkpoint, and how many starts before it wrote none."""

    checkpoint: str = ""
    without_progress: int = 0


@dataclass(frozen=True)
class Job:
    """What a decision needs to know of a job."""

    id: str
    folder: Path
    # How often Slurm has restarted it.
    restart_count: int
    # As in squeue, for a message.
    time_limit: str
    # RL_MAX_REQUEUES; None: as often as it takes.
    most: Optional[int]
    # Whether Slurm would.
    may: bool


def begin(job: Job) -> None:
    """Note what this start finds. Raises RlsifError for a job that is not to be started once more."""
    if job.restart_count == 0:
        return
    now = Start(newest_checkpoint(job.folder), _without_progress(job.folder))
    _refuse(job, now.without_progress, job.restart_count)
    # On a full disk the count stays as it is.
    with contextlib.suppress(OSError):
        replace(job.folder / STARTS, json.dumps(asdict(now)) + "\n")


def decide(job: Job, why: str) -> str:
    """A sentence for the job's output where it is to be requeued; `why` begins it. Raises RlsifError where not."""
    _refuse(job, _without_progress(job.folder), job.restart_count + 1)
    if not job.may:
        raise RlsifError(f"{why}, but this job cannot be requeued; {resume(job.folder)}")
    number = job.restart_count + 1
    of = f" of at most {job.most}" if job.most is not None else ""
    return f"{why}: job {job.id} is to be requeued (requeue {number}{of}) and resumes from its last checkpoint"


def lost_with_its_batch_script(known: Fields) -> str:
    """The node on which the batch script of a running job was, where Slurm has taken the node out; else empty.

    With --no-kill Slurm leaves a job its other nodes also when the first one fails, and with it all that ends the job.
    """
    node, nodes = known.get("BatchHost", ""), hostlist.names(known.get("NodeList", ""))
    return node if known.get("JobState") == "RUNNING" and nodes and node not in nodes else ""


def _refuse(job: Job, without_progress: int, requeues: int) -> None:
    """Raise RlsifError for a job that has been started too often, with so many requeues in all."""
    if job.most is not None and requeues > job.most:
        times = counted(job.most, "time")
        raise RlsifError(f"job {job.id} was requeued {times}, as often as RL_MAX_REQUEUES allows; {resume(job.folder)}")
    if without_progress < STARTS_WITHOUT_PROGRESS:
        return
    if has_trained(job.folder):
        raise RlsifError(
            f"job {job.id} was started {without_progress} times without a new checkpoint; checkpoint more often with a"
            f" lower --checkpoint-every, or ask for a longer --time than {job.time_limit}; {resume(job.folder)}"
        )
    raise RlsifError(
        f"job {job.id} was started {without_progress} times and no first iteration has ended: it takes longer than"
        f" the time limit of {job.time_limit}; ask for a longer --time, or make iterations shorter,"
        " as with --set train_batch_size=1000"
    )


def _without_progress(folder: Path) -> int:
    """How many starts, the last one included, have written no checkpoint."""
    before = last_start(folder)
    return before.without_progress + 1 if newest_checkpoint(folder) == before.checkpoint else 0


def last_start(folder: Path) -> Start:
    """What the last start found; a first start finds nothing."""
    try:
        return Start(**json.loads((folder / STARTS).read_text()))
    except (OSError, ValueError, TypeError):
        return Start()


def run_of(folder: Path) -> Optional[Path]:
    """The folder of the job's run or sweep, once there is one."""
    note = JobFolder(folder).run
    return Path(note.read_text()) if note.is_file() else None


def newest_checkpoint(folder: Path) -> str:
    """The newest complete checkpoint of the job's run, or of its sweep's trials, with its time; empty: none."""
    run = run_of(folder)
    if not run:
        return ""
    patterns = ("checkpoints/checkpoint_*/manifest.json", "*/checkpoints/checkpoint_*/manifest.json")
    found = [(path.stat().st_mtime_ns, str(path.parent)) for pattern in patterns for path in run.glob(pattern)]
    return "{1} {0}".format(*max(found)) if found else ""


def has_trained(folder: Path) -> bool:
    """Whether an iteration of the job's run, or of a trial, has ever ended."""
    run = run_of(folder)
    return bool(run and [*run.glob("result.json"), *run.glob("*/result.json")])


def resume(folder: Path) -> str:
    """How the user resumes what the job has done."""
    run = run_of(folder)
    return f"resume by `--resume {run}` in a new one" if run else "no run has begun"


def ask_by(end: Optional[int]) -> int:
    """When the job must ask, in seconds since the epoch; 0: there is no such time."""
    return end - SECONDS_TO_REQUEUE if end else 0
