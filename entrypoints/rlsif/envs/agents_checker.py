"""What `check` looks at in an environment of many agents: PettingZoo's own test, and what a run would meet."""

from __future__ import annotations

import contextlib
import io
import pickle
import time
import warnings
from collections.abc import Callable, Iterator

from rlsif.envs.agents import ManyAgents, OfRLlib, OfTurns, Outcome, is_pettingzoos
from rlsif.envs.episodes import random_actions, seed_actions
from rlsif.envs.find import FoundEnv
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

# PettingZoo's test steps so often after each of its two resets.
CYCLES = 200
# What PettingZoo's test warns of where an environment is right.
NO_FAULT = ("not defined a render() method", "not defined `render_mode`", "Observation numpy array is all zeros")


def pettingzoos_own(create: Callable[[], ManyAgents], _: FoundEnv) -> Iterator[Finding]:
    """PettingZoo's own test, of what derives from its class."""
    env = create()
    # Not what PettingZoo puts around one in turns to have it parallel.
    if isinstance(env, OfRLlib) or not is_pettingzoos(getattr(env.env, "aec_env", env.env)):
        return
    from pettingzoo.test import api_test, parallel_api_test

    said = []
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            (api_test if isinstance(env, OfTurns) else parallel_api_test)(env.env, num_cycles=CYCLES)
        except Exception as problem:
            what = str(problem) or "an assertion fails"
            said.append(Finding(ERROR, f"PettingZoo's test: {one_line(what)}"))
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        if not any(part in text for part in NO_FAULT):
            said.append(Finding(WARNING, f"PettingZoo's test: {one_line(text)}"))
    env.close()
    yield from said or [Finding(OK, "PettingZoo's test finds nothing.")]


def steps(create: Callable[[], ManyAgents], found: FoundEnv) -> Iterator[Finding]:
    """Random steps: every value of every agent is what the spaces say, and episodes end."""
    env = create()
    seed_actions(found, SEED)
    wrong: dict[str, str] = {}
    outcome, number, ended, rewards = env.reset(SEED), 0, 0, False
    _look(outcome, found, "reset", wrong)
    while number < STEPS and not wrong:
        number += 1
        outcome = env.step(random_actions(found, outcome))
        _look(outcome, found, f"step {number} after reset(seed={SEED})", wrong)
        rewards = rewards or any(reward != 0 for reward in outcome.rewards.values())
        if outcome.over:
            ended += 1
            outcome = env.reset()
    env.close()
    yield from (Finding(ERROR, text) for text in wrong.values())
    if wrong:
        return
    yield nothing_wrong(number, ended)
    if not ended and found.max_episode_steps is None:
        yield Finding(
            WARNING,
            f"no episode ended in {number:,} random steps, and there is no time limit; set max_episode_steps in the"
            " class, or give it by --env-config.",
        )
    if not rewards:
        yield Finding(WARNING, f"all rewards were 0 in all of {number:,} random steps; agents may never find others.")


def _look(outcome: Outcome, found: FoundEnv, where: str, wrong: dict[str, str]) -> None:
    for agent, (observation, info) in outcome.seen.items():
        there = f"{where} of agent {agent!r}"
        look_at_observation(observation, found.seen_by(str(agent)).observation_space, there, wrong)
        look_at_metrics(info, there, wrong)
    for agent, reward in outcome.rewards.items():
        look_at_reward(reward, f"{where} of agent {agent!r}", wrong)


def seeds(create: Callable[[], ManyAgents], found: FoundEnv) -> Iterator[Finding]:
    """Two environments, one seed: the same trajectory."""
    first, second = (_trajectory(create(), found) for _ in range(2))
    for number, (one, other) in enumerate(zip(first, second)):
        if one != other:
            yield Finding(
                ERROR,
                f"reset(seed={SEED}) does not decide what happens: two environments differ after {number} steps;"
                " take random numbers from one generator alone, which reset makes by its seed.",
            )
            return
    yield Finding(OK, "the seed decides what happens.")


def _trajectory(env: ManyAgents, found: FoundEnv) -> list[bytes]:
    seed_actions(found, SEED)
    outcome = env.reset(SEED)
    seen = [_as_bytes(outcome)]
    for _ in range(COMPARED):
        outcome = env.step(random_actions(found, outcome))
        seen.append(_as_bytes(outcome))
        if outcome.over:
            outcome = env.reset()
    env.close()
    return seen


def _as_bytes(outcome: Outcome) -> bytes:
    observations = {agent: observation for agent, (observation, _) in outcome.seen.items()}
    return pickle.dumps((observations, dict(outcome.rewards), tuple(outcome.acting)))


def speed_of(create: Callable[[], ManyAgents], found: FoundEnv) -> Iterator[Finding]:
    """Env steps a second, by random actions."""
    env = create()
    outcome, number, seconds = env.reset(SEED), 0, 0.0
    while seconds < MEASURED:
        actions = random_actions(found, outcome)
        began = time.perf_counter()
        outcome = env.step(actions)
        if outcome.over:
            outcome = env.reset()
        seconds += time.perf_counter() - began
        number += 1
    env.close()
    yield speed(number / seconds, f", for all of its {len(found.agents)} agents")
