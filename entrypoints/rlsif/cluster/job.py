"""The folder of a Slurm job: the rendezvous of its nodes, their token, their logs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rlsif.errors import RlsifError
from rlsif.files import replace

# How often a file or a process is looked at, in seconds.
POLL = 0.1
FORMING, STARTING, TRAINING, ENDED = "forming", "starting", "training", "ended"


@dataclass(frozen=True)
class Rendezvous:
    """Where the nodes of a job meet."""

    # How often Slurm has restarted the job; what an earlier life left is not for this one.
    life: int
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

    def __init__(self, path: Path) -> None:
        """Take an existing folder."""
        self.path = path

    @property
    def token(self) -> Path:
        """The file with the token that every process of the job's Ray needs."""
        return self.path / "token"

    @property
    def stop(self) -> Path:
        """The file that the batch script makes when Slurm warns of the time limit."""
        return self.path / "stop"

    @property
    def over(self) -> bool:
        """Whether the batch script has seen the head end, however it ended."""
        return (self.path / "over").exists()

    @property
    def run(self) -> Path:
        """The file that names the run's folder."""
        return self.path / "run"

    def logs(self, node: str) -> Path:
        """The folder for the logs of a node."""
        return self.path / "logs" / node

    def log(self, role: str, node: str) -> Path:
        """What a role said on a node."""
        return self.logs(node) / f"{role}.log"

    def has_ended(self, role: str, node: str) -> bool:
        """Whether the role has ended on a node, in this life of the job."""
        return self.log(role, node).with_suffix(".ended").exists()

    def publish(self, rendezvous: Rendezvous) -> None:
        """Write the rendezvous so that every node sees it whole or not at all."""
        replace(self.path / "cluster.json", json.dumps(asdict(rendezvous), indent=1) + "\n")

    def rendezvous(self) -> Rendezvous | None:
        """What the head has published, if anything."""
        try:
            return Rendezvous(**json.loads((self.path / "cluster.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def wait_for_head(self, life: int, seconds: float, give_up: Callable[[], bool]) -> Rendezvous | None:
        """The rendezvous of this life of the job; None when `give_up` says so.

        Raises RlsifError when no head comes up in time.
        """
        deadline = time.monotonic() + seconds
        while not give_up():
            found = self.rendezvous()
            if found and found.life >= life:
                return found
            if time.monotonic() > deadline:
                raise RlsifError(f"no head came up within {seconds:g} s; see its log in {self.path / 'logs'}")
            time.sleep(POLL)
        return None
