"""Whether a run is sampled in NumPy, judged on RLlib's resolved settings of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlsif.policies import encoder, masks
from rlsif.policies.spaces import Space
from rlsif.private_api import MODEL_WITHOUT_EFFECT
from rlsif.sampling.own_twin import has_twin, settings_of
from rlsif.sampling.samplers import Sampler

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

# Why RLlib samples where the user brings a network, and none in NumPy.
IS_OWN = "the network is one of your own"
# What decides how RLlib samples, and must be as RLlib has it; the values are what else will do.
AS_RLLIB_HAS_IT: dict[str, tuple[Any, ...]] = {
    "observation_filter": ("NoFilter", "MeanStdFilter"),
    "batch_mode": ("truncate_episodes",),
    "explore": (True,),
    "compress_observations": (False,),
    "count_steps_by": ("env_steps",),
    "callbacks_class": (), "output": (), "input_": (), "env_task_fn": (), "remote_worker_envs": (),
    "postprocess_inputs": (), "sampler_perf_stats_ema_coef": (), "sample_collector": (), "render_env": (),
    "preprocessor_pref": ("deepmind", None), "policies": (), "policy_mapping_fn": (), "observation_fn": (),
}  # fmt: skip


def unsupported(
    sampler: type[Sampler] | None, config: AlgorithmConfig, observations: Space, actions: Space
) -> str | None:
    """Why RLlib's own sampler has to be used, in a few words; None where `sampler` can be.

    `config` has all settings of the run; the spaces are the environment's.
    """
    if sampler is None:
        return f"{config.algo_class.__name__} is sampled by RLlib's own"
    if against := encoder.unsupported(observations):
        return against
    defaults, seen = type(config)(), masks.encoder_of(observations).seen
    return (
        _without_names(config, seen)
        or _memory(config, observations)
        or _network(sampler, config, defaults, seen)
        or sampler.exploration_unsupported(config.exploration_config)
        or _needs(sampler, config)
        or _settings(config, defaults)
    )


def _network(
    sampler: type[Sampler], config: AlgorithmConfig, defaults: AlgorithmConfig, seen: encoder.Seen
) -> str | None:
    """A network that is not known here; one of the user's own may bring its twin in NumPy."""
    own = settings_of(config.model)
    if own is None:
        given = masks.inner_model(sampler.model(config))
        model = {name: value for name, value in given.items() if name not in MODEL_WITHOUT_EFFECT}
        return sampler.model_unsupported(model, defaults.model, seen)
    return None if has_twin(own) else IS_OWN


def _without_names(config: AlgorithmConfig, seen: encoder.Seen) -> str | None:
    """A network whose weights come in an order that is not known."""
    if encoder.has_parts(seen) and config.framework_str != "tf":
        return f"images are beside other things, with framework {config.framework_str}"
    return None


def _memory(config: AlgorithmConfig, observations: Space) -> str | None:
    """A recurrent network whose weights or rows are not known here."""
    if not masks.inner_model(config.model)["use_lstm"]:
        return None
    if config.framework_str != "tf":
        return f"model.use_lstm is True, with framework {config.framework_str}"
    if masks.size_of(observations):
        return "model.use_lstm is True, with action masks"
    return "model.use_lstm is True, with many agents" if config.rlsif.agents else None


def _needs(sampler: type[Sampler], config: AlgorithmConfig) -> str | None:
    """A setting of the algorithm that the sampler has no other way for."""
    for name, needed in sampler.NEEDS.items():
        given = getattr(config, name, needed)
        if given != needed:
            return f"{name} is {given}"
    return None


def _settings(config: AlgorithmConfig, defaults: AlgorithmConfig) -> str | None:
    for name, others in AS_RLLIB_HAS_IT.items():
        given = getattr(config, name, None)
        if given not in others and given != getattr(defaults, name, None):
            return f"{name} is {given}"
    return None
