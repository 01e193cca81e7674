"""The networks of a run, made and acting before anything is trained. For a process of its own, which has TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError
from rlsif.learning.rllib import import_rllib
from rlsif.learning.spec import Layout, RunSpec
from rlsif.policies import masks
from rlsif.values import merge

# Env steps that it takes.
STEPS = 3


def rehearse(spec: RunSpec, layout: Layout, env: FoundEnv) -> dict[str, Any]:
    """Let RLlib's networks act, and the one in NumPy that samples by its weights.

    Say in which way one of them fails, and why RLlib samples.
    """
    import_rllib()
    from rlsif.learning import masked_models, own_model
    from rlsif.learning.build import against_sampling, configure

    masked_models.register()
    own_model.register()
    try:
        config = configure(spec, layout, env)
        against = against_sampling(spec, config, env)
        sampled = against is None and config.rlsif.sampler is not None
        # Those may be on another node.
        config.num_gpus = 0
        config.validate()
        config.rollout_fragment_length = STEPS
        made = policies(config)
        if spec.network and sampled:
            for name, policy in made.items():
                model = config.rlsif.models.get(name, config.model)
                own_model.check_twin(policy, model, masks.encoder_of(env.views[name].observations).seen)
        seen = _seen(config, made) if sampled else {}
        for name, policy in made.items():
            policy.compute_actions(seen[name] if name in seen else _any_of(policy.observation_space))
    except InputError as problem:
        return {"refused": str(problem)}
    except Exception as problem:
        return {"fails": f"{type(problem).__name__}: {' '.join(str(problem).split())}", "rllib_samples": None}
    return {"fails": None, "rllib_samples": against}


def policies(config: Any) -> dict[str, Any]:
    """RLlib's policies of a run, by their names."""
    from ray.rllib.utils.framework import try_import_tf
    from ray.rllib.utils.policy import create_policy_for_framework
    from ray.rllib.utils.tf_utils import get_tf_eager_cls_if_necessary

    tf1, _, _ = try_import_tf()
    if config.framework_str == "tf":
        tf1.disable_eager_execution()
    else:
        tf1.enable_eager_execution()
    settings = config.to_dict()
    policy_class = get_tf_eager_cls_if_necessary(config.algo_class.get_default_policy_class(config), settings)
    made = {}
    for name, given in config.policies.items():
        spaces = given.observation_space or config.observation_space, given.action_space or config.action_space
        own = merge(settings, given.config or {})
        made[name] = create_policy_for_framework(name, policy_class, own, *spaces)
    return made


def _seen(config: Any, made: Mapping[str, Any]) -> dict[str, Any]:
    """Observations of steps in the environment that policies sampled in NumPy, of each that acted."""
    from rlsif.sampling.env_runner import Sampling

    sampling = Sampling(config, 0)
    sampling.set_weights({name: policy.get_weights() for name, policy in made.items()})
    batches = sampling.sample().policy_batches
    sampling.close()
    return {name: rows["obs"] for name, rows in batches.items()}


def _any_of(space: Any) -> Any:
    return np.array([space.sample() for _ in range(STEPS)])
