"""Episodes in RLlib's JSON format, by simple rules: of CartPole-v1, and of Pendulum-v1."""

import json

import gymnasium
import numpy as np


def steps(seed, most=500):
    """The steps of an episode, as columns."""
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=seed)
    columns = {
        name: [] for name in ("eps_id", "t", "obs", "new_obs", "actions", "rewards", "terminateds", "truncateds")
    }
    over = False
    while not over and len(columns["t"]) < most:
        action = int(observation[2] + observation[3] > 0)
        after, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        row = (seed, len(columns["t"]), observation.tolist(), after.tolist(), action, reward, terminated, truncated)
        for values, value in zip(columns.values(), row, strict=True):
            values.append(value)
        observation = after
    return columns


def line(columns):
    """A line of a file."""
    return json.dumps({"type": "SampleBatch", **columns}) + "\n"


def write(folder, episodes=5, most=500):
    """A file of so many episodes in a new folder; give how many steps they have."""
    folder.mkdir()
    played = [steps(seed, most) for seed in range(episodes)]
    (folder / "played.json").write_text("".join(map(line, played)))
    return sum(len(columns["t"]) for columns in played)


def swings(folder, ruled=30, drawn=30):
    """A file of episodes of Pendulum-v1: by a rule with noise, and with random actions; give their mean return."""
    folder.mkdir()
    episodes = [_swings(seed, 1.5 if seed < ruled else None) for seed in range(ruled + drawn)]
    (folder / "swings.json").write_text("".join(map(line, episodes)))
    return float(np.mean([sum(columns["rewards"]) for columns in episodes]))


def _swings(seed, noise):
    """An episode by a rule, or with random actions; numbers of actions are between -1 and 1."""
    env, random = gymnasium.make("Pendulum-v1"), np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    columns = {name: [] for name in ("eps_id", "obs", "new_obs", "actions", "rewards", "terminateds", "truncateds")}
    over = False
    while not over:
        chosen = (
            random.uniform(-1, 1) if noise is None else np.clip(_rule(*observation) + noise * random.normal(), -1, 1)
        )
        after, reward, terminated, over, _ = env.step(np.array([2 * chosen], np.float32))
        row = (seed, observation.tolist(), after.tolist(), [float(chosen)], float(reward), terminated, over)
        for values, value in zip(columns.values(), row, strict=True):
            values.append(value)
        observation = after
    return columns


def _rule(cosine, sine, speed):
    """Holds the pendulum where it is nearly upright, else brings it to the energy that it has there."""
    if cosine > 0.9:
        return np.clip(-(8 * np.arctan2(sine, cosine) + 1.5 * speed), -2, 2) / 2
    return float(-np.sign(speed) * np.sign(speed**2 / 6 + 5 * (cosine - 1))) if speed else 1.0
