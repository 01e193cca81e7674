"""Hyperparameters from presets, a file and the command line, checked against what RLlib knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

from rlsif.errors import InputError, near
from rlsif.learning.catalogue import catalogue
from rlsif.learning.kinds import SECONDS, is_count, is_number, wrong
from rlsif.learning.without_effect import instead
from rlsif.values import merge, read

# Set by options of `train`, so that a run has one place that says each.
BY_OPTION = {
    "env": "--env",
    "framework": "--framework",
    "seed": "--seed",
    "env_config": "--env-config",
    "num_env_runners": "--num-env-runners",
    "num_gpus": "--num-gpus",
    "input_": "--input",
    "input": "--input",
    "num_envs_per_env_runner": "--num-envs-per-env-runner",
    "normalize_rewards": "--normalize-rewards",
}
# What a preset has, and RLlib does not: the option of this name overrides it.
OWN = ("num_envs_per_env_runner", "normalize_rewards")
# What RLlib takes and a run would not show, or not honour.
UNAVAILABLE = {
    "evaluation_interval": "use --evaluate-every, which also decides which checkpoint is best",
    "restart_failed_sub_environments": "RLlib's sampler alone would honour it; catch the error in the environment",
    "preprocessor_pref": "observations reach the network as they are; --wrap changes them",
    "input_config": "--input names the file or the folder",
    "shuffle_buffer_size": "a run on recorded episodes draws from all of their steps",
    "off_policy_estimation_methods": "use --evaluate-every, which plays episodes",
    "sample_timeout_s": "a batch waits for every env runner that makes progress",
    "env_runner_cls": "the other settings of a run decide which env runner samples",
    **dict.fromkeys(
        (
            "before_learn_on_batch",
            "observation_fn",
            "sample_collector",
            "model.custom_action_dist",
            "model.custom_preprocessor",
            "policy_model_config.custom_model",
            "q_model_config.custom_model",
        ),
        "RLlib wants an object of Python there, and settings are numbers, texts and lists",
    ),
    **dict.fromkeys(
        ("metrics_episode_collection_timeout_s", "sync_filters_on_rollout_workers_timeout_s"),
        "an env runner in the middle of a long sample answers later",
    ),
    **dict.fromkeys(
        ("update_worker_filter_stats", "use_worker_filter_stats"), "what filters of env runners see is always merged"
    ),
}
# What RLlib called others before, and still takes without using it.
RENAMED = {
    "sgd_minibatch_size": "minibatch_size",
    "num_sgd_iter": "num_epochs",
    "vf_share_layers": "model.vf_share_layers",
}
# RLlib's default of what it takes and no longer uses.
GIVEN_UP = -1
# Of RLlib's schedules, those that its TensorFlow policies can compute; with LinearSchedule and the others they fail.
PIECEWISE, CONSTANT = "PiecewiseSchedule", "ConstantSchedule"
OF_SCHEDULES = {PIECEWISE: {"type", "endpoints", "outside_value"}, CONSTANT: {"type", "value"}}
# The least and the greatest value of what RLlib takes whatever it is, and then learns nothing.
LIMITS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("num_epochs", "minibatch_size", "train_batch_size", "n_step"), (1, math.inf)),
    **dict.fromkeys(("num_gpu_loader_threads", "num_multi_gpu_tower_stacks", "minibatch_buffer_size"), (1, math.inf)),
    **dict.fromkeys(("lr", "clip_param", "grad_clip"), (0, math.inf)),
    **dict.fromkeys(("gamma", "lambda", "tau", "initial_epsilon", "final_epsilon"), (0, 1)),
    **dict.fromkeys(("warmup_timesteps", "epsilon_timesteps", "random_timesteps", "scale_timesteps"), (0, math.inf)),
    **dict.fromkeys(("stddev", "initial_stddev", "training_intensity"), (0, math.inf)),
    **dict.fromkeys(("target_network_update_freq", "num_steps_sampled_before_learning_starts"), (0, math.inf)),
    **dict.fromkeys(("capacity", "num_atoms"), (1, math.inf)),
}
OTHER_STEPS = "RLlib's sampler shows the network the steps before those that its learner shows it; it must be 0"
# What has to stay 0 with every algorithm.
STAY_ZERO = dict.fromkeys(("model.attention_use_n_prev_actions", "model.attention_use_n_prev_rewards"), OTHER_STEPS)
ANY_DICTIONARY = {"custom_model_config", "exploration_config", "env_config", "replay_buffer_config", "optimizer"}


def preset(algo: str, env: str, *, pixels: bool = False) -> dict[str, Any]:
    """What presets/<algo>.yaml says for every environment, overlaid with what it says for this one.

    `env` is the environment's short name; `pixels` says whether it shows images of pixels, which have other defaults.
    """
    text = resources.files("rlsif").joinpath(f"presets/{algo.lower()}.yaml").read_text()
    presets = read(text)
    of_pixels = presets.get("pixels") if pixels else None
    return merge(merge(presets.get("default") or {}, of_pixels or {}), presets.get(env) or {})


def check(given: Mapping[str, Any], known: Mapping[str, Any], algo: str, prefix: str = "") -> None:
    """Refuse a key that RLlib's defaults do not have, or a value of another kind. Raises InputError."""
    for key, value in given.items():
        name = f"{prefix}{key}"
        _check_available(name, algo)
        if key not in known:
            valid = [k for k in known if not str(k).startswith("_")]
            raise InputError(
                f"{algo} has no hyperparameter {name!r}{near(str(key), valid) or '; see docs/training.md'}"
            )
        default = known[key]
        if not prefix and type(default) is int and default == GIVEN_UP:
            raise InputError(f"{name!r} has no effect: RLlib no longer uses it")
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            if key not in ANY_DICTIONARY:
                check(value, default, algo, prefix=f"{name}.")
            if key == "exploration_config":
                _check_schedule(algo, value.get("epsilon_schedule"))
        elif isinstance(default, Mapping):
            raise InputError(f"{algo}'s {name!r} is {value!r}; it is a group of settings: write {name}.KEY=VALUE")
        elif right := wrong(str(key), value, default):
            raise InputError(f"{algo}'s {name!r} is {value!r}; it must be {right}")
        else:
            _check_value(algo, name, str(key), value, default)


