"""Heartbeats of env runners: each says how far its environments are, so that a slow one is not taken for a dead one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from rlsif import private_api
from rlsif.cluster import membership

PREFIX = "rlsif/heartbeat"
# Between two heartbeats, in seconds.
INTERVAL = 2.0
# The number of what plays evaluation episodes; env runners count from 0.
EVALUATION = -1


@dataclass(frozen=True)
class Heartbeat:
    """What an env runner says of itself."""

    runner: int
    node: str
    # Ray's id of the node.
    ray_node: str
    # Counts up with every heartbeat.
    beat: int
    # Env steps and resets since its process began.
    steps: int
    resets: int
    # "waiting" for the learner, or what its environments do.
    doing: str
    # Of its process on the node; another one is an env runner that was started again.
    pid: int = 0
    # How many processes of its environments ended and were started again, and how the last did.
    lost: int = 0
    lost_how: str = ""


_BEATING = threading.Lock()


class Done(Protocol):
    """What the environments of a process have done so far."""

    steps: int
    resets: int
    doing: str
    lost: int
    lost_how: str


def start(runner: int, look: Callable[[], Done]) -> None:
    """Beat until this process ends, in a thread; `look` gives what its environments have done. Once in a process."""
    import ray

    if not ray.is_initialized() or not _BEATING.acquire(blocking=False):
        return
    about = (runner, socket.gethostname(), ray.get_runtime_context().get_node_id())
    threading.Thread(target=_beat, args=(about, look), daemon=True, name="heartbeat").start()


def _beat(about: tuple[int, str, str], look: Callable[[], Done]) -> None:
    for number in itertools.count(1):
        done = look()
        told = done.steps, done.resets, done.doing, os.getpid(), done.lost, done.lost_how
        message = Heartbeat(*about, number, *told)
        # Ray may be about to end, and this process with it.
        with contextlib.suppress(Exception):
            key = _of_run(membership.run()) + str(about[0]).encode()
            private_api.put_shared(key, json.dumps(asdict(message)).encode(), overwrite=True)
        time.sleep(INTERVAL)


def read(run: str = "") -> list[Heartbeat]:
    """The last heartbeat of every env runner of a run that ever beat."""
    found = [private_api.shared(key) for key in private_api.shared_keys(_of_run(run))]
    return [Heartbeat(**json.loads(value)) for value in found if value]


def _of_run(run: str) -> bytes:
    return f"{PREFIX}/{run}/".encode()
