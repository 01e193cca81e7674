"""What is right and wrong with an environment, before an agent is trained in it. Each finding is a sentence."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlsif.envs import agents_checker
from rlsif.envs.agents import AgentError
from rlsif.envs.find import Assign, FoundEnv, find, make
from rlsif.envs.findings import (
    COMPARED,
    ERROR,
    MEASURED,
    OK,
    SEED,
    STEPS,
    WARNING,
    Finding,
    look_at_metrics,
    look_at_observation,
    look_at_reward,
    nothing_wrong,
    one_line,
    speed,
)
from rlsif.envs.legal import ActsLegally
from rlsif.envs.reference import EnvRef
from rlsif.envs.vector import steps_together
from rlsif.errors import unheard

# Looks at an environment that can be made, from one side.
Look = Callable[[Callable[[], Any], FoundEnv], Iterator[Finding]]
# What helps where an env runner has more cores than one.
IN_PROCESSES = ", or --env-processes if fewer env runners than cores are wanted"
# What Gymnasium's checker says of the numbers of observations; our own says it once, and what to do.
OF_NUMBERS = ("Casting input x", "was expecting", "is not within the observation space")


def check(ref: EnvRef, judge: Callable[[FoundEnv], Iterator[Finding]], assign: Assign | None = None) -> list[Finding]:
    """Look at an environment from every side. Raises InputError for one that cannot be made, or is of old Gym.

    `judge` says what algorithms make of its spaces; `assign` gives each of many agents a policy.
    """
    found = find(ref, assign)

    def create() -> Any:
        return ActsLegally(make(ref), found.mask) if found.mask and not found.agents else make(ref)

    findings: list[Finding] = []
    of_agents: AgentError | None = None
    for look in _of_agents(judge) if found.agents else _of_one(judge):
        try:
            findings += list(look(create, found))
        except AgentError as problem:
            # Others meet the same, maybe in another step.
            findings += [] if of_agents else [Finding(ERROR, f"{problem}.")]
            of_agents = problem
        except (Exception, SystemExit) as problem:
            findings.append(Finding(ERROR, one_line(f"it raised {type(problem).__name__}: {problem}")))
    return list(dict.fromkeys(findings))


def _of_one(judge: Callable[[FoundEnv], Iterator[Finding]]) -> tuple[Look, ...]:
    return _gymnasiums_own, lambda _, found: judge(found), _steps, _seeds, _pickles, _speed


def _of_agents(judge: Callable[[FoundEnv], Iterator[Finding]]) -> tuple[Look, ...]:
    looks = agents_checker.steps, agents_checker.seeds, _pickles, agents_checker.speed_of
    return agents_checker.pettingzoos_own, lambda _, found: judge(found), *looks


def _gymnasiums_own(create: Callable[[], Any], found: FoundEnv) -> Iterator[Finding]:
    from gymnasium.utils.env_checker import check_env

    env = create()
    said = []
    with warnings.catch_warnings(record=True) as caught, unheard():
        warnings.simplefilter("always")
        try:
            check_env(env if found.mask else env.unwrapped, skip_render_check=True)
        except Exception as problem:
            said.append(Finding(ERROR, f"Gymnasium's checker: {one_line(problem)}"))
    # It asks for what Gymnasium's registration already has, and for names of files.
    for warning in caught:
        text = str(warning.message)
        by_mask = found.mask and "different from the unwrapped version" in text
        if not by_mask and not any(part in text for part in OF_NUMBERS):
            said.append(Finding(WARNING, f"Gymnasium's checker: {one_line(text)}"))
    env.close()
    yield from said or [Finding(OK, "Gymnasium's checker finds nothing.")]


def _steps(create: Callable[[], Any], found: FoundEnv) -> Iterator[Finding]:
    """Random steps: every value is what the spaces say, and episodes end."""
    env = create()
    env.action_space.seed(SEED)
    wrong: dict[str, str] = {}
    observation, _ = env.reset(seed=SEED)
    look_at_observation(observation, found.observation_space, "reset", wrong)
    ended = steps = 0
    rewards = []
    while steps < STEPS and not wrong:
        before = observation
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        steps += 1
        where = f"step {steps} after reset(seed={SEED})"
        look_at_observation(observation, found.observation_space, where, wrong)
        look_at_reward(reward, where, wrong)
        look_at_metrics(info, where, wrong)
        if isinstance(observation, np.ndarray) and observation is before:
            wrong["same"] = (
                "every step returns the same array, changed; return a copy, or what was stored changes, too."
            )
        for name, value in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(value, (bool, np.bool_)):
                wrong[name] = f"{name} is {value!r} at {where}; it must be True or False."
        rewards.append(reward)
        if terminated or truncated:
            ended += 1
            observation, _ = env.reset()
    env.close()
    yield from _kinds_of_numbers(env if found.mask else env.unwrapped, found)
    yield from (Finding(ERROR, text) for text in wrong.values())
    if wrong:
        return
    yield nothing_wrong(steps, ended)
    if not ended and found.max_episode_steps is None:
        yield Finding(
            WARNING,
            f"no episode ended in {steps:,} random steps, and there is no time limit; set max_episode_steps in the"
            " class or in gymnasium.register.",
        )
    if not any(rewards):
        yield Finding(WARNING, f"the reward was 0 in all of {steps:,} random steps; an agent may never find another.")


def _kinds_of_numbers(env: Any, found: FoundEnv) -> Iterator[Finding]:
    """What is converted to the numbers of the space, without a loss; each kind is told once."""
    if type(found.observation_space).__name__ != "Box":
        return
    for where, observation in (("reset", env.reset(seed=SEED)[0]), ("step", env.step(env.action_space.sample())[0])):
        given = np.asarray(observation).dtype
        if given != found.observation_space.dtype:
            what = f"{type(observation).__name__} of {given}"
            yield Finding(
                WARNING,
                f"{where} gives a {what}, and the observation space is {found.observation_space.dtype}:"
                f" it is converted; return np.array(..., np.{found.observation_space.dtype}).",
            )


def _seeds(create: Callable[[], Any], _: FoundEnv) -> Iterator[Finding]:
    """Two environments, one seed: the same trajectory."""
    first, second = (_trajectory(create()) for _ in range(2))
    for number, (one, other) in enumerate(zip(first, second)):
        if one != other:
            yield Finding(
                ERROR,
                f"reset(seed={SEED}) does not decide what happens: two environments differ after {number} steps;"
                " take random numbers from self.np_random alone, after super().reset(seed=seed).",
            )
            return
    yield Finding(OK, "the seed decides what happens.")


def _trajectory(env: Any) -> list[bytes]:
    env.action_space.seed(SEED)
    observation, _ = env.reset(seed=SEED)
    seen = [pickle.dumps(observation)]
    for _ in range(COMPARED):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append(pickle.dumps((observation, float(reward), bool(terminated), bool(truncated))))
        if terminated or truncated:
            observation, _ = env.reset()
    env.close()
    return seen


def _pickles(create: Callable[[], Any], _: FoundEnv) -> Iterator[Finding]:
    import cloudpickle

    env = create()
    try:
        cloudpickle.dumps(env.unwrapped)
    except Exception as problem:
        why = one_line(problem).rstrip(".")
        yield Finding(WARNING, f"it cannot be pickled ({why}), which `train` does not need and other tools may.")
    else:
        yield Finding(OK, "it can be pickled.")
    env.close()


def _speed(create: Callable[[], Any], found: FoundEnv) -> Iterator[Finding]:
    env = create()
    env.reset(seed=SEED)
    actions = [env.action_space.sample() for _ in range(100)]
    steps, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < MEASURED:
        _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
        steps += 1
        if terminated or truncated:
            env.reset()
    env.close()
    yield speed(steps / seconds, beside="" if steps_together(found.ref) else IN_PROCESSES)
