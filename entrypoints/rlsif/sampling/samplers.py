"""Collects the experience that PPO, APPO, IMPALA, DQN and SAC learn from, for feed-forward policies.

Equal to RLlib's sampler in columns, in values from the same weights, and in the ends of episodes. It draws other
random numbers, and steps every environment at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.vector import Environments, Step, WrongValue
from rlsif.errors import counted
from rlsif.policies import masks, networks
from rlsif.policies.distributions import EpsilonGreedy, SquashedGaussian, of_actions
from rlsif.policies.encoder import Seen
from rlsif.policies.layers import Weights
from rlsif.policies.networks import ActorCritic, PolicyNetwork, QNetwork
from rlsif.policies.spaces import LARGEST, Box, Space
from rlsif.private_api import BETA_DISTRIBUTION
from rlsif.sampling.filters import RewardScale
from rlsif.sampling.own_twin import OwnTwin, settings_of
from rlsif.sampling.rollout_buffer import RolloutBuffer, advantages, flat, n_step
from rlsif.sampling.tally import Episode, Tally

Array = NDArray[Any]
# Filters observations [n, features], and learns from them.
ObservationFilter = Callable[[Array], Array]


class Sampler:
    """Steps environments by a policy, and hands out batches. Subclasses know the policy and its columns."""

    # RLlib's exploration that is drawn here: its class, and the settings of it that are known.
    EXPLORATION: ClassVar[str] = "StochasticSampling"
    EXPLORATION_SETTINGS: ClassVar[frozenset[str]] = frozenset()
    # Settings of the algorithm that must have this value.
    NEEDS: ClassVar[Mapping[str, Any]] = {}
    # Whether rows have what came next.
    KEEPS_NEXT: ClassVar[bool] = False
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
        seen: Seen | None = None,
        scale: RewardScale | None = None,
    ) -> None:
        """Take what stands around the policy.

        `config` is RLlib's, of the algorithm; `actions` is the space that the policy chooses from; `fragment` is env
        steps of one environment in a batch; `mask` is how many places of an observation are its action mask; `seen` is
        what the network sees of an observation, by default all of it; `scale` is that of the rewards that are learned
        from. Where environments have many agents, rows are those of their slots.
        """
        self._environments, self._filter, self._config = environments, observation_filter, config
        self.fragment, self._random = fragment, random
        self._rows = RolloutBuffer(fragment + fragment // 4 + 2)
        self._tally, self._episodes = Tally(environments), list[Episode]()
        # The row of each environment's last action, which may wait for what others do, and whether it was cut off now.
        self._last = np.zeros(len(environments.active), np.intp)
        self._cut = np.zeros(len(environments.active), np.bool_)
        # Which act now, and what their rows have of that.
        self._active, self._columns = environments.active, dict[str, Array]()
        # Where an episode ended now.
        self._done = np.zeros(len(environments.active), np.bool_)
        # What that action has earned so far, as the environment says it.
        self._earned = np.zeros(len(environments.active))
        # Env steps of the batch that was given last.
        self.env_steps = 0
        # Env steps of all env runners, for schedules.
        self.timestep = 0
        # What the environments took so far.
        self.env_seconds = 0.0
        self._actions, self._mask = actions, mask
        self._clip, self._scale = config.get("clip_rewards"), scale
        self._make_policy(config, seen or environments.observations.shape[1:], actions)
        check_finite(self._tally, environments.observations)
        self._check_masks()
        self._seen = self._filtered(environments.observations, environments.active)

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

    @classmethod
    def model_unsupported(cls, model: Mapping[str, Any], defaults: Mapping[str, Any], seen: Seen) -> str | None:
        """Why a model of RLlib's cannot be computed here, in a few words; None where it can."""
        return networks.unsupported(model, defaults, seen)

    @classmethod
    def policy_of(cls, config: Mapping[str, Any], seen: Seen, actions: Space, mask: int) -> tuple[Any, Any]:
        """The network of these settings of RLlib's, and how actions are drawn from its outputs.

        `seen` is what the network sees of an encoded observation, `mask` how many places the action mask has behind it.
        """
        raise NotImplementedError

    @staticmethod
    def drawn(policy: Any, distribution: Any, seen: Array, random: np.random.Generator, timestep: int) -> Array:
        """Actions [n, ...] for filtered observations [n, ...], by what `policy_of` gave.

        `timestep` is the count of env steps of schedules.
        """
        raise NotImplementedError

    def _make_policy(self, config: Mapping[str, Any], seen: Seen, actions: Space) -> None:
        """Make the network, `_policy`, and how actions are drawn from its outputs, `_distribution`."""
        self._policy, self._distribution = self.policy_of(config, seen, actions, self._mask)

    def set_weights(self, weights: Weights) -> None:
        """Take the policy's weights as RLlib sends them."""
        self._policy.set_weights(weights)

    def sample(self, fragments: int = 1) -> dict[str, Array]:
        """A batch: columns of [rows, ...], one environment after the other. Raises WrongValue for nan and infinity.

        It has about `fragments` times `fragment` env steps of every environment; `env_steps` is what they come to.
        """
        self.begin()
        while self.env_steps < self.wanted(fragments):
            self._act()
        return self.batch()

    def wanted(self, fragments: int) -> int:
        """The env steps of a batch of so many fragments."""
        return fragments * self.fragment * self._tally.copies

    def batch(self) -> dict[str, Array]:
        """What was taken since `begin`, as `sample` gives it."""
        raise NotImplementedError

    def episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        ended, self._episodes = self._episodes, []
        return ended

    def close(self) -> None:
        """Close the environments."""
        self._environments.close()

    def choose(self) -> Array:
        """Actions [envs, ...] for what is seen now. What they come to is given to `take`."""
        self._active, self._columns = self._environments.active, {"obs": self._seen, **self._choose()}
        return self._columns["actions"]

    def _choose(self) -> dict[str, Array]:
        """Actions for what is seen now, and the other columns that come with them, [envs, ...] each."""
        raise NotImplementedError

    def _act(self) -> None:
        """Step every environment by this policy alone."""
        actions = self.choose()
        began = time.perf_counter()
        step = self._environments.step(actions)
        self.env_seconds += time.perf_counter() - began
        self.take(step)

    def take(self, step: Step) -> Array:
        """Append the row of what was chosen; give what the policy would see of the true next observations.

        Raises WrongValue.
        """
        environments, active, columns = self._environments, self._active, self._columns
        check_finite(self._tally, step.observations, step.rewards)
        done = active & (step.terminated | step.truncated)
        next_obs = self._see(step, done)
        if self.KEEPS_NEXT:
            columns["new_obs"] = next_obs
        ends = step.terminated if step.life_lost is None else step.terminated | step.life_lost
        self._rows.add(
            rewards=self._learned(step.rewards, active, done).astype(np.float32),
            terminateds=ends,
            truncateds=step.truncated,
            valid=active,
            **columns,
        )
        self._done, self._cut = done, done & ~ends
        if environments.agents:
            self._last[active], self._earned[active] = self._rows.steps - 1, step.rewards[active]
        if step.waited is not None:
            self._credit(step, step.waited, next_obs)
        steps = int(self._tally.active_copies(active).sum())
        self.timestep += steps
        self.env_steps += steps
        self._episodes += self._tally.add(step, active, done)
        self._check_masks()
        return next_obs

    def _learned(self, rewards: Array, active: NDArray[np.bool_], done: NDArray[np.bool_]) -> Array:
        """What is learned from, of the rewards [envs] of a step."""
        return self._scale(rewards, active, done) if self._scale else self._clipped(rewards)

    def _clipped(self, rewards: Array) -> Array:
        """What the learner sees of rewards [envs], as RLlib's clip_rewards has it."""
        if self._clip is True:
            return np.sign(rewards)
        return np.clip(rewards, -self._clip, self._clip) if self._clip else rewards

    def _credit(self, step: Step, waits: NDArray[np.bool_], next_obs: Array) -> None:
        """Add what others' turns brought to the rows of those who waited, [envs]."""
        waited = np.flatnonzero(waits)
        rows, at = self._rows, (self._last[waited], waited)
        self._earned[waited] += step.rewards[waited]
        # RLlib clips what was summed.
        rows["rewards"][at] = self._clipped(self._earned[waited])
        rows["terminateds"][at] = step.terminated[waited]
        rows["truncateds"][at] = step.truncated[waited]
        if self.KEEPS_NEXT:
            rows["new_obs"][at] = next_obs[waited]
        self._cut |= waits & step.truncated & ~step.terminated

    def begin(self) -> None:
        """Forget the rows of the last batch, but those whose outcome is still open."""
        waiting, self.env_steps = self._environments.waiting, 0
        if waiting is None or not self._rows.steps:
            self._rows.steps = 0
        else:
            self._keep_from(np.where(waiting, self._last, self._rows.steps))

    def _keep_from(self, starts: NDArray[np.intp]) -> None:
        before = self._rows.steps
        self._rows.keep_from(starts)
        self._last -= before - self._rows.steps

    def _complete(self) -> NDArray[np.bool_]:
        """The rows [steps, envs] of which all is known."""
        valid, waiting = self._rows["valid"], self._environments.waiting
        if waiting is None:
            return valid
        complete, open_ = valid.copy(), np.flatnonzero(waiting)
        complete[self._last[open_], open_] = False
        return complete

    def _see(self, step: Step, done: NDArray[np.bool_]) -> Array:
        """Filter what came next, and what is to be acted on, each once."""
        next_obs = self._filtered(step.observations, step.there)
        environments = self._environments
        to_act_on = environments.observations
        if to_act_on is step.observations:
            self._seen = next_obs
        else:
            check_finite(self._tally, to_act_on)
            begun = self._tally.begun(step, environments.active, done)
            self._seen = next_obs.copy()
            self._seen[begun] = self._filter(to_act_on[begun])
        return next_obs

    def _filtered(self, observations: Array, there: NDArray[np.bool_] | None) -> Array:
        """Observations [envs, ...] filtered, of which some may not be `there`; nothing is learned from those."""
        if there is None or there.all():
            return self._filter(observations)
        filtered = observations.copy()
        filtered[there] = self._filter(observations[there])
        return filtered

    def _check_masks(self) -> None:
        """Look at the masks of what is to be acted on. Raises WrongValue."""
        if self._mask:
            check_masks(self._tally, self._environments, self._actions, self._mask)


