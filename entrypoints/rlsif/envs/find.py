"""From the reference of an environment to its spaces, with a sentence for every name that is none."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import re
import traceback
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Union, cast

from rlsif.envs import agents, agents_found, envpools, old_gym
from rlsif.envs.agents import ManyAgents
from rlsif.envs.code import add_code_folder, classes_of, module_at
from rlsif.envs.legal import random_action
from rlsif.envs.patience import PATIENCE, bounded
from rlsif.envs.reference import EnvRef
from rlsif.envs.spaces import plain
from rlsif.envs.texts import WithoutTexts, texts_of
from rlsif.envs.vector_class import Single, has_only_copies, is_vector_class, only_copies
from rlsif.envs.wrappers import check_reset, wrapped
from rlsif.errors import InputError, near, unheard
from rlsif.packages import EXTRA_OF, building
from rlsif.policies import masks
from rlsif.policies.spaces import ActionMask, Space, described, has_pixels

RESET = "Gymnasium's reset returns (observation, info)"
STEP = "Gymnasium's step returns (observation, reward, terminated, truncated, info)"
SIGNATURE = "Gymnasium's is reset(self, *, seed=None, options=None)"
# Arguments of gymnasium.make that are none of the environment's.
OF_MAKE = ("id", "disable_env_checker", "render_mode")
# Packages that register environments when they are imported, by how the ids begin that they have.
REGISTERED_BY = {
    "ale_py": ("ALE/",),
    "minigrid": ("MiniGrid-", "BabyAI-"),
    "mpe2": ("mpe2.",),
    "pettingzoo": ("pettingzoo.",),
    "dm_control": ("dm_control/",),
    "gymnasium_robotics": ("Fetch", "HandReach", "HandManipulate", "AntMaze", "PointMaze", "Adroit", "FrankaKitchen"),
}
# Of those, the ones whose environments another package registers, if both are there.
REGISTERED_THROUGH = {"dm_control": "shimmy"}
# What RLlib's users call the one argument of their environments.
RLLIB_ARGUMENTS = ("config", "env_config", "env_context")
# An id of Gymnasium's, or what makes an environment when it is called.
Located = Union[str, Callable[..., Any]]
# Gives the name of the policy of each agent, by the agents' names. Where one agent is all, it is asked for none.
# Raises InputError.
Assign = Callable[[Sequence[Hashable]], dict[str, str]]
# RLlib's name of the only policy.
ONE = "default_policy"


@dataclass(frozen=True)
class FoundEnv:
    """An environment that can be made: its spaces, and when Gymnasium calls it solved."""

    ref: EnvRef
    # Of Gymnasium; None where agents have several policies.
    observation_space: Any
    action_space: Any
    reward_threshold: float | None
    max_episode_steps: int | None
    # What it tells of legal actions; None where it tells nothing.
    mask: ActionMask | None = None
    # The names of its agents, whose spaces these are; none of an environment that is one agent's.
    agents: tuple[str, ...] = ()
    # Where agents have several policies: the environment as each of them sees it, which has the spaces and the agents
    # of one.
    policies: Mapping[str, FoundEnv] = field(default_factory=dict)
    # Parts of its observations that are texts, and left out.
    texts: tuple[str, ...] = ()

    @property
    def views(self) -> Mapping[str, FoundEnv]:
        """The environment as each policy sees it, by the policy's name."""
        return self.policies or {ONE: self}

    def seen_by(self, agent: str) -> FoundEnv:
        """The environment as the policy of an agent sees it."""
        return next((view for view in self.policies.values() if agent in view.agents), self)

    def agents_of(self, policies: Collection[str]) -> tuple[str, ...]:
        """The agents of some of several policies, by the policies' names."""
        return tuple(agent for name, view in self.policies.items() if name in policies for agent in view.agents)

    @property
    def described(self) -> str:
        """Its spaces in words, whichever policies its agents have."""
        if not self.agents:
            return self._spaces
        whose: dict[str, list[str]] = {}
        for agent in self.agents:
            whose.setdefault(self.seen_by(agent)._spaces, []).append(agent)
        if len(whose) == 1:
            return f"{len(self.agents)} agents, each with {next(iter(whose))}"
        told = "; ".join(f"{', '.join(names)} with {spaces}" for spaces, names in whose.items())
        return f"{len(self.agents)} agents: {told}"

    @property
    def _spaces(self) -> str:
        return f"observations {described(self.observations)} and actions {described(self.actions, bounds=True)}"

    @property
    def shows_pixels(self) -> bool:
        """Whether a policy sees images of pixels."""
        return any(has_pixels(view.observations) for view in self.views.values())

    @property
    def observations(self) -> Space:
        """The space of observations as plain data, and their mask."""
        return masks.masked(plain(self.observation_space), self.mask)

    @property
    def actions(self) -> Space:
        """The space of actions as plain data."""
        return plain(self.action_space)


