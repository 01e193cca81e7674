"""Modules by the names that they had in version 0.1, which its checkpoints know them by."""

from __future__ import annotations

import sys
from importlib import import_module

# Old name: what holds the same classes today.
OLD_NAMES = {"rlsif.training.env_runner": "rlsif.learning.rollout_worker"}


def know_old_names() -> None:
    """Let pickled objects of an older version find their classes. To be called where RLlib may be imported."""
    for old, new in OLD_NAMES.items():
        sys.modules.setdefault(old, import_module(new))