def check_finite(tally: Tally, observations: Array, rewards: Array | None = None) -> None:
    """Look at what a step gave, [envs, ...]; one bad number would spoil every weight. Raises WrongValue."""
    for what, values in (("observation", observations), ("reward", rewards)):
        # A sum of squares is small only if all of its numbers are, and costs least; all may be right where it is large.
        if values is None or values.dtype.kind != "f" or np.vdot(values, values) <= LARGEST:
            continue
        bad = np.argwhere(~(np.abs(values) <= LARGEST))
        if len(bad):
            env, *place = (int(i) for i in bad[0])
            raise WrongValue(
                f"{tally.who(env)} gave {values[tuple(bad[0])]} as {what}{place or ''} after"
                f" {counted(tally.steps(env), 'step')} of an episode, which would spoil every weight; `check` looks for"
                " such values"
            )


def check_masks(tally: Tally, environments: Environments, actions: Space, size: int) -> None:
    """Look at the masks of so many places of what is to be acted on. Raises WrongValue."""
    active = np.flatnonzero(environments.active)
    found = masks.wrong(environments.observations[active], actions, size)
    if found:
        env = int(active[found[0]])
        raise WrongValue(f"{tally.who(env)}, after {counted(tally.steps(env), 'step')} of an episode: {found[1]}")