class EnvConfig(dict[str, Any]):
    """The arguments of an environment made in RLlib's way, with the number of the env runner that makes it."""

    worker_index = vector_index = num_workers = 0
    remote = False


def make(ref: EnvRef, worker_index: int = 0, **how: Any) -> Any:
    """Make the environment, importing first the module or file that it is from.

    `how` is for gymnasium.make, as render_mode; `worker_index` is the env runner's, for environments written for
    RLlib. Gymnasium's checks of every environment's first steps are left out: `find` has made its own. Raises
    InputError for a module or class that is not there.
    """
    import gymnasium

    add_code_folder(ref.code_folder)
    with _inside(ref.code_folder):
        located = locate(ref)
        if has_only_copies(located):
            env: Any = Single(only_copies(ref, located, 1, **how))
        elif isinstance(located, str):
            env = gymnasium.make(located, disable_env_checker=True, **how, **_arguments(ref))
        else:
            env = _constructed(ref, located, worker_index, how)
        if isinstance(env, ManyAgents) and ref.wrappers:
            raise InputError(
                f"--wrap {ref.wrappers[0]} wraps an environment of one agent, and {ref.short} has many; wrap it in a"
                " function of your own, as --env mine.py:make"
            )
        env = wrapped(env, ref.wrappers)
        texts = texts_of(getattr(env, "observation_space", None))
        return WithoutTexts(env, texts) if texts else env


def _arguments(ref: EnvRef) -> dict[str, Any]:
    """The user's arguments, and before them what the protocol of an Atari game has."""
    if ref.atari is None:
        return dict(ref.arguments)
    from rlsif.envs.atari import arguments

    return {**arguments(ref), **ref.arguments}


@contextlib.contextmanager
def _inside(folder: str) -> Iterator[None]:
    """Work in the folder in which the run was started, where an environment finds its data by a relative path.

    A run that was moved to another machine has none.
    """
    before = Path.cwd()
    with contextlib.suppress(OSError):
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _constructed(ref: EnvRef, create: Callable[..., Any], worker_index: int, how: Mapping[str, Any]) -> Any:
    """What Gymnasium's registry has no way to make: a wrapper, a function, a class with RLlib's signature."""
    import gymnasium

    arguments = dict(ref.arguments)
    limit = arguments.pop("max_episode_steps", None) or getattr(create, "max_episode_steps", None)
    if _takes_rllibs_config(create):
        config = EnvConfig({**arguments, **how})
        config.worker_index = worker_index
        env = create(config)
    else:
        env = create(**arguments, **old_gym.taken(create, how))
    if old_gym.is_taken(env):
        env = old_gym.adapted(ref, env, getattr(create, "reward_threshold", None), how.get("render_mode"))
    if agents.is_taken(env):
        return agents_found.adapted(ref, env, limit)
    if not isinstance(env, gymnasium.Env):
        raise InputError(
            f"environment {ref.name!r}: {ref.short} gave a {type(env).__name__}, which is no gymnasium.Env"
        )
    return gymnasium.wrappers.TimeLimit(env, limit) if limit else env


