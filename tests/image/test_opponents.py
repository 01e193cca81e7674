"""Opponents from end to end: earlier policies of the run, another run, and chance."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.columns import undocumented

DATA = Path(__file__).parents[1] / "data"
HEAP = ("--env", f"{DATA}/heap.py:Heap")
SMALL = ("--set", "train_batch_size=200", "--set", "minibatch_size=100")


def rows_of(run):
    return [json.loads(line) for line in (run / "result.json").read_text().splitlines()]


def said(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


# Of each checkpoint of a run the opponents that it has, each by a number of its weights.
POOLS = """
import json, sys
from pathlib import Path
from rlsif.learning.opponents import pool_of
pools = [pool_of(checkpoint).opponents for checkpoint in sorted(Path(sys.argv[1]).glob("checkpoints/checkpoint_*"))]
print(json.dumps([
    [float(sum(abs(w).sum() for w in policy.weights.values())) for each in pool for policy in each.policies.values()]
    for pool in pools
]))
"""


def pools_of(shell, run):
    return json.loads(said(shell("python", "-c", POOLS, run)).splitlines()[-1])


def test_earlier_policies_of_the_run_play_and_are_the_same_ones_after_a_resume(shell):
    """With an env runner of its own, then in one process; evaluations are against chance, as `evaluate` is."""
    own = ("--opponent", "self", "--opponent-every", "1")
    done = said(shell.train(*HEAP, *own, *SMALL, "--num-env-runners", "1", "--stop-iters", "2"))
    assert "the run plays one of them against earlier policies of its own, one more every 1 iteration" in done
    [run] = shell.runs
    more = said(shell.train("--resume", run, "--stop-iters", "4", "--local-mode", "--evaluate-every", "2"))
    assert "; evaluations are against chance" in more
    last = rows_of(run)[-1]
    assert 0 <= last["win_rate"] <= 1 and 0 <= last["evaluation/win_rate"] <= 1
    assert not undocumented({n for n in last if not n.startswith(("agent_return/", "custom/"))})
    # Of two agents who act in turns, one has rows.
    share = last["num_agent_steps_sampled_lifetime"] / last["num_env_steps_sampled_lifetime"]
    assert 0.4 < share < 0.6
    before, after = pools_of(shell, run)
    assert len(before) == 3 and len(set(after)) == len(after) == 5 and after[:3] == before
    told = json.loads(said(shell("evaluate", run, "--last", "--json", "--episodes", "10")))["against"]
    assert told["opponent"] == "random"
    assert told["return_mean"] == pytest.approx(last["evaluation/episode_return_mean"], abs=1e-4)
    assert told["win_rate"] == last["evaluation/win_rate"]
    other = shell.train("--resume", run, "--opponent", "random")
    assert other.returncode == 2 and "--opponent is random, but" in other.stderr


# The outputs of a checkpoint's policies by RLlib, and those of the opponent that it makes, from the same observations.
SAME = """
import sys
from pathlib import Path
import numpy as np
from rlsif.envs.find import find
from rlsif.envs.reference import parse
from rlsif.errors import RlsifError
from rlsif.learning.build import configure
from rlsif.learning.learner import Learner
from rlsif.learning.opponents import of_checkpoint
from rlsif.learning.spec import Layout, RunSpec
from rlsif.learning.saved_policy import load
from rlsif.policies import masks
from rlsif.policies.actions import policy_space
from rlsif.sampling.env_runner import Sampling
from rlsif.sampling.opponents import Learned

run, env = Path(sys.argv[1]), find(parse(sys.argv[2]))
[checkpoint] = run.glob("checkpoints/checkpoint_*")
policies, filters = load(checkpoint, "tf", 0, env.views)
[(name, policy)] = policies.items()
mask = masks.size_of(env.observations)
trained = of_checkpoint(checkpoint).policy_of("an agent of any name")
mine = Learned(trained, policy_space(env.actions), mask, masks.encoder_of(env.observations).seen)
seen = np.array([[left, number, 1, left > 1, left > 2] for left in range(1, 9) for number in range(3)], np.float32)
found = mine._policy.forward(mine.seen(seen))
found = found[0] if isinstance(found, tuple) else found
theirs = seen.copy()
if filters:
    theirs[:, :-mask] = [filters[name](each, update=False)[:-mask] for each in seen]
_, _, info = policy.compute_actions(theirs, explore=False)
expected = info["action_dist_inputs"] if "action_dist_inputs" in info else info["q_values"]
legal = seen[:, -mask:] != 0
assert np.ptp(expected[legal]) > 0
assert np.abs((found - expected)[legal]).max() < 1e-5, (found, expected)
try:
    of_checkpoint(run / "checkpoints/checkpoint_000001")
