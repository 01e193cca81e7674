"""From the name of an environment to its spaces, with a sentence for every name that is none."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from rlsif.errors import InputError, near

RESET = "Gymnasium's reset returns (observation, info)"
STEP = "Gymnasium's step returns (observation, reward, terminated, truncated, info)"
SIGNATURE = "Gymnasium's is reset(self, *, seed=None, options=None)"


@dataclass(frozen=True)
class FoundEnv:
    """An environment that can be made: its id, its spaces, and when Gymnasium calls it solved."""

    id: str
    observation_space: Any
    action_space: Any
    reward_threshold: float | None
    max_episode_steps: int | None


def absolute(env_id: str) -> str:
    """The name, with the path of `path/to/file.py:Class` made absolute: every process of a run is to find it."""
    place, _, name = env_id.rpartition(":")
    return f"{Path(place).expanduser().absolute()}:{name}" if of_file(env_id) else env_id


def of_file(env_id: str) -> bool:
    """Whether the name is `path/to/file.py:Class`."""
    return env_id.rpartition(":")[0].endswith(".py")


def short(env_id: str) -> str:
    """The name without the module or file that it is from."""
    return env_id.rpartition(":")[2]


def make(env_id: str, config: Mapping[str, Any] | None = None, **how: Any) -> Any:
    """Make the environment, importing first what `module:Id`, `module:Class` or `file.py:Class` names.

    `how` is for gymnasium.make, as render_mode. Gymnasium's checks of every environment's first steps are
    left out: `find` has made its own. Raises InputError for a module or class that is not there.
    """
    import gymnasium

    return gymnasium.make(_registered(env_id), disable_env_checker=True, **how, **(config or {}))


def find(env_id: str, config: Mapping[str, Any] | None = None) -> FoundEnv:
    """Make the environment once and look at it. Raises InputError for one that cannot be made."""
    from gymnasium import error

    # Gymnasium warns of versions on stderr, where our one sentence is to stand alone.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            env = make(env_id, config)
        except error.DependencyNotInstalled as problem:
            raise InputError(
                f"environment {env_id!r} needs a package that is not installed: {_lacking(problem)}"
            ) from problem
        except error.Error as problem:
            raise InputError(_unknown(env_id, problem)) from problem
        except TypeError as problem:
            raise InputError(f"environment {env_id!r} cannot be made with {dict(config or {})}: {problem}") from problem
        _check_interface(env_id, env)
    env.close()
    return FoundEnv(
        env_id, env.observation_space, env.action_space, env.spec.reward_threshold, env.spec.max_episode_steps
    )


def register(env_id: str, code_folder: str) -> None:
    """Make the environment known to RLlib by this name, in every process of the run.

    `code_folder` is where a process finds the user's own modules. RLlib takes a name with a dot in it
    for a class, and then loses the time limit.
    """
    from ray import tune

    add_code_folder(code_folder)

    def create(context: Mapping[str, Any]) -> Any:
        add_code_folder(code_folder)
        return make(env_id, dict(context))

    tune.register_env(env_id, create)


def add_code_folder(folder: str) -> None:
    """Let modules be imported from a folder. It comes last, so that none hides a library's."""
    if folder not in sys.path:
        sys.path.append(folder)


def _registered(env_id: str) -> str:
    """The id that Gymnasium has for the environment. A class is registered, unless its module has done so."""
    import gymnasium

    place, colon, name = env_id.rpartition(":")
    if not colon:
        return env_id
    module = _module_of_file(env_id, Path(place)) if of_file(env_id) else _module(env_id, place)
    found = getattr(module, name, None)
    if found is None:
        if name in gymnasium.registry:
            return name
        raise InputError(_not_in(env_id, module, name))
    if not (inspect.isclass(found) and issubclass(found, gymnasium.Env)):
        raise InputError(f"environment {env_id!r}: {name} in {place} is not a class derived from gymnasium.Env")
    by_class = (found, f"{module.__name__}:{name}")
    for spec in gymnasium.registry.values():
        if spec.entry_point in by_class:
            return spec.id
    own = f"own/{name}-v0"
    gymnasium.register(
        own,
        entry_point=cast(Any, found),
        max_episode_steps=getattr(found, "max_episode_steps", None),
        reward_threshold=getattr(found, "reward_threshold", None),
    )
    return own


def _module(env_id: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as problem:
        raise InputError(f"environment {env_id!r}: module {name!r} cannot be imported: {_said(problem)}") from problem


def _module_of_file(env_id: str, path: Path) -> ModuleType:
    path = path.expanduser().absolute()
    # A prefix, so that a file env.py hides no module of that name.
    name = f"own_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    if not path.is_file():
        raise InputError(f"environment {env_id!r}: there is no file {path}; an image sees bound folders alone")
    add_code_folder(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        del sys.modules[name]
        raise InputError(f"environment {env_id!r}: {path} cannot be imported: {_said(problem)}") from problem
    return module


def _said(problem: Exception) -> str:
    """What an exception says, with its kind where that tells more."""
    return str(problem) if isinstance(problem, ImportError) else f"{type(problem).__name__}: {problem}"


def _not_in(env_id: str, module: ModuleType, name: str) -> str:
    import gymnasium

    classes = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, gymnasium.Env) and value is not gymnasium.Env
    ]
    there = f"it has {', '.join(classes)}" if classes else "it has no class derived from gymnasium.Env"
    return f"environment {env_id!r}: {module.__file__} has no class {name}, and registers no such id; {there}"


def _check_interface(env_id: str, env: Any) -> None:
    """Refuse what is not Gymnasium's interface. What an environment raises itself is told by the run."""
    for name in ("observation_space", "action_space"):
        if getattr(env.unwrapped, name, None) is None:
            raise InputError(f"environment {env_id!r} has no {name}; set it in __init__, as gymnasium.spaces has them")
    reset = inspect.signature(env.unwrapped.reset).parameters
    if "seed" not in reset and not any(p.kind is p.VAR_KEYWORD for p in reset.values()):
        raise InputError(f"environment {env_id!r}: its reset takes no seed; {SIGNATURE}")
    begun = stepped = None
    with contextlib.suppress(Exception):
        begun = env.unwrapped.reset(seed=0)
        stepped = env.unwrapped.step(env.action_space.sample())
    if begun is not None and not (isinstance(begun, tuple) and len(begun) == 2 and isinstance(begun[1], dict)):
        raise InputError(f"environment {env_id!r}: its reset returned {_kind(begun)}; {RESET}")
    if stepped is not None and not (isinstance(stepped, tuple) and len(stepped) == 5):
        raise InputError(f"environment {env_id!r}: its step returned {_kind(stepped)}; {STEP}")


def _lacking(problem: Exception) -> str:
    """What is to be done about a package; Gymnasium's own advice cannot be followed inside an image."""
    if "box2d" in str(problem).lower():
        return "Box2D; build an image that has it: make image-cpu EXTRAS=box2d"
    return str(problem)


def _kind(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, tuple) else f"one {type(value).__name__}"


def _unknown(env_id: str, problem: Exception) -> str:
    import gymnasium

    if short(env_id) in gymnasium.registry:
        return f"environment {env_id!r} cannot be made: {problem}"
    hint = near(env_id, gymnasium.registry) or "; `python -m gymnasium` lists what there is"
    return f"environment {env_id!r} is not known to Gymnasium{hint}"
