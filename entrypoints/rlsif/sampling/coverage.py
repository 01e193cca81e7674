"""Which runs the sampler without TensorFlow covers, and why not the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rlsif.policies.networks import ACTIVATIONS

ALGORITHMS = ("PPO", "APPO", "IMPALA", "DQN")
Accepts = Callable[[Any], bool]


def _is(*values: Any) -> Accepts:
    return lambda given: given in values


# Settings that decide how is sampled, with what is covered of each. What stands at RLlib's default is.
SETTINGS: Mapping[str, Accepts] = {
    "observation_filter": _is("NoFilter", "MeanStdFilter"),
    "batch_mode": _is("truncate_episodes"),
    "use_gae": _is(True),
    "use_critic": _is(True),
    "vtrace": _is(True),
    "explore": _is(True),
    "num_atoms": _is(1),
    "noisy": _is(False),
    "compress_observations": _is(False),
    "clip_rewards": _is(None, False),
    "preprocessor_pref": _is("deepmind", None),
    "exploration_config": lambda given: given.get("type") in ("EpsilonGreedy", "StochasticSampling")
    and not {"epsilon_schedule", "random_timesteps"} & set(given),
    "count_steps_by": _is("env_steps"),
    **dict.fromkeys(
        ("callbacks", "callbacks_class", "output", "input_", "input", "env_task_fn", "remote_worker_envs", "policies",
         "postprocess_inputs", "sampler", "sample_collector", "before_learn_on_batch"),
        _is(None, "sampler", False),
    ),
}  # fmt: skip
MODEL: Mapping[str, Accepts] = {
    "fcnet_hiddens": lambda given: len(given) > 0,
    "fcnet_activation": _is(*ACTIVATIONS),
    "vf_share_layers": _is(True, False),
    "free_log_std": _is(False),
}


def reason_against(
    algo: str, observation_space: Any, action_space: Any, hyperparameters: Mapping[str, Any]
) -> str | None:
    """Why RLlib's own sampler has to be used, in a few words; None where this one can be."""
    if algo not in ALGORITHMS:
        return f"{algo} is sampled by RLlib's own"
    kind = type(observation_space).__name__
    if kind not in ("Box", "Discrete") or len(observation_space.shape) > 1:
        return f"observations are {kind}{list(observation_space.shape or ()) or ''}"
    if type(action_space).__name__ not in ("Box", "Discrete") or len(action_space.shape) > 1:
        return f"actions are {type(action_space).__name__}"
    model = hyperparameters.get("model") or {}
    for name, given in model.items():
        if not MODEL.get(name, lambda _: False)(given):
            return f"model/{name} is {given}"
    for name, accepts in SETTINGS.items():
        if name in hyperparameters and not accepts(hyperparameters[name]):
            return f"{name} is {hyperparameters[name]}"
    return None
