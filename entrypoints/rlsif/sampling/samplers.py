"""Collects the experience that PPO, APPO, IMPALA and DQN learn from, for feed-forward policies.

The same sampler as RLlib's: same columns, same values from the same weights, same ends of episodes. What differs
is the random numbers, and that all is done for every environment at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlsif.envs.vector import Environments
from rlsif.policies.networks import ActorCritic, QNetwork
from rlsif.sampling.rollout_buffer import Rows, advantages, flat, n_step

Array = NDArray[Any]
# Filters features of observations [n, features], and learns from them.
ObservationFilter = Callable[[Array], Array]


@dataclass
class Episode:
    """One that ended."""

    total_reward: float
    length: int


class Features:
    """What the policy sees of an observation: floats, with integers as one-hot vectors."""

    def __init__(self, space: gymnasium.spaces.Space[Any]) -> None:
        """Take the space of the observations."""
        self._one_hot = None
        if isinstance(space, gymnasium.spaces.Discrete):
            self._one_hot, self._start = np.eye(int(space.n), dtype=np.float32), int(space.start)

    def __call__(self, observations: Array) -> Array:
        """Features [n, features] of observations [n, ...]."""
        if self._one_hot is None:
            # A copy, for environments may go on in the same array.
            return observations.astype(np.float32)
        one_hot: Array = self._one_hot[observations - self._start]
        return one_hot


class Sampler:
    """Steps environments by a policy, and hands out batches. Subclasses know the policy and its columns."""

    def __init__(
        self,
        environments: Environments,
        features: Features,
        observation_filter: ObservationFilter,
        to_env: Callable[[Array], Array],
        config: Mapping[str, Any],
        fragment: int,
        random: np.random.Generator,
        distribution: Any,
    ) -> None:
        """Take what stands around the policy.

        `to_env` turns the policy's actions into the environment's; `fragment` is env steps of one environment in
        a batch; `config` is RLlib's, of the algorithm; `distribution` draws actions from the network's outputs.
        """
        self._environments, self._features, self._filter = environments, features, observation_filter
        self._to_env, self._config, self.fragment, self._random = to_env, config, fragment, random
        self._distribution = distribution
        num_envs = len(environments.acting)
        self._rows = Rows(num_envs, fragment + fragment // 4 + 2)
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self._episodes: list[Episode] = []
        # Env steps of all env runners, for schedules.
        self.timestep = 0
        self._seen = self._filter(self._features(environments.observations))

    def set_weights(self, weights: Mapping[str, Any] | list[Any]) -> None:
        """Take the policy's weights as RLlib sends them."""
        raise NotImplementedError

    def sample(self) -> dict[str, Array]:
        """A batch: columns of [rows, ...], one environment after the other."""
        raise NotImplementedError

    def episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        ended, self._episodes = self._episodes, []
        return ended

    def close(self) -> None:
        """Close the environments."""
        self._environments.close()

    def _step(self, actions: Array, **columns: Array) -> Array:
        """Act, and append a row; give what the policy would see of the true next observations."""
        environments, seen = self._environments, self._seen
        acting = environments.acting
        step = environments.step(self._to_env(actions))
        done = acting & (step.terminated | step.truncated)
        after = self._see(step.observations, done)
        self._rows.add(
            obs=seen,
            actions=actions,
            rewards=np.asarray(step.rewards, np.float32),
            terminateds=step.terminated,
            truncateds=step.truncated,
            valid=acting,
            **columns,
        )
        self._count(step.rewards, acting, done)
        return after

    def _see(self, observations: Array, done: NDArray[np.bool_]) -> Array:
        """Filter what came next, and what is to be acted on, each once."""
        after = self._filter(self._features(observations))
        to_act_on = self._environments.observations
        if to_act_on is observations:
            self._seen = after
        else:
            self._seen = after.copy()
            self._seen[done] = self._filter(self._features(to_act_on[done]))
        return after

    def _count(self, rewards: Array, acting: NDArray[np.bool_], done: NDArray[np.bool_]) -> None:
        self._returns += np.where(acting, rewards, 0)
        self._lengths += acting
        self.timestep += int(acting.sum())
        for env in np.flatnonzero(done):
            self._episodes.append(Episode(float(self._returns[env]), int(self._lengths[env])))
            self._returns[env] = self._lengths[env] = 0


