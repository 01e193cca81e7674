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
    from rlsif.envs.find import find, make
    from rlsif.envs.legal import random_action
    from rlsif.envs.reference import parse
    from rlsif.errors import check_at_least
    from rlsif.values import env_arguments, wrapper_arguments

    check_at_least({"--steps": (steps, 1)})
    ref = parse(env, env_arguments(env_config or []), Path.cwd(), wrapper_arguments(wrap or []), atari)
    found = find(ref)
    environment = make(ref)
    environment.action_space.seed(seed)
    observation, info = environment.reset(seed=seed)
    print(f"{env}: actions {environment.action_space}, observations {environment.observation_space}")
    print(f"reset      observation {_short(observation)}")
    episode_return = 0.0
    for step in range(1, steps + 1):
        action = random_action(environment, found.mask, observation, info)
        observation, reward, terminated, truncated, info = environment.step(action)
        episode_return += float(reward)
        end = "terminated" if terminated else "truncated" if truncated else ""
        line = f"step {step:>4}  action {_short(action)}  observation {_short(observation)}  reward {float(reward):g}"
        print(f"{line}  {end}".rstrip())
        if end:
            print(f"episode ended with return {episode_return:g}")
            observation, info = environment.reset()
            episode_return = 0.0
    environment.close()
    return 0


def _short(value: Any) -> str:
    import numpy as np

    return np.array2string(np.asarray(value), precision=3, suppress_small=True, threshold=8)


def main() -> None:
    """Run the command."""
    cli.run(rollout_demo, "rollout-demo")
