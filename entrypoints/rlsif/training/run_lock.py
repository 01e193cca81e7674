"""One process at a time in a run's folder, on whatever disk it lies, and whatever became of the one before.

A file says who is in it: host, process, job. Its owner touches it every few seconds, since nobody can look whether a
process of another host is alive. Making it is one exclusive link, which NFS does atomically.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rlsif.errors import InputError

LOCK = ".in-use"
# How often an owner touches it, and after how long without that it is taken for dead, in seconds.
TOUCHED, DEAD = 10.0, 60.0


@dataclass(frozen=True)
class Owner:
    """Who is in a run's folder."""

    host: str
    pid: int
    # When the process began, in clock ticks since the machine did: process numbers are used again.
    began: str
    # Of its process numbers; those of a container are counted anew.
    namespace: str = ""
    # Slurm's number of the job, and how often it was restarted; empty outside of one.
    job: str = ""
    restarts: str = ""


def this_process() -> Owner:
    """Describe the one that runs."""
    slurm = (os.environ.get(f"SLURM_{name}", "") for name in ("JOB_ID", "RESTART_COUNT"))
    namespace = str(Path("/proc/self/ns/pid").readlink())
    return Owner(socket.gethostname(), os.getpid(), _began(os.getpid()), namespace, *slurm)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only one in a folder until the block ends. Raises InputError that names who is there."""
    path = folder / LOCK
    mine = this_process()
    _take(path, mine)
    ended = threading.Event()
    threading.Thread(target=_touch, args=(path, mine, ended), daemon=True, name="run lock").start()
    try:
        yield
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            if _owner(path) == mine:
                path.unlink()


def check_free(folder: Path) -> None:
    """Refuse to be beside a process that is in another folder. Raises InputError that names it."""
    owner, mine = _owner(folder / LOCK), this_process()
    if owner and owner != mine and _is_alive(folder / LOCK, owner, mine):
        raise _in_use(folder, owner)


def _in_use(folder: Path, owner: Owner) -> InputError:
    job = f" (job {owner.job})" if owner.job else ""
    return InputError(
        f"{folder} is in use by process {owner.pid} on {owner.host}{job}; wait for its end, or end it first"
    )


def _take(path: Path, mine: Owner) -> None:
    partial = path.with_name(f"{LOCK}.{secrets.token_hex(4)}")
    try:
        partial.write_text(json.dumps(asdict(mine)))
    except OSError as problem:
        raise InputError(f"{path.parent} cannot be written: {problem.strerror}") from problem
    try:
        # A second time where the one before is dead.
        for _ in range(2):
            try:
                _put_in_place(partial, path)
                return
            except FileExistsError:
                owner = _owner(path)
                if owner == mine:
                    # NFS may have made the link and lost its answer.
                    return
                if owner and _is_alive(path, owner, mine):
                    raise _in_use(path.parent, owner) from None
                _take_away(path, owner)
        raise InputError(f"{path.parent} was taken by another process this moment; see {path}")
    finally:
        partial.unlink()


def _put_in_place(partial: Path, path: Path) -> None:
    """Raises FileExistsError where another one is there."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links; making a file is exclusive there.
        with path.open("x") as file:
            file.write(partial.read_text())


def _take_away(path: Path, dead: Owner | None) -> None:
    """Remove the lock of a dead owner; one that another process has put in its place is put back."""
    taken = path.with_name(f"{LOCK}.{secrets.token_hex(4)}")
    try:
        path.rename(taken)
    except OSError:
        return
    if _owner(taken) != dead:
        with contextlib.suppress(OSError):
            os.link(taken, path)
    taken.unlink()


def _owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(path: Path, owner: Owner, mine: Owner) -> bool:
    if owner.job and owner.job == mine.job and owner.restarts != mine.restarts:
        # The same job before it was requeued.
        return False
    if (owner.host, owner.namespace) == (mine.host, mine.namespace):
        return _began(owner.pid) == owner.began
    try:
        return time.time() - path.stat().st_mtime < DEAD
    except OSError:
        return False


def _began(pid: int) -> str:
    """When a process of this machine began; empty where there is none."""
    try:
        # The second field, the program's name, may hold blanks and brackets.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _touch(path: Path, mine: Owner, ended: threading.Event) -> None:
    while not ended.wait(TOUCHED):
        # A full disk is no reason to end.
        with contextlib.suppress(OSError):
            if _owner(path) == mine:
                os.utime(path)
