"""A user's own class of RLlib's callbacks, which RLlib calls where it samples: `--set callbacks=mine.py:MyCallbacks`.

Needs RLlib, and no TensorFlow, once a class is looked at.
"""

from __future__ import annotations

from typing import Any

from rlsif.envs.code import add_code_folder, class_at
from rlsif.envs.reference import Ref, absolute
from rlsif.errors import InputError

KEY = "callbacks"
# What nothing here calls: an update is one call of TensorFlow, and --evaluate-every is no evaluation of RLlib's.
NOT_CALLED = (
    "on_learn_on_batch", "on_evaluate_start", "on_evaluate_end", "on_evaluate_offline_start",
    "on_evaluate_offline_end", "on_offline_eval_runners_recreated",
)  # fmt: skip


def named(given: Any) -> str:
    """The name of the class, with the path of its file made absolute. Raises InputError for what names none."""
    name = absolute(given) if isinstance(given, str) else ""
    if not Ref(name).place:
        raise InputError(
            f"{KEY!r} is {given!r}; it must name a class of RLlib's callbacks, as mine.py:MyCallbacks;"
            " others are for --callbacks"
        )
    return name


class OwnCallbacks:
    """Makes an object of the user's class, in every process of a run. Pickled by name, as files are no modules."""

    def __init__(self, name: str, code_folder: str) -> None:
        """Look at the class. Raises InputError for one that is none, or wants to be called where nothing is."""
        self._name, self._code_folder = name, code_folder
        # RLlib writes where a class is from into its checkpoints.
        self.__qualname__ = type(self).__qualname__
        _check(name, self._class())

    def __call__(self) -> Any:
        """Make an object of it."""
        return self._class()()

    def __repr__(self) -> str:
        """As the first lines of a run and params.json have it."""
        return self._name

    def _class(self) -> Any:
        add_code_folder(self._code_folder)
        return class_at(self._name, f"--set {KEY}={self._name}")


def _check(name: str, found: type) -> None:
    from ray.rllib.callbacks.callbacks import RLlibCallback

    if not issubclass(found, RLlibCallback):
        raise InputError(
            f"--set {KEY}={name}: it is not derived from ray.rllib.callbacks.callbacks.RLlibCallback;"
            " others are for --callbacks"
        )
    for method in NOT_CALLED:
        if getattr(found, method) is not getattr(RLlibCallback, method):
            raise InputError(f"--set {KEY}={name}: its {method} is not called by a run of `train`; leave it out")
