"""Runs inside the image: the updates of DQN and SAC that are made in one call, beside RLlib's own one after the other.

Usage: same_updates.py ALGORITHM... Prints one JSON object: by algorithm and settings, the greatest difference of each
comparison, and how far the weights moved.
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
from ray.rllib.policy.sample_batch import SampleBatch

from rlsif.envs.spaces import plain
from rlsif.learning.compiled_replay import CompiledReplay
from rlsif.sampling.coverage import unsupported as against
from rlsif.sampling.env_runner import Sampling
from rlsif.sampling.samplers import SACSampler
from tests.image import same_sampler
from tests.image.same_sampler import policy_of

UPDATES, ROWS = 20, 16
# After which updates the target networks follow.
FOLLOWS = np.arange(UPDATES) % 3 == 2
SMALL = {"model": {"fcnet_hiddens": [16]}, "lr": 3e-3}
NETS = {"fcnet_hiddens": [16], "fcnet_activation": "relu"}
SAC = {"policy_model_config": NETS, "q_model_config": NETS, "_deterministic_loss": True, "tau": 0.1}
CASES = {
    "DQN": {
        "as it is": ("CartPole-v1", {**SMALL, "hiddens": [16]}),
        "settings": (
            "CartPole-v1",
            {
                **SMALL, "hiddens": [], "double_q": False, "dueling": False, "n_step": 3, "grad_clip": 0.1,
                "td_error_loss_fn": "mse", "adam_epsilon": 1e-4, "tau": 0.3,
            },
        ),
        "atoms": ("CartPole-v1", {**SMALL, "hiddens": [16], "num_atoms": 5, "v_min": -3.0, "v_max": 3.0}),
    },
    "SAC": {
        "as it is": ("Pendulum-v1", SAC),
        "settings": ("Pendulum-v1", {**SAC, "twin_q": False, "grad_clip": 0.1, "n_step": 2, "initial_alpha": 0.3}),
        "discrete": ("CartPole-v1", SAC),
    },
}  # fmt: skip


def batches(policy):
    """A batch for each update: columns of [updates, rows, ...]."""
    random, shape = np.random.default_rng(2), (UPDATES, ROWS)
    space, acts = policy.observation_space.shape, policy.action_space
    actions = (
        random.integers(acts.n, size=shape) if hasattr(acts, "n") else random.uniform(-1, 1, (*shape, *acts.shape))
    )
    return {
        "obs": random.normal(size=(*shape, *space)).astype(np.float32),
        "new_obs": random.normal(size=(*shape, *space)).astype(np.float32),
        "actions": actions.astype(acts.dtype),
        "rewards": random.normal(size=shape).astype(np.float32),
        "terminateds": random.random(shape) < 0.2,
        "weights": random.uniform(0.3, 1, shape).astype(np.float32),
    }


def rllibs(policy, columns):
    """RLlib's own updates: statistics and TD errors of each.

    Gradients first, then their use: in one call of TensorFlow's RLlib leaves open which comes first, and some of SAC's
    gradients may be of weights after the update.
    """
    told = []
    for number in range(UPDATES):
        batch = SampleBatch({name: column[number] for name, column in columns.items()})
        batch["truncateds"] = np.zeros(ROWS, bool)
        gradients, info = policy.compute_gradients(batch)
        policy.apply_gradients(gradients)
        if FOLLOWS[number]:
            policy.update_target()
        told.append(info)
    return told


class Variables:
    """All that TensorFlow keeps for a policy."""

    def __init__(self, policy):
        """Remember the values that they have now."""
        import tensorflow as tf

        self._session = policy.get_session()
        with self._session.graph.as_default():
            # Not RLlib's count of env steps.
            self._all = [v for v in tf.compat.v1.global_variables() if "timestep" not in v.name]
        self._first = self.values()

    def values(self):
        return self._session.run(self._all)

    def begin_anew(self):
        for variable, value in zip(self._all, self._first, strict=True):
            variable.load(value, self._session)


def compared(algo, env_id, settings, xla):
    same_sampler.found.clear()
    note = same_sampler.note
    policy, config, _ = policy_of(algo, env_id, **settings, rollout_fragment_length=30)
    mine, variables = CompiledReplay(policy, xla), Variables(policy)
    before, columns = policy.get_weights(), batches(policy)
    told, expected = rllibs(policy, columns), variables.values()
    same_sampler.found["moved"] = max(float(np.abs(w - before[n]).max()) for n, w in policy.get_weights().items())
    variables.begin_anew()
    for number in range(UPDATES):
        mine({name: column[number : number + 1] for name, column in columns.items()}, FOLLOWS[number : number + 1])
    note("one in a call", *zip(variables.values(), expected, strict=True))
    variables.begin_anew()
    statistics, errors = mine(columns, FOLLOWS)
    note("all in a call", *zip(variables.values(), expected, strict=True))
    note("TD errors", (errors, np.array([info["td_error"] for info in told])))
    for name, values in statistics.items():
        note("statistics", (values, [info["learner_stats"][name] for info in told]))
    if algo == "SAC":
        sampled(policy, config)
    return dict(same_sampler.found)


def sampled(policy, config):
    """SAC's sampler beside RLlib's policy of the same weights."""
    assert against(SACSampler, config, plain(config.rlsif.observation_space), plain(config.rlsif.action_space)) is None
    sampler = Sampling(config, 0).sampler
    sampler.set_weights(policy.get_weights())
    batch = sampler.sample(fragments=2)
    _, _, theirs = policy.compute_actions(batch["obs"])
    same_sampler.note("inputs", (sampler._policy.forward(batch["obs"]), theirs["action_dist_inputs"]))
    # As many draws of one state as make their mean and deviation known.
    many = np.repeat(batch["obs"][:1], 20_000, axis=0)
    mine, logp = sampler._distribution.sample(sampler._policy.forward(many), np.random.default_rng(0))
    drawn, _, _ = policy.compute_actions(many)
    expected = policy.compute_log_likelihoods(actions=mine, obs_batch=many, actions_normalized=True)
    same_sampler.note("log-probabilities", (logp, expected))
    same_sampler.note("draws", (mine.mean(), drawn.mean()), (mine.std(), drawn.std()))
    same_sampler.note("rows", (len(batch["obs"]), 240))


if __name__ == "__main__":
    answers = {}
    for algo in sys.argv[1:]:
        for name, (env_id, settings) in CASES[algo].items():
            answers[f"{algo} {name}"] = compared(algo, env_id, settings, xla=f"{algo} {name}" == "DQN as it is")
    print(json.dumps(answers))
