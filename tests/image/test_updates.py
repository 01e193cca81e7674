"""The updates of DQN, SAC, CQL, APPO and IMPALA in one call of TensorFlow, beside RLlib's own from the same batches."""

import json
from pathlib import Path

import pytest

# Single precision, in another order.
CLOSE = 1e-5
# Adam moves a weight whose gradient is next to nothing by as much as others, in the direction that rounding gives it.
CLOSE_BY_XLA = 5e-4


# A product's factors have two to three digits.
IN_BF16 = 0.03


@pytest.mark.parametrize("algo", ["DQN", "SAC", "CQL"])
def test_updates_in_one_call_are_rllibs_one_after_the_other(shell, algo):
    done = shell("python", Path(__file__).with_name("same_updates.py"), algo)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == (2 if algo == "CQL" else 3)
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


@pytest.mark.long
def test_xla_makes_ppos_updates_as_rllib_does_and_compiles_them_once(shell):
    """Five networks learn in four ways, two of which XLA compiles."""
    done = shell("python", Path(__file__).with_name("same_updates.py"), "PPO")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 5
    for told in found.values():
        # Batches of other numbers of rows; the last one is smaller than a minibatch.
        assert told["minibatches"] == [24, 24, 24, 24, 3]
        # Weights, optimizer, schedules and the weight of the divergence after them.
        for way in ("in a call", "by XLA", "later by XLA"):
            assert told[way] <= CLOSE
            assert told[f"statistics {way}"] <= CLOSE
        assert told["compiled in a call"] == 0
        assert told["compiled by XLA"] == told["compiled later by XLA"] == 1
        assert told["moved"] > 100 * CLOSE


@pytest.mark.parametrize("algo", ["APPO", "IMPALA"])
def test_a_batch_in_one_call_is_learned_as_rllib_learns_its_minibatches(shell, algo):
    done = shell("python", Path(__file__).with_name("same_updates.py"), algo)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for told in found.values():
        # Weights, target network, optimizers, schedules and the weight of the divergence after four batches.
        assert told["all in a call"] <= CLOSE and told["statistics all in a call"] <= CLOSE
        assert told["by XLA"] <= CLOSE_BY_XLA and told["statistics by XLA"] <= CLOSE_BY_XLA
        assert told["moved"] > 500 * CLOSE
    assert found[f"{algo} as it is"]["minibatches"] == 1
    # Three epochs of two minibatches; a stretch is left over.
    assert found[f"{algo} settings"]["minibatches"] == 6
    if algo == "APPO":
        assert found["APPO settings"]["weight of the divergence"] != 1


def test_in_bf16_hidden_layers_alone_multiply_so_and_losses_agree_with_those_of_float32(shell):
    done = shell("python", Path(__file__).with_name("same_precision.py"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"PPO", "PPO images", "SAC"}
    for told in found.values():
        assert "bf16" not in told["float32"]
        # As many products as before, of which those of the output layers are left in float32.
        assert sum(told["bf16"].values()) == told["float32"]["float32"] and min(told["bf16"].values()) > 0
        assert told["types"] == ["float32"]
        assert max(told["differences"].values()) < IN_BF16, told
        assert max(told["differences"].values()) > 0


@pytest.mark.fault("a learner has a GPU", promise="it trains there as on CPUs, by XLA where it compiles the network")
def test_algorithms_train_as_with_a_gpu(shell):
    done = shell("python", Path(__file__).with_name("gpu_stand_in.py"))
    assert done.returncode == 0
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"PPO", "DQN", "SAC", "APPO", "IMPALA", "Strings", "Draws"}
    assert all(each["updates"] > 0 and each["devices"] == ["/cpu:0"] for each in found.values()), found
    # Once, for two iterations; a network that XLA cannot compile learns without it, and one line says why.
    told = {name: each["xla"] for name, each in found.items()}
    assert all(len(lines) == 1 for lines in told.values()), told
    problem = "XLA cannot compile the updates, which run without it: Detected unsupported"
    assert told.pop("Strings")[0].startswith(problem)
    assert all(lines[0].startswith("XLA compiled ") for lines in told.values()), told
