"""An environment that draws, in a process of its own, where TensorFlow is not.

What draws in software, as MuJoCo does without a GPU, brings another LLVM than TensorFlow. Both in one process crash.
The two processes talk by a pipe of their own, so that an environment may print what it likes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rlsif.envs import metrics
from rlsif.envs.agents import Outcome, agents_of
from rlsif.envs.code import add_code_folder
from rlsif.envs.find import make
from rlsif.envs.reference import EnvRef
from rlsif.envs.task import set_task
from rlsif.errors import RlsifError
from rlsif.policies import masks

# An environment that does not end by itself is killed after so many seconds.
SECONDS_TO_END = 10


class Drawing:
    """The environment as it is seen from the other process: with what episodes and videos need of it."""

    def __init__(self, ref: EnvRef) -> None:
        """Start the process, and make the environment there. Raises what making it raises, and RlsifError."""
        self._name = ref.name
        self._pipe, theirs = multiprocessing.Pipe()
        # -P: the folder where the command was typed must hide no library.
        command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        theirs.close()
        try:
            self.metadata, self.action_space, self.drawn_agents = self._ask("make", ref)
        except BaseException:
            self.close()
            raise

    def reset(self, **how: Any) -> Any:
        """As the environment's."""
        return self._ask("reset", how)

    def step(self, action: Any) -> Any:
        """As the environment's."""
        return self._ask("step", action)

    def render(self) -> Any:
        """As the environment's."""
        return self._ask("render", None)

    def set_task(self, task: Any) -> None:
        """As the environment's. Raises RlsifError for one that has no tasks."""
        self._ask("set_task", task)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, what: str, argument: Any) -> Any:
        try:
            self._pipe.send((what, argument))
            failed, answer = self._pipe.recv()
        except (EOFError, OSError):
            raise RlsifError(f"--video: the process that draws {self._name!r} {self._end()}") from None
        if isinstance(answer, Exception):
            raise answer
        if failed:
            kind, text = answer
            raise type(kind, (Exception,), {})(text)
        return answer

    def _end(self) -> str:
        code = self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


class _Drawn:
    """The environment in its own process."""

    def make(self, ref: EnvRef) -> Any:
        add_code_folder(str(Path.cwd()))
        self._env = make(ref, render_mode="rgb_array")
        agents = agents_of(self._env)
        return dict(self._env.metadata), None if agents else self._env.action_space, agents

    def reset(self, how: dict[str, Any]) -> Any:
        return _told(self._env.reset(**how))

    def step(self, action: Any) -> Any:
        return _told(self._env.step(action))

    def render(self, _: None) -> Any:
        return self._env.render()

    def set_task(self, task: Any) -> None:
        set_task(self._env, task)

    def close(self) -> None:
        with contextlib.suppress(AttributeError):
            self._env.close()


def _told(given: Any) -> Any:
    """What a reset or a step gave, with what is needed of its infos."""
    if isinstance(given, Outcome):
        seen = {agent: (observation, _needed(info)) for agent, (observation, info) in given.seen.items()}
        return given._replace(seen=seen, common=_needed(given.common))
    *told, info = given
    return *told, _needed(info)


def _needed(info: Mapping[str, Any]) -> dict[str, Any]:
    """What is looked at; the rest may be what cannot be sent."""
    return {name: info[name] for name in (masks.KEY, metrics.KEY) if name in info}


def serve(pipe: Connection) -> None:
    """Do what is asked until the other side is gone."""
    drawn = _Drawn()
    while True:
        try:
            what, argument = pipe.recv()
        except EOFError:
            drawn.close()
            return
        try:
            answer = (False, getattr(drawn, what)(argument))
        except (RlsifError, TypeError) as problem:
            answer = (True, problem)
        except Exception as problem:
            # The other side may not know its class.
            answer = (True, (type(problem).__name__, str(problem)))
        try:
            pipe.send(answer)
        except (TypeError, AttributeError, ValueError) as problem:
            pipe.send((True, RlsifError(f"--video: {what} gave what cannot be sent to another process: {problem}")))


if __name__ == "__main__":
    # Ctrl-C reaches both; the other side ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(int(sys.argv[1]), False)
    serve(Connection(int(sys.argv[1])))
