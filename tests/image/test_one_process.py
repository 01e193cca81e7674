"""A run in one process: Ray is started for what needs it, as the run's own, and only then."""

import json

import pytest

ASKING = """
import gymnasium
import numpy as np
import ray
from gymnasium.spaces import Box, Discrete


class Asking(gymnasium.Env):
    max_episode_steps = 10
    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {"metrics": {"ray": int(ray.is_initialized())}}


class Asks:
    def on_iteration(self, run, row):
        assert ray.get(ray.remote(lambda: 7).remote()) == 7 and ray.get(ray.put(8)) == 8
        # Ray's own choice is a folder that all users see.
        assert not ray._private.worker.global_worker.node.get_session_dir_path().startswith("/tmp/ray/")
"""


@pytest.mark.parametrize("sampled", ["in NumPy", "by RLlib"])
@pytest.mark.parametrize("asks", [(), ("--callbacks", "asking.py:Asks")], ids=["never", "asked"])
def test_ray_is_started_where_it_is_needed(shell, asks, sampled):
    (shell.folder / "asking.py").write_text(ASKING)
    small = ["--set", "train_batch_size=200", "--set", "minibatch_size=100", "--local-mode", "--stop-iters", "2"]
    settings = ["--set", "batch_mode=complete_episodes", "--set", "observation_filter=MeanStdFilter"]
    given = [*small, *(settings if sampled == "by RLlib" else [])]
    done = shell.train("--env", "asking.py:Asking", *asks, *given)
    assert done.returncode == 0, done.stderr
    assert f"sampled {sampled}" in done.stdout
    [run] = shell.runs
    more = shell.train("--resume", run, "--stop-iters", "3", "--local-mode")
    assert more.returncode == 0, more.stderr
    rows = map(json.loads, (run / "result.json").read_text().splitlines())
    assert [row["custom/ray_max"] for row in rows] == [0, bool(asks), 0]
