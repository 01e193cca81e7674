"""Runs inside the image: compares the sampler and the update with RLlib's own, from the same weights and experience.

Prints one JSON object: the greatest difference of each comparison, or counts.
"""

import json
import logging
import os
import sys
import unittest.mock
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
os.environ["TF_USE_LEGACY_KERAS"] = "1"
logging.disable(logging.CRITICAL)

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import gymnasium
import numpy as np
from ray.rllib.evaluation.postprocessing import adjust_nstep
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.filter import MeanStdFilter
from ray.rllib.utils.schedules import PiecewiseSchedule

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning import compiled_update
from rlsif.learning.build import configure
from rlsif.learning.compiled_update import CompiledUpdate
from rlsif.learning.spec import Layout, RunSpec
from rlsif.policies.distributions import EpsilonGreedy
from rlsif.policies.layers import ACTIVATIONS
from rlsif.policies.masks import encoder_of
from rlsif.policies.networks import ActorCritic, PolicyNetwork, QNetwork, parts_of
from rlsif.sampling.env_runner import Sampling
from rlsif.sampling.filters import Filtered, RewardScale
from rlsif.sampling.samplers import SACSampler
from tests.image import same_agents, same_masks, same_memory, same_stretches

found = {}
PIXELS = {"Pixels84-v0": (84, 84, 4), "Pixels7-v0": (7, 7, 3), "Pixels4x20-v0": (4, 20, 32)}
ENV_CONFIG = {"max_episode_steps": 14}
# Of random weights; small ones for images, whose outputs would be large.
SCALES = {
    **dict.fromkeys(("Pixels7-v0", "Pixels4x20-v0"), 0.05),
    **dict.fromkeys(("Pixels84-v0", "PixelsBeside-v0", "PixelsUnlike-v0"), 0.02),
}


def note(name, *pairs):
    """Keep the greatest difference, relative where numbers are large."""
    for mine, theirs in pairs:
        mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
        worst = float((np.abs(mine - theirs) / np.maximum(1, np.abs(theirs))).max())
        found[name] = max(found.get(name, 0.0), worst)


def policy_of(algo, env_id, precision="float32", **hyperparameters):
    """RLlib's policy of an algorithm, with a configuration of it."""
    import tensorflow as tf

    ref = EnvRef(env_id, ENV_CONFIG, str(Path.cwd()))
    spec = RunSpec(algo, "tf", ref, seed=0, hyperparameters=hyperparameters)
    config = configure(spec, Layout(0, 4, 0.0, 1, local_mode=True, precision=precision), find(ref))
    config.validate()
    tf.compat.v1.disable_eager_execution()
    env = gymnasium.make(env_id, **ENV_CONFIG)
    policy_class = config.algo_class.get_default_policy_class(config)
    with tf.Graph().as_default(), tf.compat.v1.Session().as_default():
        policy = policy_class(config.observation_space, config.action_space, config.to_dict())
    # RLlib begins with outputs near zero, where every mistake is small, too.
    random, scale = np.random.default_rng(1), SCALES.get(env_id, 0.2)
    weights = policy.get_weights()
    policy.set_weights({n: random.normal(scale=scale, size=w.shape).astype(np.float32) for n, w in weights.items()})
    return policy, config, env


def trajectories(rows, env):
    """The rows of one environment, cut where episodes end."""
    valid = rows["valid"][:, env]
    at = np.flatnonzero(valid)
    ends = np.flatnonzero((rows["terminateds"] | rows["truncateds"])[at, env])
    return [part for part in np.split(at, ends + 1) if len(part)]


def forward_passes():
    # So large that each activation is met far from zero, too.
    observations = np.random.default_rng(0).normal(scale=5, size=(50, 4)).astype(np.float32)
    for share in (True, False):
        for activation in ACTIVATIONS:
            model = {"fcnet_hiddens": [16, 8], "fcnet_activation": activation, "vf_share_layers": share}
            policy, config, _ = policy_of("PPO", "CartPole-v1", model=model)
            _, _, theirs = policy.compute_actions(observations)
            mine = ActorCritic.from_config(config.model, (4,))
            mine.set_weights(policy.get_weights())
            logits, values = mine.forward(observations)
            note("logits and values", (logits, theirs["action_dist_inputs"]), (values, theirs["vf_preds"]))
    for hiddens, dueling in (([16], True), ([16], False), ([], True), ([], False)):
        policy, config, _ = policy_of("DQN", "CartPole-v1", hiddens=hiddens, dueling=dueling)
        _, _, theirs = policy.compute_actions(observations)
        mine = QNetwork.from_config(config.model, (4,), hiddens, dueling)
        mine.set_weights(policy.get_weights())
        note("q-values", (mine.forward(observations), theirs["q_values"]))


