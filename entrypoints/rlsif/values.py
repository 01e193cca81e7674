"""Values that users type: on the command line as KEY=VALUE, in YAML files, in presets. One parser for all of them.

The values are those of JSON: numbers, texts, true, false, null, lists, and mappings with texts as keys. PyYAML alone
follows YAML 1.1, where `1e-3` is a text, `no` is false, `12:30` is 750 and `2020-01-01` a date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rlsif.errors import InputError

# Of RLlib's settings, groups whose `type` says which there are; another type has none of the one before.
BY_TYPE = ("exploration_config",)


# Of the key that merges another mapping into one.
MERGE = "tag:yaml.org,2002:merge"
# Where YAML has a comment begin.
COMMENT = re.compile(r"(^|\s)#")


class _Loader(yaml.SafeLoader):
    """Reads scalars as JSON has them."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("null", r"null|Null|~|", "nN~\0"),
    ("merge", r"<<", "<"),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?((0|[1-9][0-9_]*)?\.[0-9]+|(0|[1-9][0-9_]*)\.?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)",
        "-+.0123456789",
    ),
):
    # An empty text has no first character; PyYAML knows it by "".
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [c if c != "\0" else "" for c in _first]
    )


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    """Keys are texts, as in JSON, so that they are the same after they were written and read.

    Raises MarkedYAMLError for one that is there twice; what is merged into a mapping may have it, too.
    """
    seen = set()
    for key in (key for key, _ in node.value if key.tag != MERGE):
        name = _key(loader.construct_object(key, deep=True))
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is there twice", key.start_mark)
        seen.add(name)
    loader.flatten_mapping(node)
    # Not by a dict in between, where 1 and true are one key.
    return {_key(loader.construct_object(k, deep=True)): loader.construct_object(v, deep=True) for k, v in node.value}


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    # True and 1 are equal, so that a look-up would take one for the other.
    return json.dumps(key) if key is None or isinstance(key, bool) else str(key)


_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read(text: str) -> Any:
    """The value of a text. Raises yaml.YAMLError."""
    # The loader is a SafeLoader.
    return yaml.load(text, Loader=_Loader)


def of_yaml_file(path: Path, option: str, example: str = "lr: 0.0003") -> dict[str, Any]:
    """The mapping in a YAML file. Raises InputError with line and column where it does not parse.

    `option` is what the file was given by, and `example` a right line, for messages.
    """
    try:
        content = read(path.read_text())
    except OSError as problem:
        raise InputError(f"{option} {path} cannot be read: {problem.strerror}") from problem
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{option} {path} is not valid YAML{where}: {problem.problem}") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise InputError(f"{option} {path} is not a YAML text: {problem}") from problem
    if content is None:
        raise InputError(f"{option} {path} has nothing in it; it must have keys and values, as in `{example}`")
    if not isinstance(content, dict):
        raise InputError(
            f"{option} {path} has {type(content).__name__} at its top; it must be keys and values, as in `{example}`"
        )
    return content


def from_settings(settings: Iterable[str], option: str = "--set", example: str = "lr=0.0003") -> dict[str, Any]:
    """A nested mapping from `model.fcnet_hiddens=[64,64]` and the like. Raises InputError.

    `option` is what they were given by, and `example` a right one, for messages.
    """
    merged: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{option} {setting!r} has no value; write it as {option} {example}")
        merged = merge(merged, nested({name.strip(): _value(option, setting, text)}))
    return merged


def env_arguments(settings: Iterable[str]) -> dict[str, Any]:
    """The arguments of an environment, from what `--env-config` was given. Raises InputError."""
    return _as_json_has_them(from_settings(settings, "--env-config", "gravity=9.8"), "--env-config")


def wrapper_arguments(wrappers: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """The name and the arguments of each wrapper, from what `--wrap` was given as NAME:k=v,k=v. Raises InputError."""
    return [_wrapper(text) for text in wrappers]


def _wrapper(text: str) -> tuple[str, dict[str, Any]]:
    name, given = re.fullmatch(r"(.*?)(?::(\w+=.*))?", text, re.DOTALL).groups()  # type: ignore[union-attr]
    # At a comma in front of the next name; others are in lists.
    settings = re.split(r",(?=\w+=)", given) if given else []
    return name, _as_json_has_them(from_settings(settings, f"--wrap {name}", "scale=2"), f"--wrap {name}")


def _as_json_has_them(arguments: dict[str, Any], option: str) -> dict[str, Any]:
    """Arguments, if a run's files can hold them: JSON has no infinite numbers. Raises InputError."""
    for name, value in arguments.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise InputError(
                f"{option} {name} is {value}, and arguments are finite numbers, texts, true, false, null, lists and"
                " mappings; the environment can make others of a text"
            ) from None
    return arguments


def _value(option: str, setting: str, text: str) -> Any:
    # On a command line nothing is commented: #ff0000 is a colour.
    if COMMENT.search(text) and text.strip()[0] not in "\"'[{":
        return text.strip()
    try:
        return read(text)
    except (yaml.YAMLError, ValueError, KeyError) as problem:
        raise InputError(f"{option} {setting!r} has a value that is neither a number, a word nor a list") from problem


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """A nested mapping from dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        found = merge(found, value)
    return found


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, nested mappings merged key by key, unless they are of another type."""
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and not _is_another(key, before, value):
            value = merge(before, value)
        merged[key] = value
    return merged


def _is_another(key: str, before: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    return key in BY_TYPE and bool(before.get("type") and value.get("type") not in (None, before["type"]))