except RlsifError as problem:
    assert "cannot be read in the learner's process: No such file or directory" in str(problem), problem
    print("as evaluate")

# In a crowd of three that ends after one step, ben does not come: where the run plays ben, the episode does not count.
if run.name.startswith("PPO"):
    ref = parse(sys.argv[3], {"length": 1, "masks": True})
    settings = {"model": {"fcnet_hiddens": [16]}, "train_batch_size": 60, "minibatch_size": 60}
    spec = RunSpec("PPO", "tf", ref, 1, settings, opponent="random")
    sampling = Sampling(configure(spec, Layout(0, 2, 0.0, 1, local_mode=True), find(ref)), 0)
    sampling.set_weights({name: policy.get_weights()})
    sampling.sample()
    ended = sampling.metrics()
    agents = [agent for each in ended for agent in each.hist_data["rlsif_returns_of_agents"][0]]
    assert len(ended) == len(agents) == 40 and set(agents) == {"anna", "cleo"}, agents
    assert {won for each in ended for won in each.hist_data["rlsif_won"]} == {0, 1}
    # A trial of a sweep that failed before its first checkpoint has rows, and nothing that brings it the opponent.
    learner, spec = Learner(), RunSpec("PPO", "tf", parse(sys.argv[2]), 1, settings, opponent=str(checkpoint))
    learner.build(spec, Layout(0, 2, 0.0, 1, local_mode=True, resumed_at=3), env)
    assert learner.step()["num_env_steps_sampled_lifetime"] >= 60
