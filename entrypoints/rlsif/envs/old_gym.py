"""Environments of Gym, whose place Gymnasium has taken: with the interface of 0.26 or 0.21, adapted by Shimmy."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

from rlsif.envs.reference import EnvRef
from rlsif.errors import InputError
from rlsif.packages import building

# The module that has them, which a user's own file or package imports, or `gym:CartPole-v1` names.
GYM = "gym"


def is_class(found: Any) -> bool:
    """Whether it is a class of Gym's."""
    gym = sys.modules.get(GYM)
    return gym is not None and inspect.isclass(found) and issubclass(found, gym.Env)


def is_taken(env: Any) -> bool:
    """Whether an environment is Gym's."""
    return is_class(type(env))


def maker_of(name: str) -> Callable[..., Any] | None:
    """What makes the environment that Gym's registry has by a name; None where it has none."""
    spec = _registry().get(name)
    if spec is None:
        return None
    load = sys.modules[GYM].envs.registration.load
    create = spec.entry_point if callable(spec.entry_point) else load(spec.entry_point)
    # Gym's wrappers know only the interface of 0.26, and those of Gymnasium do the same for both.
    made = functools.partial(create, **spec.kwargs)
    made.max_episode_steps = spec.max_episode_steps  # type: ignore[attr-defined]
    made.reward_threshold = spec.reward_threshold  # type: ignore[attr-defined]
    return made


def names() -> list[str]:
    """The names that Gym's registry has."""
    return list(_registry())


def _registry() -> Mapping[str, Any]:
    gym = sys.modules.get(GYM)
    return {} if gym is None else cast(Mapping[str, Any], gym.envs.registration.registry)


def taken(create: Callable[..., Any], how: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those arguments of gymnasium.make that can be given, as render_mode; classes of 0.21 take none.

    All, if it is not known to make an environment of Gym's.
    """
    if not is_class(getattr(create, "func", create)):
        return how
    parameters = inspect.signature(create).parameters
    return {name: value for name, value in how.items() if name in parameters}


def adapted(ref: EnvRef, env: Any, threshold: float | None, render_mode: str | None) -> Any:
    """An environment of Gym's as one of Gymnasium's. Raises InputError where Shimmy is not there."""
    try:
        from shimmy import openai_gym_compatibility as shimmy
    except ImportError:
        raise InputError(
            f"environment {ref.name!r} is one of Gym's, which Gymnasium has replaced, and Shimmy, which adapts it, is"
            f" not installed; {building('shimmy')}, or derive it from gymnasium.Env"
        ) from None
    if takes_a_seed(env.unwrapped):
        new = shimmy.GymV26CompatibilityV0(env=env)
    else:
        new = shimmy.GymV21CompatibilityV0(env=env, render_mode=render_mode)
        env.unwrapped.seed = _seeding(env.unwrapped, new)
        new.metadata = {**new.metadata, "render_modes": new.metadata.get("render.modes", [])}
    # Of Gym's kind, which Gymnasium's wrappers cannot read.
    new.spec, new.reward_threshold = None, threshold
    for name in ("observation_space", "action_space"):
        setattr(new, name, _with_starts(getattr(env, name), getattr(new, name)))
    return new


def takes_a_seed(env: Any) -> bool:
    """Whether its reset is that of Gymnasium and Gym 0.26, and not that of 0.21."""
    parameters = inspect.signature(env.reset).parameters
    return "seed" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _seeding(env: Any, new: Any) -> Callable[[int], None]:
    """The method that seeds an environment of 0.21, and `new`, which adapts it; its base class in 0.26 has none."""
    import gymnasium

    own = getattr(env, "seed", None)

    def seed(number: int) -> None:
        gymnasium.Env.reset(new, seed=number)
        if own is not None:
            own(number)
        else:
            env.np_random, _ = sys.modules[GYM].utils.seeding.np_random(number)

    return seed


def _with_starts(old: Any, new: Any) -> Any:
    """A space of Gymnasium's that counts from where the space of Gym's does, which Shimmy forgets."""
    from gymnasium import spaces

    if isinstance(new, spaces.Discrete):
        return spaces.Discrete(int(new.n), start=int(getattr(old, "start", 0)))
    if isinstance(new, spaces.Tuple):
        return spaces.Tuple([_with_starts(*pair) for pair in zip(old.spaces, new.spaces)])
    if isinstance(new, spaces.Dict):
        return spaces.Dict({name: _with_starts(old.spaces[name], inner) for name, inner in new.spaces.items()})
    return new
