"""`train` in the image: what a run does, and what it leaves."""

import contextlib
import csv
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from rlsif.training.run_lock import held
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


IMAGES = """
import gymnasium
import numpy as np
class Images(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(0, 255, (40, 40, 3), np.uint8), gymnasium.spaces.Discrete(2)
    max_episode_steps = 20
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._seen(), {}
    def step(self, action):
        return self._seen(), 1.0, False, False, {}
    def _seen(self):
        return self.np_random.integers(0, 255, (40, 40, 3), np.uint8, endpoint=True)
"""
FROM_CHECKPOINT = """
import sys
import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.policy.policy import Policy
policy = Policy.from_checkpoint(sys.argv[1])["default_policy"]
seen = np.random.default_rng(0).integers(0, 255, policy.observation_space.shape)
action, _, told = policy.compute_single_action(seen.astype(policy.observation_space.dtype))
print("acts", action in (0, 1), "logits", np.abs(told["action_dist_inputs"]).max() < 1)
Algorithm.from_checkpoint(sys.argv[1])
"""


def test_rllib_gives_the_policy_of_a_checkpoint_and_says_what_it_cannot(shell):
    """It sees images as the run did: of pixels from 0 to 255 its logits would be 5 and more."""
    (shell.folder / "images.py").write_text(IMAGES)
    shell.train("--env", "images.py:Images", "--stop-iters", "1", "--local-mode", *SMALL, "--set", "lr=1e-5")
    done = shell("python", "-c", FROM_CHECKPOINT, summary(shell.runs[0])["checkpoint"])
    assert "acts True logits True" in done.stdout, done.stderr
    assert "Policy.from_checkpoint gives its policy, `train --resume` its algorithm" in done.stderr.splitlines()[-1]


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


IN_ONE_CALL = "each batch of at least 256 env steps is learned in one call of TensorFlow, while the next is collected"


@pytest.mark.parametrize(
    "algo, framework, env, mode",
    [
        ("PPO", "tf", "Pendulum-v1", "--local-mode"),
        # Env runners of RLlib's, which have TensorFlow.
        ("PPO", "tf2", "Pendulum-v1", "--set=batch_mode=complete_episodes"),
        ("APPO", "tf", "CartPole-v1", "--num-cpus=2"),
        ("APPO", "tf2", "CartPole-v1", "--num-cpus=2"),
        ("IMPALA", "tf", "CartPole-v1", "--num-cpus=2"),
        ("DQN", "tf", "CartPole-v1", "--local-mode"),
        ("DQN", "tf2", "CartPole-v1", "--local-mode"),
        ("SAC", "tf", "CartPole-v1", "--local-mode"),
        ("SAC", "tf", "Pendulum-v1", "--local-mode"),
    ],
)
def test_what_is_listed_trains_saves_restores_and_continues(shell, algo, framework, env, mode):
    """Two runs; those of APPO and IMPALA have processes of their own, each with TensorFlow."""
    given = ("--algo", algo, "--framework", framework, "--env", env)
    quick = ("--set", "num_epochs=1") if framework == "tf2" and algo == "PPO" else ()
    # By RLlib's own learner first, as in runs of earlier versions.
    first, then = [("--set", f"learner_queue_size={n}") if (algo, framework) == ("APPO", "tf") else () for n in (8, 16)]
    done = shell.train(*given, *quick, *first, mode, "--stop-iters", "1")
    assert done.returncode == 0, done.stderr
    [run] = shell.runs
    if algo in ("APPO", "IMPALA"):
        because = "learner_queue_size=8" if first else f"framework {framework}"
        in_one_call = IN_ONE_CALL in done.stdout
        assert in_one_call == (algo == "IMPALA")
        assert in_one_call or f"RLlib learns, batch by batch in its own threads, for {because}\n" in done.stdout
        share = table(run)[0].get("info/learner/default_policy/learner_idle_time_share")
        assert 0 <= float(share) < 1 if in_one_call else share is None
    done = shell.train("--resume", run, *then, mode, "--stop-iters", "2")
    assert done.returncode == 0, done.stderr
    assert [row["training_iteration"] for row in table(run)] == ["1", "2"]
    if first:
        assert IN_ONE_CALL in done.stdout
        # RLlib's learner may not have ended its first update when the iteration does.
        before, after = (float(row["info/learner/default_policy/num_grad_updates_lifetime"] or 0) for row in table(run))
        assert before < after
    if env == "Pendulum-v1":
        done = shell("evaluate", run, "--episodes", "2", "--json")
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["returns"]) == 2


