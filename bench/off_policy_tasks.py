"""What every library trains in the comparison of DQN and SAC: the same networks, batches and updates per env step."""

from __future__ import annotations

from typing import Any, NamedTuple

# Env steps before the first update, and those after which the clock starts: every library has compiled by then.
LEARNING_STARTS, WARM_UP = 100, 2000
SECONDS = 10.0


class Task(NamedTuple):
    """A training, with an update of `batch` rows every `every` env steps; `goal` is a mean return."""

    algo: str
    env: str
    hidden: tuple[int, ...]
    batch: int
    every: int
    goal: float

    @property
    def settings(self) -> dict[str, Any]:
        """RLlib's names for it; by default RLlib makes an update for each fragment."""
        common = {
            "train_batch_size": self.batch,
            "rollout_fragment_length": self.every,
            "num_steps_sampled_before_learning_starts": LEARNING_STARTS,
            "min_sample_timesteps_per_iteration": 1000,
            "replay_buffer_config": {"type": "MultiAgentReplayBuffer", "capacity": 50_000},
        }
        hidden = list(self.hidden)
        if self.algo == "DQN":
            model = {"fcnet_hiddens": hidden, "fcnet_activation": "relu"}
            return {**common, "model": model, "hiddens": [], "dueling": False, "double_q": False}
        network = {"fcnet_hiddens": hidden, "fcnet_activation": "relu"}
        return {**common, "q_model_config": network, "policy_model_config": network}


TASKS = {
    "DQN, CartPole-v1, 64x64, batch 32, 1 update per 4 env steps": Task("DQN", "CartPole-v1", (64, 64), 32, 4, 475),
    "SAC, Pendulum-v1, 256x256, batch 256, 1 update per env step": Task("SAC", "Pendulum-v1", (256, 256), 256, 1, -200),
}
