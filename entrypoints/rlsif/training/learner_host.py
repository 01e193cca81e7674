"""Where the learner runs: in an actor of Ray, or in this process. Calls it, and watches it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rlsif.cluster import heartbeat, local_ray
from rlsif.cluster.heartbeat import Heartbeat
from rlsif.cluster.resources import Resources
from rlsif.envs.find import FoundEnv
from rlsif.errors import RlsifError
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec

# How often a call in flight is looked at, in seconds.
POLL = 0.2
# A node that is ended fails before it goes; for so long a failure may still be one of those.
SECONDS_TO_LEAVE = 20
# Unschedulable actors wait indefinitely; nodes that join again may be away for so long.
SECONDS_WITHOUT_PLACE = 60
# For the checkpoint of a run whose env runner has failed.
SECONDS_FOR_LAST_CHECKPOINT = 30.0
# For environments to close at the end of a run.
SECONDS_TO_CLOSE = 3.0


class RunFailed(RlsifError):
    """Training cannot continue. Exit code 1."""


@contextlib.contextmanager
def host(resources: Resources | None, layout: Layout) -> Iterator[Host]:
    """Give the place where the run's Algorithm is, which ends with the block.

    With resources of this machine, a Ray of its own is started, where an algorithm in this process needs it; without,
    this process is connected to one.
    """
    with local_ray.started(resources, at_once=not layout.local_mode) if resources else contextlib.nullcontext():
        place: Host = InProcess() if layout.local_mode else InActor(layout)
        try:
            yield place
        finally:
            place.stop()


class Host:
    """Calls the methods of a Learner, wherever it is."""

    def build(
        self, spec: RunSpec, layout: Layout, env: FoundEnv, give_up: Callable[[], bool] = lambda: False
    ) -> dict[str, Any] | None:
        """Build the algorithm; give its settings, or None when `give_up` said so.

        Raises InputError for values that RLlib refuses.
        """
        settings: dict[str, Any] | None = self._call(
            "build", spec, layout, env, give_up=lambda: self._without_places(give_up)
        )
        # In this process nobody could ask meanwhile.
        return None if give_up() else settings

    def notes(self) -> list[str]:
        """What the first lines of a run tell beside its settings."""
        told: list[str] = self._call("notes")
        return told

    def heartbeats(self) -> list[Heartbeat]:
        """The last heartbeats of the env runners."""
        return []

    def step(self, evaluate: int | None, give_up: Callable[[], bool]) -> dict[str, Any] | None:
        """Train one iteration; None when `give_up`, asked while it runs, said so before it ended. Raises RunFailed.

        `evaluate` is the number of the iteration where its policy is to be evaluated.
        """
        iteration: dict[str, Any] | None = self._call("step", evaluate, give_up=give_up)
        return iteration

    def evaluation(self, give_up: Callable[[], bool]) -> dict[str, Any] | None:
        """Wait for the evaluation that is under way; None where there is none, or `give_up` said so."""
        ended: dict[str, Any] | None = self._call("evaluation", give_up=give_up)
        return ended

    def make_up(self, iteration: int, checkpoint: Path, give_up: Callable[[], bool]) -> bool:
        """Have the policy of a checkpoint evaluated, before one is loaded; false where `give_up` said so."""
        return bool(self._call("make_up", iteration, str(checkpoint), give_up=give_up))

    def save(self, folder: str) -> None:
        """Write a checkpoint into a folder. Raises OSError."""
        self._call("save", folder)

    def save_last(self, folder: str) -> None:
        """Write a checkpoint after an env runner has failed. Raises RunFailed where the learner does not answer."""
        self.save(folder)

    def restore(self, checkpoint: Path) -> str:
        """Load a checkpoint; give what the user should know of it, which may be nothing."""
        return str(self._call("restore", str(checkpoint)))

    def stop(self) -> None:
        """Let the environments close; processes end with Ray."""

    def _call(self, method: str, *arguments: Any, give_up: Callable[[], bool] = lambda: False) -> Any:
        raise NotImplementedError

    def _without_places(self, give_up: Callable[[], bool]) -> bool:
        self._check_places()
        return give_up()

    def _check_places(self) -> None:
        """Look whether every actor has a node that it may sit on. Raises RunFailed where one waits too long."""


def _of_disk(method: str, problem: BaseException) -> bool:
    """Whether a checkpoint could not be written; an environment may raise OSError, too, when it is stepped."""
    return method == "save" and isinstance(problem, OSError)


class InProcess(Host):
    """Everything in this process, for debugging and for exact repetition."""

    def __init__(self) -> None:
        """Make the actor's class an ordinary object."""
        self._actor = Learner()

    def stop(self) -> None:
        """Close the environments; one that fails at that is too late to matter."""
        with contextlib.suppress(Exception):
            self._actor.stop()

    def _call(self, method: str, *arguments: Any, give_up: Callable[[], bool] = lambda: False) -> Any:
        from rlsif.cluster.failures import own_traceback

        try:
            return getattr(self._actor, method)(*arguments)
        except RlsifError:
            raise
        except Exception as problem:
            if _of_disk(method, problem):
                raise
            raise RunFailed(failed(own_traceback(problem))) from problem