FAILING_LEARNER = """
import sys
from rlsif.commands import train
from rlsif.learning.rllib import import_rllib
import_rllib()
from ray.rllib.evaluation.rollout_worker import RolloutWorker
def fails(*_):
    raise ValueError("no gradient today")
RolloutWorker.learn_on_batch = fails
train.main()
"""


@pytest.mark.fault(
    "RLlib's own learner of APPO or IMPALA fails in its thread",
    promise="the run ends and says so, though nobody takes batches any more",
)
def test_a_learner_that_fails_in_its_thread_ends_the_run(shell):
    given = ("--env", "CartPole-v1", "--algo", "APPO", "--framework", "tf2", "--local-mode", "--stop-iters", "3")
    small = ("--set", "train_batch_size=32", "--set", "rollout_fragment_length=16", "--set", "learner_queue_size=2")
    done = shell("python", "-c", FAILING_LEARNER, *given, *small, "--results-dir", shell.folder / "results")
    assert done.returncode == 1 and "The learner thread died while training" in done.stderr


BETWEEN_ITERATIONS = """
import time
from rlsif import private_api
from rlsif.learning.rllib import import_rllib
import_rllib()
private_api.init(num_cpus=1, include_dashboard=False, node_ip_address="127.0.0.1")
from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec
whole_episodes = {"batch_mode": "complete_episodes"}
spec = RunSpec("APPO", "tf2", EnvRef("CartPole-v1"), hyperparameters=whole_episodes)
learner = Learner()
learner.build_as_it_is_sampled(spec, Layout(0, 1, 0.0, 1, local_mode=True), find(spec.env))
algorithm, batches = learner._algorithm, []
policy = algorithm.get_policy()
theirs = policy.learn_on_batch
def counted(batch):
    batches.append(batch.count)
    return theirs(batch)
policy.learn_on_batch = counted
learner.step()
before = len(batches)
for _ in range(3):
    algorithm._learner_thread.inqueue.put(algorithm.env_runner.sample(), block=False)
time.sleep(2)
print("updates before:", before > 0, "between:", len(batches) - before)
state = algorithm.__getstate__()["worker"]["policy_states"]["default_policy"]
print("variables:", len(state["_optimizer_variables"]))
learner.step()
print("updates then:", len(batches) - before > 3)
"""


def test_rllibs_learner_thread_makes_no_update_between_two_iterations(shell):
    done = shell("python", "-c", BETWEEN_ITERATIONS)
    assert "updates before: True between: 0\n" in done.stdout, done.stderr
    # Those of every weight.
    assert int(re.search(r"variables: (\d+)", done.stdout)[1]) > 4
    assert "updates then: True" in done.stdout


@pytest.mark.fault(
    "SIGINT or SIGTERM reaches a run",
    promise="a checkpoint and summary.json are written, and no process is left",
)
@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True)])
def test_a_signal_saves_a_checkpoint_and_the_summary(container, number, to_all):
    results = container.folder / "results"
    process = container.start(
        "train", "--env", "CartPole-v1", "--stop-iters", "100000", *SMALL, "--results-dir", results
    )
    wait_for(lambda: list(results.glob("*/*/result.json")), process)
    # A terminal sends SIGINT to every process of the foreground; a scheduler sends SIGTERM to the first, and `timeout`
    # to all of the group.
    os.killpg(process.pid, number) if to_all else process.send_signal(number)
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
    done = shell.train("--env", "CartPole-v1", "--set", "entropy_coeff=-1.0")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: RLlib refuses these settings of PPO: ") and "suppress" not in done.stderr
    assert shell.runs == []


@pytest.mark.fault(
    "`--resume` is given options that contradict the run, a damaged checkpoint, or a run that another process has",
    promise="it is refused with both values, with the checkpoint before, or with the process",
)
def test_a_resume_that_contradicts_the_run_is_refused(shell):
    shell.train("--env", "CartPole-v1", "--stop-iters", "2", "--checkpoint-every", "1", "--local-mode", *SMALL)
    [run] = shell.runs
    first, last = sorted((run / "checkpoints").iterdir())
    for options, said in (
        (("--env", "Acrobot-v1"), "--env is Acrobot-v1, but the run of"),
        (("--algo", "DQN"), "has PPO; leave --algo out to resume that run"),
        (("--stop-iters", "2"), "already at its end: 2 iterations"),
    ):
        done = shell.train("--resume", run, *options)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "is not the last of its run" in shell.train("--resume", first).stderr
    with held(run):
        done = shell.train("--resume", run)
    assert done.returncode == 2 and f"error: {run} is in use by process " in done.stderr
    state = last / "algorithm_state.pkl"
    state.write_bytes(state.read_bytes()[:100])
    done = shell.train("--resume", run)
    assert done.returncode == 2
    assert "algorithm_state.pkl is missing, cut short or changed" in done.stderr
    assert f"--resume {first}" in done.stderr