class ActorCriticSampler(Sampler):
    """For PPO, APPO and IMPALA."""

    _policy: ActorCritic

    def set_weights(self, weights: Mapping[str, Any] | list[Any]) -> None:
        """Take the policy's weights as RLlib sends them."""
        self._policy = ActorCritic(self._config["model"], weights)

    def _act(self) -> None:
        logits, values = self._policy.forward(self._seen)
        actions, log_probabilities = self._distribution.sample(logits, self._random)
        # The value of what an episode ended with; of the others it is the next row's.
        last_values = np.zeros_like(values)
        after = self._step(
            actions, action_dist_inputs=logits, action_logp=log_probabilities, values=values, last_values=last_values
        )
        cut = self._rows["truncateds"][-1] & ~self._rows["terminateds"][-1] & self._rows["valid"][-1]
        if cut.any():
            self._rows["last_values"][-1][cut] = self._policy.values(after[cut])

    def _next_values(self) -> tuple[Array, NDArray[np.bool_]]:
        """The value of what came next, 0 where the episode terminated, and where episodes are done; [steps, envs]."""
        rows = self._rows
        done = rows["terminateds"] | rows["truncateds"]
        following = np.concatenate([rows["values"][1:], self._policy.values(self._seen)[None]])
        return np.where(done, rows["last_values"], following), done


class PPOSampler(ActorCriticSampler):
    """For PPO: advantages and value targets."""

    def sample(self) -> dict[str, Array]:
        """A batch of about `fragment` rows of every environment."""
        rows, wanted, valid = self._rows, self.fragment * len(self._returns), 0
        rows.steps = 0
        while valid < wanted:
            valid += int(self._environments.acting.sum())
            self._act()
        next_values, done = self._next_values()
        estimates, targets = advantages(
            rows["rewards"], rows["values"], next_values, done, self._config["gamma"], self._config["lambda"]
        )
        chosen = rows["valid"]
        return {
            **flat(rows, ["obs", "actions", "rewards", "action_dist_inputs", "action_logp"], chosen),
            **flat({"advantages": estimates, "value_targets": targets}, ["advantages", "value_targets"], chosen),
        }


class VTraceSampler(ActorCriticSampler):
    """For APPO and IMPALA, which learn from stretches of one length, across ends of episodes."""

    def sample(self) -> dict[str, Array]:
        """A batch of `fragment` rows of every environment; what is left over opens the next one."""
        rows, fragment = self._rows, self.fragment
        counts = rows["valid"].sum(axis=0) if rows.steps else np.zeros(len(self._returns), np.int64)
        while counts.min() < fragment:
            counts = counts + self._environments.acting
            self._act()
        numbers = rows["valid"].cumsum(axis=0)
        chosen = rows["valid"] & (numbers <= fragment)
        next_values, _ = self._next_values()
        names = ["obs", "actions", "rewards", "terminateds", "truncateds", "action_dist_inputs", "action_logp"]
        batch = {
            **flat(rows, names, chosen),
            **flat({"values_bootstrapped": next_values}, ["values_bootstrapped"], chosen),
            # RLlib asks whether there are several agents.
            "agent_index": np.zeros(int(chosen.sum()), np.int8),
        }
        rows.keep_from((numbers < fragment).sum(axis=0) + 1)
        return batch


class DQNSampler(Sampler):
    """For DQN: transitions over n steps."""

    _policy: QNetwork

    def set_weights(self, weights: Mapping[str, Any] | list[Any]) -> None:
        """Take the policy's weights as RLlib sends them."""
        config = self._config
        self._policy = QNetwork(config["model"], list(config["hiddens"]), config["dueling"], weights)

    def sample(self) -> dict[str, Array]:
        """A batch of about `fragment` rows of every environment."""
        rows, wanted, valid = self._rows, self.fragment * len(self._returns), 0
        rows.steps = 0
        after = []
        while valid < wanted:
            valid += int(self._environments.acting.sum())
            values = self._policy.forward(self._seen)
            after.append(self._step(self._distribution.sample(values, self._random, self.timestep)))
        chosen = rows["valid"]
        columns = {name: rows[name] for name in ("rewards", "terminateds", "truncateds")}
        batch = {
            **flat(rows, ["obs", "actions"], chosen),
            **n_step({**columns, "new_obs": np.array(after)}, chosen, self._config["n_step"], self._config["gamma"]),
        }
        return {**batch, "weights": np.ones(len(batch["obs"]), np.float32)}
