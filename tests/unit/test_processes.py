"""Environments in processes of their own: the rows of those in one process, and what comes of a process that ends."""

import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from rlsif.envs import find, vector
from rlsif.envs.processes import ENDS, Processes
from rlsif.envs.progress import PROGRESS
from rlsif.envs.reference import parse
from rlsif.errors import Elsewhere, RlsifError
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter
from rlsif.sampling.samplers import DQNSampler, PPOSampler
from tests.unit.test_slots import sampler_of

CLASSES = """
import os
import time

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary


class Walk(gymnasium.Env):
    observation_space = Dict({"place": Box(-99, 99, (2,)), "step": Discrete(40)})
    action_space, task = Discrete(3), 0

    def observed(self):
        return {"place": self.place.astype(np.float32), "step": self.steps}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = self.np_random.normal(size=2), 0
        return self.observed(), {}

    def step(self, action):
        self.steps += 1
        self.place = self.place + self.np_random.normal(size=2) + action
        ends = bool(self.np_random.random() < 0.1)
        given = {"metrics": {"place": self.place[0], "task": self.task}}
        return self.observed(), float(self.place.sum()), ends, self.steps == 30, given

    def set_task(self, task):
        self.task = task


class Masks(Walk):
    def legal(self):
        return {"action_mask": np.eye(3, dtype=np.int8)[self.steps % 3]}

    def reset(self, **how):
        observed, info = super().reset(**how)
        return observed, {**info, **self.legal()}

    def step(self, action):
        *told, info = super().step(action)
        return *told, {**info, **self.legal()}


class Sees(Walk):
    observation_space = Box(0, 255, (12, 12, 3), np.uint8)

    def observed(self):
        return np.full((12, 12, 3), self.steps, np.uint8)


class Fails(Walk):
    def step(self, action):
        if self.steps == 3:
            self.fail()
        return super().step(action)

    def fail(self):
        raise ValueError("the valve is stuck")


class NoReward(Fails):
    def fail(self):
        self.place = np.full(2, np.nan)


class Exits(Fails):
    def fail(self):
        raise SystemExit(7)


class Crashes(Fails):
    def fail(self):
        os._exit(5)


class FailsLate(Walk):
    def __init__(self):
        if os.environ.get("RLSIF_TEST_FAILS"):
            raise RuntimeError("no licence")


class Naps(Walk):
    def step(self, action):
        time.sleep(0.4)
        return super().step(action)
"""


@pytest.fixture
def ref(tmp_path):
    """The reference of a class by its name."""
    file = tmp_path / f"walks_{tmp_path.name}.py"
    file.write_text(CLASSES)
    return lambda name: parse(f"{file}:{name}", {}, tmp_path)


@pytest.fixture
def made():
    """Makes copies of an environment, in so many processes, or 0 for this one; closes them."""
    every = []

    def make(ref, processes, copies=5):
        found = find.find(ref)
        encoder, adapter = masks.encoder_of(found.observations), ActionAdapter(found.actions)
        create, seeds = functools.partial(find.make, ref, 1), [7 * copy for copy in range(copies)]
        if processes:
            every.append(Processes(create, seeds, processes, encoder, adapter))
        else:
            every.append(vector.make(ref, copies, seeds, create, encoder, adapter))
        return every[-1]

    yield make
    for environments in every:
        environments.close()


def pids(environments):
    return [child.process.pid for child in environments._children.values()]


def is_there(pid):
    try:
        return "stepping" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def wait_for(what):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["Walk", "Masks", "Sees"])
def test_steps_are_those_of_one_process(ref, made, name):
    one, two, five = (made(ref(name), processes) for processes in (0, 2, 5))
    assert [slice_.stop - slice_.start for slice_ in map(copies_of, two._shares)] == [2, 3]
    random = np.random.default_rng(0)
    for _ in range(120):
        chosen = random.integers(3, size=5)
        np.testing.assert_array_equal(one.observations, two.observations)
        step, *others = (environments.step(chosen) for environments in (one, two, five))
        for other in others:
            for mine, theirs in zip(step, other):
                if isinstance(mine, np.ndarray):
                    np.testing.assert_array_equal(mine, theirs)
                    assert mine.dtype == theirs.dtype
            assert step.metrics == other.metrics
    assert one.observations.dtype == two.observations.dtype


