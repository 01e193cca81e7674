"""A Ray of this run's own on this machine: private folder, private token, loopback only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rlsif import private_api
from rlsif.cluster.ray_node import (
    RAYS_OWN,
    connected_in_time,
    leave_out_what_a_run_does_not_need,
    leave_tensorflow_to_those_who_want_it,
    object_store,
    private_folder,
    started_again,
    write_token,
)
from rlsif.cluster.resources import Resources
from rlsif.private_api import StartFailed


@contextlib.contextmanager
def started(resources: Resources, *, at_once: bool = True) -> Iterator[None]:
    """Start a Ray with these resources, connect to it, and leave nothing of it behind.

    Where it is not needed `at_once`, it is started when something needs it, which saves its processes and 3 s.

    Other users of the machine reach neither its files nor its ports: the folder is 0700,
    and every connection needs the token in it. Raises StartFailed.
    """
    with private_folder() as folder:
        write_token(folder / "token")
        leave_out_what_a_run_does_not_need()
        leave_tensorflow_to_those_who_want_it()

        def start() -> None:
            started_again(lambda: _init(resources, folder / RAYS_OWN))

        if at_once:
            start()
        try:
            with contextlib.nullcontext() if at_once else private_api.started_when_needed(start):
                yield
        finally:
            import ray

            ray.shutdown()


def _init(resources: Resources, folder: Path) -> None:
    """Start Ray in a folder. Raises StartFailed."""
    import ray

    try:
        with connected_in_time():
            private_api.init(
                node_ip_address="127.0.0.1",
                folder=str(folder),
                num_cpus=resources.cpus,
                num_gpus=resources.gpus,
                object_store_memory=object_store(resources.memory),
                include_dashboard=False,
            )
    except Exception as problem:
        ray.shutdown()
        raise StartFailed(f"Ray did not start on this machine: {' '.join(str(problem).split())}") from problem
