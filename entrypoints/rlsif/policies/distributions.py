"""How actions are drawn from a network's outputs, after ray/rllib/models/tf/tf_action_dist.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.layers import Array
from rlsif.policies.networks import ILLEGAL_VALUE
from rlsif.policies.spaces import Box, Composite, Discrete, MultiDiscrete, Space

# Of float32, lest a total becomes another kind of number.
ZERO = np.float32(0)
HALF_LOG_TWO_PI = np.float32(0.5 * np.log(2 * np.pi))
# RLlib's bounds of the logarithm of a squashed Gaussian's deviation, and what it keeps logarithms finite by.
LOG_STD = np.float32(-5), np.float32(2)
SMALL = np.float32(1e-6)


class Categorical:
    """Discrete actions from logits [n, actions]."""

    def sample(self, inputs: Array, random: np.random.Generator) -> tuple[NDArray[np.int32], Array]:
        """Actions [n] and their log-probabilities [n]."""
        shifted = inputs - inputs.max(axis=1, keepdims=True)
        cumulated = np.exp(shifted).cumsum(axis=1)
        total = cumulated[:, -1]
        # Rounding can make a draw reach the total, which is beyond the last action that has a probability.
        drawn = np.minimum(random.random(len(inputs), dtype=np.float32) * total, np.nextafter(total, ZERO))
        actions = (cumulated <= drawn[:, None]).sum(axis=1).astype(np.int32)
        log_probabilities: Array = shifted[np.arange(len(actions)), actions] - np.log(total)
        return actions, log_probabilities


class MultiCategorical:
    """Several discrete actions, each from logits of its own; after RLlib's MultiCategorical."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        """Take how many values each action has, [actions]."""
        self._cuts, self._one = np.cumsum(counts)[:-1], Categorical()

    def sample(self, inputs: Array, random: np.random.Generator) -> tuple[NDArray[np.int32], Array]:
        """Actions [n, actions] and their log-probabilities [n], from logits [n, values of all actions]."""
        drawn = [self._one.sample(part, random) for part in np.split(inputs, self._cuts, axis=1)]
        log_probabilities: Array = np.sum([logp for _, logp in drawn], axis=0)
        return np.stack([actions for actions, _ in drawn], axis=1), log_probabilities


def _halves(inputs: Array) -> tuple[Array, Array]:
    """Means and logarithms of deviations; np.split takes ten times as long."""
    dimensions = inputs.shape[1] // 2
    return inputs[:, :dimensions], inputs[:, dimensions:]


class DiagonalGaussian:
    """Continuous actions from means and logarithms of deviations, [n, 2 * dimensions]."""

    def sample(self, inputs: Array, random: np.random.Generator) -> tuple[Array, Array]:
        """Actions [n, dimensions] and their log-probabilities [n]."""
        mean, log_std = _halves(inputs)
        deviation = np.exp(log_std)
        actions = (mean + deviation * random.standard_normal(mean.shape, dtype=np.float32)).astype(np.float32)
        # Of the action as it was rounded, which is what the learner sees.
        log_probabilities = -0.5 * (((actions - mean) / deviation) ** 2).sum(axis=1) - log_std.sum(axis=1)
        constant = np.float32(0.5 * np.log(2 * np.pi) * mean.shape[1])
        return actions, (log_probabilities - constant).astype(np.float32)