def copies_of(share):
    return slice(share.first, share.first + len(share.seeds))


@pytest.mark.parametrize("kind", [PPOSampler, DQNSampler])
def test_a_sampler_gets_the_same_batches(ref, made, kind):
    batches = []
    for processes in (0, 2):
        environments = made(ref("Walk"), processes)
        sampler = sampler_of(kind, environments, 40, features=environments.observations.shape[1])
        batches.append([sampler.sample() for _ in range(3)])
        batches.append([vars(episode) for episode in sampler.episodes()])
    rows, episodes, rows_of_two, episodes_of_two = batches
    assert episodes == episodes_of_two and episodes
    for one, two in zip(rows, rows_of_two):
        for column, values in one.items():
            np.testing.assert_array_equal(values, two[column])


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("Fails", ValueError, "the valve is stuck"),
        ("NoReward", vector.WrongValue, "copy 0 of the environment, after 4 steps of an episode: the reward is nan"),
        ("Exits", SystemExit, "7"),
    ],
)
def test_what_an_environment_raises_is_told_as_without(ref, made, name, error, said):
    raised_at = []
    for processes in (0, 2):
        environments = made(ref(name), processes)
        with pytest.raises((error, Elsewhere)) as raised:
            for _ in range(9):
                environments.step(np.zeros(5, np.int64))
        problem = raised.value
        assert said in str(problem)
        frames = problem.frames if isinstance(problem, Elsewhere) else traceback.extract_tb(problem.__traceback__)
        raised_at.append((frames[-1].filename, frames[-1].lineno, frames[-1].line))
    if isinstance(problem, Elsewhere):
        assert raised_at[0] == raised_at[1] and str(problem) == "ValueError: the valve is stuck"
    else:
        assert type(problem) is error


def test_what_fails_as_it_is_made_leaves_no_process(ref, made, monkeypatch):
    found = ref("FailsLate")
    encoder, adapter = masks.encoder_of(find.find(found).observations), ActionAdapter(find.find(found).actions)
    monkeypatch.setenv("RLSIF_TEST_FAILS", "1")
    before = children()
    with pytest.raises(Elsewhere, match="RuntimeError: no licence"):
        Processes(functools.partial(find.make, found, 1), [1, 2], 2, encoder, adapter)
    assert children() == before


def children():
    return {path.parent.name for path in Path("/proc").glob("[0-9]*/stat") if is_child(path)}


def is_child(stat):
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


@pytest.mark.fault(
    "a process of `--env-processes` is killed",
    promise="it is started again with other seeds; the episodes of its copies count as truncated; it is told",
)
def test_a_process_that_is_killed_is_replaced(ref, made):
    environments, lost = made(ref("Walk"), 2), PROGRESS.lost
    environments.set_task(3)
    environments.step(np.zeros(5, np.int64))
    first, second = pids(environments)
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: not is_there(second))
    before = environments.observations.copy()
    step = environments.step(np.zeros(5, np.int64))
    assert step.truncated[2:].all() and not step.terminated[2:].any() and not step.rewards[2:].any()
    np.testing.assert_array_equal(step.observations[2:], before[2:])
    assert PROGRESS.lost == lost + 1
    assert "the process that steps copies 2 to 4 of the environment was ended by SIGKILL" in PROGRESS.lost_how
    assert pids(environments)[0] == first and is_there(pids(environments)[1])
    # Other episodes begin, with the task that was set.
    assert len(np.unique(environments.observations[:, 0])) == 5
    metrics = {}
    for _ in range(40):
        metrics.update(environments.step(np.zeros(5, np.int64)).metrics)
    assert {copy: each["task"] for copy, each in metrics.items()} == dict.fromkeys(range(5), 3)


