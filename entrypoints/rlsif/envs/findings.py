"""What `check` says of an environment: a sentence each, and what it says of one observation, reward or info."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsif.envs.metrics import KEY, NoNumber, numbers
from rlsif.errors import counted
from rlsif.policies.spaces import LARGEST

OK, WARNING, ERROR = "ok", "warning", "error"
# Random steps that are looked at, one by one.
STEPS = 2_000
# For the speed, in seconds.
MEASURED = 0.5
# Of the trajectories that are compared.
SEED, COMPARED = 1, 200
# Slower environments are what a run waits for, in steps a second.
SLOW = 1_000


@dataclass(frozen=True)
class Finding:
    """One sentence, and how bad it is."""

    level: str
    text: str


def one_line(said: object) -> str:
    """What somebody said as one sentence."""
    text = " ".join(str(said).replace("\033[33m", "").replace("\033[0m", "").replace("WARN: ", "").split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def nothing_wrong(steps: int, ended: int) -> Finding:
    """What is said after so many random steps and ended episodes without a fault."""
    episodes = counted(ended, "episode", ",")
    return Finding(OK, f"{steps:,} random steps and {episodes}: every value is what the spaces say.")


def look_at_observation(observation: Any, space: Any, where: str, wrong: dict[str, str]) -> None:
    """Note what is wrong with an observation, by kind; `where` is for the sentence."""
    spoils = isinstance(observation, np.ndarray) and observation.dtype.kind == "f" and ~(np.abs(observation) <= LARGEST)
    if np.any(spoils):
        place = tuple(int(i) for i in np.argwhere(spoils)[0])
        wrong["finite"] = f"the observation at {where} has {observation[place]} at {list(place)}."
    elif not _is_in(observation, space):
        wrong["space"] = (
            f"the observation at {where} is not in the observation space: {_why_not_in(observation, space)}."
        )


def _is_in(observation: Any, space: Any) -> bool:
    """Whether a space has an observation, as the run sees it: numbers of another kind are converted, and told once."""
    if type(space).__name__ == "Box":
        given = np.asarray(observation)
        if given.shape == space.shape and given.dtype.kind in "fiub":
            with np.errstate(invalid="ignore"):
                converted = given.astype(space.dtype)
            # Integers are not rounded.
            if space.dtype.kind == "f" or not (converted != given).any():
                observation = converted
    return bool(space.contains(observation))


def _why_not_in(observation: Any, space: Any) -> str:
    if not isinstance(observation, np.ndarray) or not hasattr(space, "low"):
        return f"it is {_described(observation)}, the space is {space}"
    if observation.shape != space.shape:
        return f"its shape is {list(observation.shape)}, the space's is {list(space.shape)}"
    integers = observation.dtype.kind in "iu" and space.dtype.kind in "iu"
    if not (integers or np.can_cast(observation.dtype, space.dtype)):
        return f"its numbers are {observation.dtype}, the space's are {space.dtype}"
    outside = np.argwhere((observation < space.low) | (observation > space.high))
    place = tuple(int(i) for i in outside[0])
    return f"{observation[place]:g} at {list(place)} is not from {space.low[place]:g} to {space.high[place]:g}"


def _described(value: Any) -> str:
    return f"{value!r}, a {type(value).__name__}" if np.ndim(value) == 0 else f"a {type(value).__name__}"


def look_at_reward(reward: Any, where: str, wrong: dict[str, str]) -> None:
    """The same for a reward."""
    if np.ndim(reward) or isinstance(reward, str) or reward is None:
        wrong["reward"] = f"the reward at {where} is {_described(reward)}; it must be one number."
    elif not abs(reward) <= LARGEST:
        wrong["reward"] = f"the reward at {where} is {float(reward)}; one of them spoils every weight."


def look_at_metrics(info: Any, where: str, wrong: dict[str, str]) -> None:
    """The same for an info, and the user's own numbers in it."""
    if not isinstance(info, Mapping):
        wrong["info"] = f"the info at {where} is {_described(info)}; it must be a dictionary."
    elif KEY in info:
        try:
            numbers(info[KEY])
        except NoNumber as problem:
            wrong["metrics"] = f"at {where}, {problem}."


def speed(rate: float, of: str = "", beside: str = "") -> Finding:
    """What so many steps a second on one core mean; `beside` is what helps a slow one beside env runners."""
    if rate < SLOW:
        return Finding(
            WARNING, f"it makes {rate:,.0f} steps a second on one core{of}; more env runners will be needed{beside}."
        )
    return Finding(OK, f"it makes {rate:,.0f} steps a second on one core{of}.")