# Of the shapes that PIXELS has: settings of PPO's model, and of DQN's with its own layers.
OF_IMAGES = [
    ("Pixels84-v0", {"vf_share_layers": True, "normalize_images": True}),
    ("Pixels7-v0", {"vf_share_layers": False, "conv_activation": "tanh"}),
    ("Pixels4x20-v0", {"vf_share_layers": False, "post_fcnet_hiddens": [8, 6], "normalize_images": True}),
    ("Pixels4x20-v0", {"vf_share_layers": True, "post_fcnet_hiddens": [8], "post_fcnet_activation": "tanh"}),
    # Four rows of pixels are seen by no filter.
    ("Pixels84-v0", {"conv_filters": [[4, [8, 6], [4, 3]], [8, 4, 2], [5, [10, 14], 2]], "vf_share_layers": True}),
]
OF_IMAGES_BY_DQN = [([16], True, []), ([], True, []), ([16], False, [9, 7]), ([], False, [8])]


def images():
    """Networks of images, of fewer and more than go through the convolutions together."""
    for env_id, model in OF_IMAGES:
        policy, config, _ = policy_of("PPO", env_id, model=model)
        seen = images_of(config)
        mine = ActorCritic.from_config(config.model, seen.shape[1:])
        mine.set_weights(policy.get_weights())
        for given in (seen, seen[:3]):
            _, _, theirs = policy.compute_actions(given)
            logits, values = mine.forward(given)
            note("logits of images", (logits, theirs["action_dist_inputs"]))
            note("values of images", (values, theirs["vf_preds"]), (mine.values(given), theirs["vf_preds"]))
        compare_order(policy, parts_of(config.model, seen.shape[1:]))
    for hiddens, dueling, behind in OF_IMAGES_BY_DQN:
        model = {"fcnet_hiddens": [12], "post_fcnet_hiddens": behind, "normalize_images": dueling}
        policy, config, _ = policy_of("DQN", "Pixels4x20-v0", hiddens=hiddens, dueling=dueling, model=model)
        seen = images_of(config)
        mine = QNetwork.from_config(config.model, seen.shape[1:], hiddens, dueling)
        mine.set_weights(policy.get_weights())
        note("q-values of images", (mine.forward(seen), policy.compute_actions(seen)[2]["q_values"]))
        compare_order(policy, parts_of(config.model, seen.shape[1:], final_linear=not hiddens))
    policy, config, _ = policy_of(
        "SAC", "Pixels4x20-v0", policy_model_config={"fcnet_hiddens": [8], "normalize_images": True}
    )
    mine = PolicyNetwork.from_config(SACSampler.model(config), seen.shape[1:])
    mine.set_weights(policy.get_weights())
    note("logits of images", (mine.forward(seen), policy.compute_actions(seen)[2]["action_dist_inputs"]))


def images_beside():
    """Networks of images and of what is beside them."""
    for env_id, behind in (("PixelsBeside-v0", []), ("PixelsBeside-v0", [9, 7]), ("PixelsUnlike-v0", [])):
        model = {"fcnet_hiddens": [8, 6], "post_fcnet_hiddens": behind, "post_fcnet_activation": "tanh"}
        model["normalize_images"] = bool(behind)
        policy, config, _ = policy_of("PPO", env_id, model=model)
        seen = np.random.default_rng(0).uniform(0, 99, (20, *config.observation_space.shape)).astype(np.float32)
        parts = encoder_of(config.rlsif.views["default_policy"].observations).seen
        mine = ActorCritic.from_config(config.model, parts)
        mine.set_weights(policy.get_weights())
        _, _, theirs = policy.compute_actions(seen)
        logits, values = mine.forward(seen)
        note("logits beside images", (logits, theirs["action_dist_inputs"]), (values, theirs["vf_preds"]))
    policy, config, _ = policy_of("DQN", "PixelsUnlike-v0", hiddens=[16], model={"fcnet_hiddens": [8, 6]})
    mine = QNetwork.from_config(config.model, parts, [16], dueling=True)
    mine.set_weights(policy.get_weights())
    note("logits beside images", (mine.forward(seen), policy.compute_actions(seen)[2]["q_values"]))