def _takes_rllibs_config(create: Callable[..., Any]) -> bool:
    """Whether it is called as RLlib's users write theirs, with one mapping of all arguments."""
    parameters = list(inspect.signature(create).parameters.values())
    return bool(parameters) and parameters[0].name in RLLIB_ARGUMENTS


def find(ref: EnvRef, assign: Assign | None = None, patience: float = PATIENCE) -> FoundEnv:
    """Make the environment once and look at it. Raises InputError for one that cannot be made.

    `assign` gives each agent a policy; without, all share one. An environment that does not come back for so many
    seconds ends this process.
    """
    from gymnasium import error

    taken = [name for name in OF_MAKE if name in ref.arguments]
    if taken:
        raise InputError(f"--env-config {taken[0]} is an argument of gymnasium.make and not of the environment")
    # Gymnasium warns of versions on stderr, where our one sentence is to stand alone.
    with bounded(ref.name, patience), unheard():
        try:
            env = make(ref)
        except InputError:
            raise
        except error.DependencyNotInstalled as problem:
            raise InputError(
                f"environment {ref.name!r} needs a package that is not installed: {_lacking(problem)}"
            ) from problem
        except error.Error as problem:
            raise InputError(_unknown(ref, problem)) from problem
        except (Exception, SystemExit) as problem:
            raise InputError(_not_made(ref, problem)) from problem
        if isinstance(env, ManyAgents):
            return _found_with_agents(ref, env, assign)
        if assign:
            assign(())
        info = _first_info(env, _check_interface(ref.name, env))
        if ref.wrappers:
            check_reset(env, ref.wrappers)
    env.close()
    spec = env.spec
    return FoundEnv(
        ref,
        env.observation_space,
        env.action_space,
        spec.reward_threshold if spec else getattr(env.unwrapped, "reward_threshold", None),
        spec.max_episode_steps if spec else _limit(env),
        _mask(ref, env.observation_space, env.action_space, info),
        texts=env.texts if isinstance(env, WithoutTexts) else (),
    )


def _found_with_agents(ref: EnvRef, env: ManyAgents, assign: Assign | None) -> FoundEnv:
    """The same of an environment of many agents, of which those of one policy have the same spaces.

    Raises InputError.
    """
    policies = assign(env.agents) if assign else dict.fromkeys(env.names, ONE)
    spaces = agents_found.spaces_by_policy(ref, env, policies)
    infos = agents_found.first_infos(ref, env, policies, spaces)
    env.close()
    threshold = getattr(env.unwrapped, "reward_threshold", None)
    views = {}
    for name, (observations, actions) in spaces.items():
        agents_of = tuple(agent for agent in env.names if policies[agent] == name)
        mask = _mask(ref, observations, actions, infos.get(name, {}))
        views[name] = FoundEnv(ref, observations, actions, threshold, env.limit, mask, agents_of)
    if assign is None:
        return views[ONE]
    return replace(
        views[next(iter(views))], observation_space=None, action_space=None, mask=None, agents=env.names, policies=views
    )


def _mask(ref: EnvRef, observations: Any, actions: Any, info: Mapping[str, Any]) -> ActionMask | None:
    """What an environment of these spaces tells of legal actions, of which the first `info` has it all or nothing."""
    try:
        return masks.find(plain(observations), plain(actions), info)
    except ValueError as problem:
        raise InputError(f"environment {ref.name!r}: {problem}") from problem


def _first_info(env: Any, inner: Mapping[str, Any]) -> Mapping[str, Any]:
    """The info of a reset, of which `inner` is that of the innermost environment; a wrapper may add a mask."""
    layer, info = env, inner
    with contextlib.suppress(Exception, SystemExit):
        while layer is not env.unwrapped:
            if not type(layer).__module__.startswith("gymnasium."):
                _, info = env.reset(seed=0)
                break
            layer = layer.env
    return info


