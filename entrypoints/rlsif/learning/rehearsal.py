"""The network of a run, made and acting before anything is trained. For a process of its own, which has TensorFlow."""

from __future__ import annotations

from typing import Any

from rlsif.envs.adapted import policy_spaces
from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError
from rlsif.learning.rllib import import_rllib
from rlsif.learning.spec import Layout, RunSpec

# Env steps that it takes.
STEPS = 3


def rehearse(spec: RunSpec, layout: Layout, env: FoundEnv) -> dict[str, Any]:
    """Let RLlib's network act, and the one in NumPy that samples by its weights; say in which way one of them fails."""
    import_rllib()
    from rlsif.learning.build import configure
    from rlsif.sampling.env_runner import Sampling

    try:
        config = configure(spec, layout, env)
        config.validate()
        config.rollout_fragment_length = STEPS
        policies = {name: _policy(config, name) for name in env.views}
        sampling = Sampling(config, 0)
        sampling.set_weights({name: policy.get_weights() for name, policy in policies.items()})
        for name, rows in sampling.sample().policy_batches.items():
            policies[name].compute_actions(rows["obs"])
        sampling.close()
    except InputError as problem:
        return {"refused": str(problem)}
    except Exception as problem:
        return {"fails": f"{type(problem).__name__}: {' '.join(str(problem).split())}"}
    return {"fails": None}


def _policy(config: Any, name: str) -> Any:
    """RLlib's policy of that name of a run, in a graph of its own."""
    from ray.rllib.utils.framework import try_import_tf

    tf1, tf, _ = try_import_tf()
    tf1.disable_eager_execution()
    with tf.Graph().as_default(), tf1.Session().as_default():
        policy_class = config.algo_class.get_default_policy_class(config)
        spaces = policy_spaces(config.rlsif.views[name], config.rlsif.normalize_actions)
        models = config.rlsif.models
        return policy_class(*spaces, {**config.to_dict(), **({"model": models[name]} if models else {})})
