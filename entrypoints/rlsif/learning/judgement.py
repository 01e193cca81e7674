"""What a run can do with an environment's spaces, in sentences; `train` refuses by the same functions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rlsif.envs.find import FoundEnv
from rlsif.envs.findings import ERROR, OK, WARNING, Finding
from rlsif.learning.catalogue import able_to_act, catalogue, known_against
from rlsif.policies import actions, encoder
from rlsif.policies.spaces import Box, described


def judgement(found: FoundEnv) -> Iterator[Finding]:
    """Which algorithms can train in it, how it is sampled, and what learns badly."""
    against = actions.unsupported(found.actions)
    if against:
        yield Finding(ERROR, f"no algorithm here can act in it: its {against}.")
        return
    able = ", ".join(able_to_act(found.actions))
    if found.agents:
        yield Finding(OK, f"{len(found.agents)} agents have equal spaces, so that they can share one policy.")
    yield Finding(OK, f"actions are {described(found.actions)}; {able} can choose them.")
    against = encoder.refused(found.observations)
    if against:
        yield Finding(ERROR, f"no algorithm here can see it: its {against}.")
        return
    slow = known_against("PPO", found.observations)
    how = f"sampled by RLlib, which is slower, for {slow}" if slow else "sampled in NumPy, the fast way"
    yield Finding(OK, f"observations are {described(found.observations)}; {how}.")
    if found.mask:
        able = ", ".join(name for name in able_to_act(found.actions) if catalogue()[name].masked_model)
        where = 'info["action_mask"]' if found.mask.in_info else "observations['action_mask']"
        yield Finding(OK, f"{where} says which actions are legal; {able} choose no other.")
    space = found.actions
    if isinstance(space, Box) and not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        yield Finding(WARNING, "its actions have no bounds, so that none are scaled to; Box(-1, 1, ...) learns best.")
    if isinstance(found.observations, Box) and found.observations.dtype == np.float64:
        yield Finding(WARNING, "observations are float64; networks take float32, so that half of each is thrown away.")
