"""A Ray of this run's own on this machine: private folder, private token, loopback only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rlsif import private_api
from rlsif.cluster.ray_node import (
    RAYS_OWN,
    leave_out_what_a_run_does_not_need,
    leave_tensorflow_to_those_who_want_it,
    object_store,
    private_folder,
    write_token,
)
from rlsif.cluster.resources import Resources


@contextlib.contextmanager
def started(resources: Resources) -> Iterator[None]:
    """Start a Ray with these resources, connect to it, and leave nothing of it behind.

    Other users of the machine reach neither its files nor its ports: the folder is 0700,
    and every connection needs the token in it.
    """
    with private_folder() as folder:
        write_token(folder / "token")
        leave_out_what_a_run_does_not_need()
        leave_tensorflow_to_those_who_want_it()
        import ray

        ray.init(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            object_store_memory=object_store(resources.memory),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder / RAYS_OWN),
            job_config=private_api.job_config(),
            log_to_driver=True,
            configure_logging=False,
        )
        try:
            yield
        finally:
            ray.shutdown()