def images_of(config):
    space = config.observation_space
    return np.random.default_rng(0).integers(256, size=(20, *space.shape)).astype(space.dtype)


def compare_order(policy, parts):
    """Count the layers that stand elsewhere in a list of the model's weights."""
    theirs = [weight.name.split("/")[-2] for weight in policy.model.base_model.weights[::2]]
    found["layers in another order"] = found.get("layers in another order", 0) + (theirs != parts.order)


def bytes_of_images():
    """How many bytes a pixel of a batch takes, and of the placeholder that it is fed to."""
    for algo in ("PPO", "DQN", "IMPALA"):
        policy, config, _ = policy_of(algo, "Pixels7-v0", rollout_fragment_length=10)
        sampler = Sampling(config, 0).sampler
        sampler.set_weights(policy.get_weights())
        batch = sampler.sample()
        found["bytes of a pixel"] = max(
            found.get("bytes of a pixel", 0),
            *(batch[name].itemsize for name in ("obs", "new_obs") if name in batch),
            policy._loss_input_dict_no_rnn["obs"].dtype.size,
        )


def ppo(env_id):
    policy, config, _ = policy_of("PPO", env_id, rollout_fragment_length=64, train_batch_size=256)
    sampling = Sampling(config, 0)
    sampler = sampling.sampler
    sampler.set_weights(policy.get_weights())
    batch = sampler.sample()
    if env_id == "Both-v0":
        note("log-probabilities of mixed actions", (batch["action_logp"], _log_probabilities(policy, batch)))
    else:
        logp = policy.compute_log_likelihoods(actions=batch["actions"], obs_batch=batch["obs"], actions_normalized=True)
        # Sums of terms of either sign, as exact as the largest of them.
        size = max(1, np.abs(logp).max())
        note("log-probabilities", (batch["action_logp"] / size, logp / size))
    rows, start, lengths = sampler._rows, 0, []
    for number in range(4):
        for part in trajectories(rows, number):
            last = part[-1]
            ended = rows["terminateds"][last, number] or rows["truncateds"][last, number]
            following = rows["obs"][last + 1, number] if last + 1 < rows.steps else sampler._seen[number]
            final = _after(rows, sampler, last, number, ended, following)
            theirs = SampleBatch(
                obs=rows["obs"][part, number],
                new_obs=np.concatenate([rows["obs"][part[1:], number], final[None]]),
                rewards=rows["rewards"][part, number],
                terminateds=rows["terminateds"][part, number],
                truncateds=rows["truncateds"][part, number],
                vf_preds=rows["values"][part, number],
                actions=rows["actions"][part, number],
            )
            theirs = policy.postprocess_trajectory(theirs)
            here = slice(start, start + len(part))
            note("advantages", (batch["advantages"][here], theirs["advantages"]))
            note("value targets", (batch["value_targets"][here], theirs["value_targets"]))
            start += len(part)
            if ended:
                lengths.append((len(part), float(rows["rewards"][part, number].sum())))
    found["rows left"] = found.get("rows left", 0) + abs(len(batch["obs"]) - start)
    mine = sorted((e.length, round(e.total_reward, 3)) for e in sampler.episodes())
    note("episodes", (mine, sorted((n, round(r, 3)) for n, r in lengths)))
    found[f"{env_id} truncated"] = int((rows["truncateds"] & rows["valid"]).sum())
    found[f"{env_id} terminated"] = int((rows["terminateds"] & rows["valid"]).sum())


def _log_probabilities(policy, batch):
    """By RLlib's distribution from the same inputs; deviations are so small here that those of two networks differ."""
    import tensorflow as tf

    with policy.get_session().graph.as_default():
        distribution = policy.dist_class(tf.constant(batch["action_dist_inputs"]), policy.model)
        return policy.get_session().run(distribution.logp(tf.constant(batch["actions"])))


def _after(rows, sampler, last, number, ended, following):
    """The observation that a trajectory ended with."""
    # Vectorised environments show it in the dummy row that follows; others were asked for it.
    return following if not ended or hasattr(sampler._environments, "_env") else SEEN[last, number]


SEEN = None


def watch_final_observations():
    """Keep what every step of a sampler returned."""
    from rlsif.sampling.samplers import ActorCriticSampler

    take = ActorCriticSampler.take

    def watched(self, step):
        global SEEN
        after = take(self, step)
        # Where there are several samplers nobody asks for it.
        fresh = self._rows.steps == 1 or SEEN.shape[1:] != after.shape
        SEEN = np.array(after)[None] if fresh else np.concatenate([SEEN, after[None]])
        return after

    ActorCriticSampler.take = watched