def _has_fraction(value: Any) -> bool:
    return isinstance(value, float) and not value.is_integer()


def _check_value(algo: str, name: str, key: str, value: Any, default: Any) -> None:
    stays = {**STAY_ZERO, **catalogue()[algo].stay_zero}
    if name in stays and value:
        raise InputError(f"{algo}'s {name!r} is {value!r}, and {stays[name]}")
    least, most = LIMITS.get(key, (-math.inf, math.inf))
    if isinstance(value, (int, float)) and not least <= value <= most:
        right = f"at least {least}" if most == math.inf else f"from {least} to {most}"
        right = right if key in LIMITS else "a number"
        raise InputError(f"{algo}'s {name!r} is {value!r}; it must be {right}")
    if _has_fraction(value) and type(default) is int and not SECONDS.search(key):
        raise InputError(f"{algo}'s {name!r} is {value!r}; it must be a whole number")
    _check_list(algo, name, key, value)


def _check_list(algo: str, name: str, key: str, value: Any) -> None:
    """Refuse sizes of layers and schedules with which RLlib would fail in the learner."""
    if key.endswith("hiddens") and not (isinstance(value, list) and all(map(is_count, value))):
        raise InputError(
            f"{algo}'s {name!r} is {value!r}; it must be a list of whole numbers of at least 1, as [64, 64]"
        )
    if key.endswith("_schedule") and value is not None and not _is_schedule(value):
        raise InputError(
            f"{algo}'s {name!r} is {value!r}; it must be pairs of env steps, which begin at 0 and rise, and values, as"
            " [[0, 0.001], [1000000, 0.00001]]"
        )