class ActorCriticSampler(Sampler):
    """For PPO, APPO and IMPALA."""

    NEEDS = {"use_gae": True, "vtrace": True}

    @classmethod
    def policy_of(cls, config: Mapping[str, Any], seen: Seen, actions: Space, mask: int) -> tuple[Any, Any]:
        """The network of these settings of RLlib's, and how actions are drawn from its outputs."""
        own = settings_of(config["model"])
        network: Any = OwnTwin(own, seen) if own else ActorCritic.from_config(config["model"], seen)
        return masks.MaskedActorCritic(network, mask) if mask else network, of_actions(actions)

    @staticmethod
    def drawn(policy: Any, distribution: Any, seen: Array, random: np.random.Generator, timestep: int) -> Array:
        """Actions [n, ...] for filtered observations [n, ...]."""
        actions: Array = distribution.sample(policy.forward(seen)[0], random)[0]
        return actions

    def _choose(self) -> dict[str, Array]:
        logits, values = self._policy.forward(self._seen)
        actions, log_probabilities = self._distribution.sample(logits, self._random)
        return {
            "actions": actions,
            "action_dist_inputs": logits,
            "action_logp": log_probabilities,
            "values": values,
            # The value of what an episode ended with; of the others it is the next row's.
            "last_values": np.zeros_like(values),
        }

    def take(self, step: Step) -> Array:
        """Append the row of what was chosen, with the value of what an episode was cut off at."""
        next_obs = super().take(step)
        if self._cut.any():
            cut = np.flatnonzero(self._cut)
            at = self._last[cut] if self._environments.agents else self._rows.steps - 1
            self._rows["last_values"][at, cut] = self._values_at(next_obs, cut)
        return next_obs

    def _values_at(self, observations: Array, which: NDArray[np.intp]) -> Array:
        """The values [which] of what some of the environments show, of [envs, ...]."""
        values: Array = self._policy.values(observations[which])
        return values

    def _next_values(self) -> tuple[Array, NDArray[np.bool_]]:
        """The value of what came next, 0 where the episode terminated, and where episodes are done; [steps, envs]."""
        rows = self._rows
        done = rows["terminateds"] | rows["truncateds"]
        now = self._policy.values(self._seen)
        following = np.concatenate([rows["values"][1:], now[None]])
        if self._environments.waiting is not None:
            # Between two rows of an agent are those of others.
            for step in reversed(range(rows.steps)):
                following[step] = now
                now = np.where(rows["valid"][step], rows["values"][step], now)
        return np.where(done, rows["last_values"], following), done


