"""Several copies of one environment, stepped together, behind one interface.

What the copies have of their own ways to begin a new episode ends here: a step gives the true next observations,
those that end an episode included, and `observations` are those to act on next.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Union

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from rlsif.envs import answers, atari
from rlsif.envs.atari import LIFE_LOST
from rlsif.envs.code import add_code_folder
from rlsif.envs.find import locate
from rlsif.envs.metrics import KEY, Metrics, NoNumber, OfCopies, OfVector
from rlsif.envs.progress import PROGRESS, RESETTING
from rlsif.envs.reference import GAMES, EnvRef
from rlsif.envs.task import set_task
from rlsif.envs.vector_class import (
    FINAL_INFO,
    FINAL_OBS,
    copies,
    has_only_copies,
    infos_of,
    mode_of,
    only_copies,
    part_of,
)
from rlsif.errors import RlsifError, counted
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
    that `waited` did not act in this step: rewards and ends are those of their last action. `life_lost`, [n], is where
    an episode ends for the learner and continues otherwise; None where there is no such thing. `names` are the agents
    whose slots they were in the episodes that ended, by copy, where that changes.
    """

    observations: Array
    rewards: Array
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    metrics: Mapping[int, Metrics] = {}
    there: NDArray[np.bool_] | None = None
    over: NDArray[np.bool_] | None = None
    waited: NDArray[np.bool_] | None = None
    life_lost: NDArray[np.bool_] | None = None
    names: Mapping[int, Sequence[str]] = {}


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
    """Use the environment's own way to have many copies where it has one; else `create` every copy.

    `seeds` has one for each copy, [number].
    """
    add_code_folder(ref.code_folder)
    env = None if ref.own_wrappers else _of_many(ref, number)
    if env is None:
        return OneByOne([create() for _ in range(number)], seeds, encoder, adapter)
    return BY_MODE[mode_of(env)](env, seeds, encoder, adapter)


def steps_together(ref: EnvRef) -> bool:
    """Whether all copies of an environment are stepped in its own way."""
    add_code_folder(ref.code_folder)
    env = None if ref.own_wrappers else _of_many(ref, 1)
    if env is not None:
        env.close()
    return env is not None


def _of_many(ref: EnvRef, number: int) -> Any:
    """So many copies in one; None for an environment that has no such way, or does not say when it is reset."""
    located = locate(ref)
    if has_only_copies(located):
        return only_copies(ref, located, number)
    spec = gymnasium.registry.get(located) if isinstance(located, str) else None
    if spec is None or spec.vector_entry_point is None or spec.additional_wrappers:
        return None
    if spec.id.startswith(GAMES):
        # Of one that is left as it is, ale-py's copies would show other observations.
        return atari.vectorised(ref, spec.id, number)
    env = copies(ref, spec.id, number)
    if mode_of(env) is None:
        env.close()
        return None
    return env


class Vectorised:
    """An environment of many copies, which begins a new episode in the step after the end of one."""

    agents: Sequence[str] = ()
    waiting: NDArray[np.bool_] | None = None

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
        observations, rewards, *ends, infos = self._env.step(self._adapter.batch(chosen))
        terminated, truncated = self._flags(ends[0], "terminated"), self._flags(ends[1], "truncated")
        done, acted = terminated | truncated, self.active
        next_obs = self._next(observations, infos, done)
        metrics = self._ended_with(infos, done, acted)
        PROGRESS.steps += self._number
        return Step(next_obs, self._rewards(rewards), terminated, truncated, metrics, life_lost=infos.get(LIFE_LOST))

    def _next(self, observations: Any, infos: Mapping[str, Any], done: NDArray[np.bool_]) -> Array:
        """The true next observations; sets those to act on, and which copies will act."""
        self.observations, self.active = self._encoded(observations, infos), ~done
        return self.observations

    def _take(self, infos: Mapping[str, Any], done: NDArray[np.bool_], acted: NDArray[np.bool_]) -> None:
        """Note the metrics of a step."""
        self._metrics.take(infos, acted)

    def _ended_with(
        self, infos: Mapping[str, Any], done: NDArray[np.bool_], acted: NDArray[np.bool_]
    ) -> Mapping[int, Metrics]:
        try:
            self._take(infos, done, acted)
            ended = np.flatnonzero(done & acted) if self._metrics.given else ()
            return {int(i): self._metrics.ended(int(i)) for i in ended}
        except NoNumber as problem:
            raise WrongValue(f"its {problem}") from None

    def _encoded(self, observations: Any, infos: Mapping[str, Any]) -> Array:
        with _told():
            return self._encoder.batch(observations, self._number, infos)

    def _rewards(self, given: Any) -> NDArray[np.float64]:
        """The rewards of a step; None among them is nan."""
        try:
            rewards = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            raise WrongValue(f"its rewards are {given!r}, which are no numbers") from None
        if rewards.shape != (self._number,):
            raise WrongValue(f"its rewards have the shape {list(rewards.shape)}; there must be one for each copy")
        return rewards

    def _flags(self, given: Any, name: str) -> NDArray[np.bool_]:
        """Which copies have ended, [n]; some environments say so by 0 and 1."""
        flags = np.asarray(given)
        if flags.shape != (self._number,) or flags.dtype.kind not in "biuf":
            raise WrongValue(f"its {name} is {given!r:.80}; it must have one True or False for each copy")
        return flags.astype(np.bool_)

    def set_task(self, task: Any) -> None:
        """Tell all copies at once."""
        set_task(self._env, task)

    def close(self) -> None:
        """Close it."""
        self._env.close()