def _check_schedule(algo: str, schedule: Any) -> None:
    """Refuse a schedule with which RLlib would fail in the learner, or that gives something else than an epsilon."""
    if schedule is None:
        return
    given = f"{algo}'s 'exploration_config.epsilon_schedule' is {schedule!r}"
    kind = str(schedule.get("type")) if isinstance(schedule, Mapping) else ""
    if kind not in (PIECEWISE, CONSTANT):
        raise InputError(
            f"{given}; its type must be {PIECEWISE}, whose two endpoints make a line, or {CONSTANT}, as in"
            " {type: PiecewiseSchedule, endpoints: [[0, 1.0], [20000, 0.1]], outside_value: 0.1}"
        )
    unknown = sorted(set(schedule) - OF_SCHEDULES[kind])
    if unknown:
        raise InputError(f"{given}; a {kind} has no {unknown[0]!r}{near(unknown[0], OF_SCHEDULES[kind])}")
    if kind == PIECEWISE:
        _check_endpoints(given, schedule)
    elif not (is_number(schedule.get("value")) and 0 <= schedule["value"] <= 1):
        raise InputError(f"{given}; it must have a value, an epsilon from 0 to 1")


def _check_endpoints(given: str, schedule: Mapping[str, Any]) -> None:
    ends, outside = schedule.get("endpoints") or [], schedule.get("outside_value")
    are_pairs = isinstance(ends, list) and all(isinstance(end, list) and len(end) == 2 for end in ends)
    numbers = [number for end in ends for number in end] if are_pairs else []
    are_right = bool(numbers) and all(is_number(n) for n in (*numbers, outside))
    shares = [*numbers[1::2], outside] if are_right else []
    if not are_right or numbers[::2] != sorted(numbers[::2]) or min(shares) < 0 or max(shares) > 1:
        raise InputError(
            f"{given}; it must have endpoints whose env steps rise, as [[0, 1.0], [20000, 0.1]], and an outside_value,"
            " as 0.1, all epsilons from 0 to 1"
        )


def _is_schedule(value: Any) -> bool:
    """Whether RLlib could compute it, from the first env step on."""
    are_pairs = isinstance(value, list) and all(isinstance(end, list) and len(end) == 2 for end in value)
    if not are_pairs or not value or not all(is_number(number) for end in value for number in end):
        return False
    steps = [end[0] for end in value]
    return steps[0] == 0 and all(before < after for before, after in zip(steps, steps[1:]))


def whole_numbers(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The same with `1e4` as 10000 where RLlib's default is a whole number, and in the sizes of layers."""
    found = dict(given)
    for key, value in given.items():
        default = known.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            found[key] = whole_numbers(value, default)
        elif type(default) is int:
            found[key] = _whole(value)
        elif isinstance(value, list) and str(key).endswith("hiddens"):
            found[key] = [_whole(size) for size in value]
    return found


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_available(name: str, algo: str) -> None:
    if name in BY_OPTION:
        raise InputError(f"{name!r} is set by {BY_OPTION[name]}, not as a hyperparameter")
    if name.startswith("callbacks_on_"):
        raise InputError(
            f"{name!r} takes a function of Python; put it into a class: --set callbacks=mine.py:MyCallbacks"
        )
    advice = UNAVAILABLE.get(name) or instead(name, algo)
    if advice:
        raise InputError(f"{name!r} has no effect here: {advice}")
    if name in RENAMED:
        raise InputError(f"{name!r} has another name in RLlib today: {RENAMED[name]!r}")


def refusal(algo: str, problem: Exception) -> str:
    """What RLlib says of settings that it refuses, without its advice to leave the check out."""
    said = " ".join(str(problem).split()).partition(" To suppress all validation errors")[0]
    return f"RLlib refuses these settings of {algo}: {said}"
