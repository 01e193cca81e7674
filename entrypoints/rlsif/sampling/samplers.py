"""Collects the experience that PPO, APPO, IMPALA, DQN and SAC learn from, for feed-forward policies.

Equal to RLlib's sampler in columns, in values from the same weights, and in the ends of episodes. It draws other
random numbers, and steps every environment at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.metrics import NONE, Metrics
from rlsif.envs.vector import Environments, WrongValue
from rlsif.policies import masks
from rlsif.policies.distributions import EpsilonGreedy, SquashedGaussian, of_actions
from rlsif.policies.layers import Weights
from rlsif.policies.networks import ActorCritic, PolicyNetwork, QNetwork
from rlsif.policies.spaces import Box, Space
from rlsif.sampling.rollout_buffer import RolloutBuffer, advantages, flat, n_step

Array = NDArray[Any]
# Filters observations [n, features], and learns from them.
ObservationFilter = Callable[[Array], Array]


@dataclass
class Episode:
    """One that ended."""

    total_reward: float
    length: int
    metrics: Metrics = field(default_factory=dict)


class Sampler:
    """Steps environments by a policy, and hands out batches. Subclasses know the policy and its columns."""

    # RLlib's exploration that is drawn here: its class, and the settings of it that are known.
    EXPLORATION: ClassVar[str] = "StochasticSampling"
    EXPLORATION_SETTINGS: ClassVar[frozenset[str]] = frozenset()
    # Settings of the algorithm that must have this value.
    NEEDS: ClassVar[Mapping[str, Any]] = {}
    # Whether each env runner collects its part of a batch, and can be told how much.
    SHARES_BATCH: ClassVar[bool] = False
    _policy: Any
    _distribution: Any

    def __init__(
        self,
        environments: Environments,
        observation_filter: ObservationFilter,
        config: Mapping[str, Any],
        actions: Space,
        fragment: int,
        random: np.random.Generator,
        mask: int = 0,
    ) -> None:
        """Take what stands around the policy.

        `config` is RLlib's, of the algorithm; `actions` is the space that the policy chooses from; `fragment` is env
        steps of one environment in a batch; `mask` is how many places of an observation are its action mask.
        """
        self._environments, self._filter, self._config = environments, observation_filter, config
        self.fragment, self._random = fragment, random
        num_envs = len(environments.active)
        self._rows = RolloutBuffer(fragment + fragment // 4 + 2)
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self._episodes: list[Episode] = []
        # Env steps of all env runners, for schedules.
        self.timestep = 0
        # What the environments took so far.
        self.env_seconds = 0.0
        self._actions, self._mask = actions, mask
        self._make_policy(config, actions)
        self._check_finite(environments.observations)
        self._check_masks()
        self._seen = self._filter(environments.observations)

    @classmethod
    def exploration_unsupported(cls, exploration: Mapping[str, Any]) -> str | None:
        """Why actions cannot be drawn by RLlib's exploration_config; None where they can."""
        unknown = set(exploration) - {"type"} - cls.EXPLORATION_SETTINGS
        if exploration.get("type") != cls.EXPLORATION or unknown:
            return f"exploration_config is {dict(exploration)}"
        return None

    @staticmethod
    def model(config: Any) -> Mapping[str, Any]:
        """The settings of the policy's network, of a config that is RLlib's or a mapping."""
        model: Mapping[str, Any] = config["model"]
        return model

    def _make_policy(self, config: Mapping[str, Any], actions: Space) -> None:
        """Make the network, `_policy`, and how actions are drawn from its outputs, `_distribution`."""
        raise NotImplementedError

    def set_weights(self, weights: Weights) -> None:
        """Take the policy's weights as RLlib sends them."""
        self._policy.set_weights(weights)

    def sample(self, fragments: int = 1) -> dict[str, Array]:
        """A batch: columns of [rows, ...], one environment after the other. Raises WrongValue for nan and infinity.

        It has about `fragments` times `fragment` rows of every environment.
        """
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
        active = environments.active
        began = time.perf_counter()
        step = environments.step(actions)
        self.env_seconds += time.perf_counter() - began
        self._check_finite(step.observations, step.rewards)
        done = active & (step.terminated | step.truncated)
        next_obs = self._see(step.observations, done)
        self._rows.add(
            obs=seen,
            actions=actions,
            rewards=step.rewards.astype(np.float32),
            terminateds=step.terminated,
            truncateds=step.truncated,
            valid=active,
            **columns,
        )
        self._count(step.rewards, active, done, step.metrics)
        self._check_masks()
        return next_obs

    def _see(self, observations: Array, done: NDArray[np.bool_]) -> Array:
        """Filter what came next, and what is to be acted on, each once."""
        next_obs = self._filter(observations)
        to_act_on = self._environments.observations
        if to_act_on is observations:
            self._seen = next_obs
        else:
            self._check_finite(to_act_on)
            self._seen = next_obs.copy()
            self._seen[done] = self._filter(to_act_on[done])
        return next_obs

    def _count(
        self, rewards: Array, active: NDArray[np.bool_], done: NDArray[np.bool_], metrics: Mapping[int, Metrics]
    ) -> None:
        self._returns += np.where(active, rewards, 0)
        self._lengths += active
        self.timestep += int(active.sum())
        for env in np.flatnonzero(done):
            total, length = float(self._returns[env]), int(self._lengths[env])
            self._episodes.append(Episode(total, length, metrics.get(int(env), NONE)))
            self._returns[env] = self._lengths[env] = 0

    def _check_finite(self, observations: Array, rewards: Array | None = None) -> None:
        """Look at what a step gave, [envs, ...]; one bad number would spoil every weight. Raises WrongValue."""
        for what, values in (("observation", observations), ("reward", rewards)):
            # A sum of squares is finite only if all of its numbers are, and costs least; it may overflow where all are.
            if values is None or values.dtype.kind != "f" or math.isfinite(np.vdot(values, values)):
                continue
            bad = np.argwhere(~np.isfinite(values))
            if len(bad):
                env, *place = (int(i) for i in bad[0])
                raise WrongValue(
                    f"copy {env} of the environment gave {values[tuple(bad[0])]} as {what}{place or ''} after"
                    f" {self._lengths[env]} steps of an episode, which would spoil every weight; `check` looks for"
                    " such values"
                )

    def _check_masks(self) -> None:
        """Look at the masks of what is to be acted on. Raises WrongValue."""
        if not self._mask:
            return
        acting = np.flatnonzero(self._environments.active)
        found = masks.wrong(self._environments.observations[acting], self._actions, self._mask)
        if found:
            env = int(acting[found[0]])
            raise WrongValue(
                f"copy {env} of the environment, after {self._lengths[env]} steps of an episode: {found[1]}"
            )


