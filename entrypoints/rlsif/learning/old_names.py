"""Classes by the names that they had in version 0.1, which its checkpoints know them by."""

from __future__ import annotations

import sys
from types import ModuleType

from rlsif.learning.descriptor import imported

# Module of version 0.1: its names, and what they are today.
OLD_NAMES = {
    "rlsif.training.env_runner": {
        "EnvRunner": "rlsif.learning.rollout_worker:EnvRunner",
        "LearnersEnvRunner": "rlsif.learning.rollout_worker:LearnersEnvRunner",
    },
    "rlsif.training.algorithm_class": {
        "Mended": "rlsif.learning.fixes:Fixed",
        "OwnReplayBuffer": "rlsif.learning.fixes:OwnReplayBuffer",
        "CompiledPPO": "rlsif.learning.compiled_ppo:CompiledPPO",
    },
}


def know_old_names() -> None:
    """Let pickled objects of version 0.1 find their classes. To be called where RLlib may be imported."""
    for name, classes in OLD_NAMES.items():
        if name not in sys.modules:
            module = ModuleType(name)
            vars(module).update({old: imported(new) for old, new in classes.items()})
            sys.modules[name] = module
