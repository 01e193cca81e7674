"""What rollout and learner nodes do: join the head's cluster, lend it this node, leave when it ends."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rlsif.cluster import address
from rlsif.cluster.job import ENDED, POLL, SELDOM, JobFolder, Rendezvous
from rlsif.cluster.ray_node import NodeShare, RayNode, require_token
from rlsif.errors import RlsifError, counted

# The head ends its nodes by its end; a rendezvous on a network file system may say so some seconds later.
SECONDS_FOR_THE_NEWS = 10
# Where the head's node has failed, no Ray can start here.
SECONDS_FOR_THE_HEAD = 10
# A node whose Ray dies joins again; one where it always dies gives up.
TIMES_TO_JOIN = 5


@dataclass(frozen=True)
class Member:
    """One node of a job, as its batch script described it."""

    job: JobFolder
    # On this node, for Ray.
    temporary: Path
    # How often Slurm has restarted the job.
    restart_count: int
    role: str
    share: NodeShare
    interface: str
    # For the head to come up.
    seconds: float


def join(member: Member) -> int:
    """Lend this node until the job ends; give the exit code. Raises RlsifError when Ray ends before the job."""
    stopped = Stopped()
    give_up = lambda: stopped.by is not None or member.job.over  # noqa: E731
    meeting = member.job.wait_for_head(member.restart_count, member.seconds, give_up)
    if meeting is None:
        print(f"{member.role} {member.share.node} leaves: {'it was stopped' if stopped.by else 'the job is over'}")
        return stopped.exit_code
    if member.role == "learner":
        check_gpus(meeting.num_gpus, member.share.gpus)
    # Nodes of another job than the head's join the start that it is in.
    member = replace(member, restart_count=meeting.restart_count)
    require_token(member.job.token)
    own = address.own(member.interface, [meeting.address.rpartition(":")[0]])
    for _ in range(TIMES_TO_JOIN):
        with left_when_over(member.job):
            ray_node = RayNode(
                member.temporary, member.share, own, head=meeting.address, dashboard=bool(meeting.dashboard)
            )
        stopped.listen()
        print(f"{member.role} {member.share.node} joined {meeting.address} from {own}", flush=True)
        try:
            ended = _lend(member, ray_node, stopped)
        finally:
            ray_node.stop()
            keep_logs(ray_node.logs, member.job.logs(member.share.node))
        if ended is not None:
            return ended
        if not address.answers(meeting.address, SECONDS_FOR_THE_HEAD):
            raise RlsifError(f"{member.role} {member.share.node}: the head does not answer at {meeting.address}")
    raise RlsifError(f"{member.role} {member.share.node}: Ray has ended {TIMES_TO_JOIN} times on this node")


@contextmanager
def left_when_over(job: JobFolder) -> Iterator[None]:
    """End this process when the job does, whatever it waits for; Ray waits for a minute for a head that went.

    Ray's own processes end with this one.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SELDOM):
            if job.over:
                print("the job is over", flush=True)
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


class Stopped:
    """Notes SIGTERM and SIGINT."""

    def __init__(self) -> None:
        """Listen from now on."""
        self.by: int | None = None
        self.listen()

    def listen(self) -> None:
        """Take the signals, again after Ray took them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    @property
    def exit_code(self) -> int:
        """0, or what a signal makes of it."""
        return 128 + self.by if self.by else 0

    def _note(self, number: int, _frame: object) -> None:
        self.by = number


def _lend(member: Member, ray_node: RayNode, stopped: Stopped) -> int | None:
    """Wait for the end of the job and give the exit code, or None when Ray has ended before it."""

    def ended() -> bool:
        found: Rendezvous | None = member.job.rendezvous()
        return member.job.over or found is None or found.restart_count != member.restart_count or found.state == ENDED

    while stopped.by is None and not ended():
        dead = ray_node.dead()
        if dead:
            if _within(SECONDS_FOR_THE_NEWS, ended):
                break
            print(f"{member.role} {member.share.node}: Ray's {' and '.join(dead)} ended before the job did", flush=True)
            return None
        time.sleep(SELDOM)
    return stopped.exit_code


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def check_gpus(wanted: float, allocated: int) -> None:
    """Make sure that TensorFlow sees the GPUs that are wanted, in a process of its own. Raises RlsifError."""
    if wanted == 0:
        return
    if allocated < wanted:
        raise RlsifError(
            f"the learner wants {counted(wanted, 'GPU')} and its allocation has {allocated};"
            " give it more, by --gres=gpu:1 of sbatch or --gpus 1 of `slurm/rl submit`, or give --num-gpus 0"
        )
    command = ["check-gpu", "--num-gpus", str(math.ceil(wanted))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"error: check-gpu ended with {done.returncode}"])[-1]
        raise RlsifError(f"{said.removeprefix('error: ')}; or let the learner use its CPUs with --num-gpus 0")


def keep_logs(session: Path, kept: Path) -> None:
    """Keep what Ray's processes wrote, which goes with the private folder; a full disk is no reason to fail."""
    try:
        shutil.copytree(session, kept / "ray", dirs_exist_ok=True, ignore_dangling_symlinks=True)
    except OSError as problem:
        print(f"warning: not all logs of Ray are in {kept / 'ray'}: {problem}")
