"""Runs inside the image: a user's own network in the compiled update, beside RLlib's own step of it.

Usage: same_own.py FILE, which has networks. Prints one JSON object: the greatest difference of each comparison.
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.framework import try_import_tf

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning import own_model
from rlsif.learning.build import configure
from rlsif.learning.compiled_update import CompiledUpdate
from rlsif.learning.rehearsal import policies
from rlsif.learning.spec import Layout, RunSpec
from rlsif.sampling.env_runner import Sampling
from tests.image import same_sampler
from tests.image.same_sampler import note, policy_of

tf1, tf, _ = try_import_tf()
ROWS = {"train_batch_size": 256, "grad_clip": 0.5, "lr": 3e-3}
own_model.register()
other, config, _ = policy_of("PPO", "CartPole-v1", **ROWS)
ref = EnvRef("CartPole-v1", same_sampler.ENV_CONFIG, str(Path.cwd()))
spec = RunSpec("PPO", "tf", ref, 0, ROWS, network=f"{sys.argv[1]}:Plain")
settings = configure(spec, Layout(0, 4, 0.0, 1, rllib_samples="own"), find(ref))
settings.validate()
[mine], [theirs] = policies(settings).values(), policies(settings).values()
theirs.set_weights(mine.get_weights())
before = mine.get_weights()
# What another policy has sampled, for both.
sampler = Sampling(config, 0).sampler
sampler.set_weights(other.get_weights())
batch = SampleBatch(sampler.sample())
CompiledUpdate(mine)(batch, epochs=5, minibatch_size=len(batch))
for name, placeholder in theirs._loss_input_dict_no_rnn.items():
    if name not in batch:
        batch[name] = np.zeros([len(batch), *placeholder.shape.as_list()[1:]], placeholder.dtype.as_numpy_dtype)
for _ in range(5):
    theirs.learn_on_batch(SampleBatch(batch))
after = mine.get_weights()
note("weights after updates", *zip(after.values(), theirs.get_weights().values(), strict=True))
same_sampler.found["moved"] = max(float(np.abs(after[name] - before[name]).max()) for name in after)
# Beside others in one graph, as `evaluate` has several policies, Keras and TensorFlow count on.
with tf.Graph().as_default(), tf1.Session().as_default():
    made = []
    for number in range(3):
        with tf1.variable_scope(f"scope_{number}"):
            policy_class = settings.algo_class.get_default_policy_class(settings)
            made.append(policy_class(settings.observation_space, settings.action_space, settings.to_dict()))
    for policy in made:
        policy.set_weights(after)
        pair = [each.compute_actions(batch["obs"])[2]["action_dist_inputs"] for each in (policy, mine)]
        note("outputs of another graph", pair)
print(json.dumps(same_sampler.found))