"""


@pytest.mark.parametrize("algo", ["PPO", "DQN"])
def test_another_run_plays_as_evaluate_has_it_play_and_stays_when_it_has_gone(shell, algo):
    few = ("--set", "num_steps_sampled_before_learning_starts=100", "--set", "min_sample_timesteps_per_iteration=50")
    settings = {
        "PPO": (*SMALL, "--set", "observation_filter=MeanStdFilter", "--set", "model.fcnet_hiddens=[16]"),
        "DQN": (*few, "--set", "train_batch_size=32"),
    }[algo]
    said(shell.train(*HEAP, "--algo", algo, *settings, "--stop-iters", "2", "--local-mode"))
    [other] = shell.runs
    assert said(shell("python", "-c", SAME, other, HEAP[1], f"{DATA}/crowd.py:Crowd")).endswith("as evaluate\n")
    done = said(shell.train(*HEAP, "--opponent", other, *SMALL, "--num-env-runners", "1", "--stop-iters", "1"))
    assert f"the run plays one of them against {other}" in done
    [run] = [each for each in shell.runs if each != other]
    against = json.loads(said(shell("evaluate", run, "--against", other, "--json", "--episodes", "4")))["against"]
    assert against["wins"] + against["losses"] == 4
    shutil.rmtree(other)
    said(shell.train("--resume", run, "--stop-iters", "2", "--local-mode", "--evaluate-every", "1"))
    last = rows_of(run)[-1]
    told = json.loads(said(shell("evaluate", run, "--last", "--json", "--episodes", "10")))["against"]
    assert told["opponent"].startswith(str(other))
    assert told["return_mean"] == pytest.approx(last["evaluation/episode_return_mean"], abs=1e-4)


def test_policies_that_do_not_learn_are_played_by_chance_and_by_another_run(shell):
    """Agents of different spaces; and with IMPALA, which learns from stretches, where all share one policy."""
    (shell.folder / "roles.yaml").write_text("hunter_*: hunter\nprey: prey\n")
    hunt = ("--env", f"{DATA}/hunt.py:Hunt", "--env-config", "masks=true", "--policies", "roles.yaml")
    one = (*SMALL, "--local-mode", "--stop-iters", "1", "--evaluate-every", "1")
    done = said(shell.train(*hunt, "--train-policies", "hunter", "--opponent", "random", *one))
    assert "prey played by chance" in done
    [first] = shell.runs
    # Nobody learns from what the prey does.
    last = rows_of(first)[-1]
    assert last["num_agent_steps_sampled_lifetime"] <= 2 * last["num_env_steps_sampled_lifetime"]
    assert {"win_rate", "agent_return/hunter_0"} <= set(last) and "agent_return/prey" not in last
    # An evaluation, too, counts what the run's own agents got, as `evaluate` tells it.
    told = json.loads(said(shell("evaluate", first, "--json", "--episodes", "10")))
    against = told["against"]
    own = [told["agents"][name] for name in ("hunter_0", "hunter_1")]
    assert against["opponent"] == "random" and against["return_mean"] == pytest.approx(sum(own))
    assert last["evaluation/episode_return_mean"] == pytest.approx(against["return_mean"], abs=1e-4)
    assert last["evaluation/win_rate"] == against["win_rate"]
    done = said(shell.train(*hunt, "--train-policies", "prey", "--opponent", first, *one))
    assert f"hunter played by {first}" in done
    [second] = [each for each in shell.runs if each != first]
    told = json.loads(said(shell("evaluate", second, "--json", "--episodes", "3")))
    assert told["against"]["opponent"].startswith(str(first))
    # Whoever is named plays the hunters, and the run its prey in every episode.
    for other in ("random", second):
        told = json.loads(said(shell("evaluate", second, "--against", other, "--json", "--episodes", "3")))
        assert told["against"]["return_mean"] == pytest.approx(told["agents"]["prey"])
    done = said(
        shell.train(
            *HEAP, "--algo", "IMPALA", "--opponent", "self", "--num-env-runners", "1", "--stop-timesteps", "2000"
        )
    )
    assert "against earlier policies of its own, one more every 10 iterations" in done


def test_a_sweep_has_the_opponent_and_names_it_with_the_best_settings(shell):
    few = ("--grid", "lr=0.001,0.0003", "--stop-iters", "2", *SMALL)
    done = said(shell("sweep", *HEAP, "--opponent", "random", *few, "--results-dir", "results"))
    assert f"train {' '.join(HEAP)} --opponent random --config best.yaml" in done
    runs = list(shell.folder.glob("results/Heap/sweep_*/PPO_*"))
    for run in runs:
        last = rows_of(run)[-1]
        assert 0.4 < last["num_agent_steps_sampled_lifetime"] / 400 < 0.6 and 0 <= last["win_rate"] <= 1
        # By which a trial, too, can be an opponent of others.
        spaces = json.loads((run / "params.json").read_text())["run"]["spaces"]
        assert spaces.startswith("2 agents, each with observations Dict")
    # Who played is no seed: runs that differ by it are none of one kind.
    said(shell.train(*HEAP, *SMALL, "--stop-iters", "2", "--local-mode", "--set", "lr=0.001"))
    compared = said(shell("compare", *runs, *shell.folder.glob("results/Heap/PPO_*"), "--text"))
    assert len(runs) == 2 and len(re.findall(r"^(?:lr|opponent)\S*=.* +1 ", compared, re.M)) == 3, compared
    assert "win_rate" in said(shell("compare", *runs, "--column", "win_rate", "--text"))
    said(shell("report", runs[0], "--out", "report.html"))
    page = (shell.folder / "report.html").read_text()
    assert "<td>opponent</td><td>random</td>" in page
    assert all(words in page for words in ("win rate", "episodes won", ">white<", "Agents"))


@pytest.mark.parametrize("opponent", [(), ("--opponent", "random")], ids=["all learn", "opponent"])
def test_batches_without_a_row_are_learned_from_later(shell, opponent):
    """Each has one env step: the row of whoever acts waits for the other's turn, and in that turn there is none."""
    each = ("rollout_fragment_length=1", "min_sample_timesteps_per_iteration=1", "train_batch_size=8")
    few = (word for setting in (*each, "num_steps_sampled_before_learning_starts=0") for word in ("--set", setting))
    one = ("--num-envs-per-env-runner", "1", "--local-mode", "--stop-iters", "40")
    said(shell.train(*HEAP, "--algo", "DQN", *opponent, *few, *one))
    [run] = shell.runs
    last = rows_of(run)[-1]
    assert last["num_env_steps_sampled_lifetime"] == 40
    share = last["num_agent_steps_sampled_lifetime"] / 40
    assert 0.3 < share < 0.7 if opponent else share > 0.9


FOUR = Path(__file__).parents[2] / "examples/connect_four"


@pytest.mark.long
def test_connect_four_is_learned_by_self_play(shell):
    """As its page says: against chance 95 of 100, and 8 of 10 against one that looks a move ahead. Takes 70 s alone."""
    four = ("--env", FOUR / "connect_four.py:ConnectFour", "--config", FOUR / "ppo.yaml")
    until = ("--num-envs-per-env-runner", "64", "--local-mode", "--num-cpus", "1", "--seed", "2", "--stop-iters", "80")
    said(shell.train(*four, "--opponent", "self", "--opponent-every", "5", *until))
    [run] = shell.runs
    against = json.loads(said(shell("evaluate", run, "--json", "--episodes", "100")))["against"]
    assert against["opponent"] == "random" and against["wins"] >= 95
    told = said(shell("python", FOUR / "lookahead.py", run, "200"))
    won, drew, lost = map(int, re.search(r"won (\d+), drew (\d+) and lost (\d+)", told).groups())
    assert won + drew + lost == 200 and won >= 160
    said(shell("check", FOUR / "connect_four.py:ConnectFour"))