class ActorCriticSampler(Sampler):
    """For PPO, APPO and IMPALA."""

    NEEDS = {"use_gae": True, "vtrace": True}

    def _make_policy(self, config: Mapping[str, Any], actions: Space) -> None:
        network = ActorCritic.from_config(config["model"])
        self._policy = masks.MaskedActorCritic(network, self._mask) if self._mask else network
        self._distribution = of_actions(actions)

    def _act(self) -> None:
        logits, values = self._policy.forward(self._seen)
        actions, log_probabilities = self._distribution.sample(logits, self._random)
        # The value of what an episode ended with; of the others it is the next row's.
        last_values = np.zeros_like(values)
        next_obs = self._step(
            actions, action_dist_inputs=logits, action_logp=log_probabilities, values=values, last_values=last_values
        )
        cut = self._rows["truncateds"][-1] & ~self._rows["terminateds"][-1] & self._rows["valid"][-1]
        if cut.any():
            self._rows["last_values"][-1][cut] = self._policy.values(next_obs[cut])

    def _next_values(self) -> tuple[Array, NDArray[np.bool_]]:
        """The value of what came next, 0 where the episode terminated, and where episodes are done; [steps, envs]."""
        rows = self._rows
        done = rows["terminateds"] | rows["truncateds"]
        following = np.concatenate([rows["values"][1:], self._policy.values(self._seen)[None]])
        return np.where(done, rows["last_values"], following), done


