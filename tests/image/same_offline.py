"""Runs inside the image: what RLlib's JsonWriter writes is read here, what is recorded here is read by RLlib.

Usage: same_offline.py FOLDER, of recorded episodes of CartPole-v1. Prints the greatest differences: of the rows that
RLlib reads and that are read here; of those of RLlib's writer; of returns; and of weights after two updates of MARWIL.
"""

import json
import sys
import tempfile
from pathlib import Path

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import numpy as np
import ray
from ray.rllib.evaluation.postprocessing import compute_advantages
from ray.rllib.offline.json_reader import JsonReader
from ray.rllib.offline.json_writer import JsonWriter
from ray.rllib.policy.sample_batch import SampleBatch, concat_samples

from rlsif.envs.find import find
from rlsif.envs.recorded import read
from rlsif.envs.reference import EnvRef
from rlsif.learning import left_out
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec

COLUMNS = ("obs", "new_obs", "actions", "rewards", "terminateds", "truncateds")


def difference(one, other):
    return max(float(np.abs(np.asarray(one[name], float) - np.asarray(other[name], float)).max()) for name in COLUMNS)


def weights(policy):
    return np.concatenate([np.ravel(values) for values in policy.get_weights().values()])


def of_updates(folder):
    """The weights after updates in one call, against those by RLlib's own step from the same rows."""
    settings = {"train_batch_size": 32, "min_sample_timesteps_per_iteration": 64, "lr": 0.01}
    spec = RunSpec("MARWIL", "tf", EnvRef("CartPole-v1", {}, "."), 0, settings, input=str(folder))
    learner = Learner()
    learner.build(spec, Layout(0, 1, 0.0, 1, local_mode=True), find(spec.env))
    algorithm = learner._algorithm
    policy, batch = algorithm.get_policy(), algorithm._drawn(64)
    before = policy.get_state()
    np.random.seed(0)
    algorithm._update(batch, 1, 32)
    ours, statistics = weights(policy), policy.num_grad_updates
    policy.set_state(before)
    norm, session = policy._moving_average_sqd_adv_norm, policy.get_session()
    kept, saved = float(session.run(norm)), left_out.left_out(policy)
    norm.load(100.0, session)
    left_out.restore(policy, saved)
    assert float(session.run(norm)) == kept != 100.0
    norm.load(100.0, session)
    np.random.seed(0)
    rows = np.random.permutation(64).reshape(-1, 32)
    for each in rows:
        policy.learn_on_batch(SampleBatch({name: batch[name][each] for name in batch}))
    return float(np.abs(weights(policy) - ours).max()), statistics


def main(folder):
    env = find(EnvRef("CartPole-v1", {}, "."))
    ours = read(folder, env)
    theirs = concat_samples(list(JsonReader(str(folder)).read_all_files()))
    episodes = theirs.split_by_episode()
    written = Path(tempfile.mkdtemp())
    writer = JsonWriter(str(written))
    for episode in episodes:
        writer.write(episode)
    afterwards = np.where(ours.columns["terminateds"][ours.ends - 1], 0.0, 3.0)
    returns = [
        compute_advantages(e, last, 0.9, use_gae=False, use_critic=False) for e, last in zip(episodes, afterwards)
    ]
    of_returns = np.concatenate([e["advantages"] for e in returns]) - ours.returns(0.9, afterwards)
    of_weights, updates = of_updates(folder)
    return {
        "read": difference(theirs, ours.columns),
        "written": difference(theirs, read(written, env).columns),
        "returns": float(np.abs(of_returns).max()),
        "weights": of_weights,
        "updates": updates,
    }


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
print(json.dumps(main(Path(sys.argv[1]))))
