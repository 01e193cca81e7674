"""Ray's processes on one node: with a private folder and a token, and gone when this process is.

Written against the classes behind `ray start --block`, which starts a dashboard first and adds two
processes; `ray stop` is no way to end them, for it ends those of other jobs, too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rlsif import private_api
from rlsif.errors import ended_unless_over
from rlsif.private_api import NO_TENSORFLOW, StartFailed

T = TypeVar("T")

# Ray puts Unix sockets some 60 characters below its folder; their paths end at 107.
LONGEST_FOLDER = 43
# Ray opens the folder that it is given to everybody, so it gets one inside a closed one.
RAYS_OWN = "r"
# Ray gives its processes half a minute to come up, which is not enough on a node that is busy, or reads a slow disk.
TIMES_TO_START = 3
OBJECT_STORE_BYTES = 512 * 1024**2
# Half a minute is the most that a busy machine was seen to need. Where Ray's processes answer nothing, its C++ waits
# without an end, and no exception reaches it.
SECONDS_TO_CONNECT = 180
# In the image's prefix: what Ray imports for its dashboard alone.
DASHBOARD_PACKAGES = "dashboard"


@dataclass(frozen=True)
class NodeShare:
    """What a job has of a node: its name, CPU cores, GPUs, bytes of memory, and what its roles are called in Ray."""

    node: str
    cpus: int
    gpus: int
    memory: int
    roles: Mapping[str, float] = field(default_factory=dict)


def leave_tensorflow_to_those_who_want_it() -> None:
    """Have Ray's workers import RLlib without TensorFlow, which takes four times the memory.

    To be called before Ray is started.
    """
    os.environ[NO_TENSORFLOW] = "1"


def want_tensorflow() -> None:
    """Have RLlib import TensorFlow in this process. RLlib looks when it is imported."""
    os.environ.pop(NO_TENSORFLOW, None)


def require_token(path: Path | None = None) -> None:
    """Turn Ray's token authentication on. Ray reads the mode when it is imported, so this comes first."""
    os.environ["RAY_AUTH_MODE"] = "token"
    if path:
        # One of the user's own would come first.
        os.environ.pop("RAY_AUTH_TOKEN", None)
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


def write_token(path: Path) -> None:
    """Write a new token that only this user can read, and have Ray ask for it."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    require_token(path)


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder that only this user can enter, short enough for sockets; removed afterwards."""
    parent = tempfile.gettempdir()
    if len(parent) + len("/rl-12345678") > LONGEST_FOLDER:
        parent = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="rl-", dir=parent))
    _FOLDERS.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _FOLDERS.discard(folder)


# Those that are there now.
_FOLDERS: set[Path] = set()


def connected_in_time() -> contextlib.AbstractContextManager[None]:
    """End this process by one sentence, and leave nothing of it, if it takes too long to connect to Ray.

    Ray's own processes end with this one.
    """
    said = f"Ray's processes on this machine did not answer within {SECONDS_TO_CONNECT:g} s; try again, and see"
    return ended_unless_over(SECONDS_TO_CONNECT, f"{said} docs/troubleshooting.md if it happens twice", _FOLDERS)


def object_store(memory: int) -> int:
    """Shared memory for Ray's objects, in bytes: no more than a third of /dev/shm or of the memory."""
    shared = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0
    return max(80 * 1024**2, min(OBJECT_STORE_BYTES, shared // 3, memory // 3))


def leave_out_what_a_run_does_not_need(*, dashboard: bool = False) -> None:
    """Keep Ray from starting what no run needs in nodes of this process; find the dashboard where it is wanted."""
    private_api.leave_out(dashboard=dashboard)
    if dashboard:
        # For this process, which looks whether they are there, and for Ray's own.
        packages = str(Path(sys.prefix) / DASHBOARD_PACKAGES)
        sys.path.append(packages)
        os.environ["PYTHONPATH"] = packages
        # No port; the dashboard notes that it cannot listen there, and continues.
        os.environ["DASHBOARD_METRIC_PORT"] = "-1"


def started_again(start: Callable[[], T]) -> T:
    """What `start` gives; where Ray does not come up, it is tried again. Raises StartFailed."""
    for _ in range(TIMES_TO_START - 1):
        try:
            return start()
        except StartFailed as problem:
            print(f"{problem}; it is started again", flush=True)
    return start()


class RayNode:
    """Ray's processes on this node, as a head or as one of its nodes."""

    def __init__(
        self, folder: Path, share: NodeShare, own_address: str, head: str | None = None, *, dashboard: bool = False
    ) -> None:
        """Start them and wait until the node is registered; `head` is None for the head itself. Raises StartFailed.

        With a dashboard, the head has it on the loopback interface, and every node tells it of itself.
        """
        leave_out_what_a_run_does_not_need(dashboard=dashboard)
        leave_tensorflow_to_those_who_want_it()
        # It ends workers when the machine's memory is nearly full, whosever it is; Slurm watches over the job's own.
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
        parameters = private_api.node_parameters(
            name=share.node,
            address=own_address,
            head=head,
            cpus=share.cpus,
            gpus=share.gpus,
            roles=share.roles,
            memory=share.memory // 2,
            object_store=object_store(share.memory),
            folder=str(folder / RAYS_OWN),
            dashboard=dashboard,
        )
        self._node = started_again(lambda: private_api.start_node(parameters))
        # Node's own handlers end the process; a role says goodbye first.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        found = private_api.places(self._node)
        self.address, self.logs = found.head, Path(found.logs)
        # On the head alone.
        self.dashboard = found.dashboard if dashboard and head is None else ""

    def dead(self) -> list[str]:
        """The names of its processes that have ended."""
        return private_api.dead_processes(self._node)

    def stop(self) -> None:
        """End its processes."""
        private_api.end_node(self._node)
