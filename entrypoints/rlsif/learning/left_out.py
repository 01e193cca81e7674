"""What RLlib leaves out of a policy's checkpoint: target networks, and the optimizers of SAC.

Without them a resumed DQN learns towards targets that are too new, and SAC towards those of random weights, for its
target network takes over only a little of the trained one with every update. Imported with TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api

tf1, _, _ = try_import_tf()

# As TensorFlow names what an Adam has, and the count of updates.
OF_OPTIMIZERS = re.compile(r"(/Adam(_\d+)?|beta[12]_power(_\d+)?|global_step):0$")


def left_out(policy: Any) -> dict[str, NDArray[Any]]:
    """Values by names that `restore` understands."""
    found = _variables(policy)
    session = policy.get_session()
    values = session.run(list(found.values())) if session else [v.numpy() for v in found.values()]
    return dict(zip(found, map(np.asarray, values)))


def restore(policy: Any, saved: Mapping[str, NDArray[Any]]) -> None:
    """Take over what `left_out` gave, after RLlib has restored the rest; a run of an earlier version has nothing."""
    if hasattr(policy, "target_model"):
        policy.update_target(tau=1.0)
    session = policy.get_session()
    for name, variable in _variables(policy).items():
        value = saved.get(name)
        if value is None or value.shape != tuple(variable.shape):
            continue
        if session:
            variable.load(value, session)
        else:
            variable.assign(value)


def _variables(policy: Any) -> dict[str, Any]:
    """Those of the target network, MARWIL's scale, and in graph mode of optimizers unknown to RLlib, by names."""
    session, target = policy.get_session(), getattr(policy, "target_model", None)
    targets = [*(target.variables() if target else ()), *private_api.advantage_norm(policy)]
    if session is None:
        return {str(number): variable for number, variable in enumerate(targets)}
    with session.graph.as_default():
        # Not all: a learning rate is a variable, too, and a resumed run may be given another.
        counts = [variable for variable in tf1.global_variables() if OF_OPTIMIZERS.search(variable.name)]
    known = {variable.name for variable in private_api.optimizer_variables(policy)}
    return {variable.name: variable for variable in (*targets, *counts) if variable.name not in known}
