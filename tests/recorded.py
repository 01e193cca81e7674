"""Episodes of CartPole-v1 by a rule that keeps the pole up for a while, in RLlib's JSON format."""

import json

import gymnasium


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