class Mixed:
    """Choices and numbers, each from inputs of their own; after RLlib's MultiActionDistribution."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        """Take how many values each choice has, [choices]."""
        self._cut, self._choices, self._numbers = int(counts.sum()), MultiCategorical(counts), DiagonalGaussian()

    def sample(self, inputs: Array, random: np.random.Generator) -> tuple[Array, Array]:
        """Actions [n, choices and numbers] and their log-probabilities [n], from inputs in the same order."""
        choices, of_choices = self._choices.sample(inputs[:, : self._cut], random)
        numbers, of_numbers = self._numbers.sample(inputs[:, self._cut :], random)
        return np.concatenate([choices.astype(np.float32), numbers], axis=1), of_choices + of_numbers


class SquashedGaussian:
    """Continuous actions between -1 and 1: a DiagonalGaussian's, squashed by tanh; as RLlib's SquashedGaussian."""

    def sample(self, inputs: Array, random: np.random.Generator) -> tuple[Array, Array]:
        """Actions [n, dimensions] and their log-probabilities [n]."""
        mean, log_std = _halves(inputs)
        std = np.exp(np.clip(log_std, *LOG_STD))
        actions: Array = np.tanh(mean + std * random.standard_normal(mean.shape, dtype=np.float32))
        return actions, self.log_probabilities(inputs, actions)

    @staticmethod
    def log_probabilities(inputs: Array, actions: Array) -> Array:
        """Log-probabilities [n] of actions [n, dimensions]; not infinite where an action is rounded to a bound."""
        mean, log_std = _halves(inputs)
        log_std = np.clip(log_std, *LOG_STD)
        raw = np.arctanh(np.clip(actions, -1 + SMALL, 1 - SMALL))
        of_raw = -0.5 * ((raw - mean) / np.exp(log_std)) ** 2 - log_std - HALF_LOG_TWO_PI
        of_squashing = np.log(1 - np.tanh(raw) ** 2 + SMALL)
        log_probabilities: Array = np.clip(of_raw, -100, 100).sum(axis=1) - of_squashing.sum(axis=1)
        return log_probabilities


class EpsilonGreedy:
    """The best action of action values [n, actions], or any one; after RLlib's EpsilonGreedy.

    Epsilon falls from `initial_epsilon` after `warmup_timesteps` to `final_epsilon` over `epsilon_timesteps`, or goes
    from each of the `endpoints` of `epsilon_schedule` to the next.
    """

    # RLlib's schedule that is known, and its settings that are.
    SCHEDULE, OF_SCHEDULE = "PiecewiseSchedule", frozenset({"type", "endpoints", "outside_value"})

    def __init__(
        self,
        initial_epsilon: float = 1.0,
        final_epsilon: float = 0.05,
        warmup_timesteps: int = 0,
        epsilon_timesteps: int = int(1e5),
        epsilon_schedule: Mapping[str, Any] | None = None,
    ) -> None:
        """Take RLlib's settings by its names and with its defaults; as there, a schedule comes before the others."""
        self._values = [initial_epsilon, final_epsilon]
        self._steps = [warmup_timesteps, warmup_timesteps + epsilon_timesteps]
        self._before: float | None = None
        if epsilon_schedule:
            ends, outside = epsilon_schedule["endpoints"], epsilon_schedule["outside_value"]
            # The last endpoint is outside already.
            self._steps = [*(int(step) for step, _ in ends), int(ends[-1][0])]
            self._values = [*(value for _, value in ends), outside]
            self._before = outside

    @classmethod
    def knows(cls, schedule: Any) -> bool:
        """Whether epsilon can go by what RLlib is given as `epsilon_schedule`."""
        if not schedule:
            return True
        return (
            isinstance(schedule, Mapping)
            and schedule.get("type") == cls.SCHEDULE
            and set(schedule) <= cls.OF_SCHEDULE
            and bool(schedule.get("endpoints"))
            and schedule.get("outside_value") is not None
        )

    def epsilon(self, timestep: int) -> float:
        """The share of random actions after so many env steps of all env runners."""
        return float(np.interp(timestep, self._steps, self._values, left=self._before))

    def sample(self, inputs: Array, random: np.random.Generator, timestep: int) -> NDArray[np.int32]:
        """Actions [n]; none whose value is ILLEGAL_VALUE."""
        best = inputs.argmax(axis=1)
        any_one = random.integers(inputs.shape[1], size=len(inputs))
        illegal = inputs == ILLEGAL_VALUE
        if illegal.any():
            any_one = np.where(illegal, -1, random.random(inputs.shape)).argmax(axis=1)
        explores = random.random(len(inputs)) < self.epsilon(timestep)
        return np.where(explores, any_one, best).astype(np.int32)


def of_actions(space: Space) -> Categorical | MultiCategorical | DiagonalGaussian | Mixed:
    """How RLlib draws the actions of a policy's space."""
    if isinstance(space, Composite):
        choices, _ = space.parts
        assert isinstance(choices, MultiDiscrete)
        return Mixed(choices.nvec)
    if isinstance(space, Box):
        return DiagonalGaussian()
    if isinstance(space, MultiDiscrete):
        return MultiCategorical(space.nvec)
    assert isinstance(space, Discrete)
    return Categorical()
