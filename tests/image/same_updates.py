"""Runs inside the image: the updates that are made in one call, beside RLlib's own one after the other.

Usage: same_updates.py ALGORITHM... Prints one JSON object: by algorithm and settings, the greatest difference of each
comparison, and how far the weights moved.
"""

import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

sys.path.append(str(Path(__file__).parents[2]))
# What XLA compiles is written there.
COMPILED = Path(tempfile.mkdtemp())
os.environ["XLA_FLAGS"] = f"--xla_dump_to={COMPILED} --xla_dump_hlo_as_text"

# ruff: noqa: E402
import numpy as np
from ray.rllib.policy.sample_batch import SampleBatch

from rlsif.learning import compiled_update, masked_models
from rlsif.learning.compiled_async import CompiledAPPO
from rlsif.learning.compiled_cql import CompiledPhase
from rlsif.learning.compiled_replay import CompiledReplay
from rlsif.learning.compiled_update import CompiledUpdate
from rlsif.learning.compiled_vtrace import CompiledVTrace, minibatches
from rlsif.learning.xla import NEVER
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
CQL = {"policy_model_config": NETS, "q_model_config": NETS, "tau": 0.1, "num_actions": 4}
# Stretches of a batch, and their rows; epochs of a batch, and rows of a minibatch.
BATCHES, STRETCHES, STRETCH, EPOCHS, MINIBATCH = 4, 7, 10, 3, 30
ASYNC = {**SMALL, "rollout_fragment_length": STRETCH, "train_batch_size": STRETCHES * STRETCH}
# Rows of PPO's batches; all but the last make as many minibatches, of which a call of XLA's takes the first eight.
ROWS_OF_BATCHES, TOGETHER = (256, 250, 243, 256, MINIBATCH - 10), 8
PPO = {**SMALL, "train_batch_size": max(ROWS_OF_BATCHES)}
# Those are clipped that reach beyond, and schedules that move with each batch.
SCHEDULES = {
    "grad_clip": 0.05, "lr_schedule": [[0, 3e-3], [1000, 1e-3]], "entropy_coeff_schedule": [[0, 0.1], [1000, 0.0]],
    "vtrace_clip_rho_threshold": 0.8, "num_epochs": EPOCHS, "minibatch_size": MINIBATCH,
}  # fmt: skip
# What RLlib tells of an update that is of the weights before it.
LOSSES = {"total_loss", "policy_loss", "vf_loss", "entropy", "kl", "cur_lr", "entropy_coeff"}
CASES = {
    "PPO": {
        "as it is": ("CartPole-v1", PPO),
        "settings": (
            "Pendulum-v1",
            {
                **PPO, "grad_clip": 0.5, "lr_schedule": [[0, 3e-3], [1000, 1e-3]], "kl_target": 1e-4,
                "entropy_coeff_schedule": [[0, 0.1], [1000, 0.0]], "vf_clip_param": 1.0,
                "model": {"fcnet_hiddens": [16], "vf_share_layers": True},
            },
        ),
        "masks": ("Masked-v0", PPO),
        "mixed actions": ("Both-v0", PPO),
        # By relu, a unit that rounding turns on is a step that changes all that follow; saturated units magnify it.
        "images": (
            "Pixels4x20-v0", {**PPO, "lr": 3e-4, "model": {"conv_activation": "tanh", "normalize_images": True}}
        ),
    },
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
    "CQL": {
        "as it is": ("Pendulum-v1", {**CQL, "bc_iters": 0}),
        "settings": (
            "Pendulum-v1",
            {**CQL, "bc_iters": 1000, "twin_q": False, "grad_clip": 0.1, "temperature": 2.0, "min_q_weight": 1.5},
        ),
    },
    "APPO": {
        "as it is": ("CartPole-v1", ASYNC),
        "settings": ("Pendulum-v1", {**ASYNC, **SCHEDULES, "use_kl_loss": True, "kl_target": 1e-4, "tau": 0.3}),
        "masks": ("Masked-v0", ASYNC),
        "mixed actions": ("Both-v0", ASYNC),
    },
    "IMPALA": {
        "as it is": ("CartPole-v1", ASYNC),
        "settings": ("Pendulum-v1", {**ASYNC, **SCHEDULES}),
        "two optimizers": (
            "CartPole-v1", {**ASYNC, "_separate_vf_optimizer": True, "model": {"vf_share_layers": False}}
        ),
        "images": ("Pixels4x20-v0", {**ASYNC, "model": {"vf_share_layers": True}}),
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


def draw_the_same():
    """Let CQL's loss, which RLlib has in no other way, draw what is no chance, and differs from the likeliest."""
    import tensorflow as tf
    from ray.rllib.utils.exploration.random import Random
    from tensorflow_probability import distributions

    def spread(exploration, distribution, explore):
        rows = tf.cast(tf.range(tf.shape(distribution.inputs)[0]), tf.float32)
        actions = tf.sin(rows[:, None] + np.arange(exploration.action_space.shape[0], dtype=np.float32))
        return actions, tf.zeros_like(rows)

    Random.get_tf_exploration_action_op = spread
    distributions.Normal.sample = lambda normal: normal.mean() + 0.4 * normal.stddev()


def compared(algo, env_id, settings, xla):
    same_sampler.found.clear()
    note = same_sampler.note
    if algo == "CQL":
        draw_the_same()
    policy, config, _ = policy_of(algo, env_id, **settings, rollout_fragment_length=30)
    imitates = (settings["bc_iters"] > 0,) if algo == "CQL" else ()
    mine = (CompiledPhase if imitates else CompiledReplay)(policy, xla, *imitates)
    variables = Variables(policy)
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
    view = config.rlsif.views["default_policy"]
    assert against(SACSampler, config, view.observations, view.actions) is None
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


def stretches(policy, config):
    """Batches of stretches in which episodes terminate and are cut, by a policy that is a little older."""
    sampler = Sampling(config, 0).sampler
    sampler.set_weights({n: w * np.float32(0.9) for n, w in policy.get_weights().items()})
    sampled = sampler.sample(fragments=BATCHES * STRETCHES // 4)
    random, rows = np.random.default_rng(2), STRETCHES * STRETCH
    for name in ("terminateds", "truncateds"):
        sampled[name] = random.random(len(sampled[name])) < 0.1
    return [{n: column[k * rows : (k + 1) * rows] for n, column in sampled.items()} for k in range(BATCHES)]


def followed(policy, config, statistics, batch):
    """What comes after an update: RLlib's APPO lets its target network follow; schedules move."""
    if hasattr(policy, "target_model"):
        policy.update_target()
    if getattr(config, "use_kl_loss", False):
        policy.update_kl(statistics["kl"])
    policy.on_global_var_update({"timestep": 100 * (batch + 1)})


def mine_followed(policy, config, statistics, batch):
    """The same by ours."""
    if hasattr(policy, "target_model"):
        counters = Counter(num_env_steps_sampled=100 * (batch + 1))
        algorithm = SimpleNamespace(config=config, _counters=counters, get_policy=lambda _: policy)
        CompiledAPPO.learned(algorithm, {"the policy": statistics})
    policy.on_global_var_update({"timestep": 100 * (batch + 1)})


def rllibs_means(policy, batch, chosen):
    """RLlib's own updates of the minibatches of a batch: the means of what they told."""
    told = [policy.learn_on_batch(SampleBatch({n: c[rows] for n, c in batch.items()})) for rows in chosen]
    told = [each["learner_stats"] for each in told]
    return {name: np.mean([each[name] for each in told]) for name in LOSSES & told[0].keys()}


def synchronous(env_id, settings):
    """PPO's updates of batches of several sizes, by TensorFlow's loop and by XLA's, from the start or from later on."""
    same_sampler.found.clear()
    policy, config, _ = policy_of("PPO", env_id, **settings)
    sampler = Sampling(config, 0).sampler
    sampler.set_weights({n: w * np.float32(0.9) for n, w in policy.get_weights().items()})
    batches = [{n: column[:rows] for n, column in filled(policy, sampler.sample()).items()} for rows in ROWS_OF_BATCHES]
    np.random.seed(3)
    chosen = [compiled_update._minibatches(rows, EPOCHS, MINIBATCH) for rows in ROWS_OF_BATCHES]
    variables, before, coefficient, told = Variables(policy), policy.get_weights(), policy.kl_coeff_val, []
    for number, batch in enumerate(batches):
        told.append(rllibs_means(policy, batch, chosen[number]))
        followed(policy, config, told[-1], number)
    expected = variables.values()
    same_sampler.found["moved"] = max(float(np.abs(w - before[n]).max()) for n, w in policy.get_weights().items())
    same_sampler.found["weight of the divergence"] = policy.kl_coeff_val / coefficient
    compiled_update.MOST_TOGETHER = TOGETHER
    for way, begins in (("in a call", NEVER), ("by XLA", 0), ("later by XLA", len(chosen[0]) + 1)):
        variables.begin_anew()
        policy.kl_coeff_val, mine, compiled = coefficient, CompiledUpdate(policy, begins), compilations()
        for number, batch in enumerate(batches):
            statistics = mine.learn(batch, chosen[number])
            pairs = [(statistics[name], value) for name, value in told[number].items()]
            same_sampler.note(f"statistics {way}", *pairs)
            followed(policy, config, statistics, number)
        same_sampler.note(way, *zip(variables.values(), expected, strict=True))
        same_sampler.found[f"compiled {way}"] = compilations() - compiled
    return {**same_sampler.found, "minibatches": [len(each) for each in chosen]}


def filled(policy, batch):
    """A batch with the columns that RLlib's own step is fed and its loss does not read."""
    others = {n: p for n, p in policy._loss_input_dict_no_rnn.items() if n not in batch}
    rows = len(batch["obs"])
    return {**batch, **{n: np.zeros((rows, *p.shape[1:]), p.dtype.as_numpy_dtype) for n, p in others.items()}}


def compilations():
    """How many programs XLA has compiled."""
    return len({each.name.partition(".")[0] for each in COMPILED.glob("module_*")})


def drawn(config):
    """Minibatches of a batch; of stretches that are whole, none twice in an epoch."""
    rows = STRETCHES * STRETCH
    chosen = minibatches(rows, STRETCH, rows, config.minibatch_size, config.num_epochs)
    each = chosen.reshape(config.num_epochs, -1, STRETCH)
    assert (np.diff(each) == 1).all() and (each[..., 0] % STRETCH == 0).all()
    assert all(len(set(epoch[:, 0])) == len(epoch) for epoch in each)
    return chosen


def asynchronous(algo, env_id, settings):
    same_sampler.found.clear()
    policy, config, _ = policy_of(algo, env_id, **settings)
    variables = Variables(policy)
    before, batches, coefficient = policy.get_weights(), stretches(policy, config), getattr(policy, "kl_coeff_val", 1.0)
    chosen, told = [drawn(config) for _ in batches], []
    for number, batch in enumerate(batches):
        told.append(rllibs_means(policy, batch, chosen[number]))
        followed(policy, config, told[-1], number)
    expected = variables.values()
    same_sampler.found["moved"] = max(float(np.abs(w - before[n]).max()) for n, w in policy.get_weights().items())
    same_sampler.found["weight of the divergence"] = getattr(policy, "kl_coeff_val", 1.0) / coefficient
    for way, begins in (("all in a call", NEVER), ("by XLA", 0)):
        variables.begin_anew()
        policy.kl_coeff_val, mine = coefficient, CompiledVTrace(policy, begins)
        for number, batch in enumerate(batches):
            statistics = mine.learn(batch, chosen[number])
            pairs = [(statistics[name], value) for name, value in told[number].items()]
            same_sampler.note(f"statistics {way}", *pairs)
            mine_followed(policy, config, statistics, number)
        same_sampler.note(way, *zip(variables.values(), expected, strict=True))
    return {**same_sampler.found, "minibatches": len(chosen[0])}


if __name__ == "__main__":
    same_sampler.own_class()
    same_sampler.pixel_classes()
    same_sampler.masked_class()
    masked_models.register()
    answers = {}
    for algo in sys.argv[1:]:
        for name, (env_id, settings) in CASES[algo].items():
            if algo == "PPO":
                answers[f"{algo} {name}"] = synchronous(env_id, settings)
            elif algo in ("APPO", "IMPALA"):
                answers[f"{algo} {name}"] = asynchronous(algo, env_id, settings)
            else:
                answers[f"{algo} {name}"] = compared(algo, env_id, settings, xla=name == "as it is")
    print(json.dumps(answers))
