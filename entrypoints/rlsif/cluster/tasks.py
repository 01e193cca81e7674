"""The task that a run has set for its environments, left where every process of the run reads it before it steps them.

So an env runner that is busy, starts late or starts again gets it like the others.
"""

from __future__ import annotations

import json
from typing import Any

from rlsif import private_api

KEY = b"rlsif/task"


def leave(task: Any) -> Any:
    """Leave a task for every environment; give it as JSON holds it. Raises TypeError, ValueError for what it cannot."""
    text = json.dumps(task, default=_plain)
    private_api.put_shared(KEY, text.encode(), overwrite=True)
    return json.loads(text)


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} is neither a number, a text, a list nor a dictionary")


class Tasks:
    """What one process has taken of them."""

    def __init__(self, wanted: bool) -> None:
        """Ask for tasks where the run may set some."""
        self._wanted = wanted
        self._last: bytes | None = None

    def new(self) -> list[Any]:
        """The task, if it is another than at the last call; else nothing."""
        left = private_api.shared(KEY) if self._wanted else None
        if left is None or left == self._last:
            return []
        self._last = left
        return [json.loads(left)]
