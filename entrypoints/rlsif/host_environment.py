"""The variables of the host that Ray, Python and TensorFlow would read, all in one place.

A container has the host's environment. What is meant for a run stays; what would change it behind the user's back, as
the address of another Ray, goes before anything is imported.
"""

from __future__ import annotations

from collections.abc import MutableMapping

# What this package or the image sets itself, or a user means by it.
MEANT = {
    "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED", "RAY_memory_monitor_refresh_ms",
    "TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS",
    "PYTHONNOUSERSITE", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONFAULTHANDLER", "PYTHONUNBUFFERED",
}  # fmt: skip
# Ray's, TensorFlow's and Python's own; and what decides how matplotlib draws, where there is no window.
PREFIXES = ("RAY_", "TF_", "PYTHON", "RLLIB_", "TUNE_", "AIR_")
OTHERS = ("MPLBACKEND", "XLA_FLAGS")


def shut_out(environment: MutableMapping[str, str]) -> list[str]:
    """Take out of an environment what is not meant; give the names."""
    taken = [name for name in environment if name not in MEANT and (name.startswith(PREFIXES) or name in OTHERS)]
    for name in taken:
        del environment[name]
    return taken
