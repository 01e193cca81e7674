"""Runs inside the image: builds and trains algorithms as with a GPU, where there is none.

RLlib is told that TensorFlow sees a GPU. TensorFlow itself puts on the CPU what it cannot put there.
"""

import contextlib
import io
import json
from pathlib import Path

from rlsif.cluster.ray_node import want_tensorflow

want_tensorflow()
from ray.rllib.evaluation import rollout_worker  # noqa: E402
from ray.rllib.policy import tf_policy  # noqa: E402

from rlsif import private_api  # noqa: E402
from rlsif.envs.find import find  # noqa: E402
from rlsif.envs.reference import EnvRef  # noqa: E402
from rlsif.learning.learner import Learner  # noqa: E402
from rlsif.learning.spec import Layout, RunSpec  # noqa: E402

GPUS = ["/physical_device:GPU:0"]
SMALL = {"train_batch_size": 200, "model": {"fcnet_hiddens": [16]}}
PPO = {"minibatch_size": 100, "num_epochs": 2}
REPLAY = {"num_steps_sampled_before_learning_starts": 100, "min_sample_timesteps_per_iteration": 300}
ASYNC = {"rollout_fragment_length": 20, "min_time_s_per_iteration": 0, "min_sample_timesteps_per_iteration": 400}
ALGORITHMS = {
    "PPO": ("CartPole-v1", {**SMALL, **PPO}),
    "DQN": ("CartPole-v1", {**SMALL, **REPLAY}),
    "SAC": ("Pendulum-v1", {**SMALL, **REPLAY}),
    "APPO": ("CartPole-v1", {**SMALL, **ASYNC}),
    "IMPALA": ("CartPole-v1", {**SMALL, **ASYNC}),
}
# Of PPO, in the file beside this.
NETWORKS = ("Strings", "Draws")


def trained(algo, env, settings, network=None):
    """The updates of two iterations, the devices that the policy's graph is built for, and what was said of XLA."""
    own = network and f"{Path(__file__).with_name('no_xla.py')}:{network}"
    spec = RunSpec(algo, "tf", EnvRef(env), 0, settings, network=own)
    learner, said = Learner(), io.StringIO()
    runners = 1 if algo in ("APPO", "IMPALA") else 0
    layout = Layout(runners, 1, 1.0, 1, local_mode=not runners, rllib_samples="own" if own else None)
    with contextlib.redirect_stdout(said):
        learner.build(spec, layout, find(spec.env))
        policy = learner._algorithm.get_policy()
        for _ in range(2):
            learner.step()
        learner._algorithm.stop()
    xla = [line for line in said.getvalue().splitlines() if line.startswith("XLA")]
    return {"updates": policy.num_grad_updates, "devices": policy.devices, "xla": xla}


if __name__ == "__main__":
    rollout_worker.get_tf_gpu_devices = tf_policy.get_gpu_devices = lambda: GPUS
    private_api.init(num_cpus=2, num_gpus=1, include_dashboard=False, node_ip_address="127.0.0.1")
    found = {algo: trained(algo, *given) for algo, given in ALGORITHMS.items()}
    for network in NETWORKS:
        found[network] = trained("PPO", "CartPole-v1", PPO | {"train_batch_size": 200}, network)
    print(json.dumps(found))
