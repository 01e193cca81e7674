"""How far the environments of this process are: counted by those who step them, read by a heartbeat."""

from __future__ import annotations

from dataclasses import dataclass

RESETTING = "resetting an environment"


@dataclass
class Progress:
    """Env steps and resets since the process began, and what is being done now."""

    steps: int = 0
    resets: int = 0
    # In words, for a message.
    doing: str = "waiting"
    # Of the processes that environments have of their own, how many ended and were started again, and how the last did.
    lost: int = 0
    lost_how: str = ""


# One for the process: an env runner is a process of its own.
PROGRESS = Progress()
