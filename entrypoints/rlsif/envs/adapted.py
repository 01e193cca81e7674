"""An environment as a policy of RLlib's sees it: encoded observations, and the actions that it can choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlsif.envs import answers
from rlsif.envs.find import FoundEnv
from rlsif.envs.metrics import ENDED, KEY, NoNumber, OfCopies
from rlsif.envs.progress import PROGRESS
from rlsif.envs.spaces import of_gymnasium, plain
from rlsif.envs.vector import WrongValue
from rlsif.errors import RlsifError, counted
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, joined, policy_space
from rlsif.policies.encoder import MisfitError, has_parts, shapes_of
from rlsif.policies.spaces import LARGEST, ActionMask, Space

SPOILS = "which would spoil every weight"


class Translation:
    """Encodes what an environment shows, and turns what a policy chose into its actions."""

    def __init__(
        self, spaces: tuple[Any, Any], normalize: bool, clip: bool, mask: ActionMask | None, environment: str, copy: int
    ) -> None:
        """Take an environment's spaces and its name; RLlib's normalize_actions and clip_actions are for Box actions.

        `copy` is its number among those of an env runner, for messages.
        """
        observations, actions = masks.masked(plain(spaces[0]), mask), plain(spaces[1])
        self._encoder = masks.encoder_of(observations)
        self._adapter, self._mask = ActionAdapter(actions, normalize, clip), masks.size_of(observations)
        self._chosen_from, self._environment, self._copy = policy_space(actions, normalize), environment, copy
        # How far the episode is.
        self.steps = 0
        # Of the policy.
        self.observation_space = encoded_space(spaces[0], observations)
        self.action_space = of_gymnasium(self._chosen_from)

    def encoded(self, observation: Any, info: Mapping[str, Any]) -> Any:
        """What the policy sees. Raises WrongValue for what is not of the space, not finite, or no mask."""
        try:
            encoded = self._encoder.one(observation, info)
        except masks.MaskError as problem:
            raise self._wrong(problem) from None
        except (MisfitError, TypeError, ValueError) as problem:
            raise self._wrong(f"the observation is not in the observation space: {problem}") from None
        if encoded.dtype.kind == "f" and not np.isfinite(encoded).all():
            place = [int(i) for i in np.argwhere(~np.isfinite(encoded))[0]]
            raise self._wrong(f"{encoded[tuple(place)]} is given as observation{place}, {SPOILS}")
        return encoded

    def reward(self, given: Any) -> float:
        """A reward that is a number of which a learner can make use. Raises WrongValue for any other."""
        try:
            number = answers.number(given)
        except (TypeError, ValueError):
            raise self._wrong(f"the reward is {given!r}, which is no number") from None
        if not abs(number) <= LARGEST:
            raise self._wrong(f"{given} is given as reward, {SPOILS}")
        return number

    def ended(self, terminated: Any, truncated: Any) -> tuple[bool, bool]:
        """How an episode ends, if it does. Raises WrongValue for what is neither true nor false."""
        try:
            return answers.ended(terminated, "terminated"), answers.ended(truncated, "truncated")
        except answers.NoEnd as problem:
            raise self._wrong(str(problem)) from None

    def action(self, chosen: Any, encoded: Any) -> Any:
        """What the environment takes, of what a policy chose when it saw this.

        Raises WrongValue for a mask that is wrong, and what it forbids.
        """
        chosen = joined(chosen)
        if self._mask:
            self._check_legal(chosen, encoded)
        [action] = self._adapter.each(chosen[None])
        return action

    def _check_legal(self, chosen: NDArray[Any], encoded: Any) -> None:
        wrong = masks.wrong(encoded[None], self._chosen_from, self._mask)
        if wrong:
            raise self._wrong(wrong[1])
        if not masks.allows(encoded, chosen, self._chosen_from, self._mask):
            raise self._wrong(
                f"action {chosen.tolist()} was chosen, which is illegal; RLlib's sampler does not honour action masks"
                " with these settings"
            )

    def _wrong(self, what: object) -> WrongValue:
        where = f"copy {self._copy} of the environment, after {counted(self.steps, 'step')} of an episode"
        return WrongValue(f"environment {self._environment}: {where}: {what}; `check` tells more")


class Adapted(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment as RLlib's sampler steps it."""

    def __init__(
        self, env: gymnasium.Env[Any, Any], normalize: bool, clip: bool, mask: ActionMask | None = None, copy: int = 0
    ) -> None:
        """Wrap an environment; RLlib's normalize_actions and clip_actions are for its Box actions."""
        super().__init__(env)
        spaces = env.observation_space, env.action_space
        self._translation = Translation(spaces, normalize, clip, mask, type(env.unwrapped).__name__, copy)
        self._metrics = OfCopies(1)
        self._encoded: Any = None
        self.observation_space, self.action_space = self._translation.observation_space, self._translation.action_space

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(**how)
        self._translation.steps = 0
        PROGRESS.resets += 1
        self._encoded = self._translation.encoded(observation, info)
        return self._encoded, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act by what a policy chose. Raises WrongValue for what the environment gives and is not of its spaces."""
        observation, reward, terminated, truncated, info = self.env.step(
            self._translation.action(action, self._encoded)
        )
        self._translation.steps += 1
        PROGRESS.steps += 1
        reward = self._translation.reward(reward)
        terminated, truncated = self._translation.ended(terminated, truncated)
        try:
            if info and KEY in info:
                self._metrics.take(0, info)
            if terminated or truncated:
                ENDED.append(self._metrics.ended(0))
        except NoNumber as problem:
            raise RlsifError(f"the environment's {problem}") from None
        self._encoded = self._translation.encoded(observation, info)
        return self._encoded, reward, terminated, truncated, info


def encoded_space(space: gymnasium.spaces.Space[Any], observations: Space) -> gymnasium.spaces.Space[Any]:
    """The space of encoded observations, which are those of Gymnasium's `space`."""
    encoder = masks.encoder_of(observations)
    low, high = -np.inf, np.inf
    if encoder.is_image and isinstance(space, gymnasium.spaces.Box):
        # Numbers, where the space has False and True.
        low, high = 0 + space.low.min().item(), 0 + space.high.max().item()
    encoded = gymnasium.spaces.Box(low, high, encoder.shape, encoder.dtype.type)
    if has_parts(encoder.seen):
        # By this attribute RLlib's model finds the parts in a vector.
        parts = [gymnasium.spaces.Box(-np.inf, np.inf, shape) for shape in shapes_of(encoder.seen)]
        encoded.original_space = gymnasium.spaces.Tuple(parts)  # type: ignore[attr-defined]
    return encoded


def policy_spaces(found: FoundEnv, normalize: bool) -> tuple[Any, Any]:
    """The spaces of observations and actions that RLlib's policy of an environment has."""
    return encoded_space(found.observation_space, found.observations), of_gymnasium(
        policy_space(found.actions, normalize)
    )
