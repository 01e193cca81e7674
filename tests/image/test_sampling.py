"""The sampler without TensorFlow, and PPO's update in one call, beside RLlib's own."""

import json
from pathlib import Path

import pytest

from rlsif.private_api import NO_TENSORFLOW
from tests.commands import Shell
from tests.unit.test_rooms import IMPORT_ALL

# Single precision, in another order.
CLOSE = 1e-5


@pytest.fixture(scope="module")
def found(apptainer, rl_sif, forks_socket, tmp_path_factory):
    shell = Shell(apptainer, rl_sif, tmp_path_factory.mktemp("found"), forks_socket)
    done = shell("python", Path(__file__).with_name("same_sampler.py"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "what",
    [
        "logits and values", "q-values", "logits of images", "values of images", "q-values of images",
        "logits beside images",
        "layers in another order", "log-probabilities", "log-probabilities of mixed actions", "advantages",
        "value targets", "episodes", "rows left",
        "values bootstrapped", "values of ends", "n-step rewards", "n-step new_obs", "n-step terminateds",
        "n-step truncateds", "epsilon", "epsilon of a schedule", "filter", "merged filter", "one seed",
        "scaled rewards", "scale of two env runners", "scaled rewards of a batch", "returns beside scaled rewards",
        "masked logits and values", "masked q-values", "masked targets",
        "rows of agents", "PPO actions of agents", "PPO rewards of agents",
        "PPO advantages of agents", "PPO value_targets of agents", "DQN actions of agents", "DQN rewards of agents",
        "DQN new_obs of agents", "DQN terminateds of agents", "DQN truncateds of agents",
        "returns of episodes of agents", "returns of agents",
        "APPO rows of agents that are not RLlib's", "APPO values of agents", "APPO order of agents",
        "IMPALA rows of agents that are not RLlib's", "IMPALA values of agents", "IMPALA order of agents",
        "logits of a memory", "values of a memory", "rewards of a memory", "advantages of a memory",
        "value_targets of a memory", "action_logp of a memory", "seq_lens of a memory", "state_in_0 of a memory",
        "state_in_1 of a memory", "total_loss of a memory", "kl of a memory", "weights of a memory",
    ],
)  # fmt: skip
def test_it_samples_as_rllib_does(found, what):
    """RLlib samples with each kind of space and network, once for all cases."""
    assert found[what] <= CLOSE


def test_episodes_end_both_ways_in_what_was_compared(found):
    assert found["CartPole-v1 truncated"] > 0 and found["CartPole-v1 terminated"] > 0
    assert found["Walk-v0 truncated"] > 0 and found["Walk-v0 terminated"] > 0
    assert found["Pendulum-v1 truncated"] > 0


def test_an_image_goes_to_the_learner_with_a_byte_a_pixel(found):
    assert found["bytes of a pixel"] == 1


def test_agents_left_and_were_cut_off_in_what_was_compared(found):
    assert found["agents that left"] > 0 and found["agents that were cut off"] > 0
    assert 1 < found["most agent steps for each env step"] < 3


def test_sequences_of_a_memory_were_cut_in_what_was_compared(found):
    assert found["shortest sequence"] < found["longest sequence"] == 8
    assert found["sequences in the middle of an episode"] > 0
    assert found["weights of a memory moved"] > 100 * CLOSE
    assert found["CartPole-v1 truncated with a memory"] > 0 and found["Walk-v0 truncated with a memory"] > 0


def test_rllibs_own_sampler_chooses_no_illegal_action(found):
    assert found["illegal actions of RLlib's"] == 0


def test_env_runners_draw_their_own_numbers(found):
    assert found["two env runners"] > 0.01
    assert found["share of random actions"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "what",
    ["weights after an update", "update total_loss", "update policy_loss", "update vf_loss", "update kl",
     "update entropy", "weights after masked updates"],
)  # fmt: skip
def test_an_update_in_one_call_is_rllibs(found, what):
    assert found[what] <= CLOSE


def test_an_update_goes_through_shuffled_minibatches_without_what_is_left_over(found):
    assert found["rows drawn twice in an epoch"] == found["epochs in the same order"] == 0
    assert found["rows in their own order"] == 0
    # A thousand times what may differ.
    assert found["weights moved"] > 1000 * CLOSE


def test_nothing_goes_back_to_the_host_between_minibatches(found):
    assert found["calls of TensorFlow in an update"] == 1
    assert found["ways back to Python in the graph"] == 0


def test_an_env_runner_is_imported_where_tensorflow_cannot_be(container):
    done = container("python", "-c", IMPORT_ALL, "rlsif.sampling", "tensorflow,tf_keras", env={NO_TENSORFLOW: "1"})
    assert done.returncode == 0
