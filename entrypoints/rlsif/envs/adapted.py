"""An environment as a policy of RLlib's sees it: encoded observations, and the actions that it can choose."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from rlsif.envs.find import FoundEnv
from rlsif.envs.metrics import ENDED, KEY, NoNumber, OfCopies
from rlsif.envs.progress import PROGRESS
from rlsif.envs.spaces import of_gymnasium, plain
from rlsif.errors import RlsifError
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.encoder import ObservationEncoder, unsupported


class Adapted(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Encodes what an environment shows, and turns what a policy chose into its actions."""

    def __init__(self, env: gymnasium.Env[Any, Any], normalize: bool, clip: bool) -> None:
        """Wrap an environment; RLlib's normalize_actions and clip_actions are for its Box actions."""
        super().__init__(env)
        observations, actions = plain(env.observation_space), plain(env.action_space)
        # What cannot be encoded as a vector, as an image beside numbers, RLlib preprocesses itself.
        self._encoder = ObservationEncoder(observations) if unsupported(observations) is None else None
        self._adapter = ActionAdapter(actions, normalize, clip)
        self._metrics = OfCopies(1)
        self.observation_space = encoded_space(env.observation_space)
        self.action_space = of_gymnasium(policy_space(actions, normalize))

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(**how)
        PROGRESS.resets += 1
        return self._encoded(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act by what a policy chose."""
        [chosen] = self._adapter.each(np.asarray(action)[None])
        observation, reward, terminated, truncated, info = self.env.step(chosen)
        PROGRESS.steps += 1
        try:
            if info and KEY in info:
                self._metrics.take(0, info)
            if terminated or truncated:
                ENDED.append(self._metrics.ended(0))
        except NoNumber as problem:
            raise RlsifError(f"the environment's {problem}") from None
        return self._encoded(observation), reward, terminated, truncated, info

    def _encoded(self, observation: Any) -> Any:
        return observation if self._encoder is None else self._encoder.one(observation)


def encoded_space(space: gymnasium.spaces.Space[Any]) -> gymnasium.spaces.Space[Any]:
    """The space of encoded observations; the space itself where RLlib preprocesses them."""
    observations = plain(space)
    if unsupported(observations) is not None:
        return space
    encoder = ObservationEncoder(observations)
    if encoder.is_image:
        return space
    return gymnasium.spaces.Box(-np.inf, np.inf, encoder.shape, np.float32)


def policy_spaces(found: FoundEnv, normalize: bool) -> tuple[Any, Any]:
    """The spaces of observations and actions that RLlib's policy of an environment has."""
    return encoded_space(found.observation_space), of_gymnasium(policy_space(found.actions, normalize))
