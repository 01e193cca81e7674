"""Environments of many agents from end to end: trained with one policy, resumed, evaluated, with a video."""

import csv
import json
from pathlib import Path

import pytest

from tests.columns import undocumented

DATA = Path(__file__).parents[1] / "data"
CROWD, HEAP = ("--env", f"{DATA}/crowd.py:Crowd"), ("--env", f"{DATA}/heap.py:Heap")
SMALL = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--local-mode")
NAMES = {"anna", "ben", "cleo"}


def rows_of(run):
    return [json.loads(line) for line in (run / "result.json").read_text().splitlines()]


def table_of(run):
    with (run / "progress.csv").open() as file:
        return list(csv.reader(file))


def test_a_crowd_is_trained_resumed_evaluated_and_recorded_as_video(shell):
    done = shell.train(*CROWD, "--stop-iters", "2", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy, 3 agents in each, which share one policy" in done.stdout
    [run] = shell.runs
    more = shell.train("--resume", run, "--stop-iters", "3", "--local-mode", "--evaluate-every", "1")
    assert more.returncode == 0, more.stderr
    last = rows_of(run)[-1]
    assert last["num_env_steps_sampled_lifetime"] == 600
    assert 600 < last["num_agent_steps_sampled_lifetime"] < 1800
    assert {name for name in last if name.startswith("agent_return/")} == {f"agent_return/{n}" for n in NAMES}
    assert not undocumented({n for n in last if not n.startswith(("agent_return/", "custom/"))})
    assert "custom/place" in last and "evaluation/episode_return_mean" in last
    assert {"agent_return/anna", "num_agent_steps_sampled_lifetime"} <= set(table_of(run)[0])
    found = shell("evaluate", run, "--json", "--episodes", "3", "--video", "crowd.gif")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert set(told["agents"]) == NAMES
    assert sum(told["agents"].values()) == pytest.approx(told["return_mean"], abs=1e-6)
    assert (shell.folder / "crowd.gif").read_bytes()[:4] == b"GIF8"
    assert "agent   ben  mean return" in shell("evaluate", run, "--episodes", "2").stdout


HUNT = f"{DATA}/hunt.py:Hunt"
ITERATION = "min_sample_timesteps_per_iteration=400"
BATCHES = ("train_batch_size=200", "rollout_fragment_length=25", ITERATION)
ROUNDS = ("train_batch_size=16", "num_steps_sampled_before_learning_starts=100", ITERATION)
OF_RLLIB = ("--env", f"{DATA}/crowd_rllib.py:RLlibCrowd")


@pytest.mark.parametrize(
    ("algo", "env", "policies", "settings", "said"),
    [
        ("APPO", OF_RLLIB, ("shared",), BATCHES, "is learned in one call of TensorFlow"),
        ("APPO", CROWD, ("each",), BATCHES, "is learned in one call of TensorFlow for each policy"),
        ("IMPALA", CROWD, ("shared", "--num-env-runners", "1"), BATCHES, "one call of TensorFlow, while the next"),
        ("IMPALA", CROWD, ("each", "--num-env-runners", "1"), BATCHES, "TensorFlow for each policy, while the next"),
        ("DQN", CROWD, ("shared",), ROUNDS, "; a replay buffer of 50,000 rows, up to"),
        ("DQN", CROWD, ("each", "--save-replay-buffer"), ROUNDS, "; 3 replay buffers of 50,000 rows, up to"),
        ("SAC", (*CROWD, "--env-config", "numbers=true"), ("shared",), ROUNDS, "; a replay buffer of 100,000 rows"),
        ("SAC", ("--env", HUNT), (f"{DATA}/hunt.py:role",), ROUNDS, "; 2 replay buffers of 100,000 rows"),
    ],
    ids=lambda given: given if isinstance(given, str) and given.isupper() else "",
)
def test_other_algorithms_learn_by_compiled_updates_save_resume_and_are_evaluated(
    shell, algo, env, policies, settings, said
):
    """Agents who come and go, or who have other spaces; with one policy or several."""
    one = () if "--num-env-runners" in policies else ("--local-mode",)
    few = [word for each in settings for word in ("--set", each)]
    done = shell.train(*env, "--algo", algo, "--policies", *policies, "--stop-iters", "1", *few, *one)
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy, 3 agents in each" in done.stdout and said in done.stdout, done.stdout
    assert ("which share one policy" in done.stdout) == (policies[0] == "shared")
    [run] = shell.runs
    before = rows_of(run)[-1]
    more = shell.train("--resume", run, "--stop-iters", "2", *one)
    assert more.returncode == 0, more.stderr
    assert ("the replay buffer is empty" in more.stdout) == (settings is ROUNDS and "each" not in policies)
    last = rows_of(run)[-1]
    assert last["num_agent_steps_sampled_lifetime"] > last["num_env_steps_sampled_lifetime"] >= 800
    updates = "info/learner/{}/num_grad_updates_lifetime"
    names = {"shared": ["default_policy"], "each": sorted(NAMES)}.get(policies[0], ["hunter", "prey"])
    assert {name for name in last if name.endswith("num_grad_updates_lifetime")} == {*map(updates.format, names)}
    # An agent that comes later may have no batch in the first iteration.
    assert all(last[updates.format(name)] > before.get(updates.format(name), 0) for name in names)
    told = json.loads(shell("evaluate", run, "--json", "--episodes", "2").stdout)
    assert len(told["agents"]) == 3


def test_agents_of_different_spaces_have_policies_of_their_own(shell):
    """With masks for one of them; the prey stays as it began."""
    (shell.folder / "roles.yaml").write_text("hunter_*: hunter\nprey: prey\n")
    roles = ("--policies", "roles.yaml", "--train-policies", "hunter", "--env-config", "masks=true")
    done = shell.train("--env", HUNT, *roles, "--stop-iters", "1", "--checkpoint-every", "1", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy, 3 agents in each" in done.stdout
    assert "with 2 policies: hunter, prey, of which hunter learns, illegal actions masked" in done.stdout
    [run] = shell.runs
    more = shell.train("--resume", run, "--stop-iters", "2", "--local-mode", "--evaluate-every", "1")
    assert more.returncode == 0, more.stderr
    last = rows_of(run)[-1]
    assert {"policy_return/hunter", "policy_return/prey", "agent_return/hunter_1", "custom/far"} <= set(last)
    head, *rows = table_of(run)
    assert [float(row[head.index("policy_return/prey")]) for row in rows][-1] == pytest.approx(
        last["policy_return/prey"]
    )
    stats = "info/learner/{}/learner_stats/kl"
    assert stats.format("hunter") in last and stats.format("prey") not in last
    assert last["evaluation/episodes"] == 10
    told = json.loads((run / "params.json").read_text())["run"]["policies"]
    assert told["of_agents"] == {"hunter_0": "hunter", "hunter_1": "hunter", "prey": "prey"}
    weights = shell("python", "-c", WEIGHTS, run)
    assert weights.returncode == 0, weights.stderr
    assert json.loads(weights.stdout.splitlines()[-1]) == {"hunter": False, "prey": True}
    against = shell("evaluate", run, "--against", run, "--json", "--episodes", "3")
    assert against.returncode == 0, against.stderr
    assert sum(json.loads(against.stdout)["against"][what] for what in ("wins", "draws", "losses")) == 3
    # The best checkpoint is that of which the evaluation was best; both have been evaluated by the same episodes.
    found = json.loads(shell("evaluate", run, "--last", "--json", "--episodes", "10").stdout)
    assert found["return_mean"] == pytest.approx(last["evaluation/episode_return_mean"], abs=1e-4)
    assert shell("report", run, "--out", "report.html").returncode == 0
    checked = shell("check", HUNT, "--policies", "each")
    assert "policy prey (prey): actions are Box[1] of float32" in checked.stdout, checked.stderr


# Whether the weights of a policy are the same in both checkpoints of a run.
WEIGHTS = """
import json, pickle, sys
from pathlib import Path
import numpy as np
from rlsif.learning.old_names import know_old_names
know_old_names()
same = {}
for name in ("hunter", "prey"):
    found = sorted(Path(sys.argv[1]).glob(f"checkpoints/*/policies/{name}/policy_state.pkl"))
    first, last = (pickle.loads(path.read_bytes())["weights"] for path in (found[0], found[-1]))
    same[name] = all(np.array_equal(first[key], last[key]) for key in first)
print(json.dumps(same))
"""
SPREAD = Path(__file__).parents[2] / "examples/spread"


def test_two_agents_learn_to_share_out_marks(shell):
    """Until they have, as the page says: chance gets 12.5, the best 38.8."""
    two = ("--env", SPREAD / "spread.py:Spread", "--env-config", "agents=2", "--config", SPREAD / "ppo.yaml")
    until = ("--local-mode", "--seed", "1", "--stop-time", "200", "--stop-reward", "33")
    done = shell.train(*two, "--num-envs-per-env-runner", "16", *until)
    assert done.returncode == 0, done.stderr
    assert "over 100 episodes reached 33" in done.stdout
    [run] = shell.runs
    assert json.loads(shell("evaluate", run, "--json").stdout)["return_mean"] > 31


GRID = Path(__file__).parents[2] / "examples/power_grid"


def test_agents_of_a_power_grid_learn_by_policies_of_their_own(shell):
    """Until they do as the page says: chance gets -378, and who does nothing -121."""
    grid = ("--env", GRID / "power_grid.py:PowerGrid", "--policies", "each", "--config", GRID / "ppo.yaml")
    alone = ("--local-mode", "--num-cpus", "1", "--seed", "1", "--num-envs-per-env-runner", "20")
    until = (*alone, "--stop-iters", "300", "--stop-reward", "-65")
    done = shell.train(*grid, *until)
    assert done.returncode == 0, done.stderr
    assert "with 4 policies: coal, gas, battery, load" in done.stdout and "over 100 episodes reached -65" in done.stdout
    [run] = shell.runs
    told = json.loads(shell("evaluate", run, "--json").stdout)
    assert told["return_mean"] > -68
    assert told["custom"]["switched_off"] < 10
    # The battery alone, beside stations as that run has them.
    more = shell.train(*grid, *alone, "--train-policies", "battery", "--opponent", run, "--stop-iters", "1")
    assert more.returncode == 0, more.stderr
    assert f"coal, gas, load played by {run}" in more.stdout
    [other] = [each for each in shell.runs if each != run]
    # They play as they do in their own run, and that is better than what chance gets beside them.
    assert rows_of(other)[-1]["env_runners/episode_return_mean"] > -250


def test_players_who_take_turns_learn_with_masks_and_rllib_samples_what_is_not_covered(shell):
    """An illegal move raises in the game."""
    done = shell.train(*HEAP, "--stop-iters", "2", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "2 agents in each, which share one policy, illegal actions masked" in done.stdout
    [run] = shell.runs
    assert json.loads(shell("evaluate", run, "--json").stdout)["episodes"] == 20
    recurrent = shell.train(*HEAP, "--stop-iters", "1", *SMALL, "--set", "model.use_lstm=true")
    assert recurrent.returncode == 0, recurrent.stderr
    assert "sampled by RLlib" in recurrent.stdout
    [other] = [r for r in shell.runs if r != run]
    last = rows_of(other)[-1]
    assert {"agent_return/white", "agent_return/black"} <= set(last)
    assert shell("evaluate", other).returncode == 0


def test_rllibs_class_is_taken_and_what_is_wrong_is_told(shell):
    found = shell("check", f"{DATA}/crowd_rllib.py:RLlibCrowd")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "3 agents have equal spaces, so that they can share one policy" in found.stdout
    refused = shell.train(*CROWD, "--env-config", "wrong=spaces")
    assert refused.returncode == 2
    assert "has agents with different spaces: 'anna' has observations Box[2]" in refused.stderr
    ended = shell.train(*CROWD, "--env-config", "wrong=back", "--stop-iters", "3", *SMALL)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert "; one that has ended stays away until the next reset" in ended.stderr


def test_a_report_leaves_letters_that_matplotlibs_font_lacks_to_the_browser(shell):
    """As those of an agent called 李."""
    drawn = "from rlsif.runs.report import _panels, _svg; drawn, [panel] = _panels(1); panel.set_title('李')"
    strict = "import warnings; warnings.simplefilter('error')"
    done = shell("python", "-c", f"{drawn}; {strict}; assert '李' in _svg(drawn)")
    assert done.returncode == 0, done.stderr
