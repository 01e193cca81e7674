"""Writes the data sets beside this, by `pip install "minari[hdf5]==0.5.4" gymnasium==1.2.2 pillow`; tests read them.

Beside each is what Minari itself reads from it, in episodes.json.
"""

import json
import os
import shutil
from pathlib import Path

HERE = Path(__file__).parent
os.environ["MINARI_DATASETS_PATH"] = str(HERE)

# ruff: noqa: E402
import gymnasium
import minari
import numpy as np


def swings(observation, seed):
    return np.clip(-2 * observation[1:2] * 3, -2, 2).astype(np.float32)


def record(name, env, act, seeds, data_format="hdf5"):
    shutil.rmtree(HERE / name, ignore_errors=True)
    env = minari.DataCollector(env, data_format=data_format)
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            observation, _, terminated, truncated, _ = env.step(act(observation, seed))
            over = terminated or truncated
    env.reset()
    written = env.create_dataset(name, algorithm_name="a rule")
    told = [
        {
            "rewards": each.rewards.tolist(), "terminations": each.terminations.tolist(),
            "truncations": each.truncations.tolist(), "observations": flat(each.observations).tolist(),
            "actions": flat(each.actions).tolist(),
        }
        for each in written.iterate_episodes()
    ]  # fmt: skip
    (HERE / name / "episodes.json").write_text(json.dumps(told) + "\n")


def flat(values):
    """Nested values as [n, numbers], by names; of images their means."""
    if isinstance(values, dict):
        return np.concatenate([flat(values[name]) for name in sorted(values)], axis=1)
    if isinstance(values, tuple):
        return np.concatenate([flat(value) for value in values], axis=1)
    values = np.asarray(values, float)
    return values.mean(axis=(1, 2, 3))[:, None] if values.ndim == 4 else values.reshape(len(values), -1)


if __name__ == "__main__":
    gymnasium.register("Nested-v0", "nested:Nested")
    nested = gymnasium.make("Nested-v0", disable_env_checker=True)
    nested.action_space.seed(0)
    cart = gymnasium.make("CartPole-v1", max_episode_steps=12)
    # Pushed to one side the pole falls; else the episode is cut off.
    record("cart-v0", cart, lambda seen, seed: 1 if seed == 0 else int(seen[2] > 0), (0, 1))
    record("pendulum-v0", gymnasium.make("Pendulum-v1", max_episode_steps=10), swings, (0,))
    record("nested-v0", nested, lambda *_: nested.action_space.sample(), (0,))
    for left in HERE.rglob("namespace_metadata.json"):
        left.unlink()