def _limit(env: Any) -> int | None:
    limit = env.get_wrapper_attr("_max_episode_steps") if env.has_wrapper_attr("_max_episode_steps") else None
    return int(limit) if limit else None


def _not_made(ref: EnvRef, problem: BaseException) -> str:
    """What its constructor raised, and where."""
    if isinstance(problem, TypeError) and ref.arguments:
        # Gymnasium adds what it was called with.
        said = str(problem).partition(" was raised from the environment creator")[0]
        return f"environment {ref.name!r} cannot be made with {dict(ref.arguments)}: {said}"
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    said = f"{type(problem).__name__}: {problem}"
    return f"environment {ref.name!r} cannot be made: {said} ({frame.filename}, line {frame.lineno})"


def locate(ref: EnvRef) -> Located:
    """The id that Gymnasium has for the environment, or what makes it. A class of the user's own is registered."""
    import gymnasium

    env_id, place, name = ref.name, ref.place, ref.short
    if not place:
        return _without_place(env_id)
    module = module_at(agents_found.place_of(place, env_id), f"environment {env_id!r}")
    if place == envpools.ENVPOOL:
        return envpools.class_of(name, env_id)
    found = getattr(module, name, None)
    if found is None:
        if name in gymnasium.registry and place != old_gym.GYM:
            return name
        if (old := old_gym.maker_of(name)) is not None:
            return old
        if not agents_found.has_like(module, name):
            raise InputError(_not_in(env_id, module, name))
        found = agents_found.in_package(module, name, env_id)
    if agents_found.is_module(found):
        return agents_found.maker_of(found, env_id)
    if agents.is_class(found):
        return cast(Located, found)
    return _of_one_agent(ref, module, found)


def _without_place(env_id: str) -> Located:
    """What an id means, or a name like `mpe2.simple_spread_v3`."""
    import gymnasium

    found = None if env_id in gymnasium.registry else agents_found.dotted(env_id)
    if found is not None:
        return agents_found.maker_of(found, env_id)
    _let_register(env_id)
    return env_id


def _of_one_agent(ref: EnvRef, module: ModuleType, found: Any) -> Located:
    """The id of a class derived from gymnasium.Env, or what makes an environment. Raises InputError for others."""
    import gymnasium

    env_id, place, name = ref.name, ref.place, ref.short
    if not callable(found):
        raise InputError(f"environment {env_id!r}: {name} in {place} is no class derived from gymnasium.Env")
    if is_vector_class(found) or old_gym.is_class(found):
        return cast(Located, found)
    is_env = inspect.isclass(found) and issubclass(found, gymnasium.Env)
    if inspect.isclass(found) and not is_env:
        raise InputError(f"environment {env_id!r}: {name} in {place} is not a class derived from gymnasium.Env")
    entry_points = (found, f"{module.__name__}:{name}")
    ids = [spec.id for spec in gymnasium.registry.values() if spec.entry_point in entry_points]
    if ids:
        return _the_one(ref, ids)
    if not is_env or issubclass(found, gymnasium.Wrapper) or _takes_rllibs_config(found):
        return cast(Located, found)
    return _registered(found)


def _let_register(env_id: str) -> None:
    """Import the package that has an id of Gymnasium's, where it is installed and was not imported."""
    import gymnasium

    module = _registering(env_id)
    if module and env_id not in gymnasium.registry and importlib.util.find_spec(module):
        gymnasium.register_envs(importlib.import_module(REGISTERED_THROUGH.get(module, module)))


def _registering(env_id: str) -> str | None:
    """The package that registers ids which begin like this one."""
    return next((module for module, begins in REGISTERED_BY.items() if env_id.startswith(begins)), None)


