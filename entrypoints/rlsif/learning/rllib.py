"""RLlib with TensorFlow in this process, without a second of imports that most runs never use."""

from __future__ import annotations

import importlib
import itertools
import sys
from types import ModuleType
from typing import Any

import numpy as np

from rlsif import private_api
from rlsif.cluster.ray_node import want_tensorflow
from rlsif.policies.convolution import DIVIDES_PIXELS, default_filters
from rlsif.policies.spaces import WHITE


def import_rllib() -> None:
    """Import RLlib. To be called before anything else in a process imports it: it looks for TensorFlow only then."""
    want_tensorflow()
    # RLlib's distributions name it; the losses of SAC and CQL use it.
    _put_off("tensorflow_probability")
    # All that RLlib has from scipy.signal is this sum, of a batch of zeros when a policy is made.
    private_api.replace_discounted_sum(discounted_sum)
    private_api.see_images(default_filters, DIVIDES_PIXELS, WHITE)


def discounted_sum(values: Any, gamma: float) -> Any:
    """At each step the sum of this value [T] and all later ones, those discounted; float64 as RLlib's."""
    backwards = itertools.accumulate(
        np.asarray(values, np.float64)[::-1].tolist(), lambda later, now: now + gamma * later
    )
    return np.array(list(backwards), np.float64)[::-1]


def _put_off(name: str) -> None:
    """Have a module imported when something in it is first asked for.

    importlib's LazyLoader is none: a second `import` of a name loads what the first one put off.
    """
    if name in sys.modules:
        return
    stands_for_it = ModuleType(name)
    stands_for_it.__getattr__ = lambda attribute: getattr(_load(stands_for_it), attribute)  # type: ignore[method-assign]
    sys.modules[name] = stands_for_it


def _load(stands_for_it: ModuleType) -> ModuleType:
    """The module that another stands for."""
    if sys.modules.get(stands_for_it.__name__) is stands_for_it:
        del sys.modules[stands_for_it.__name__]
    return importlib.import_module(stands_for_it.__name__)