class ResetInStep(Vectorised):
    """One that begins a new episode in the step that ends one, and has the last observation in its infos."""

    def _next(self, observations: Any, infos: Mapping[str, Any], done: NDArray[np.bool_]) -> Array:
        self.observations = self._encoded(observations, infos)
        if not done.any():
            return self.observations
        next_obs, final, last = self.observations.copy(), _final(infos), infos.get(FINAL_INFO, {})
        for i in np.flatnonzero(done):
            with _told():
                self._encoder.into(next_obs, int(i), part_of(final, int(i)), infos_of(last, int(i)))
        return next_obs

    def _take(self, infos: Mapping[str, Any], done: NDArray[np.bool_], acted: NDArray[np.bool_]) -> None:
        self._metrics.take(infos, ~done)
        self._metrics.take(infos.get(FINAL_INFO, {}), done)


class ResetByCaller(Vectorised):
    """One that begins new episodes when it is told to."""

    def _next(self, observations: Any, infos: Mapping[str, Any], done: NDArray[np.bool_]) -> Array:
        next_obs = self.observations = self._encoded(observations, infos)
        if done.any():
            begun = self._encoded(*self._env.reset(options={"reset_mask": done}))
            # The infos of a reset are of the copies that were reset, and so are masks.
            self.observations = next_obs.copy()
            self.observations[done] = begun[done]
        return next_obs


BY_MODE: Mapping[AutoresetMode | None, type[Vectorised]] = {
    AutoresetMode.NEXT_STEP: Vectorised,
    AutoresetMode.SAME_STEP: ResetInStep,
    AutoresetMode.DISABLED: ResetByCaller,
}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell of an observation that cannot be encoded. Raises WrongValue."""
    try:
        yield
    except MaskError as problem:
        raise WrongValue(f"{problem}") from None
    except (MisfitError, TypeError, ValueError) as problem:
        raise WrongValue(f"its observations are not in the observation space: {problem}; `check` tells more") from None


def _final(infos: Mapping[str, Any]) -> Any:
    if FINAL_OBS not in infos:
        raise WrongValue(f"episodes ended, and infos have no {FINAL_OBS!r}, which autoreset_mode SAME_STEP wants")
    return infos[FINAL_OBS]


class OneByOne:
    """Environments stepped one after the other, each reset as soon as its episode ends."""

    agents: Sequence[str] = ()
    waiting: NDArray[np.bool_] | None = None

    def __init__(
        self,
        envs: list[gymnasium.Env[Any, Any]],
        seeds: Sequence[int | None],
        encoder: Encoder,
        adapter: ActionAdapter,
        first: int = 0,
    ) -> None:
        """Reset them, each with a seed of its own. The number of the `first` is for messages."""
        self._first = first
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
        next_obs, rewards = self._encoder.empty(number), np.zeros(number)
        terminated, truncated, life_lost = (np.zeros(number, np.bool_) for _ in range(3))
        ended = []
        self._steps += 1
        for i, (env, action) in enumerate(zip(self._envs, self._adapter.each(chosen))):
            observation, reward, over, cut, info = env.step(action)
            PROGRESS.steps += 1
            try:
                terminated[i], truncated[i] = answers.ended(over, "terminated"), answers.ended(cut, "truncated")
            except answers.NoEnd as problem:
                raise self._wrong(i, str(problem)) from None
            if info and KEY in info:
                self._take(i, info)
            if info and LIFE_LOST in info:
                life_lost[i] = info[LIFE_LOST]
            self._encode(next_obs, i, observation, info)
            try:
                # NumPy reads the number in a text.
                rewards[i] = None if isinstance(reward, str) else reward
            except (TypeError, ValueError):
                raise self._wrong(i, f"the reward is {reward!r}, which is no number") from None
            if terminated[i] or truncated[i]:
                ended.append(i)
        if np.isnan(rewards).any():
            # NumPy takes None for it.
            i = int(np.flatnonzero(np.isnan(rewards))[0])
            raise self._wrong(i, "the reward is nan, None or a text")
        self.observations = next_obs
        metrics = {}
        if ended:
            self.observations = next_obs.copy()
            for i in ended:
                metrics[i] = self._ended_with(i)
                self._steps[i] = 0
                self._encode(self.observations, i, *self._reset(self._envs[i]))
        return Step(next_obs, rewards, terminated, truncated, metrics, life_lost=life_lost)

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
        before, PROGRESS.doing = PROGRESS.doing, RESETTING
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
        where = f"after {counted(self._steps[i], 'step')} of an episode" if self._steps[i] else "after its reset"
        return WrongValue(f"copy {self._first + i} of the environment, {where}: {what}; `check` tells more")

    def set_task(self, task: Any) -> None:
        """Tell one after the other."""
        for env in self._envs:
            set_task(env, task)

    def close(self) -> None:
        """Close every copy."""
        for env in self._envs:
            env.close()  # type: ignore[no-untyped-call]