def vtrace():
    policy, config, _ = policy_of("IMPALA", "CartPole-v1", rollout_fragment_length=30)
    sampling = Sampling(config, 0)
    sampling.sampler.set_weights(policy.get_weights())
    for _ in range(3):
        batch = sampling.sampler.sample()
        assert len(batch["obs"]) == 120, len(batch["obs"])
        # Stretches of 30 rows, each a chain of CartPole's own steps.
        for stretch in range(4):
            here = slice(stretch * 30, stretch * 30 + 30)
            done = batch["terminateds"][here] | batch["truncateds"][here]
            values = policy.compute_actions(batch["obs"][here])[2]["vf_preds"]
            inside = ~done[:-1]
            note("values bootstrapped", (batch["values_bootstrapped"][here][:-1][inside], values[1:][inside]))
            ends = batch["values_bootstrapped"][here][batch["terminateds"][here]]
            note("values of ends", (np.append(ends, 0), 0.0))


def n_steps():
    policy, config, _ = policy_of("DQN", "CartPole-v1", rollout_fragment_length=40, n_step=3)
    sampling = Sampling(config, 0)
    sampler = sampling.sampler
    sampler.set_weights(policy.get_weights())
    batch, rows, start = sampler.sample(), sampler._rows, 0
    for number in range(4):
        for part in trajectories(rows, number):
            after = [rows["obs"][i + 1, number] if i + 1 < rows.steps else sampler._seen[number] for i in part]
            names = ("obs", "actions", "rewards", "terminateds", "truncateds")
            theirs = SampleBatch({**{n: rows[n][part, number].copy() for n in names}, "new_obs": np.array(after)})
            adjust_nstep(3, config.gamma, theirs)
            here = slice(start, start + len(part))
            for name in ("rewards", "new_obs", "terminateds", "truncateds"):
                note(f"n-step {name}", (batch[name][here].astype(float), theirs[name].astype(float)))
            start += len(part)
    for step in (0, 3000, 10_000, 20_000):
        mine = EpsilonGreedy(1.0, 0.02, 0, 10_000).epsilon(step)
        note("epsilon", (mine, max(0.02, 1.0 - 0.98 * step / 10_000)))
    # With a step of no width, and values that epsilon leaves at once.
    schedule = {"endpoints": [[500, 1.0], [1000, 0.5], [1000, 0.3], [9000, 0.1]], "outside_value": 0.02}
    theirs = PiecewiseSchedule(**schedule)
    mine = EpsilonGreedy(epsilon_schedule=schedule)
    for step in (0, 499, 500, 750, 999, 1000, 1001, 5000, 8999, 9000, 9001, 20_000):
        note("epsilon of a schedule", (mine.epsilon(step), theirs.value(step)))
    values = np.tile(np.array([0.0, 1.0], np.float32), (20_000, 1))
    drawn = EpsilonGreedy(0.5, 0.5).sample(values, np.random.default_rng(0), 0)
    found["share of random actions"] = float((drawn == 0).mean() * 2)


def filters():
    observations = np.random.default_rng(0).normal(3, 2, size=(40, 8, 4)).astype(np.float32)
    mine, theirs = Filtered(MeanStdFilter((4,))), MeanStdFilter((4,))
    for step in observations:
        mine(step)
        for observation in step:
            theirs(observation)
    for name in ("mean", "std"):
        note("filter", (getattr(mine.filter.running_stats, name), getattr(theirs.running_stats, name)))
    learner_a, learner_b = MeanStdFilter((4,)), MeanStdFilter((4,))
    learner_a.apply_changes(mine.filter)
    learner_b.apply_changes(theirs)
    note("merged filter", (learner_a.running_stats.mean, learner_b.running_stats.mean))


def rewards():
    """Of two env runners: the scale by the formula over all returns so far, and what the learner knows of both."""
    random, gamma, every = np.random.default_rng(0), 0.97, []
    learner = MeanStdFilter((1,))
    for _ in range(2):
        mine, returns, known = RewardScale(MeanStdFilter((1,)), gamma, 5), np.zeros(5), []
        for _ in range(60):
            given, active, done = random.normal(3, 20, 5), random.random(5) < 0.9, random.random(5) < 0.1
            done &= active
            returns = np.where(active, gamma * returns + given, returns)
            known += returns[active].tolist()
            expected = np.clip(given / np.sqrt(np.var(known) + 1e-8), -10, 10)
            note("scaled rewards", (mine(given, active, done), expected))
            returns[done] = 0
        every += known
        learner.apply_changes(mine.filter.as_serializable())
    seen = learner.running_stats
    note("scale of two env runners", (seen.sum_sq_diff_array[0] / seen.num_pushes, np.var(every)), (seen.n, len(every)))