@pytest.mark.fault(
    "a process of `--env-processes` ends again and again",
    promise="the run ends, and names the copies and the exit code",
)
def test_a_process_that_keeps_ending_is_told(ref, made):
    environments = made(ref("Crashes"), 1, copies=1)
    with pytest.raises(RlsifError, match=rf"steps copy 0 .* ended {ENDS} times .* it ended with exit code 5"):
        for _ in range(99):
            environments.step(np.zeros(1, np.int64))


def test_a_process_that_is_killed_now_and_then_is_replaced_each_time(ref, made):
    environments, lost = made(ref("Walk"), 1, copies=2), PROGRESS.lost
    for _ in range(ENDS + 1):
        os.kill(pids(environments)[0], signal.SIGKILL)
        # So many steps that an episode ends.
        for _ in range(40):
            environments.step(np.zeros(2, np.int64))
    assert PROGRESS.lost == lost + ENDS + 1


def test_a_task_that_an_environment_does_not_have_is_told(ref, made, tmp_path):
    environments = made(parse("Acrobot-v1"), 2)
    with pytest.raises(RlsifError, match="AcrobotEnv has no method set_task"):
        environments.set_task(1)


def test_a_slow_step_is_seen_while_it_is_made(ref, made):
    environments = made(ref("Naps"), 1, copies=6)
    seen, steps = [], PROGRESS.steps
    over = threading.Event()

    def look():
        while not over.wait(0.1):
            seen.append(PROGRESS.steps - steps)

    thread = threading.Thread(target=look)
    thread.start()
    environments.step(np.zeros(6, np.int64))
    over.set()
    thread.join()
    assert PROGRESS.steps - steps == 6 and len(set(seen)) > 2, seen


KILLED = """
import functools, sys, time
from rlsif.envs import find
from rlsif.envs.processes import Processes
from rlsif.envs.reference import parse
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter
ref = parse(sys.argv[1], {}, ".")
found = find.find(ref)
made = Processes(functools.partial(find.make, ref, 1), [1, 2], 2, masks.encoder_of(found.observations),
                 ActionAdapter(found.actions))
print(*[child.process.pid for child in made._children.values()], flush=True)
import numpy
made.step(numpy.zeros(2, int))
"""
# Keeps Python's lock, so that no thread can look whether the env runner is there.
STANDS_STILL = """
import ctypes
from pathlib import Path
from walks import Walk


class StandsStill(Walk):
    def step(self, action):
        if "stepping" in Path("/proc/self/cmdline").read_text():
            ctypes.PyDLL(None).sleep(1000)
        return super().step(action)
"""


@pytest.mark.fault(
    "an env runner is killed whose environments are in processes of their own",
    promise="none of these is left, whatever it does, and no shared memory",
)
def test_processes_end_with_the_env_runner(tmp_path):
    (tmp_path / "walks.py").write_text(CLASSES)
    (tmp_path / "still.py").write_text(STANDS_STILL)
    memory = set(Path("/dev/shm").iterdir())
    runner = subprocess.Popen(
        [sys.executable, "-c", KILLED, "still.py:StandsStill"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    first, second = map(int, runner.stdout.readline().split())
    assert is_there(first) and is_there(second)
    runner.kill()
    runner.wait()
    wait_for(lambda: not is_there(first) and not is_there(second))
    assert {path.name for path in set(Path("/dev/shm").iterdir()) - memory if re.match("rlsif", path.name)} == set()


def test_the_memory_is_nobody_elses(ref, made):
    environments = made(ref("Walk"), 2)
    # It has no name; of its open file only this user sees that it is there.
    assert str(Path(f"/proc/self/fd/{environments._rows.file}").readlink()).startswith("/memfd:rlsif")
    file = environments._rows.file
    environments.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_environments_that_step_together_are_known(tmp_path, ref):
    assert vector.steps_together(parse("CartPole-v1"))
    assert not vector.steps_together(parse("CartPole-v1", wrappers=[("TimeAwareObservation", {})]))
    assert not vector.steps_together(ref("Walk")) and not vector.steps_together(parse("Acrobot-v1"))