def _the_one(ref: EnvRef, ids: list[str]) -> str:
    """The id that a class is registered by. Raises InputError where it is one of several."""
    if len(ids) > 1:
        raise InputError(
            f"environment {ref.name!r}: the class is registered as {' and '.join(ids)}, which may differ in their"
            f" arguments; name one, as {ref.place}:{ids[0]}"
        )
    return ids[0]


def _registered(found: Any) -> str:
    """The id of a class that its module has not registered, which is done here."""
    import gymnasium

    own = f"own/{found.__name__}-v0"
    gymnasium.register(
        own,
        entry_point=found,
        max_episode_steps=getattr(found, "max_episode_steps", None),
        reward_threshold=getattr(found, "reward_threshold", None),
        vector_entry_point=getattr(found, "vector_entry_point", None),
    )
    return own


def _not_in(env_id: str, module: ModuleType, name: str) -> str:
    import gymnasium

    classes = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, gymnasium.Env) and value is not gymnasium.Env
    ]
    classes += [name for name in classes_of(module) if agents.is_class(vars(module)[name]) and name not in classes]
    if module.__name__ == old_gym.GYM:
        return f"environment {env_id!r} is not known to Gym{near(name, old_gym.names())}"
    there = f"it has {', '.join(classes)}" if classes else "it has no class derived from gymnasium.Env"
    return f"environment {env_id!r}: {module.__file__} has no class {name}, and registers no such id; {there}"


def _check_interface(env_id: str, env: Any) -> Mapping[str, Any]:
    """Refuse what is not Gymnasium's interface; give the info of a reset.

    What an environment raises itself is told by the run.
    """
    for name in ("observation_space", "action_space"):
        if getattr(env.unwrapped, name, None) is None:
            raise InputError(f"environment {env_id!r} has no {name}; set it in __init__, as gymnasium.spaces has them")
    if not old_gym.takes_a_seed(env.unwrapped):
        raise InputError(f"environment {env_id!r}: its reset takes no seed; {SIGNATURE}")
    begun = stepped = None
    with contextlib.suppress(Exception, SystemExit):
        begun = env.unwrapped.reset(seed=0)
        stepped = env.unwrapped.step(_first_action(env.unwrapped, begun))
    if begun is not None and not (isinstance(begun, tuple) and len(begun) == 2 and isinstance(begun[1], dict)):
        raise InputError(f"environment {env_id!r}: its reset returned {_kind(begun)}; {RESET}")
    if stepped is not None and not (isinstance(stepped, tuple) and len(stepped) == 5):
        raise InputError(f"environment {env_id!r}: its step returned {_kind(stepped)}; {STEP}")
    return begun[1] if begun is not None else {}


def _first_action(env: Any, begun: Any) -> Any:
    """Any action that is legal after a reset."""
    observation, info = begun
    mask = masks.find(plain(env.observation_space), plain(env.action_space), info)
    return random_action(env, mask, observation, info)


def _lacking(problem: Exception) -> str:
    """What is to be done about a package; Gymnasium's own advice cannot be followed inside an image."""
    said = str(problem)
    module = next((module for module in EXTRA_OF if re.search(rf"\b{module}\b", said, re.IGNORECASE)), None)
    return f"{module}; {building(module)}" if module else said


def _kind(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, tuple) else f"one {type(value).__name__}"


def _unknown(ref: EnvRef, problem: Exception) -> str:
    import gymnasium

    env_id = ref.name
    if ref.place or env_id in gymnasium.registry:
        return f"environment {env_id!r} cannot be made: {problem}"
    module = _registering(env_id)
    if module and importlib.util.find_spec(module) is None:
        return f"environment {env_id!r} needs a package that is not installed: {module}; {building(module)}"
    hint = near(env_id, gymnasium.registry) or "; `python -m gymnasium` lists what there is"
    return f"environment {env_id!r} is not known to Gymnasium{hint}"
