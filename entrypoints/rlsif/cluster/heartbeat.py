"""Heartbeats of env runners: each says how far its environments are, so that a slow one is not taken for a dead one."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

from rlsif import private_api

PREFIX = b"rlsif/heartbeat/"
# Between two heartbeats, in seconds.
INTERVAL = 2.0


@dataclass(frozen=True)
class Heartbeat:
    """What an env runner says of itself."""

    runner: int
    node: str
    # Counts up with every heartbeat.
    beat: int
    # Env steps and resets since its process began.
    steps: int
    resets: int
    # "waiting" for the learner, or what its environments do.
    doing: str


def start(runner: int, look: Callable[[], tuple[int, int, str]]) -> threading.Event:
    """Beat from now on in a thread; `look` gives steps, resets and what is done. Ends when the event is set."""
    ended = threading.Event()
    node = socket.gethostname()

    def beat() -> None:
        number = 0
        while True:
            number += 1
            steps, resets, doing = look()
            message = Heartbeat(runner, node, number, steps, resets, doing)
            # Ray may be about to end, and this process with it.
            with contextlib.suppress(Exception):
                private_api.put_shared(_key(runner), json.dumps(asdict(message)).encode(), overwrite=True)
            if ended.wait(INTERVAL):
                return

    threading.Thread(target=beat, daemon=True, name="heartbeat").start()
    return ended


def read(runners: int) -> list[Heartbeat]:
    """The last heartbeats of env runners 0 to `runners`; those that never beat are not among them."""
    found = [private_api.shared(_key(number)) for number in range(runners + 1)]
    return [Heartbeat(**json.loads(value)) for value in found if value]


def _key(runner: int) -> bytes:
    return PREFIX + str(runner).encode()
