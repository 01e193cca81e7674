"""A Ray of this run's own on this machine: private folder, private token, loopback only."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rlsif.cluster.resources import Resources

# Ray puts Unix sockets some 60 characters below this folder; their paths end at 107.
LONGEST_FOLDER = 45
OBJECT_STORE_BYTES = 512 * 1024**2


def require_token() -> None:
    """Turn Ray's token authentication on. Ray reads the mode when it is imported, so this comes first."""
    os.environ["RAY_AUTH_MODE"] = "token"


def leave_out_what_a_run_does_not_need() -> None:
    """Keep Ray from starting autoscaler, dashboard and metrics in every node of this process.

    Each is a Python process that takes a second of a core, and the last two listen on ports that no
    token guards; `include_dashboard=False` starts a dashboard process all the same.
    """
    import ray._private.utils
    from ray._private.node import Node

    def nothing(*_: object, **__: object) -> None:
        """Start nothing."""

    Node.start_monitor = Node.start_api_server = nothing
    # The per-node agent then is the small one, without a web server.
    ray._private.utils.get_dashboard_dependency_error = lambda: ImportError("not wanted")


@contextlib.contextmanager
def started(resources: Resources) -> Iterator[None]:
    """Start a Ray with these resources, connect to it, and leave nothing of it behind.

    Other users of the machine reach neither its files nor its ports: the folder is 0700,
    and every connection needs the token in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="rl-", dir=_short_temporary_folder()))
    try:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
        leave_out_what_a_run_does_not_need()
        import ray

        ray.init(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            object_store_memory=_object_store(resources),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
            log_to_driver=True,
            configure_logging=False,
        )
        try:
            yield
        finally:
            ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _short_temporary_folder() -> str:
    """$TMPDIR where it is short enough for Ray's sockets, else /tmp."""
    folder = tempfile.gettempdir()
    return folder if len(folder) + len("/rl-12345678") <= LONGEST_FOLDER else "/tmp"


def _object_store(resources: Resources) -> int:
    """Shared memory for Ray's objects, in bytes: no more than a third of /dev/shm or of the memory."""
    shared = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0
    return max(80 * 1024**2, min(OBJECT_STORE_BYTES, shared // 3, resources.memory // 3))
