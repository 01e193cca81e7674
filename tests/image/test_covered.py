"""Which sampler a run has is judged by its resolved settings; and no two starts draw the same numbers."""

import json
from itertools import combinations
from pathlib import Path

import pytest


@pytest.mark.fault(
    "a setting is one that no code reads where TensorFlow learns, as those of RLlib's new API stack",
    promise="it is refused, and the sentence says what to use",
)
def test_no_setting_is_taken_that_nothing_reads(shell):
    done = shell("python", Path(__file__).with_name("unread_settings.py"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {algo: told["taken"] for algo, told in found.items()} == {algo: [] for algo in found}
    for told in found.values():
        assert {"action_mask_key", "episodes_to_numpy", "torch_ddp_kwargs"} <= set(told["unread"])


@pytest.fixture
def found(shell):
    done = shell("python", Path(__file__).with_name("covered.py"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_settings_decide_as_rllib_resolves_them_and_starts_share_no_seed(found):
    against = found["against"]
    for name in ("DQN epsilon", "DQN schedule", "PPO draws", "PPO filter", "PPO memory"):
        assert against[name] is None, against[name]
    for name in ("DQN draws", "PPO epsilon"):
        assert against[name].startswith("exploration_config is")
    assert against["DQN other schedule"].startswith("exploration_config.epsilon_schedule is")
    assert against["PPO complete"] == "batch_mode is complete_episodes"
    # APPO and IMPALA learn a batch in one call, but where a setting is of what RLlib alone has.
    assert found["compiled"] == [None, None]
    assert all(reason.startswith(f"{name}=") for name, reason in found["learnt"].items()), found["learnt"]
    assert found["others"] == [
        "framework tf2",
        None,
        "its own sampler, whose fragments end with episodes",
        "one clipping of all gradients together",
    ]
    assert set(found["rows of an update"].values()) == {480}
    for name, reason in (
        ("memory", "a recurrent network, RLlib makes those of PPO"),
        ("noise", "noisy=True, RLlib makes those of DQN"),
        ("APPO", "learner_queue_size=8, RLlib makes those of APPO"),
    ):
        assert f"because of {reason}, in float32; leave it out" in found["in bf16"].pop(name)
    assert found["in bf16"] == {"PPO": None, "DQN": None}
    assert against["PPO attention"] == "model.use_attention is True"
    assert against["PPO memory of rewards"] == "model.lstm_use_prev_reward is True"
    assert against["IMPALA memory"] == against["APPO memory"] == against["DQN memory"] == "model.use_lstm is True"
    assert against["PPO memory of actions"] == "model.lstm_use_prev_action is True"
    assert against["PPO memory alone"] == "model.fcnet_hiddens is []"
    assert against["PPO memory and more"] == "model.post_fcnet_hiddens is [8]"
    assert against["PPO memory, complete"] == "batch_mode is complete_episodes"
    why = {"tf2": "framework tf2", "images": "images", "images beside": "images", "masks": "action masks"}
    why["agents"] = "many agents"
    covered = dict.fromkeys(("a table", "mixed actions"))
    assert found["with memory"] == {name: f"model.use_lstm is True, with {w}" for name, w in why.items()} | covered
    for one, other in combinations(found["seeds"], 2):
        assert len(set(one)) == 64 and not set(one) & set(other)
    assert len(set(found["policies"])) == len(found["policies"])
    assert found["again"] == found["seeds"][0]
    # RLlib's sampler adds a thousand times the number of an env runner, and the number of a copy.
    assert min(abs(one - other) for one, other in combinations(found["RLlib's"], 2)) > 100_000
    assert found["RLlib's again"] == found["RLlib's"][0]
    # No row is dropped for its env runner is slow: what stands still is told by heartbeats.
    assert min(found["timeouts"]) > 365 * 86_400


def test_several_policies_are_sampled_in_numpy_unless_a_setting_is_against_it(found):
    assert found["of two"] == {
        "as it is": None,
        "filter": None,
        "memory": "model.use_lstm is True, with many agents",
        "agent steps": "count_steps_by is agent_steps",
    }
