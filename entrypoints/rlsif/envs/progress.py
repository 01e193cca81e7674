"""How far the environments of this process are: counted by those who step them, read by a heartbeat."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """Env steps and resets since the process began, and what is being done now."""

    steps: int = 0
    resets: int = 0
    # In words, for a message.
    doing: str = "waiting"


# One for the process: an env runner is a process of its own.
PROGRESS = Progress()