class PPOSampler(ActorCriticSampler):
    """For PPO: advantages and value targets."""

    # RLlib's APPO has a use_critic of -1, for it always has one.
    NEEDS = {**ActorCriticSampler.NEEDS, "use_critic": True}
    SHARES_BATCH = True

    def sample(self, fragments: int = 1) -> dict[str, Array]:
        """A batch of about `fragments` times `fragment` rows of every environment."""
        rows, wanted, valid = self._rows, fragments * self.fragment * len(self._returns), 0
        rows.steps = 0
        while valid < wanted:
            valid += int(self._environments.active.sum())
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

    def sample(self, fragments: int = 1) -> dict[str, Array]:
        """A batch of `fragments` stretches of every environment; what is left over opens the next one."""
        rows, fragment = self._rows, fragments * self.fragment
        counts = rows["valid"].sum(axis=0) if rows.steps else np.zeros(len(self._returns), np.int64)
        while counts.min() < fragment:
            counts = counts + self._environments.active
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


class TransitionSampler(Sampler):
    """For DQN and SAC: transitions over n steps."""

    def _choose(self) -> Array:
        """Actions [envs, ...] for what is seen now."""
        raise NotImplementedError

    def sample(self, fragments: int = 1) -> dict[str, Array]:
        """A batch of about `fragments` times `fragment` rows of every environment."""
        rows, wanted, valid = self._rows, fragments * self.fragment * len(self._returns), 0
        rows.steps = 0
        next_obs = []
        while valid < wanted:
            valid += int(self._environments.active.sum())
            next_obs.append(self._step(self._choose()))
        chosen = rows["valid"]
        columns = {name: rows[name] for name in ("rewards", "terminateds", "truncateds")}
        batch = {
            **flat(rows, ["obs", "actions"], chosen),
            **n_step({**columns, "new_obs": np.array(next_obs)}, chosen, self._config["n_step"], self._config["gamma"]),
        }
        return {**batch, "weights": np.ones(len(batch["obs"]), np.float32)}


class DQNSampler(TransitionSampler):
    """For DQN: the best action, or any."""

    EXPLORATION = "EpsilonGreedy"
    EXPLORATION_SETTINGS = frozenset(
        {"initial_epsilon", "final_epsilon", "warmup_timesteps", "epsilon_timesteps", "epsilon_schedule"}
    )
    NEEDS = {"num_atoms": 1, "noisy": False}

    @classmethod
    def exploration_unsupported(cls, exploration: Mapping[str, Any]) -> str | None:
        """Why actions cannot be drawn by RLlib's exploration_config; None where they can."""
        against = super().exploration_unsupported(exploration)
        schedule = exploration.get("epsilon_schedule")
        if not against and not EpsilonGreedy.knows(schedule):
            against = f"exploration_config.epsilon_schedule is {schedule}"
        return against

    def _make_policy(self, config: Mapping[str, Any], actions: Space) -> None:
        network = QNetwork.from_config(config["model"], list(config["hiddens"]), config["dueling"])
        self._policy = masks.MaskedQNetwork(network, self._mask) if self._mask else network
        exploration = {name: value for name, value in config["exploration_config"].items() if name != "type"}
        self._distribution = EpsilonGreedy(**exploration)

    def _choose(self) -> Array:
        values = self._policy.forward(self._seen)
        actions: Array = self._distribution.sample(values, self._random, self.timestep)
        return actions


class SACSampler(TransitionSampler):
    """For SAC: actions of a squashed Gaussian, or one of several."""

    NEEDS = {"_use_beta_distribution": False, "normalize_actions": True}

    @staticmethod
    def model(config: Any) -> Mapping[str, Any]:
        """The settings of the policy's network, of a config that is RLlib's or a mapping."""
        return {**config["model"], **config["policy_model_config"]}

    def _make_policy(self, config: Mapping[str, Any], actions: Space) -> None:
        self._policy = PolicyNetwork.from_config(self.model(config))
        self._distribution = SquashedGaussian() if isinstance(actions, Box) else of_actions(actions)

    def _choose(self) -> Array:
        actions: Array = self._distribution.sample(self._policy.forward(self._seen), self._random)[0]
        return actions
