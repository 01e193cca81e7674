"""Every private name of Ray and RLlib that is used is there, in the version that the image has."""

import json

import pytest

from rlsif.private_api import MADE_FOR, NAMES
from tests.commands import Shell

LOOK = """
import json, sys
from importlib import import_module
found = {}
for place, names in json.loads(sys.argv[1]).items():
    module, _, attribute = place.partition(":")
    holder = import_module(module)
    holder = getattr(holder, attribute) if attribute else holder
    found[place] = [name for name in names if not hasattr(holder, name)]
import ray
print(json.dumps({"missing": found, "version": ray.__version__}))
"""
# Attributes that instances have: a policy of PPO and the groups of an algorithm, as the learner meets them.
INSTANCES = """
import json
from rlsif.cluster.ray_node import want_tensorflow
want_tensorflow()
from rlsif import private_api
private_api.init(num_cpus=1, include_dashboard=False, node_ip_address="127.0.0.1")
from ray.rllib.algorithms.cql import CQLConfig
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.algorithms.impala import IMPALAConfig
private_api.clips_each_loss(IMPALAConfig())
from ray._private.parameter import RayParams
from ray.job_config import JobConfig
from ray.rllib.algorithms.marwil.marwil_tf_policy import get_marwil_tf_policy as marwil_policy
from ray.rllib.policy.dynamic_tf_policy import DynamicTFPolicy
from ray.rllib.policy.dynamic_tf_policy_v2 import DynamicTFPolicyV2
class Sets:
    def __init__(self, method):
        vars(self).update(dict.fromkeys(method.__code__.co_names))
from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec
spec = RunSpec("PPO", "tf", EnvRef("CartPole-v1"))
learner = Learner()
learner.build(spec, Layout(0, 1, 0.0, 1, local_mode=True), find(spec.env))
algorithm = learner._algorithm
policy, group = algorithm.get_policy(), algorithm.env_runner_group
of_sac = (private_api.BETA_DISTRIBUTION, private_api.DETERMINISTIC_LOSS)
from types import SimpleNamespace
from ray.rllib.models.catalog import MODEL_DEFAULTS
wanted = [(SACConfig(), of_sac), (CQLConfig(), of_sac),
          (SimpleNamespace(**MODEL_DEFAULTS), private_api.MODEL_WITHOUT_EFFECT),
          (algorithm, ("_timers", "_counters")), (group, ("_env_creator", "_remote_config_obj_ref", "_worker_manager")),
          (group._worker_manager, ("_in_flight_req_to_actor_id",)),
          (policy, ("_optimizer", "_optimizers", "_loss_input_dict", "_loss_input_dict_no_rnn", "_stats_fetches")),
          (policy._optimizer_variables, ("variables",)), (JobConfig(), ("_py_driver_sys_path",))]
# Those that a policy of DQN, SAC or MARWIL has are set where it is made.
from ray.rllib.policy.eager_tf_policy_v2 import EagerTFPolicyV2
wanted += [(Sets(EagerTFPolicyV2.__init__), ("_lock",)), (Sets(DynamicTFPolicy.__init__), ("_loss_fn", "_stats_fn")),
           (Sets(marwil_policy("named", DynamicTFPolicyV2).__init__), ("_moving_average_sqd_adv_norm",))]
RayParams(**private_api.node_parameters(name="node", address="127.0.0.1", head=None, cpus=1, gpus=0, roles={},
                                        memory=1, object_store=1, folder="/tmp/r", dashboard=False))
print(json.dumps([name for holder, names in wanted for name in names if not hasattr(holder, name)]))
"""

# RLlib's own sum and ours, and what making a policy then has imported.
SUMS = """
import importlib, json, sys
from rlsif.learning.rllib import discounted_sum, import_rllib
import_rllib()
from ray.rllib.evaluation import postprocessing
ours = postprocessing.discount_cumsum is discounted_sum
put_off = "tensorflow_probability.python" not in sys.modules and "scipy.signal" not in sys.modules
import numpy as np, tensorflow_probability as tfp
theirs = importlib.reload(postprocessing).discount_cumsum
values = [np.random.default_rng(0).normal(size=500).astype(kind) for kind in ("float32", "float64")]
equal = [np.array_equal(theirs(v, gamma), discounted_sum(v, gamma)) for v in values for gamma in (0.0, 0.9, 1.0)]
print(json.dumps([ours, put_off, equal, tfp.distributions.Normal.__name__]))
"""


@pytest.fixture(scope="module")
def looked(apptainer, rl_sif, forks_socket, tmp_path_factory):
    shell = Shell(apptainer, rl_sif, tmp_path_factory.mktemp("looked"), forks_socket)
    done = shell("python", "-c", LOOK, json.dumps(NAMES))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_image_has_the_ray_that_the_adapter_was_made_for(looked):
    assert looked["version"].startswith(f"{MADE_FOR}.")


@pytest.mark.parametrize("place", NAMES)
def test_every_name_is_there(looked, place):
    assert looked["missing"][place] == []


def test_what_instances_have_is_there(shell):
    done = shell("python", "-c", INSTANCES)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_what_is_imported_late_gives_the_same(container):
    done = container("python", "-c", SUMS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [True, True, [True] * 6, "Normal"]
