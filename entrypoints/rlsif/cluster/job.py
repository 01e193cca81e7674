"""The folder of a Slurm job: the rendezvous of its nodes, their token, their logs."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rlsif.errors import RlsifError
from rlsif.files import replace

# How often a file or a process is looked at while somebody waits for it, and otherwise, in seconds. All nodes of a
# job look at one disk.
POLL = 0.1
SELDOM = 1.0
# The files by which the batch script, in bash, and the roles, in Python, talk; bash has them from here.
CLUSTER, TOKEN, STOP, OVER, RUN, IMAGE, LOGS, STARTS, LOCAL_PID = (
    "cluster.json",
    "token",
    "stop",
    "over",
    "run",
    "image",
    "logs",
    "starts.json",
    "local.pid",
)
# Of a role: what it said on a node, and in which start of the job it ended there.
LOG_SUFFIX, ENDED_SUFFIX = ".log", ".ended"
FORMING, STARTING, TRAINING, ENDED = "forming", "starting", "training", "ended"


@dataclass(frozen=True)
class Rendezvous:
    """Where the nodes of a job meet."""

    # How often Slurm has restarted the job; what an earlier start left is not for this one.
    restart_count: int
    state: str
    # Of Ray's control store on the head, as address:port.
    address: str
    # GPUs that the learner is to use.
    num_gpus: float
    # How the user sees Ray's dashboard; empty where there is none.
    dashboard: str = ""
    # Seconds from the script's first line to the end of each phase.
    phases: Mapping[str, float] = field(default_factory=dict)


class JobFolder:
    """Reads and writes the files of a job. Only its user can."""

    def __init__(self, path: Path, until: Path | None = None) -> None:
        """Take an existing folder. `until` is there when this node's own batch script has ended, if that is another."""
        self.path, self._until = path, until or path / OVER
        self._read: Rendezvous | None = None
        self._stop, self._looked = False, -SELDOM

    @property
    def token(self) -> Path:
        """The file with the token that every process of the job's Ray needs."""
        return self.path / TOKEN

    @property
    def stop_is_asked_for(self) -> bool:
        """Whether the run is to end with a checkpoint, because Slurm has warned of the end or a user wants it."""
        now = time.monotonic()
        # It is asked after every iteration, of which there may be hundreds a second.
        if now - self._looked >= SELDOM:
            self._stop, self._looked = self._is_there(self.path / STOP), now
        return self._stop

    @property
    def stopped_for_good(self) -> bool:
        """Whether its user wants the end, and not Slurm, after which the job would be requeued."""
        try:
            return bool((self.path / STOP).read_bytes())
        except OSError:
            return False

    @property
    def over(self) -> bool:
        """Whether the head has ended, however, or Slurm ends the batch script."""
        return any(self._is_there(path) for path in {self.path / OVER, self._until})

    @property
    def run(self) -> Path:
        """The file that names the run's folder."""
        return self.path / RUN

    def logs(self, node: str) -> Path:
        """The folder for the logs of a node."""
        return self.path / LOGS / node

    def log(self, role: str, node: str) -> Path:
        """What a role said on a node."""
        return self.logs(node) / f"{role}{LOG_SUFFIX}"

    def has_ended(self, role: str, node: str, restart_count: int) -> bool:
        """Whether the role has ended on a node, in this start of the job; one of an earlier start may end late."""
        told = self.log(role, node).with_suffix(ENDED_SUFFIX)
        _look(told.parent)
        try:
            return told.read_text().strip() == str(restart_count)
        except OSError:
            return False

    def _is_there(self, path: Path) -> bool:
        """Whether a file is there now; a disk that refuses to tell has none."""
        _look(path.parent)
        try:
            return path.exists()
        except OSError:
            return False

    def publish(self, rendezvous: Rendezvous) -> None:
        """Write the rendezvous so that every node sees it whole or not at all."""
        replace(self.path / CLUSTER, json.dumps(asdict(rendezvous), indent=1) + "\n")

    def rendezvous(self) -> Rendezvous | None:
        """What the head has published, if anything; what it was where a disk refuses to tell what it is."""
        _look(self.path)
        try:
            self._read = Rendezvous(**json.loads((self.path / CLUSTER).read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            pass
        return self._read

    def wait_for_head(self, restart_count: int, seconds: float, give_up: Callable[[], bool]) -> Rendezvous | None:
        """The rendezvous of this start of the job; None when `give_up` says so.

        Raises RlsifError when no head comes up in time.
        """
        started = time.monotonic()
        while not give_up():
            found = self.rendezvous()
            if found and found.restart_count >= restart_count and found.state != ENDED:
                return found
            waited = time.monotonic() - started
            if waited > seconds:
                raise RlsifError(f"no head came up within {seconds:g} s; see its log in {self.path / LOGS}")
            # A head that takes long, takes longer.
            time.sleep(min(max(POLL, waited / 20), SELDOM))
        return None


def _look(folder: Path) -> None:
    """Have a network file system look what is in a folder; else it remembers for a minute that a file was not there."""
    with contextlib.suppress(OSError):
        list(folder.iterdir())
