"""Which values a setting takes, where RLlib's default does not tell: it is None, or one of several texts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

# Those of tf.nn that leave the shape as it is; RLlib would say so in a traceback.
ACTIVATIONS = (
    "linear", "tanh", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "swish", "silu", "sigmoid", "softplus",
    "softsign",
)  # fmt: skip
# Names of numbers of seconds, which may have a fraction where RLlib's default has none.
SECONDS = re.compile(r"_s(_|$)")
# Settings that may be null, whatever their default is: no limit, no clipping, no activation.
MAY_BE_NULL = re.compile(r"grad_clip|vtrace_clip_\w+|\w*_activation|min_\w+_per_iteration|\w+_s")
# In the place of a number, which RLlib then computes.
AUTO = "auto"


class Kind(NamedTuple):
    """Whether a setting takes a value, and what it takes, in words."""

    takes: Callable[[Any], bool]
    right: str


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Whether it is a whole number of at least 1; 1e4 is one."""
    return is_number(value) and value >= 1 and float(value).is_integer()


def _one_of(*texts: str) -> Kind:
    return Kind(lambda value: value in texts, f"{', '.join(texts[:-1])} or {texts[-1]}")


COUNT = Kind(is_count, "a whole number of at least 1")
KINDS: Mapping[str, Kind] = {
    "batch_mode": _one_of("truncate_episodes", "complete_episodes"),
    "count_steps_by": _one_of("env_steps", "agent_steps"),
    "log_level": _one_of("DEBUG", "INFO", "WARN", "ERROR"),
    "observation_filter": _one_of("NoFilter", "MeanStdFilter", "ConcurrentMeanStdFilter"),
    "opt_type": _one_of("adam", "rmsprop"),
    "td_error_loss_fn": _one_of("huber", "mse"),
    "clip_rewards": Kind(
        lambda value: isinstance(value, bool) or (is_number(value) and value >= 0),
        "true, false, or the number to clip at",
    ),
    **dict.fromkeys(("minibatch_size", "max_seq_len", "lstm_cell_size"), COUNT),
    "rollout_fragment_length": Kind(
        lambda value: value == AUTO or is_count(value), f"a whole number of at least 1, or {AUTO}"
    ),
    **dict.fromkeys(
        ("temperature", "initial_alpha"), Kind(lambda value: is_number(value) and value > 0, "a number above 0")
    ),
    "target_entropy": Kind(lambda value: value == AUTO or is_number(value), f"a number, or {AUTO}"),
    **dict.fromkeys(
        ("grad_clip", "min_time_s_per_iteration", "training_intensity", "sampler_perf_stats_ema_coef"),
        Kind(is_number, "a number"),
    ),
}
ACTIVATION = Kind(
    lambda value: isinstance(value, str) and value.lower() in ACTIVATIONS,
    f"one of {', '.join(ACTIVATIONS)}",
)


def wrong(key: str, value: Any, default: Any) -> Optional[str]:
    """What a setting must be that is none of its kind, in words; None where the value is one."""
    kind = ACTIVATION if key.endswith("_activation") else KINDS.get(key)
    if value is None:
        fits = default is None or MAY_BE_NULL.fullmatch(key) is not None
    else:
        fits = kind.takes(value) if kind else _is_like(value, default)
    return None if fits else kind.right if kind else f"like its default, {default!r}"


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value can stand where RLlib has this default, which may be the text of a class of Python."""
    if default is None or (isinstance(default, str) and default.startswith("<")):
        return True
    if isinstance(default, (bool, str, Mapping)):
        return isinstance(value, type(default))
    if isinstance(default, (int, float)):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, list) if isinstance(default, (list, tuple)) else True
