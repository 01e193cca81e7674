"""A network of the user's own, as `--model` names it: what may go with it, and where its class is.

Without TensorFlow; `learning/own_model.py` makes a model of RLlib's of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlsif.envs.reference import EnvRef, Ref, absolute
from rlsif.errors import InputError
from rlsif.learning.catalogue import catalogue
from rlsif.learning.descriptor import Algorithm
from rlsif.policies import masks

# By which RLlib knows the model around it.
MODEL = "OwnNetwork"
# Of the settings of RLlib's networks, the one that is the arguments of the user's class.
ARGUMENTS = "custom_model_config"


def named(given: str) -> str:
    """The name with the path of its file made absolute. Raises InputError for what names no class."""
    name = absolute(given)
    if not Ref(name).place:
        raise InputError(f"--model {given} names no class; write it as mine.py:Network")
    return name


def check(algorithm: Algorithm, name: str | None, given: Mapping[str, Any]) -> None:
    """Refuse an algorithm or hyperparameters that do not go with a network of this name, or of RLlib's.

    `given` are the user's. Raises InputError.
    """
    settings = given.get("model") or {}
    if "custom_model" in settings:
        raise InputError("'model.custom_model' is set by --model, not as a hyperparameter")
    if name is None:
        if ARGUMENTS in settings:
            raise InputError(f"'model.{ARGUMENTS}' has arguments of a network of your own; name it by --model")
        return
    if not algorithm.own_network:
        able = " or ".join(each.name for each in catalogue().values() if each.own_network and not each.offline)
        raise InputError(
            f"--model {name}: {algorithm.name} learns values of actions, with networks of RLlib's alone;"
            f" use --algo {able}, or leave --model out"
        )
    for setting in settings:
        if setting != ARGUMENTS:
            raise InputError(
                f"'model.{setting}' is of RLlib's networks, and --model {name} is your own;"
                f" its own arguments are --set model.{ARGUMENTS}.NAME=VALUE"
            )


def as_rllib_has_it(name: str, code_folder: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """RLlib's settings of a model that has the user's network inside."""
    return {
        **model,
        "custom_model": MODEL,
        ARGUMENTS: {"network": name, "code_folder": code_folder, "arguments": dict(model[ARGUMENTS])},
    }


def put_name(model: Mapping[str, Any], name: str) -> None:
    """Write another name into settings that `as_rllib_has_it` gave, which may be inside those of a mask."""
    masks.inner_model(model)[ARGUMENTS]["network"] = name


def moved(name: str | None, given: str | None, before: EnvRef, env: EnvRef) -> str | None:
    """The name of a run's network, at the place that `--model` gives, or that its environment has moved to.

    Raises InputError where another was given than the run has.
    """
    if given is None:
        beside = name is not None and bool(before.place) and Ref(name).place == before.place
        return f"{env.place}:{Ref(str(name)).short}" if beside else name
    there = named(given)
    if name is None or Ref(there).short != Ref(name).short:
        has = name or "a network of RLlib's"
        raise InputError(f"--model is {given}, but the run has {has}; --model is only for one that has moved")
    return there
