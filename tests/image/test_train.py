"""`train` in the image: what a run does, and what it leaves."""

import csv
import json
import os
import re
import signal
import time

import pytest

from tests.columns import undocumented

# Small steps, so that an iteration takes a fraction of a second.
SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=2")


def table(run):
    with (run / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert undocumented(rows[0] if rows else []) == [], "docs/columns.md has a row for every column"
    return rows


def summary(run):
    return json.loads((run / "summary.json").read_text())


def wait_for(condition, process, seconds=600):
    """Poll until a condition holds, with a deadline; fail when the process ends first."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended early"
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.1)


def test_a_run_and_what_it_leaves(container):
    done = container.train("--env", "CartPole-v1", "--stop-iters", "3", *SMALL)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "PPO (tf) on CartPole-v1"
    assert [line.split()[1] for line in lines if line.startswith("iter")] == ["1", "2", "3"]
    [run] = container.runs
    assert re.fullmatch(
        r"done: .* after 1,[2-4]\d\d env steps in [\d.]+ s \(3 iterations\); checkpoint .*/checkpoint_000003", lines[-1]
    )
    assert {p.name for p in run.iterdir()} >= {
        "params.json",
        "progress.csv",
        "result.json",
        "summary.json",
        "train.log",
        "checkpoints",
    }
    assert list(run.glob("events.out.tfevents.*"))
    columns = set(table(run)[0])
    assert columns >= {
        "training_iteration",
        "num_env_steps_sampled_lifetime",
        "env_runners/episode_return_mean",
        "env_runners/episode_return_min",
        "env_runners/episode_return_max",
        "env_runners/episode_len_mean",
        "env_runners/env_time_share",
        "env_steps_per_s",
        "time_total_s",
        "num_healthy_workers",
    }
    told = summary(run)
    assert told["algo"] == "PPO" and told["env"] == "CartPole-v1" and told["framework"] == "tf"
    assert told["iterations"] == 3 and told["stop_reason"] == "3 iterations"
    assert told["env_steps"] == int(table(run)[-1]["num_env_steps_sampled_lifetime"])
    assert told["checkpoint"].endswith("checkpoint_000003") and told["run_dir"] == str(run)
    params = json.loads((run / "params.json").read_text())
    assert params["train_batch_size"] == 400 and params["lr"] == 0.0006


@pytest.mark.fault(
    "a run is interrupted between two checkpoints",
    promise="it resumes from the last one; every iteration has one row",
)
def test_a_resumed_run_goes_on_without_a_gap(shell):
    shell.train("--env", "CartPole-v1", "--stop-iters", "2", "--local-mode", *SMALL)
    [run] = shell.runs
    done = shell.train("--resume", run, "--stop-iters", "4", "--local-mode")
    assert done.returncode == 0
    assert shell.runs == [run]
    rows = table(run)
    assert [row["training_iteration"] for row in rows] == ["1", "2", "3", "4"]
    steps = [int(row["num_env_steps_sampled_lifetime"]) for row in rows]
    assert all(later > earlier for earlier, later in zip(steps, steps[1:]))
    assert len((run / "result.json").read_text().splitlines()) == 4
    updates = [float(row["info/learner/default_policy/num_grad_updates_lifetime"]) for row in rows]
    assert updates == sorted(updates) and len(set(updates)) == 4
    assert summary(run)["iterations"] == 4


WAITS = """
import time
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Waits(gymnasium.Env):
    max_episode_steps = 10
    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        time.sleep(0.02)
        return np.zeros(2, np.float32), 1.0, False, False, {}
"""


@pytest.mark.parametrize("sampler", ["NumPy", "RLlib"])
def test_a_slow_environment_takes_most_of_the_sampling(shell, sampler):
    (shell.folder / "waits.py").write_text(WAITS)
    small = ["--num-envs-per-env-runner", "1", "--set", "train_batch_size=40", "--set", "minibatch_size=20"]
    settings = ["--set", "batch_mode=complete_episodes"] if sampler == "RLlib" else []
    done = shell.train("--env", "waits.py:Waits", "--stop-iters", "2", "--local-mode", *small, *settings)
    assert done.returncode == 0, done.stderr
    assert f"sampled {'in NumPy' if sampler == 'NumPy' else 'by RLlib'}" in done.stdout
    assert 0.5 < float(table(shell.runs[0])[-1]["env_runners/env_time_share"]) < 1


FROM_CHECKPOINT = """
import sys
import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.policy.policy import Policy
policy = Policy.from_checkpoint(sys.argv[1])["default_policy"]
print("acts", policy.compute_single_action(np.zeros(4, np.float32))[0] in (0, 1))
Algorithm.from_checkpoint(sys.argv[1])
"""


def test_rllib_gives_the_policy_of_a_checkpoint_and_says_what_it_cannot(shell):
    shell.train("--env", "CartPole-v1", "--stop-iters", "1", "--local-mode", *SMALL)
    done = shell("python", "-c", FROM_CHECKPOINT, summary(shell.runs[0])["checkpoint"])
    assert "acts True" in done.stdout
    assert "Policy.from_checkpoint gives its policy, `train --resume` its algorithm" in done.stderr.splitlines()[-1]


# Adam's own count of updates, in the words of each framework, after two iterations of eight updates each.
ADAMS_COUNT = """
import math, pickle, sys
import ray.rllib, tensorflow
tensorflow.compat.v1.enable_eager_execution()
variables = pickle.load(open(sys.argv[1] + "/policies/default_policy/policy_state.pkl", "rb"))["_optimizer_variables"]
if isinstance(variables, dict):
    power = next(float(v) for name, v in variables.items() if "beta1_power" in name)
    print(round(math.log(power) / math.log(0.9)) - 1)
else:
    print(int(variables[0]))
"""


@pytest.mark.fault("a run is resumed", promise="the optimizer's own variables are those of the checkpoint")
@pytest.mark.parametrize("framework", ["tf", "tf2"])
def test_the_optimizer_goes_on_too(shell, framework):
    # With one environment a batch has just the rows that are asked for.
    one = ("--num-envs-per-env-runner", "1")
    first = ("--env", "CartPole-v1", "--framework", framework, "--stop-iters", "2", *one)
    shell.train(*first, "--local-mode", *SMALL)
    [run] = shell.runs
    counts = [shell("python", "-c", ADAMS_COUNT, summary(run)["checkpoint"]).stdout]
    shell.train("--resume", run, "--local-mode", "--stop-iters", "3", *one)
    counts.append(shell("python", "-c", ADAMS_COUNT, summary(run)["checkpoint"]).stdout)
    assert counts == ["16\n", "24\n"]


def test_two_local_runs_of_one_seed_are_alike(shell):
    for _ in range(2):
        assert (
            shell.train("--env", "CartPole-v1", "--seed", "7", "--local-mode", "--stop-iters", "3", *SMALL).returncode
            == 0
        )
    one, other = (
        [
            {k: v for k, v in row.items() if "time" not in k and "per_s" not in k and "throughput" not in k}
            for row in table(run)
        ]
        for run in shell.runs
    )
    assert len(one) == 3
    assert one == other


@pytest.mark.parametrize(
    "algo, framework, env, mode",
    [
        ("PPO", "tf", "Pendulum-v1", "--local-mode"),
        ("PPO", "tf2", "CartPole-v1", "--local-mode"),
        ("APPO", "tf", "CartPole-v1", "--num-cpus=2"),
        ("APPO", "tf2", "CartPole-v1", "--num-cpus=2"),
        ("IMPALA", "tf", "CartPole-v1", "--num-cpus=2"),
        ("DQN", "tf", "CartPole-v1", "--local-mode"),
        ("DQN", "tf2", "CartPole-v1", "--local-mode"),
        ("SAC", "tf", "CartPole-v1", "--local-mode"),
        ("SAC", "tf", "Pendulum-v1", "--local-mode"),
    ],
)
def test_what_is_listed_trains_saves_restores_and_goes_on(shell, algo, framework, env, mode):
    """Two runs; those of APPO and IMPALA have processes of their own, each with TensorFlow."""
    given = ("--algo", algo, "--framework", framework, "--env", env)
    assert shell.train(*given, mode, "--stop-iters", "1").returncode == 0
    [run] = shell.runs
    assert shell.train("--resume", run, mode, "--stop-iters", "2").returncode == 0
    assert [row["training_iteration"] for row in table(run)] == ["1", "2"]


@pytest.mark.fault(
    "SIGINT or SIGTERM reaches a run",
    promise="a checkpoint and summary.json are written, and no process is left",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_the_summary(container, number):
    results = container.folder / "results"
    process = container.start(
        "train", "--env", "CartPole-v1", "--stop-iters", "100000", *SMALL, "--results-dir", results
    )
    wait_for(lambda: list(results.glob("*/*/result.json")), process)
    # A terminal sends SIGINT to every process of the foreground; a scheduler sends SIGTERM to the first.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    code = process.wait(timeout=240)
    [run] = container.runs
    assert code == 128 + number
    assert summary(run)["stop_reason"] == f"interrupted by {number.name}"
    rows = table(run)
    assert summary(run)["checkpoint"].endswith(f"checkpoint_{int(rows[-1]['training_iteration']):06d}")
    assert "interrupted by" in (container.folder / "output").read_text().splitlines()[-1]


BROKEN_ENV = """
import gymnasium


class Reactor(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        Reactor.steps += 1
        if Reactor.steps > 700:
            raise ValueError("the reactor is out of coolant")
        return self.observation_space.sample(), 1.0, Reactor.steps % 20 == 0, False, {}


gymnasium.register("Reactor-v0", Reactor)
"""


@pytest.mark.fault(
    "an environment raises an exception",
    promise="the run ends with the environment's own traceback, once",
)
@pytest.mark.parametrize("mode", ["--local-mode", "--num-cpus=2"])
def test_an_env_that_raises_ends_the_run_with_its_own_traceback_once(shell, mode):
    (shell.folder / "reactor.py").write_text(BROKEN_ENV)
    done = shell.train("--env", "reactor:Reactor-v0", mode)
    assert done.returncode == 1
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert 'reactor.py", line 16, in step' in done.stderr
    assert done.stderr.count("ray/") == 0
    assert summary(shell.runs[0])["stop_reason"].startswith("failed: training failed: ValueError: the reactor is out")


def test_settings_that_rllib_refuses_are_told_in_one_sentence_and_leave_nothing(shell):
    done = shell.train("--env", "CartPole-v1", "--set", "train_batch_size=10", "--set", "minibatch_size=1000")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: RLlib refuses these settings of PPO: ") and "suppress" not in done.stderr
    assert shell.runs == []


@pytest.mark.fault(
    "`--resume` is given options that contradict the run, or a damaged checkpoint",
    promise="it is refused with both values, or with the checkpoint before",
)
def test_a_resume_that_contradicts_the_run_is_refused(shell):
    shell.train("--env", "CartPole-v1", "--stop-iters", "2", "--checkpoint-every", "1", "--local-mode", *SMALL)
    [run] = shell.runs
    first, last = sorted((run / "checkpoints").iterdir())
    for options, said in (
        (("--env", "Acrobot-v1"), "is of CartPole-v1"),
        (("--algo", "DQN"), "is of PPO"),
        (("--stop-iters", "2"), "already at its end: 2 iterations"),
    ):
        done = shell.train("--resume", run, *options)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "is not the last of its run" in shell.train("--resume", first).stderr
    state = last / "algorithm_state.pkl"
    state.write_bytes(state.read_bytes()[:100])
    done = shell.train("--resume", run)
    assert done.returncode == 2
    assert "algorithm_state.pkl is missing, cut short or changed" in done.stderr
    assert f"--resume {first}" in done.stderr


@pytest.mark.fault(
    "the disk fills during a run",
    promise="training continues, the last good checkpoint stays, and rows and checkpoints come when there is room",
)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_fills_keeps_the_last_good_checkpoint(container):
    import subprocess

    results = container.folder / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", results], check=True)
    try:
        process = container.start(
            "train",
            "--env",
            "CartPole-v1",
            "--local-mode",
            "--stop-iters",
            "100000",
            "--checkpoint-every",
            "1",
            *SMALL,
            "--results-dir",
            results,
        )
        output = container.folder / "output"
        wait_for(lambda: list(results.glob("*/*/checkpoints/checkpoint_*/manifest.json")), process)
        (results / "filler").write_bytes(b"\0" * 100)
        with (results / "filler").open("ab", buffering=0) as filler:
            try:
                while filler.write(b"\0" * 4096):
                    pass
            except OSError:
                pass
        wait_for(lambda: "no checkpoint was written" in output.read_text(), process)
        (results / "filler").unlink()
        seen = output.read_text().count("iter ")
        wait_for(lambda: output.read_text().count("iter ") > seen + 3, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=240) == 128 + signal.SIGTERM
        [run] = container.runs
        assert "No space left on device" in output.read_text()
        rows = [int(row["training_iteration"]) for row in table(run)]
        assert rows == list(range(1, len(rows) + 1))
        assert summary(run)["checkpoint"].endswith(f"{rows[-1]:06d}")
    finally:
        process.kill()
        subprocess.run(["umount", "--lazy", results], check=True)


# The threads that TensorFlow has in a learner's process for its operations, after an update.
THREADS = """
import sys
from collections import Counter
from pathlib import Path
from rlsif.learning.rllib import import_rllib
import_rllib()
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec
small = {"train_batch_size": 200, "minibatch_size": 100, "num_epochs": 1}
spec, learner = RunSpec("PPO", "tf", EnvRef("CartPole-v1"), hyperparameters=small), Learner()
learner.build(spec, Layout(0, 1, 0.0, int(sys.argv[1]), local_mode=True), find(spec.env))
learner.step()
names = Counter((thread / "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir())
print("threads", names["tf_Compute"])
"""


def test_the_learner_has_as_many_threads_as_it_is_told(shell):
    # Neither RLlib's number, nor that of the cores.
    threads = len(os.sched_getaffinity(0)) + 3
    done = shell("python", "-c", THREADS, threads)
    assert f"threads {threads}\n" in done.stdout, done.stderr
