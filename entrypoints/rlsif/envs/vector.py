"""Several copies of one environment, stepped together, behind one interface.

What the copies have of their own ways to begin a new episode ends here: a step gives the true next observations,
those that end an episode included, and `observations` are those to act on next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Union

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from rlsif.envs.code import add_code_folder
from rlsif.envs.find import locate
from rlsif.envs.metrics import KEY, Metrics, NoNumber, OfCopies, OfVector
from rlsif.envs.progress import PROGRESS
from rlsif.envs.reference import EnvRef
from rlsif.envs.task import set_task
from rlsif.errors import RlsifError
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import MisfitError, ObservationEncoder
from rlsif.policies.masks import MaskedEncoder, MaskError

Array = NDArray[Any]
Encoder = Union[ObservationEncoder, MaskedEncoder]


class WrongValue(RlsifError):
    """An environment gave what is not of its spaces. Says which copy, in which step, and what."""


class Step(NamedTuple):
    """What a step of n copies gave: encoded observations [n, ...], and rewards, terminated, truncated, each [n].

    `metrics` are those of the episodes that ended in this step, by copy. Where there are many agents, n is their slots;
    `there` says which of them have an observation, [n], and `over` in which copies the episode ended for all. Those
    that `waited` did not act in this step: rewards and ends are those of their last action.
    """

    observations: Array
    rewards: Array
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    metrics: Mapping[int, Metrics] = {}
    there: NDArray[np.bool_] | None = None
    over: NDArray[np.bool_] | None = None
    waited: NDArray[np.bool_] | None = None


class Environments(Protocol):
    """Copies of one environment."""

    # The names of its agents, each of which has a slot in every copy; none where a copy is one agent's.
    agents: Sequence[str]
    # What to act on next, encoded, [n, ...].
    observations: Array
    # Which copies will act; the others' next step only begins an episode, [n].
    active: NDArray[np.bool_]
    # Which acted before, and wait for what comes of it, [n]; None where nobody does.
    waiting: NDArray[np.bool_] | None

    def step(self, chosen: Array) -> Step:
        """Step every copy by what a policy chose, [n, ...]."""

    def set_task(self, task: Any) -> None:
        """Tell every copy its task. Raises RlsifError for an environment that has none."""

    def close(self) -> None:
        """Close every copy."""


def make(
    ref: EnvRef,
    number: int,
    seeds: Sequence[int | None],
    create: Callable[[], Any],
    encoder: Encoder,
    adapter: ActionAdapter,
) -> Environments:
    """Use the environment's own vector entry point where it has one; else `create` every copy.

    `seeds` has one for each copy, [number].
    """
    add_code_folder(ref.code_folder)
    located = locate(ref)
    spec = gymnasium.registry.get(located) if isinstance(located, str) else None
    bare = spec is not None and not spec.additional_wrappers and not ref.wrappers
    if spec is not None and spec.vector_entry_point is not None and bare:
        env = gymnasium.make_vec(spec.id, number, vectorization_mode="vector_entry_point", **ref.arguments)
        if env.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
            return Vectorised(env, seeds, encoder, adapter)
        env.close()
    return OneByOne([create() for _ in range(number)], seeds, encoder, adapter)


class Vectorised:
    """An environment with a vector entry point, which begins a new episode in the step after the end of one."""

    agents, waiting = (), None

    def __init__(
        self,
        env: gymnasium.vector.VectorEnv[Any, Any, Any],
        seeds: Sequence[int | None],
        encoder: Encoder,
        adapter: ActionAdapter,
    ) -> None:
        """Reset it."""
        self._env, self._encoder, self._adapter = env, encoder, adapter
        self._number = env.num_envs
        # Such an environment draws for all of its copies from one generator.
        self.observations = self._encoded(*env.reset(seed=seeds[0]))
        self.active = np.ones(self._number, np.bool_)
        self._metrics = OfVector(self._number)

    def step(self, chosen: Array) -> Step:
        """Step every copy by what a policy chose, [n, ...]."""
        observations, rewards, terminated, truncated, infos = self._env.step(self._adapter.batch(chosen))
        self.observations = self._encoded(observations, infos)
        metrics = self._ended_with(infos, terminated | truncated) if KEY in infos or self._metrics.given else {}
        self.active = ~(terminated | truncated)
        PROGRESS.steps += self._number
        return Step(self.observations, np.asarray(rewards, np.float64), terminated, truncated, metrics)

    def _ended_with(self, infos: Mapping[str, Any], done: NDArray[np.bool_]) -> Mapping[int, Metrics]:
        try:
            self._metrics.take(infos, self.active)
            return {int(i): self._metrics.ended(int(i)) for i in np.flatnonzero(done & self.active)}
        except NoNumber as problem:
            raise WrongValue(f"its {problem}") from None

    def _encoded(self, observations: Any, infos: Mapping[str, Any]) -> Array:
        try:
            return self._encoder.batch(observations, self._number, infos)
        except MaskError as problem:
            raise WrongValue(f"{problem}") from None

    def set_task(self, task: Any) -> None:
        """Tell all copies at once."""
        set_task(self._env, task)

    def close(self) -> None:
        """Close it."""
        self._env.close()


class OneByOne:
    """Environments stepped one after the other, each reset as soon as its episode ends."""

    agents, waiting = (), None

    def __init__(
        self,
        envs: list[gymnasium.Env[Any, Any]],
        seeds: Sequence[int | None],
        encoder: Encoder,
        adapter: ActionAdapter,
    ) -> None:
        """Reset them, each with a seed of its own."""
        self._envs, self._encoder, self._adapter = envs, encoder, adapter
        self.observations = encoder.empty(len(envs))
        self._steps = np.zeros(len(envs), np.int64)
        self._metrics = OfCopies(len(envs))
        for i, (env, seed) in enumerate(zip(envs, seeds)):
            self._encode(self.observations, i, *self._reset(env, seed=seed))
        self.active = np.ones(len(envs), np.bool_)

    def step(self, chosen: Array) -> Step:
        """Step every copy by what a policy chose, [n, ...]."""
        number = len(self._envs)
        after, rewards = self._encoder.empty(number), np.zeros(number)
        terminated, truncated = np.zeros(number, np.bool_), np.zeros(number, np.bool_)
        ended = []
        self._steps += 1
        for i, (env, action) in enumerate(zip(self._envs, self._adapter.each(chosen))):
            observation, reward, terminated[i], truncated[i], info = env.step(action)
            PROGRESS.steps += 1
            if info and KEY in info:
                self._take(i, info)
            self._encode(after, i, observation, info)
            try:
                rewards[i] = reward
            except (TypeError, ValueError):
                raise self._wrong(i, f"the reward is {reward!r}, which is no number") from None
            if terminated[i] or truncated[i]:
                ended.append(i)
        if np.isnan(rewards).any():
            # NumPy takes None for it.
            i = int(np.flatnonzero(np.isnan(rewards))[0])
            raise self._wrong(i, "the reward is nan, or None")
        self.observations = after
        metrics = {}
        if ended:
            self.observations = after.copy()
            for i in ended:
                metrics[i] = self._ended_with(i)
                self._steps[i] = 0
                self._encode(self.observations, i, *self._reset(self._envs[i]))
        return Step(after, rewards, terminated, truncated, metrics)

    def _take(self, i: int, info: Mapping[str, Any]) -> None:
        try:
            self._metrics.take(i, info)
        except NoNumber as problem:
            raise self._wrong(i, str(problem)) from None

    def _ended_with(self, i: int) -> Metrics:
        try:
            return self._metrics.ended(i)
        except NoNumber as problem:
            raise self._wrong(i, str(problem)) from None

    @staticmethod
    def _reset(env: gymnasium.Env[Any, Any], **how: Any) -> tuple[Any, Mapping[str, Any]]:
        """The first observation of an episode, and its info; a simulator may take long to begin one."""
        before, PROGRESS.doing = PROGRESS.doing, "resetting an environment"
        observation, info = env.reset(**how)
        PROGRESS.resets += 1
        PROGRESS.doing = before
        return observation, info

    def _encode(self, places: Array, i: int, observation: Any, info: Mapping[str, Any]) -> None:
        try:
            self._encoder.into(places, i, observation, info)
        except MaskError as problem:
            raise self._wrong(i, str(problem)) from None
        except (MisfitError, TypeError, ValueError) as problem:
            raise self._wrong(i, f"the observation is not in the observation space: {problem}") from None

    def _wrong(self, i: int, what: str) -> WrongValue:
        where = f"after {self._steps[i]} steps of an episode" if self._steps[i] else "after its reset"
        return WrongValue(f"copy {i} of the environment, {where}: {what}; `check` tells more")

    def set_task(self, task: Any) -> None:
        """Tell one after the other."""
        for env in self._envs:
            set_task(env, task)

    def close(self) -> None:
        """Close every copy."""
        for env in self._envs:
            env.close()  # type: ignore[no-untyped-call]
