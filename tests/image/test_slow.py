"""Environments that are slow, and simulators that stand still."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/slow_simulator"
STUCK = """
import time
import gymnasium


class Stuck(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps, steps = 5, 0

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        Stuck.steps += 1
        while Stuck.steps > 700:
            time.sleep(0.1)
        return 0, 1.0, False, False, {}
"""


# `train` on a machine that has 64 cores; and a callback that looks at the processes of its run.
ON_64_CORES = """
import sys
from rlsif.cluster import resources
resources._cpus = lambda: 64
from rlsif.commands.train import main
main()
"""
LOOKS = """
import json
import os
from collections import Counter
from pathlib import Path


class Looks:
    def on_iteration(self, run, row):
        found = {kind: [threads(p) for p in below(os.getpid(), kind)] for kind in ("Learner", "ArrayEnvRunner")}
        found["simulators"] = len(below(os.getpid(), "simulator.py"))
        Path("looked.json").write_text(json.dumps(found))


def below(ancestor, kind):
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            pass
    return [p for p in parents if ancestor in line(p, parents) and kind in command(p)]


def line(process, parents):
    while process in parents:
        process = parents[process]
        yield process


def command(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\\0", b" ").decode()
    except OSError:
        return ""


def threads(process):
    return Counter((thread / "comm").read_text().strip() for thread in Path(f"/proc/{process}/task").iterdir())
"""


@pytest.mark.fault(
    "a simulator in a process of its own takes 50 ms a step",
    promise="it trains to its goal, and leaves no process",
)
@pytest.mark.fault("`--num-cpus 3` is given on a machine of 64 cores", promise="the learner computes in 3 threads")
def test_a_simulator_of_50_ms_a_step_trains_and_leaves_no_process(container):
    """The example, with two env runners, in half a minute of the simulator's own time.

    Not in forks, whose processes have no titles of their own.
    """
    shutil.copytree(EXAMPLE, container.folder, dirs_exist_ok=True)
    (container.folder / "looks.py").write_text(LOOKS)
    small = ("--set", "train_batch_size=200", "--set", "minibatch_size=50", "--set", "lr=0.02", "--seed", "1")
    two = ("--num-cpus", "3", "--num-envs-per-env-runner", "1", "--set", "model.fcnet_hiddens=[16]")
    asked = ("--env", "env.py:Room", *two, *small, "--callbacks", "looks.py:Looks", "--stop-reward", "6")
    done = container("python", "-c", ON_64_CORES, *asked, "--results-dir", "results")
    assert done.returncode == 0, done.stderr
    assert "3/64 CPUs" in done.stdout and "1 learner, 2 env runners" in done.stdout
    assert "mean return 6" in done.stdout or "mean return 7" in done.stdout
    looked = json.loads((container.folder / "looked.json").read_text())
    [learner], runners = looked["Learner"], looked["ArrayEnvRunner"]
    assert learner["tf_Compute"] == 3 and len(runners) == looked["simulators"] == 2
    assert all("tf_Compute" not in runner for runner in runners)
    assert simulators(container.folder) == []


def simulators(folder):
    """The simulators of a folder that still run."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [line for line in lines if f"{folder}/simulator.py".encode() in line]


@pytest.mark.fault(
    "one of several env runners is much slower than the others",
    promise="no row of it is dropped: of PPO's and DQN's batches it has its share, and APPO learns from all it samples",
)
def test_rows_of_a_slow_env_runner_reach_the_learner_as_those_of_a_fast_one(shell):
    """Most of the time is that of the slow one's steps, and that in which env runners start."""
    done = shell("python", Path(__file__).with_name("slow_runner.py"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"PPO", "PPO by RLlib", "APPO", "DQN"}
    for kind, told in found.items():
        fast, slow = told["rows"]
        assert told["all in order"] == [True, True] and told["lengths"] == [10] and slow >= 150, (kind, told)
        if kind == "APPO":
            # The others do not wait for it; what is counted beyond is of the next batch.
            assert fast > slow and 0 <= told["counted"] - fast - slow <= 100, told
        else:
            assert fast == slow and told["counted"] == fast + slow, (kind, told)


@pytest.mark.fault(
    "an env runner is lost with its node", promise="no iteration waits for it, and it is taken back once it answers"
)
def test_no_iteration_waits_for_an_env_runner_whose_node_is_gone(shell):
    done = shell("python", Path(__file__).with_name("gone_runner.py"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # RLlib asks each in every iteration, and waits two seconds for an answer. A slow machine asks anew after five.
    assert found["gone"] == 0 and found["back"] == 1 and found["asked"] < 20


@pytest.mark.fault("an environment is so slow that a batch takes minutes", promise="the first lines say so")
def test_a_batch_that_will_take_minutes_says_so_in_the_first_lines(container):
    shutil.copytree(EXAMPLE, container.folder, dirs_exist_ok=True)
    process = container.start("train", "--env", "env.py:Room", "--num-env-runners", "1", "--results-dir", "results")
    from tests.image.test_train import wait_for

    output = container.folder / "output"
    wait_for(lambda: "env steps/s a batch of 4,000 takes" in output.read_text(), process)
    process.terminate()
    assert process.wait(timeout=60) == 143


@pytest.mark.fault(
    "an environment stands still in a step",
    promise="the run ends after `--env-timeout`, and names env runner, node and step",
)
def test_an_environment_that_stands_still_ends_the_run_by_name(shell):
    """Most of the time is `--env-timeout`."""
    (shell.folder / "stuck.py").write_text(STUCK)
    one = ("--num-env-runners", "1", "--num-envs-per-env-runner", "1", "--env-timeout", "20")
    small = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--set", "num_epochs=1")
    done = shell.train("--env", "stuck.py:Stuck", *one, *small)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: env runner 1 on " in done.stderr and "has made no step for" in done.stderr
    assert "stepping its environments after 700 env steps" in done.stderr


@pytest.mark.fault("an environment stands still while it is made", promise="the run ends after `--env-timeout`")
def test_an_environment_that_stands_still_while_it_is_made_ends_the_run_too(shell):
    text = STUCK.replace(
        "    def reset",
        "    def __init__(self):\n        if os.path.exists('made'):\n            time.sleep(1000)\n"
        "        open('made', 'w').close()\n\n    def reset",
    )
    (shell.folder / "stuck.py").write_text(text.replace("import time", "import os\nimport time"))
    one = ("--num-env-runners", "1", "--num-envs-per-env-runner", "1", "--env-timeout", "20")
    done = shell.train("--env", "stuck.py:Stuck", *one)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "it was making its environments after 0 env steps" in done.stderr
    # Before that, `train` itself looks at one.
    (shell.folder / "made").touch()
    looked = shell.train("--env", "stuck.py:Stuck", "--local-mode", "--env-timeout", "2")
    assert looked.returncode == 1 and "Traceback" not in looked.stderr
    assert "stuck.py:Stuck' has not come back for 2 s while it was made" in looked.stderr


@pytest.mark.fault(
    "an environment stands still while it is made, with Python's lock, as one in C++ may",
    promise="the command ends after `--env-timeout` with one sentence, also where the environment has processes",
)
@pytest.mark.parametrize(
    "wait",
    [
        "ctypes.PyDLL(None).sleep(60)",
        "os.fork() or (time.sleep(5), os._exit(0)); time.sleep(60)",
        "faulthandler.enable(); faulthandler.dump_traceback_later(60); time.sleep(60)",
        "time.sleep(2.3)",
    ],
)
def test_an_environment_that_keeps_pythons_lock_ends_the_command(container, wait):
    """The third takes the timer by which processes end themselves; the last comes back after its end was said."""
    text = STUCK.replace("    def reset", f"    def __init__(self):\n        {wait}\n\n    def reset")
    (container.folder / "stuck.py").write_text(f"import ctypes\nimport faulthandler\nimport os\n{text}")
    looked = container("train", "--env", "stuck.py:Stuck", "--local-mode", "--env-timeout", "2")
    assert looked.returncode == (-signal.SIGKILL if "faulthandler" in wait else 1), looked.stderr
    said = f"error: environment '{container.folder}/stuck.py:Stuck' has not come back for 2 s while it was made"
    assert looked.stderr.startswith(said) and looked.stderr.count("\n") == 1


@pytest.mark.fault("Ray's processes answer nobody", promise="the run ends with one sentence, and leaves no process")
def test_a_ray_that_does_not_answer_ends_the_run(container):
    """Half of its seconds are the time, lowered for it, after which nobody waits for Ray."""
    script = Path(__file__).with_name("silent_ray.py")
    typed = ("python", script, "--env", "CartPole-v1", "--stop-iters", "1", "--results-dir", container.folder / "r")
    done = container(*typed, verb=("exec", "--bind", str(script.parent)))
    assert done.returncode == 1 and done.stderr.count("error: ") == 1, done.stderr
    assert "error: Ray's processes on this machine did not answer within 20 s; try again" in done.stderr
    assert "Traceback" not in done.stderr
    rays = (container.folder / "folder").read_text()
    assert not Path(rays).exists() and not list(container.folder.glob("r/*/*/checkpoints/*"))
    wait_until_none_has(rays)


def wait_until_none_has(text):
    """Wait until no process has a text in its command line; Ray's own reaper may take a moment."""
    deadline = time.monotonic() + 60
    while left := [p for p in Path("/proc").glob("[0-9]*") if text.encode() in command_of(p)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def command_of(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


BUSY = """
import time
from types import SimpleNamespace

import ray

from rlsif.learning.rllib import import_rllib

import_rllib()

from rlsif.learning import asking


@ray.remote(num_cpus=0)
class Runner:
    def __init__(self, name):
        self.name, self.ended, self.seen, self.merged = name, 0, [], None

    def sample(self, seconds):
        time.sleep(seconds)
        self.ended += 1
        self.seen.append(self.name)

    def get_metrics(self):
        ended, self.ended = self.ended, 0
        return [self.name] * ended

    def get_filters(self, flush_after):
        seen, self.seen = self.seen, []
        return {"policy": seen}

    def sync_filters(self, merged):
        self.merged = merged["policy"]

    def told(self):
        return self.merged


class Filter:
    def __init__(self):
        self.seen = []

    def apply_changes(self, other, with_buffer):
        self.seen += other

    def as_serializable(self):
        return self.seen


ray.init(num_cpus=1, include_dashboard=False)
runners = {1: Runner.remote("slow"), 2: Runner.remote("fast")}
manager = SimpleNamespace(actors=lambda: runners, is_actor_healthy=lambda number: True)
group = type("Group", (), {})()
group.local_env_runner, group._worker_manager = None, manager
ray.get([runner.sample.remote(0) for runner in runners.values()])
print(sorted(asking.episodes(group)))
asking.SECONDS = 0.5
runners[2].sample.remote(0)
slow = runners[1].sample.remote(3)
print(asking.episodes(group))
runners[2].sample.remote(0)
print(asking.episodes(group))
ray.get(slow)
asking.SECONDS = 30
print(asking.episodes(group))
print(asking.episodes(group))

mine = {"policy": Filter()}
asking.sync_filters(mine, group)
asking.SECONDS = 0.5
slow, _ = runners[1].sample.remote(3), runners[2].sample.remote(0)
asking.sync_filters(mine, group)
print(sorted(mine["policy"].seen), ray.get(runners[2].told.remote()).count("slow"))
ray.get(slow)
asking.SECONDS = 30
asking.sync_filters(mine, group)
print(mine["policy"].seen.count("slow"), ray.get(runners[1].told.remote()).count("slow"))
"""


@pytest.mark.fault(
    "an env runner of APPO or IMPALA is in the middle of a long sample when an iteration ends",
    promise="the episodes that ended in it are told in a later iteration, and nobody waits for it",
)
def test_episodes_of_a_busy_env_runner_are_told_later(shell):
    done = shell("python", "-c", BUSY)
    assert done.returncode == 0, done.stderr
    *episodes, seen, then = done.stdout.splitlines()[-7:]
    assert episodes == ["['fast', 'slow']", "['fast']", "['fast']", "['slow']", "[]"]
    # What filters saw is merged by then, too; nothing is taken twice.
    assert seen == "['fast', 'fast', 'fast', 'fast', 'slow', 'slow'] 2" and then == "3 3"
