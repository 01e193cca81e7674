"""Agents that learn from recorded episodes: BC and MARWIL, and `evaluate --record`, which writes them."""

import json
from pathlib import Path

from tests import recorded
from tests.columns import undocumented
from tests.image.test_train import summary, table

QUICK = ("--local-mode", "--seed", "0", "--set", "min_sample_timesteps_per_iteration=5120")


def test_episodes_are_recorded_and_learned_from(shell):
    """Four runs of commands that share their files: BC trains, resumes and is recorded; MARWIL learns from that."""
    steps = recorded.write(shell.folder / "data")
    data = ("--env", "CartPole-v1", "--input", "data", "--evaluate-every", "1", "--evaluate-episodes", "2")
    done = shell.train("--algo", "BC", *data, *QUICK, "--stop-iters", "1")
    assert done.returncode == 0, done.stderr
    assert f"learns from 5 episodes, {steps:,} steps, of {shell.folder / 'data'}" in done.stderr + done.stdout
    [run] = shell.runs
    # The input is the run's; it is told what has become of it.
    resume = ("--resume", run, "--local-mode", "--stop-iters", "2")
    (shell.folder / "data").rename(shell.folder / "elsewhere")
    done = shell.train(*resume)
    assert done.returncode == 2 and "/data, which is not there now; --input names its new place" in done.stderr
    (shell.folder / "elsewhere/more.json").write_bytes((shell.folder / "elsewhere/played.json").read_bytes())
    done = shell.train(*resume, "--input", "elsewhere", "--evaluate-every", "1", "--evaluate-episodes", "2")
    assert done.returncode == 0, done.stderr
    assert "learned from other files so far: in " in done.stdout and "/elsewhere, more.json is new\n" in done.stdout
    rows = table(run)
    assert [row["num_env_steps_sampled_lifetime"] for row in rows] == ["5120", "10240"]
    assert not any(name.startswith("env_runners/") for name in rows[0])
    assert undocumented(rows[0]) == []
    assert summary(run)["best_checkpoint"].endswith("checkpoint_000001")
    done = shell("evaluate", run, "--episodes", "3", "--record", "played", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    lines = [json.loads(line) for line in Path(told["record"]).read_text().splitlines()]
    assert sorted(sum(line["rewards"]) for line in lines) == sorted(told["returns"])
    assert [path.name for path in (shell.folder / "played").iterdir()] == [Path(told["record"]).name]
    again = ("--env", "CartPole-v1", "--algo", "MARWIL", "--input", "played", "--framework", "tf2")
    done = shell.train(*again, *QUICK, "--stop-iters", "1", "--set", "train_batch_size=1024")
    assert done.returncode == 0, done.stderr
    marwil = next(each for each in shell.runs if each != run)
    assert undocumented(table(marwil)[0]) == []
    # Not twice as many where the recorded steps are fewer than a batch.
    assert 5120 <= int(table(marwil)[0]["num_env_steps_sampled_lifetime"]) < 5120 + 1024
    shown = shell("compare", run)
    last = float(table(run)[-1]["evaluation/episode_return_mean"])
    assert shown.stdout.splitlines()[1].split()[:5] == ["BC", "on", "CartPole-v1", "1", f"{last:.1f}"]
    said = shell("compare", run, marwil)
    assert said.returncode == 2 and "has no evaluation to compare with" in said.stderr


def test_cql_gets_better_than_what_was_recorded_resumes_and_is_evaluated(shell):
    """A run and its resume: the policy imitates for 200 updates, and is better than what was recorded after 2,000."""
    recorded_mean = recorded.swings(shell.folder / "data")
    data = ("--env", "Pendulum-v1", "--algo", "CQL", "--input", "data")
    once = ("--local-mode", "--evaluate-every", "8", "--evaluate-episodes", "10")
    done = shell.train(*data, *once, "--seed", "0", "--stop-iters", "4")
    assert done.returncode == 0, done.stderr
    assert "learns from 60 episodes, 12,000 steps, of " in done.stdout
    assert "; for 200 updates the policy imitates them, then it seeks actions of high value" in done.stdout
    [run] = shell.runs
    done = shell.train("--resume", run, *once, "--stop-iters", "8")
    assert done.returncode == 0, done.stderr
    rows = table(run)
    updates = [float(row["info/learner/default_policy/num_grad_updates_lifetime"]) for row in rows]
    assert updates == [250.0 * number for number in range(1, 9)]
    assert {row["num_env_steps_sampled_this_iter"] for row in rows} == {"64000"}
    # What follows the policy's imitation is learned on from, and not begun anew.
    q = [float(row["info/learner/default_policy/learner_stats/mean_q"]) for row in rows]
    assert q == sorted(q, reverse=True), q
    assert float(rows[-1]["evaluation/episode_return_mean"]) > recorded_mean + 250 > -750
    done = shell("evaluate", run, "--episodes", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["returns"]) == 2


def test_rows_returns_and_updates_are_those_of_rllib(shell):
    recorded.write(shell.folder / "data", 6, most=40)
    done = shell("python", Path(__file__).with_name("same_offline.py"), "data")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("updates") == 2
    assert {name: value for name, value in found.items() if value > 1e-5} == {}


MINARI = Path(__file__).parents[1] / "data/minari"


def test_data_sets_of_minari_are_read_as_minari_reads_them(shell):
    done = shell("python", Path(__file__).with_name("same_minari.py"), MINARI)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(told["difference"] < 1e-5 and told["beyond"] == 0 for told in found.values()), found
    assert all(told["files"] == ["main_data.hdf5", "metadata.json"] for told in found.values())
    # An episode that fell, and one that was cut off; the observation after its last step is known.
    assert found["cart-v0"]["ends"] == [8, 20] and found["cart-v0"]["cut"] == [1]
    assert found["pendulum-v0"]["cut"] == [0] and found["nested-v0"]["cut"] == []
    assert found["cart-v0"]["elsewhere"] == [] and found["nested-v0"]["elsewhere"] == ["Nested-v0"]


def test_a_data_set_of_minari_is_learned_from(shell):
    data = ("--env", "CartPole-v1", "--algo", "BC", "--input", MINARI / "cart-v0")
    done = shell.train(*data, *QUICK, "--stop-iters", "1")
    assert done.returncode == 0, done.stderr
    assert "learns from 2 episodes, 20 steps, of " in done.stdout and "1 of them were cut off" in done.stdout
