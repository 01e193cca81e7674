"""Texts among the parts of an observation, as the mission of MiniGrid's: no network here reads them."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium


def texts_of(space: Any) -> tuple[str, ...]:
    """The parts of a Dict space that are texts, where others are left without them."""
    if not isinstance(space, gymnasium.spaces.Dict):
        return ()
    texts = tuple(name for name, part in space.spaces.items() if _is_text(part))
    return texts if len(texts) < len(space.spaces) else ()


def _is_text(space: Any) -> bool:
    """Whether a space is Gymnasium's Text, or a package's own space of texts."""
    if isinstance(space, gymnasium.spaces.Text):
        return True
    if type(space).__module__.startswith("gymnasium."):
        return False
    try:
        # Of a copy, so that the environment's own next draws stay what they are.
        return isinstance(copy.deepcopy(space).sample(), str)
    except Exception:
        return False


class WithoutTexts(gymnasium.ObservationWrapper):  # type: ignore[type-arg]
    """An environment whose observations have no texts."""

    def __init__(self, env: Any, texts: tuple[str, ...]) -> None:
        """Leave these parts of its Dict out."""
        super().__init__(env)
        self.texts = texts
        self._others = {name: part for name, part in env.observation_space.spaces.items() if name not in texts}
        self.observation_space = gymnasium.spaces.Dict(self._others)

    def observation(self, observation: Any) -> Any:
        """The other parts."""
        return {name: observation[name] for name in self._others}


def told(texts: tuple[str, ...]) -> str:
    """A sentence about what is left out."""
    which = ", ".join(f"observations[{name!r}]" for name in texts)
    return f"{which} {'is a text' if len(texts) == 1 else 'are texts'}, which no network here reads: left out"