class PPOSampler(ActorCriticSampler):
    """For PPO: advantages and value targets."""

    # RLlib's APPO has a use_critic of -1, for it always has one.
    NEEDS = {**ActorCriticSampler.NEEDS, "use_critic": True}
    SHARES_BATCH = True

    def batch(self) -> dict[str, Array]:
        """The rows since `begin`, with what they came to."""
        rows = self._rows
        next_values, done = self._next_values()
        chosen = self._complete()
        turns = None if self._environments.waiting is None else chosen
        estimates, targets = advantages(
            rows["rewards"], rows["values"], next_values, done, self._config["gamma"], self._config["lambda"], turns
        )
        return {
            **flat(rows, ["obs", "actions", "rewards", "action_dist_inputs", "action_logp"], chosen),
            **flat({"advantages": estimates, "value_targets": targets}, ["advantages", "value_targets"], chosen),
        }


class VTraceSampler(ActorCriticSampler):
    """For APPO and IMPALA, which learn from stretches of one length, across ends of episodes."""

    # Rows of agents that left before they were a stretch, [rows, ...], until those of others make it one.
    _spare: Mapping[str, Array] = {}

    def sample(self, fragments: int = 1) -> dict[str, Array]:
        """A batch of `fragments` stretches of every environment; what is left over opens the next one.

        Of slots whose agents leave early there are fewer, and of others more.
        """
        self.begin()
        length, counts = fragments * self.fragment, self._counts()
        while self._stretches(self._known(counts), length) < len(counts):
            counts = counts + self._environments.active
            self._act()
        return self._batch(length)

    def begin(self) -> None:
        """Keep what the last batch has left over."""
        self.env_steps = 0

    def batch(self) -> dict[str, Array]:
        """The whole stretches that are there, which may be none."""
        return self._batch(self.fragment)

    def _batch(self, length: int) -> dict[str, Array]:
        """Those of this length; what is left over opens the next batch.

        What agents that left have over is joined end to end: rows after an end are as good from one slot as from
        another.
        """
        rows, counts, valid = self._rows, self._known(self._counts()), self._complete()
        whole = valid & (valid.cumsum(axis=0) <= counts // length * length)
        over = valid & ~whole & self._left
        next_values, _ = self._next_values()
        names = ["obs", "actions", "rewards", "terminateds", "truncateds", "action_dist_inputs", "action_logp"]
        columns = {**{name: rows[name] for name in names}, "values_bootstrapped": next_values}
        batch, more = (flat(columns, list(columns), chosen) for chosen in (whole, over))
        if over.any() or self._spare:
            spare = {name: np.concatenate([self._spare.get(name, column[:0]), column]) for name, column in more.items()}
            number = len(spare["obs"]) // length * length
            batch = {name: np.concatenate([column, spare[name][:number]]) for name, column in batch.items()}
            self._spare = {name: column[number:] for name, column in spare.items()}
        rest = rows["valid"] & ~whole & ~over
        self._keep_from(np.where(rest.any(axis=0), rest.argmax(axis=0), rows.steps))
        # RLlib asks whether there are several agents.
        return {**batch, "agent_index": np.zeros(len(batch["obs"]), np.int8)}

    def _counts(self) -> NDArray[np.int64]:
        """How many rows there are of each environment."""
        rows = self._rows
        return rows["valid"].sum(axis=0) if rows.steps else np.zeros(len(self._environments.active), np.int64)

    def _known(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows are complete, of so many."""
        waiting = self._environments.waiting
        return counts if waiting is None else counts - waiting

    @property
    def _left(self) -> NDArray[np.bool_]:
        """The slots whose agents are not there; their last row has ended."""
        active, waiting = self._environments.active, self._environments.waiting
        if not self._environments.agents:
            return np.zeros_like(active)
        return ~active if waiting is None else ~(active | waiting)

    def _stretches(self, counts: NDArray[np.int64], length: int) -> int:
        """How many there are in slots with so many rows; what agents that left have over makes more of them."""
        over = (counts % length)[self._left].sum() + len(self._spare.get("obs", ()))
        return int((counts // length).sum() + over // length)


class TransitionSampler(Sampler):
    """For DQN and SAC: transitions over n steps."""

    KEEPS_NEXT = True

    def batch(self) -> dict[str, Array]:
        """The rows since `begin`, each over n steps."""
        rows = self._rows
        chosen = self._complete()
        columns = {name: rows[name] for name in ("rewards", "terminateds", "truncateds", "new_obs")}
        batch = {
            **flat(rows, ["obs", "actions"], chosen),
            **n_step(columns, chosen, self._config["n_step"], self._config["gamma"]),
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

    @classmethod
    def policy_of(cls, config: Mapping[str, Any], seen: Seen, actions: Space, mask: int) -> tuple[Any, Any]:
        """The network of these settings of RLlib's, and how actions are drawn from its outputs."""
        network = QNetwork.from_config(config["model"], seen, list(config["hiddens"]), config["dueling"])
        exploration = {name: value for name, value in config["exploration_config"].items() if name != "type"}
        return masks.MaskedQNetwork(network, mask) if mask else network, EpsilonGreedy(**exploration)

    @staticmethod
    def drawn(policy: Any, distribution: Any, seen: Array, random: np.random.Generator, timestep: int) -> Array:
        """Actions [n] for filtered observations [n, ...]."""
        actions: Array = distribution.sample(policy.forward(seen), random, timestep)
        return actions

    def _choose(self) -> dict[str, Array]:
        return {"actions": self.drawn(self._policy, self._distribution, self._seen, self._random, self.timestep)}


class SACSampler(TransitionSampler):
    """For SAC: actions of a squashed Gaussian, or one of several."""

    NEEDS = {BETA_DISTRIBUTION: False, "normalize_actions": True}

    @staticmethod
    def model(config: Any) -> Mapping[str, Any]:
        """The settings of the policy's network, of a config that is RLlib's or a mapping."""
        return {**config["model"], **config["policy_model_config"]}

    @classmethod
    def policy_of(cls, config: Mapping[str, Any], seen: Seen, actions: Space, mask: int) -> tuple[Any, Any]:
        """The network of these settings of RLlib's, and how actions are drawn from its outputs."""
        distribution = SquashedGaussian() if isinstance(actions, Box) else of_actions(actions)
        return PolicyNetwork.from_config(cls.model(config), seen), distribution

    @staticmethod
    def drawn(policy: Any, distribution: Any, seen: Array, random: np.random.Generator, timestep: int) -> Array:
        """Actions [n, ...] for filtered observations [n, ...]."""
        actions: Array = distribution.sample(policy.forward(seen), random)[0]
        return actions

    def _choose(self) -> dict[str, Array]:
        return {"actions": self.drawn(self._policy, self._distribution, self._seen, self._random, self.timestep)}
