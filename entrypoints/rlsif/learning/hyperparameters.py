"""Hyperparameters from presets, a file and the command line, checked against what RLlib knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from rlsif.errors import InputError, near

# Set by options of `train`, so that a run has one place that says each.
BY_OPTION = {
    "env": "--env",
    "framework": "--framework",
    "seed": "--seed",
    "env_config": "--env-config",
    "num_env_runners": "--num-env-runners",
    "num_gpus": "--num-gpus",
    "num_envs_per_env_runner": "--num-envs-per-env-runner",
}
ANY_DICTIONARY = {"custom_model_config", "exploration_config", "env_config", "replay_buffer_config", "optimizer"}


def preset(algo: str, env_id: str) -> dict[str, Any]:
    """What presets/<algo>.yaml says for every environment, overlaid with what it says for this one."""
    text = resources.files("rlsif").joinpath(f"presets/{algo.lower()}.yaml").read_text()
    presets = yaml.safe_load(text)
    return merge(presets.get("default") or {}, presets.get(env_id.split(":")[-1]) or {})


def from_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises InputError with line and column where it does not parse."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as problem:
        raise InputError(f"--config {path} cannot be read: {problem.strerror}") from problem
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"--config {path} is not valid YAML{where}: {problem.problem}") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise InputError(f"--config {path} is not a YAML text: {problem}") from problem
    if not isinstance(content, dict):
        raise InputError(
            f"--config {path} has {type(content).__name__} at its top; it must be keys and values, as in `lr: 0.0003`"
        )
    return content


def from_settings(settings: Iterable[str], option: str = "--set", example: str = "lr=0.0003") -> dict[str, Any]:
    """A nested mapping from `model.fcnet_hiddens=[64,64]` and the like; values are YAML. Raises InputError.

    `option` is what they were given by, and `example` a right one, for messages.
    """
    merged: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{option} {setting!r} has no value; write it as {option} {example}")
        merged = merge(merged, nested({name.strip(): _value(option, setting, text)}))
    return merged


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as RLlib has them, from dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        found = merge(found, value)
    return found


def _value(option: str, setting: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise InputError(f"{option} {setting!r} has a value that is neither a number, a word nor a list") from problem
    return typed(value)


def typed(value: Any) -> Any:
    """What YAML 1.1 took for a word, as 1e-3, as the number that it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, nested mappings merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def check(given: Mapping[str, Any], known: Mapping[str, Any], algo: str, prefix: str = "") -> None:
    """Refuse a key that RLlib's defaults do not have, or a value of another kind. Raises InputError."""
    for key, value in given.items():
        name = f"{prefix}{key}"
        if not prefix and key in BY_OPTION:
            raise InputError(f"{name!r} is set by {BY_OPTION[key]}, not as a hyperparameter")
        if key not in known:
            valid = [k for k in known if not str(k).startswith("_")]
            raise InputError(
                f"{algo} has no hyperparameter {name!r}{near(str(key), valid) or '; see docs/training.md'}"
            )
        default = known[key]
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            if key not in ANY_DICTIONARY:
                check(value, default, algo, prefix=f"{name}.")
        elif not _same_kind(value, default):
            raise InputError(f"{algo}'s {name!r} is {value!r}; it must be like its default, {default!r}")


def _same_kind(value: Any, default: Any) -> bool:
    """Whether a value can stand where RLlib has this default. None and texts stand for anything."""
    if value is None or default is None or isinstance(default, str):
        return True
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, (int, float)):
        # A text or list can be a schedule or "auto" only where the default is one, too.
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, (list, tuple)):
        return isinstance(value, list)
    if isinstance(default, Mapping):
        return isinstance(value, Mapping)
    return True
