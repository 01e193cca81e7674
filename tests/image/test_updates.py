"""The updates of DQN, SAC, APPO and IMPALA in one call of TensorFlow, beside RLlib's own from the same batches."""

import json
from pathlib import Path

import pytest

# Single precision, in another order.
CLOSE = 1e-5


@pytest.mark.parametrize("algo", ["DQN", "SAC"])
def test_updates_in_one_call_are_rllibs_one_after_the_other(shell, algo):
    done = shell("python", Path(__file__).with_name("same_updates.py"), algo)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 3
    for told in found.values():
        # Weights, target networks and optimizers after twenty updates, the target networks having followed six times.
        assert told["one in a call"] <= CLOSE and told["all in a call"] <= CLOSE
        assert told["TD errors"] <= CLOSE and told["statistics"] <= CLOSE
        assert told["moved"] > 500 * CLOSE
        if algo == "SAC":
            assert told["inputs"] <= CLOSE and told["rows"] == 0
            # The distance of an action from its bound is known to fewer digits.
            assert told["log-probabilities"] < 1e-3
            assert told["draws"] < 0.03


@pytest.mark.parametrize("algo", ["APPO", "IMPALA"])
def test_a_batch_in_one_call_is_learned_as_rllib_learns_its_minibatches(shell, algo):
    done = shell("python", Path(__file__).with_name("same_updates.py"), algo)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for told in found.values():
        # Weights, target network, optimizers, schedules and the weight of the divergence after four batches.
        assert told["all in a call"] <= CLOSE and told["statistics"] <= CLOSE
        assert told["moved"] > 500 * CLOSE
    assert found[f"{algo} as it is"]["minibatches"] == 1
    # Three epochs of two minibatches; a stretch is left over.
    assert found[f"{algo} settings"]["minibatches"] == 6
    if algo == "APPO":
        assert found["APPO settings"]["weight of the divergence"] != 1


@pytest.mark.fault("a learner has a GPU", promise="it trains there as on CPUs, without RLlib's copies of the loss")
def test_algorithms_train_as_with_a_gpu(shell):
    done = shell("python", Path(__file__).with_name("gpu_stand_in.py"))
    assert done.returncode == 0
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"PPO", "DQN", "SAC", "APPO", "IMPALA"}
    assert all(each["updates"] > 0 and each["devices"] == ["/cpu:0"] for each in found.values()), found
