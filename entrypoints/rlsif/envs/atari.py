"""Atari games as they are trained on: four frames a step, 84x84 grey pixels, four of them stacked.

ale-py has this for many copies at once, in C++; `Atari` is the same for one, which also renders. Games have two usual
protocols, and an option chooses between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlsif.envs.reference import EnvRef

SIDE, STACKED, FRAMES = 84, 4, 4
# In infos: where a life was lost and the game continues.
LIFE_LOST = "rlsif_life_lost"


@dataclass(frozen=True)
class Protocol:
    """What the literature has in different ways."""

    title: str
    # The probability that a frame has the action of the one before.
    sticky: float
    # The most steps without an action at the start of a game.
    noops: int
    # Whether a game is begun by firing, where it waits for that.
    fire: bool
    # Whether a lost life is an end for the learner.
    lives: bool

    def __str__(self) -> str:
        """For the first lines of a run."""
        parts = [f"sticky actions with probability {self.sticky:g}"] if self.sticky else []
        parts += [f"up to {self.noops} steps without an action at the start"] if self.noops else []
        parts += ["a lost life ends what is learned from"] if self.lives else []
        return (
            f"Atari after {self.title}: {', '.join(parts)}; {FRAMES} frames a step, {STACKED} of {SIDE}x{SIDE} grey"
            " pixels stacked, rewards clipped for the learner alone"
        )


# Machado et al. 2018, Revisiting the Arcade Learning Environment; Mnih et al. 2015 with the wrappers of its authors.
PROTOCOLS: Mapping[str, Protocol] = {
    "machado": Protocol("Machado et al. 2018", 0.25, 0, fire=False, lives=False),
    "deepmind": Protocol("Mnih et al. 2015", 0.0, 30, fire=True, lives=True),
}
# Arguments of a game that ale-py's vector environment has, too.
OF_VECTORS = {"repeat_action_probability", "full_action_space", "max_num_frames_per_episode"}


def protocol(ref: EnvRef) -> Protocol | None:
    """How an Atari game is played; None for other environments, and for a game that is left as it is."""
    return PROTOCOLS[ref.atari] if ref.atari else None


def arguments(ref: EnvRef) -> dict[str, Any]:
    """What the game itself is made with, beside the user's own."""
    found = protocol(ref)
    if found is None:
        return {}
    return {"frameskip": 1, "obs_type": "grayscale", "repeat_action_probability": found.sticky}


def vectorised(ref: EnvRef, env_id: str, number: int) -> gymnasium.vector.VectorEnv[Any, Any, Any] | None:
    """All copies in ale-py's vector environment; None where it does not have what is asked for."""
    found = protocol(ref)
    if found is None or set(ref.arguments) - OF_VECTORS:
        return None
    given = {"repeat_action_probability": found.sticky, **ref.arguments}
    env = gymnasium.make_vec(
        env_id,
        number,
        vectorization_mode="vector_entry_point",
        # An env runner has one core.
        num_threads=1,
        reward_clipping=False,
        noop_max=found.noops,
        use_fire_reset=found.fire,
        life_loss_info=found.lives,
        **given,
    )
    return _Lives(env) if found.lives else env


class _Lives(gymnasium.vector.VectorWrapper):
    """Tells lost lives and ended games apart; ale-py terminates both."""

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every copy."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        life_lost = terminated & (infos["lives"] > 0)
        return observations, rewards, terminated & ~life_lost, truncated, {**infos, LIFE_LOST: life_lost}


class Atari(gymnasium.Wrapper[Any, Any, Any, Any]):
    """One game, as one copy of ale-py's vector environment is. Shows [stacked, height, width]."""

    def __init__(self, env: gymnasium.Env[Any, Any], protocol: str) -> None:
        """Take a game whose steps are single frames in grey."""
        super().__init__(env)
        self._protocol = PROTOCOLS[protocol]
        self._stack = np.zeros((STACKED, SIDE, SIDE), np.uint8)
        self.observation_space = gymnasium.spaces.Box(0, 255, self._stack.shape, np.uint8)
        high, wide = env.observation_space.shape or (0, 0)
        self._rows, self._columns = _areas(high), _areas(wide).T

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        """Begin a game."""
        screen, info = self.env.reset(**how)
        if self._protocol.noops:
            for _ in range(self.env.unwrapped.np_random.integers(1, self._protocol.noops + 1)):
                screen, _, over, _, info = self.env.step(0)
                if over:
                    screen, info = self.env.reset()
        fire = "FIRE"
        meanings = self.env.unwrapped.get_action_meanings()  # type: ignore[attr-defined]
        if self._protocol.fire and fire in meanings:
            screen, _, _, _, info = self.env.step(meanings.index(fire))
        self._lives = info["lives"]
        self._stack[:-1], self._stack[-1] = 0, self._small(screen)
        return self._stack.copy(), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play so many frames; of the last two each pixel is the brighter one, for some games draw in turns."""
        total, screens = 0.0, []
        for _ in range(FRAMES):
            screen, reward, terminated, truncated, info = self.env.step(action)
            screens.append(screen)
            total += float(reward)
            if terminated or truncated:
                break
        self._stack[:-1] = self._stack[1:]
        self._stack[-1] = self._small(np.maximum(screens[-1], screens[-2:][0]))
        if self._protocol.lives:
            info = {**info, LIFE_LOST: info["lives"] < self._lives and not terminated}
        self._lives = info["lives"]
        return self._stack.copy(), total, terminated, truncated, info

    def _small(self, screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A screen of 84x84, each pixel the mean of what it covers."""
        return np.rint(self._rows @ screen @ self._columns).astype(np.uint8)


def _areas(side: int) -> NDArray[np.float32]:
    """How much of each of so many pixels one of 84 covers, [84, side]."""
    ends = np.arange(SIDE + 1) * side / SIDE
    low, high = np.maximum(ends[:-1, None], np.arange(side)), np.minimum(ends[1:, None], np.arange(1, side + 1))
    areas: NDArray[np.float32] = (np.clip(high - low, 0, None) * SIDE / side).astype(np.float32)
    return areas
