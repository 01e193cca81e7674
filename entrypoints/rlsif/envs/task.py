"""Tasks: what a curriculum tells an environment by its method `set_task`."""

from __future__ import annotations

from typing import Any

from rlsif.errors import RlsifError


def set_task(env: Any, task: Any) -> None:
    """Tell an environment its task, through its wrappers. Raises RlsifError for one that has no tasks."""
    if hasattr(env, "set_task"):
        env.set_task(task)
    elif hasattr(env, "has_wrapper_attr") and env.has_wrapper_attr("set_task"):
        env.get_wrapper_attr("set_task")(task)
    else:
        name = type(env.unwrapped).__name__
        raise RlsifError(f"a callback sets the task {task!r}, and {name} has no method set_task(task); give it one")