def fill(disk):
    """Leave no byte free."""
    with (disk / "filler").open("ab", buffering=0) as filler:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while filler.write(b"\0" * size):
                    pass


SLOW_TO_MAKE = """
import os
import time
import gymnasium


class Slow(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        # The first is looked at by the command; the next is an env runner's.
        if os.path.exists("made"):
            open("making", "w").close()
            time.sleep(1000)
        open("made", "w").close()

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, True, False, {}
"""


@pytest.mark.fault(
    "Ctrl-C is pressed, or SIGTERM sent, while the algorithm and its environments are made",
    promise="the run ends at once, and no process is left",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_algorithm_is_made_ends_the_run(container, number):
    (container.folder / "slow.py").write_text(SLOW_TO_MAKE)
    options = ("--num-env-runners", "1", "--results-dir", container.folder / "results")
    process = container.start("train", "--env", "slow.py:Slow", *options)
    wait_for((container.folder / "making").exists, process)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    [run] = container.runs
    assert summary(run)["stop_reason"] == f"interrupted by {number.name} before the first iteration"
    assert "Traceback" not in (container.folder / "output").read_text()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not processes_in(container.folder)


def processes_in(folder):
    """Processes that were started in a folder, of those that this user may look at."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"PWD={folder}".encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_bytes())
    return found


@pytest.mark.fault(
    "the disk fills during a run",
    promise="training continues, the last good checkpoint stays, and rows and checkpoints come when there is room; a"
    " run that ends meanwhile says so",
)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_fills_keeps_the_last_good_checkpoint(container):
    """The run has to meet the full disk, then to write again, then to end on it."""
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
        fill(results)
        wait_for(lambda: "no checkpoint was written" in output.read_text(), process)
        (results / "filler").unlink()
        seen = output.read_text().count("iter ")
        wait_for(lambda: output.read_text().count("iter ") > seen + 3, process)
        [run] = container.runs
        rows = [int(row["training_iteration"]) for row in table(run)]
        assert len(rows) > seen and rows == list(range(1, len(rows) + 1))
        # It is full again at the end.
        told = output.read_text().count("no checkpoint was written")
        fill(results)
        wait_for(lambda: output.read_text().count("no checkpoint was written") > told, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=240) == 128 + signal.SIGTERM
        said = output.read_text()
        assert "Traceback" not in said and said.splitlines()[-1].startswith("done: ")
        # Some bytes may have become free meanwhile.
        written = (run / "summary.json").exists()
        assert written != ("warning: summary.json is not written: No space left on device" in said)
        (results / "filler").unlink()
        # What is there can be resumed; nothing is damaged.
        last = sorted((run / "checkpoints").glob("checkpoint_*"))[-1]
        assert said.splitlines()[-1].endswith(f"checkpoint {last}")
        resumed = container.train("--resume", run, "--local-mode", "--stop-iters", int(last.name[-6:]) + 1)
        assert resumed.returncode == 0, resumed.stderr
        # Not even who is in its folder can be written.
        fill(results)
        refused = container.train("--resume", run, "--local-mode", "--stop-iters", "100000")
        assert refused.returncode == 2 and "Traceback" not in refused.stderr
        assert refused.stderr.rstrip().endswith("No space left on device"), refused.stderr
        (results / "filler").unlink()
        rows = [int(row["training_iteration"]) for row in table(run)]
        assert rows == list(range(1, int(last.name[-6:]) + 2)) and summary(run)["iterations"] == rows[-1]
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
spec, learner = RunSpec("PPO", sys.argv[2], EnvRef("CartPole-v1"), hyperparameters=small), Learner()
learner.build(spec, Layout(0, 1, 0.0, int(sys.argv[1]), local_mode=True), find(spec.env))
learner.step()
names = Counter((thread / "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir())
print("threads", names["tf_Compute"])
"""


@pytest.mark.parametrize("framework", ["tf", "tf2"])
def test_the_learner_has_as_many_threads_as_it_is_told(shell, framework):
    # Neither RLlib's number, nor that of the cores.
    threads = len(os.sched_getaffinity(0)) + 3
    done = shell("python", "-c", THREADS, threads, framework)
    assert f"threads {threads}\n" in done.stdout, done.stderr