def rewards_of_a_batch():
    """A batch has the rewards of one without a scale, scaled; episodes have the true ones."""
    policy, config, _ = policy_of("PPO", "Pendulum-v1", rollout_fragment_length=64, train_batch_size=256)
    scaled = config.copy(copy_frozen=False)
    scaled.rlsif = replace(config.rlsif, normalize_rewards=True)
    samplings = [Sampling(each, 0) for each in (config, scaled)]
    for sampling in samplings:
        sampling.sampler.set_weights(policy.get_weights())
        sampling.sampler.sample()
    rows, rows_of_scaled = (sampling.sampler._rows for sampling in samplings)
    again = RewardScale(MeanStdFilter((1,)), config.gamma, 4)
    ends = rows["terminateds"] | rows["truncateds"]
    for given, active, done, mine in zip(rows["rewards"], rows["valid"], ends, rows_of_scaled["rewards"]):
        note("scaled rewards of a batch", (mine, again(given, active, active & done)))
    true, shown = ([(e.length, e.total_reward) for e in sampling.sampler.episodes()] for sampling in samplings)
    assert len(true) > 4
    note("returns beside scaled rewards", (shown, true))


def seeds():
    policy, config, _ = policy_of("PPO", "CartPole-v1", rollout_fragment_length=32, train_batch_size=128)
    batches = []
    for index in (1, 1, 2):
        sampler = Sampling(config, index).sampler
        sampler.set_weights(policy.get_weights())
        batches.append(sampler.sample())
    note("one seed", *((batches[0][name], batches[1][name]) for name in batches[0]))
    found["two env runners"] = float(np.abs(batches[0]["obs"][:32] - batches[2]["obs"][:32]).max())


# Three minibatches of an epoch, and rows that are left over; steps that are large beside what is compared.
EPOCHS, MINIBATCH, RATE = 3, 80, 3e-3


def update():
    settings = {"train_batch_size": 256, "grad_clip": 0.5, "entropy_coeff": 0.01, "lr": RATE}
    for env_id in ("CartPole-v1", "Pendulum-v1", "Both-v0", "Pixels7-v0"):
        (mine, config, _), (theirs, _, _) = (policy_of("PPO", env_id, **settings) for _ in range(2))
        sampler = Sampling(config, 0).sampler
        sampler.set_weights(mine.get_weights())
        batch = SampleBatch(sampler.sample())
        before = mine.get_weights()
        compiled = CompiledUpdate(mine)
        session = mine.get_session()
        np.random.seed(3)
        minibatches = compiled_update._minibatches(len(batch), EPOCHS, MINIBATCH)
        drawn(minibatches, len(batch))
        np.random.seed(3)
        with unittest.mock.patch.object(session, "run", wraps=session.run) as run:
            statistics = compiled(batch, epochs=EPOCHS, minibatch_size=MINIBATCH)
        found["calls of TensorFlow in an update"] = run.call_count
        python = [op.type for op in session.graph.get_operations() if op.type in ("PyFunc", "EagerPyFunc")]
        found["ways back to Python in the graph"] = len(python)
        full = SampleBatch(batch)
        for name, placeholder in theirs._loss_input_dict_no_rnn.items():
            if name not in full:
                shape = [len(batch), *placeholder.shape.as_list()[1:]]
                full[name] = np.zeros(shape, placeholder.dtype.as_numpy_dtype)
        # RLlib's policy with one minibatch after the other.
        chosen = [SampleBatch({name: column[rows] for name, column in full.items()}) for rows in minibatches]
        told = [theirs.learn_on_batch(each)["learner_stats"] for each in chosen]
        moved = [np.abs(w - before[n]).max() for n, w in mine.get_weights().items()]
        found["weights moved"] = min(found.get("weights moved", 1.0), float(max(moved)))
        note("weights after an update", *zip(mine.get_weights().values(), theirs.get_weights().values(), strict=True))
        for name in ("total_loss", "policy_loss", "vf_loss", "kl", "entropy"):
            note(f"update {name}", (statistics[name], np.mean([t[name] for t in told])))


