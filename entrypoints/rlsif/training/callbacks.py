"""A user's own class that is called while a run trains, in the process of the command."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlsif.cluster import tasks
from rlsif.envs.code import class_at
from rlsif.envs.reference import Ref, absolute
from rlsif.errors import InputError, near
from rlsif.training.learner_host import RunFailed

# What a class may have, any of them.
HOOKS = ("on_train_start", "on_iteration", "on_episode_end", "on_checkpoint", "on_train_end")


class CallbackFailed(RunFailed):
    """A callback raised an exception. Exit code 1."""


@dataclass(frozen=True)
class Episode:
    """An episode that ended, as `on_episode_end` gets it."""

    total_reward: float
    length: int
    # What the environment gave in `info["metrics"]`.
    metrics: Mapping[str, float]
    # What each agent got, where there are many; the total is theirs together.
    agents: Mapping[str, float] = field(default_factory=dict)


@dataclass
class RunSoFar:
    """What every callback gets first: how far the run is, and what may be asked of it."""

    folder: Path
    iteration: int = 0
    env_steps: int = 0
    # Why it is to end; None while it is to continue.
    ends_for: str | None = None
    # The task that was set last, in a list, which checkpoints keep.
    tasks: list[Any] = field(default_factory=list)

    @property
    def task(self) -> Any:
        """The task that was set last, also before the run was resumed; None where none was."""
        return self.tasks[0] if self.tasks else None

    def set_task(self, task: Any) -> None:
        """Have every copy of the environment told, by its method `set_task`, before its env runner's next batch.

        A task is what JSON can hold: numbers, texts, lists, dictionaries. Raises TypeError for others.
        """
        self.tasks[:] = [tasks.leave(task)]

    def stop(self, reason: str = "ended by a callback") -> None:
        """End the run after this iteration, with a checkpoint."""
        self.ends_for = reason


class Callbacks:
    """The user's object, if any, and the calls of it. Each raises CallbackFailed, which names file and line."""

    def __init__(
        self, name: str | None, folder: Path, iteration: int = 0, env_steps: int = 0, task: list[Any] | None = None
    ) -> None:
        """Make the object; the run is that of `folder`. Raises InputError.

        `task` has the task of a run that is resumed, if any, and gets those that are set.
        """
        self._name = name
        self._object = _made(name) if name else None
        self.run = RunSoFar(folder, iteration, env_steps, tasks=[] if task is None else task)

    def train_start(self) -> None:
        """The first iteration is about to begin, in a resumed run as well."""
        self._call("on_train_start")

    def iteration(self, row: Mapping[str, Any], iteration: Mapping[str, Any]) -> None:
        """An iteration has ended, and its row is written."""
        if self._object is None:
            return
        self.run.iteration, self.run.env_steps = row["training_iteration"], row["num_env_steps_sampled_lifetime"]
        if hasattr(self._object, "on_episode_end"):
            for episode in _episodes(iteration):
                self._call("on_episode_end", episode)
        self._call("on_iteration", dict(row))

    def checkpoint(self, folder: Path | None) -> None:
        """A checkpoint is written."""
        self._call("on_checkpoint", folder)

    def train_end(self, reason: str) -> None:
        """The run has ended."""
        self._call("on_train_end", reason)

    def _call(self, hook: str, *arguments: Any) -> None:
        method = getattr(self._object, hook, None)
        if method is None:
            return
        try:
            method(self.run, *arguments)
        except (Exception, SystemExit) as problem:
            said = " ".join(f"{type(problem).__name__}: {problem}".split())
            raise CallbackFailed(
                f"--callbacks {self._name}: {hook} raised {said} ({_place(method, problem)})"
            ) from problem


def check(name: str | None) -> None:
    """Refuse what no run could call. Raises InputError."""
    if name:
        _class(name)


def _made(name: str) -> Any:
    """An object of the user's class. Raises InputError."""
    found = _class(name)
    try:
        return found()
    except (Exception, SystemExit) as problem:
        raise InputError(f"--callbacks {name} cannot be made: {type(problem).__name__}: {problem}") from problem


def _class(name: str) -> type:
    """The user's class, with methods that a run calls. Raises InputError."""
    if not Ref(name).place:
        raise InputError(f"--callbacks {name} names no class; write it as mine.py:MyCallbacks")
    found = class_at(absolute(name), f"--callbacks {name}")
    _check_hooks(name, found)
    return found


def _check_hooks(name: str, found: type) -> None:
    for method in dir(found):
        if method.startswith("on_") and method not in HOOKS:
            hint = near(method, HOOKS) or f"; they are {', '.join(HOOKS)}"
            raise InputError(f"--callbacks {name}: nothing calls its method {method}{hint}")
    if not any(hasattr(found, hook) for hook in HOOKS):
        raise InputError(f"--callbacks {name} has none of the methods {', '.join(HOOKS)}")


def _episodes(iteration: Mapping[str, Any]) -> Iterator[Episode]:
    agents = iteration.get("agents") or [{}] * len(iteration["returns"])
    for given in zip(iteration["returns"], iteration["lengths"], iteration["metrics"], agents):
        yield Episode(*given)


def _place(method: Callable[..., Any], problem: BaseException) -> str:
    """The last line of the user's own file on the way to the exception."""
    code = getattr(method, "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code else ("?", 0)
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == file]
    return f"{file}, line {lines[-1] if lines else line}"