class InActor(Host):
    """The algorithm in an actor, its env runners in actors of its own."""

    def __init__(self, layout: Layout) -> None:
        """Start the actor's process."""
        import ray

        self._layout, self._complete = layout, time.monotonic()
        # Whether the last call was answered; a learner that is at work hears of nothing else.
        self._answers = False
        learner, rollout = ({"learner": 1}, {"rollout": 1}) if layout.by_role else ({}, {})
        actor = ray.remote(Learner)
        self._actor = actor.options(num_cpus=1, num_gpus=layout.num_gpus, resources=learner).remote()
        # RLlib starts its env runners only once the learner's process has imported TensorFlow.
        # Ray gives an actor a process that is idle, so these have it imported by then.
        imports = ray.remote(_import_env_runner).options(num_cpus=1, resources=rollout)
        self._warm = [imports.remote(bool(layout.rllib_samples)) for _ in range(layout.num_env_runners)]

    def save_last(self, folder: str) -> None:
        """Write a checkpoint after an env runner has failed. Raises RunFailed where the learner does not answer."""
        deadline = time.monotonic() + SECONDS_FOR_LAST_CHECKPOINT
        answered = self._call("save", folder, give_up=lambda: time.monotonic() > deadline, listens=False)
        if not answered:
            raise RunFailed(f"the learner wrote no checkpoint within {SECONDS_FOR_LAST_CHECKPOINT:g} s")

    def _call(
        self, method: str, *arguments: Any, give_up: Callable[[], bool] = lambda: False, listens: bool = True
    ) -> Any:
        """Call and wait, looking out for an env runner that failed; RLlib itself would continue without it.

        With `listens` false, what env runners reported is known already.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        call = getattr(self._actor, method).remote(*arguments)
        self._answers = False
        while not ray.wait([call], timeout=POLL)[0]:
            if listens:
                self._raise_what_env_runners_reported()
            if give_up():
                return None
        self._answers = True
        if listens:
            self._raise_what_env_runners_reported()
        try:
            return ray.get(call)
        except RayTaskError as problem:
            if isinstance(problem.cause, RlsifError) or _of_disk(method, problem.cause):
                raise problem.cause from None
            raise RunFailed(failed(str(problem))) from problem
        except RayError as problem:
            raise RunFailed(f"the learner's process ended: {' '.join(str(problem).split())[:300]}") from problem

    def stop(self) -> None:
        """Let the environments close, which may be simulators; processes end with Ray."""
        import ray

        if self._answers:
            with contextlib.suppress(Exception):
                ray.wait([self._actor.stop.remote()], timeout=SECONDS_TO_CLOSE)

    def heartbeats(self) -> list[Heartbeat]:
        """The last heartbeats of the env runners."""
        import ray

        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        return [beat for beat in heartbeat.read() if beat.ray_node in alive]

    def _raise_what_env_runners_reported(self) -> None:
        from rlsif.cluster import failures

        failure = failures.reported()
        if failure is None:
            return
        if self._layout.by_role and _leaves(failure.node):
            print(f"an env runner failed while its node left:\n{failure.traceback}", flush=True)
            failures.forget()
            return
        raise RunFailed(failure.sentence or failed(failure.traceback))

    def _check_places(self) -> None:
        """Raise RunFailed when nodes have been away for too long; RLlib would wait indefinitely."""
        import ray

        wanted = {"learner": 1, "rollout": self._layout.cores - 1} if self._layout.by_role else {}
        there = ray.cluster_resources()
        missing = [
            f"{wanted[role] - there.get(role, 0):g} {role}" for role in wanted if there.get(role, 0) < wanted[role]
        ]
        if not missing:
            self._complete = time.monotonic()
        elif time.monotonic() - self._complete > SECONDS_WITHOUT_PLACE:
            raise RunFailed(
                f"while the run started, nodes left and did not come back within {SECONDS_WITHOUT_PLACE} s;"
                f" CPUs that are missing, by role: {', '.join(missing)}"
            )


def _leaves(node: str) -> bool:
    """Whether a node of Ray's, by its id, is gone within some seconds."""
    import ray

    deadline = time.monotonic() + SECONDS_TO_LEAVE
    while any(n["NodeID"] == node and n["Alive"] for n in ray.nodes()):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def _import_env_runner(with_tensorflow: bool) -> None:
    """Import what an env runner needs, in a process that will become one."""
    if with_tensorflow:
        import rlsif.learning.rollout_worker
    else:
        import rlsif.sampling.env_runner  # noqa: F401


def failed(traceback_text: str) -> str:
    """What a run says of an exception: its last line, then all of it."""
    last = traceback_text.strip().splitlines()[-1]
    return f"training failed: {last}\n{traceback_text.rstrip()}"