def drawn(minibatches, rows):
    """Count what minibatches must be: of other rows in each epoch, none twice, what is left over out."""
    epochs = minibatches.reshape(EPOCHS, -1)
    assert 0 < rows - epochs.shape[1] < MINIBATCH < rows / 2
    found["rows drawn twice in an epoch"] = sum(len(epoch) - len(set(epoch.tolist())) for epoch in epochs)
    found["epochs in the same order"] = EPOCHS - len({tuple(epoch) for epoch in epochs})
    found["rows in their own order"] = int((epochs == np.arange(epochs.shape[1])).all(axis=1).sum())


def own_class():
    """An environment without a vector entry point, with terminations."""

    class Walk(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-10, 10, (4,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self._at = self.np_random.normal(size=4).astype(np.float32)
            return self._at.copy(), {}

        def step(self, action):
            self._at += self.np_random.normal(scale=0.17, size=4).astype(np.float32) + 0.02 * action
            return self._at.copy(), float(self._at[0]), bool(abs(self._at[0]) > 1.5), False, {}

    class Both(Walk):
        action_space = gymnasium.spaces.Dict(
            a=gymnasium.spaces.Discrete(3, start=1),
            b=gymnasium.spaces.Box(-1, 2, (2,)),
            c=gymnasium.spaces.MultiBinary(2),
        )

        def step(self, action):
            assert self.action_space.contains(action)
            return super().step(action["a"] + action["b"].sum())

    gymnasium.register("Walk-v0", Walk)
    gymnasium.register("Both-v0", Both)


def pixel_classes():
    """Environments that show images."""

    class Pixels(gymnasium.Env):
        action_space = gymnasium.spaces.Discrete(3)

        def __init__(self, shape):
            self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self._seen(), {}

        def step(self, action):
            return self._seen(), float(action), bool(self.np_random.random() < 0.1), False, {}

        def _seen(self):
            return self.np_random.integers(256, size=self.observation_space.shape, dtype=np.uint8)

    class Beside(Pixels):
        def __init__(self, sizes):
            pixels = {name: gymnasium.spaces.Box(0, 255, size, np.uint8) for name, size in sizes.items()}
            self.observation_space = gymnasium.spaces.Dict(
                **pixels, b=gymnasium.spaces.Discrete(3), d=gymnasium.spaces.Box(-1, 1, (2, 3))
            )

        def _seen(self):
            return self.observation_space.sample()

    gymnasium.register("PixelsBeside-v0", Beside, kwargs={"sizes": {"a": (4, 32, 32), "c": (32, 32, 3)}})
    # Each has filters of its own, the second more of them.
    gymnasium.register("PixelsUnlike-v0", Beside, kwargs={"sizes": {"a": (4, 9, 11), "c": (70, 40, 3)}})
    for name, shape in PIXELS.items():
        gymnasium.register(name, Pixels, kwargs={"shape": shape})


def masked_class():
    """An environment that takes some of its actions alone."""

    class Masked(gymnasium.Env):
        observation_space = gymnasium.spaces.Dict(
            action_mask=gymnasium.spaces.MultiBinary(6), observations=gymnasium.spaces.Box(-10, 10, (4,), np.float32)
        )
        action_space = gymnasium.spaces.Discrete(6)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self._seen(), {}

        def step(self, action):
            assert self._mask[action]
            return self._seen(), float(action), False, False, {}

        def _seen(self):
            self._mask = (self.np_random.random(6) < 0.4).astype(np.int8)
            self._mask[self.np_random.integers(6)] = 1
            return {"action_mask": self._mask, "observations": self.np_random.normal(size=4).astype(np.float32)}

    gymnasium.register("Masked-v0", Masked)


if __name__ == "__main__":
    own_class()
    pixel_classes()
    watch_final_observations()
    forward_passes()
    images()
    images_beside()
    bytes_of_images()
    for env_id in ("CartPole-v1", "Pendulum-v1", "Walk-v0", "Both-v0", "Pixels4x20-v0"):
        ppo(env_id)
    vtrace()
    n_steps()
    filters()
    rewards()
    rewards_of_a_batch()
    seeds()
    update()
    masked_class()
    same_masks.compare(policy_of, note, found)
    same_agents.compare(note, found)
    same_stretches.compare(note, found)
    same_memory.compare(policy_of, note, found)
    json.dump(found, sys.stdout)
