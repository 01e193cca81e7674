"""`rollout-demo`: an untrained agent, step by step; the first check that an environment works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from rlsif.commands import cli, options


def rollout_demo(
    env: Annotated[str, typer.Option(help=options.ENV_HELP)] = "CartPole-v1",
    env_config: options.ENV_CONFIG = None,
    wrap: options.WRAP = None,
    atari: options.ATARI = None,
    steps: Annotated[int, typer.Option(help="Env steps to take.")] = 15,
    seed: Annotated[Optional[int], typer.Option(help="Seed of the environment and of the actions.")] = None,
) -> int:
    """Let an untrained agent act at random, and print action, observation, reward and end of every step."""
    from rlsif.envs.episodes import failing, number_of
    from rlsif.envs.find import find, make
    from rlsif.envs.legal import random_action
    from rlsif.envs.reference import parse
    from rlsif.errors import check_at_least
    from rlsif.learning.assignment import each
    from rlsif.values import env_arguments, wrapper_arguments

    check_at_least({"--steps": (steps, 1), "--seed": (seed, 0)})
    ref = parse(env, env_arguments(env_config or []), Path.cwd(), wrapper_arguments(wrap or []), atari)
    # Agents may have spaces of their own.
    found = find(ref, each)
    environment = make(ref)
    if found.agents:
        _with_agents(environment, found, steps, seed)
        return 0
    environment.action_space.seed(seed)
    with failing("in its first reset"):
        observation, info = environment.reset(seed=seed)
    print(f"{env}: actions {environment.action_space}, observations {environment.observation_space}")
    print(f"reset      observation {_short(observation)}")
    episode_return = 0.0
    for step in range(1, steps + 1):
        action = random_action(environment, found.mask, observation, info)
        with failing(f"in step {step}"):
            observation, given, terminated, truncated, info = environment.step(action)
        reward = number_of(given, f"in step {step}")
        episode_return += reward
        end = "terminated" if terminated else "truncated" if truncated else ""
        line = f"step {step:>4}  action {_short(action)}  observation {_short(observation)}  reward {reward:g}"
        print(f"{line}  {end}".rstrip())
        if end:
            print(f"episode ended with return {episode_return:g}")
            with failing(f"in the reset after step {step}"):
                observation, info = environment.reset()
            episode_return = 0.0
    environment.close()
    return 0


def _with_agents(environment: Any, found: Any, steps: int, seed: int | None) -> None:
    """The same in an environment of many agents, a line for each of them."""
    from rlsif.envs.episodes import failing, number_of, random_actions, seed_actions

    seed_actions(found, seed)
    spaces = dict.fromkeys(str(view.action_space) for view in found.views.values())
    print(f"{found.ref.name}: {', '.join(found.agents)}; actions {' and '.join(spaces)}")
    with failing("in its first reset"):
        outcome = environment.reset(seed)
    returns = dict.fromkeys(found.agents, 0.0)
    for agent, (observation, _) in outcome.seen.items():
        print(f"reset      {agent}  observation {_short(observation)}")
    for step in range(1, steps + 1):
        actions = random_actions(found, outcome)
        with failing(f"in step {step}"):
            outcome = environment.step(actions)
        # Whoever waits may be paid in the turns of others, too.
        for agent in dict.fromkeys([*actions, *outcome.rewards, *outcome.terminated]):
            observation = outcome.seen.get(agent, ("none",))[0]
            reward = number_of(outcome.rewards.get(agent, 0), f"in step {step} to agent {agent!r}")
            returns[str(agent)] += reward
            told = (("terminated", outcome.terminated), ("truncated", outcome.truncated))
            end = next((f"  {name}" for name, flags in told if flags.get(agent)), "")
            action = _short(actions[agent]) if agent in actions else "none"
            if agent in actions or reward or end:
                what = f"action {action}  observation {_short(observation)}  reward {reward:g}"
                print(f"step {step:>4}  {agent}  {what}{end}")
        if outcome.over:
            print(f"episode ended with returns {', '.join(f'{n} {r:g}' for n, r in returns.items())}")
            with failing(f"in the reset after step {step}"):
                outcome = environment.reset()
            returns = dict.fromkeys(found.agents, 0.0)
    environment.close()


def _short(value: Any) -> str:
    import numpy as np

    return np.array2string(np.asarray(value), precision=3, suppress_small=True, threshold=8)


def main() -> None:
    """Run the command."""
    cli.run(rollout_demo, "rollout-demo")
