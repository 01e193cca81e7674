"""RLlib's algorithms with what is wrong with them fixed.

Imported in processes that run RLlib with TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.from_config import from_config
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED
from ray.rllib.utils.replay_buffers import ReplayBuffer

from rlsif import private_api
from rlsif.learning import asking, left_out
from rlsif.learning.descriptor import Algorithm as Descriptor
from rlsif.sampling.filters import REWARDS

# In the state of an algorithm, what RLlib leaves out.
LEFT_OUT, FILTERS = "rlsif_left_out", "rlsif_filters"
# A lost env runner that has not answered for so long is asked anew, in seconds.
SECONDS_TO_ASK_AGAIN = 5.0


def algorithm_class(descriptor: Descriptor) -> type[Algorithm]:
    """RLlib's class of an algorithm with our fixes before it."""
    name = descriptor.name
    return type(name, (*descriptor.classes(), Fixed, _rllibs_class(name)), {})


def _rllibs_class(name: str) -> type[Algorithm]:
    theirs: type[Algorithm] = getattr(import_module(f"ray.rllib.algorithms.{name.lower()}"), name)
    return theirs


class Fixed(private_api.hooks()):  # type: ignore[misc]
    """What every algorithm needs."""

    # Calls to lost env runners that are not answered yet, and since when, by number.
    _asked: Mapping[int, tuple[Any, float]] = {}

    def setup(self, config: Any) -> None:
        """Let the learner do with the columns that it reads; RLlib's asks for more."""
        private_api.replace_collection_of_episodes(asking.episodes)
        super().setup(config)
        if self.config.framework_str == "tf":
            for name in self.config.policies:
                private_api.fill_columns(self.get_policy(name), _fill)

    def log_folder(self) -> str:
        """Use the folder of Ray's session; RLlib leaves an empty one in ~/ray_results for every run."""
        return private_api.session_logs()

    def filters_are_synced(self, config: Any) -> bool:
        """Spare every env runner two calls an iteration where there is nothing to sync."""
        return bool(config.observation_filter != "NoFilter" or config.rlsif.normalize_rewards)

    def sync_filters(self, filters: Mapping[str, Any], env_runner_group: Any) -> None:
        """Wait for no env runner that is in the middle of a long sample."""
        asking.sync_filters(filters, env_runner_group)

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Take back lost env runners that answer again; RLlib would wait in every iteration for those that do not."""
        lost, now = private_api.lost_env_runners(env_runner_group), time.monotonic()
        # A call to one whose node is gone may never be answered, though the runner came back elsewhere.
        waiting = {n: (call, since) for n, (call, since) in self._asked.items() if now - since < SECONDS_TO_ASK_AGAIN}
        asked = {n: waiting.get(n) or (actor.ping.remote(), now) for n, actor in lost.items()}
        calls = [call for call, _ in asked.values()]
        answered, _ = ray.wait(calls, num_returns=len(calls), timeout=0) if calls else ([], [])
        self._asked = {n: (call, since) for n, (call, since) in asked.items() if call not in answered}
        if not any(_has_answered(call) for call in answered):
            return []
        restored: list[int] = super().restore_env_runners(env_runner_group)
        return restored

    def __getstate__(self) -> dict[str, Any]:
        """Add what RLlib leaves out of its policies.

        Name RLlib's own class in checkpoints; ours is made anew with each algorithm, and would be pickled whole.
        """
        state: dict[str, Any] = super().__getstate__()
        rest = {name: left_out.left_out(self.get_policy(name)) for name in state["worker"]["policy_states"]}
        # RLlib loads the filters of policies alone.
        of_rewards = {name: each for name, each in state["worker"]["filters"].items() if name == REWARDS}
        ours = {"algorithm_class": _rllibs_class(type(self).__name__), LEFT_OUT: rest, FILTERS: of_rewards}
        return {**state, **ours}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore what RLlib leaves out.

        The scale of rewards; the count of updates; with tf2 the optimizer's variables; target networks; SAC's
        optimizers; and the place in each schedule, which RLlib would begin anew for one update.
        """
        saved = state["worker"]["policy_states"]
        state["worker"]["filters"].update(state.get(FILTERS, {}))
        if self.config.framework_str == "tf2":
            # Keras makes an optimizer's variables with its first update; RLlib restores those that are there.
            for name, policy_state in saved.items():
                policy, variables = self.get_policy(name), policy_state[private_api.OPTIMIZER_VARIABLES]
                if variables:
                    private_api.optimizer(policy).build(_trained_variables(policy, variables))
        super().__setstate__(state)
        for name, policy_state in saved.items():
            policy = self.get_policy(name)
            left_out.restore(policy, state.get(LEFT_OUT, {}).get(name, {}))
            policy.num_grad_updates = policy_state["num_grad_updates"]
            policy.on_global_var_update({"timestep": policy_state["global_timestep"]})


class RefilledReplay(private_api.hooks()):  # type: ignore[misc]
    """For algorithms that learn from a replay buffer: after a resume it is filled again before they learn.

    RLlib counts the env steps of the whole run, and would make all of its updates on the first few rows.
    """

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Have learning wait for as many new env steps as at the start of the run."""
        super().__setstate__(state)
        if self.config.store_buffer_in_checkpoints and len(self.local_replay_buffer):
            return
        name = "num_steps_sampled_before_learning_starts"
        fresh, done = getattr(self.config, name), private_api.counters(self)[NUM_ENV_STEPS_SAMPLED]
        # The config is frozen for users.
        object.__setattr__(self.config, name, fresh + done)
        self.note_of_resume = f"the replay buffer is empty: learning waits for {fresh:,} new env steps"


class OwnReplayBuffer(private_api.hooks()):  # type: ignore[misc]
    """For DQN."""

    def replay_buffer(self, config: Any, theirs: Callable[[Any], Any]) -> Any:
        """Make the buffer of the settings; DQN adds settings of prioritized buffers, which others refuse."""
        return from_config(ReplayBuffer, dict(config["replay_buffer_config"]))


def _has_answered(call: Any) -> bool:
    try:
        ray.get(call)
    except ray.exceptions.RayError:
        return False
    return True


def _fill(batch: Any, placeholders: Mapping[str, Any]) -> None:
    """Add the columns that a loss is fed and does not read."""
    for name, placeholder in placeholders.items():
        if name not in batch:
            shape = [len(batch), *placeholder.shape.as_list()[1:]]
            batch[name] = np.zeros(shape, placeholder.dtype.as_numpy_dtype)


def _trained_variables(policy: Any, optimizer_variables: list[Any]) -> list[Any]:
    """The model's variables that an Adam has trained, told by the shapes of its own.

    Those are its count of updates, then two for each variable that had a gradient, in the model's order.
    DQN's model has a value head that never gets one.
    """
    model = iter(policy.model.trainable_variables())
    shapes = [tuple(moment.shape) for moment in optimizer_variables[1::2]]
    return [next(v for v in model if tuple(v.shape) == shape) for shape in shapes]
