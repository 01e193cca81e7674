"""Environments of users in the image: found by every process, checked, trained, recorded."""

import json
import re
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/custom_env"

DRAWS = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from colors import RED


class Walk(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    max_episode_steps = 9

    def __init__(self, start=0.0, render_mode=None):
        self.observation_space = Box(-20, 20, (1,), np.float32)
        self.action_space = Discrete(2)
        self.render_mode, self._start = render_mode, start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._at = np.float32(self._start)
        return np.array([self._at]), {}

    def step(self, action):
        self._at += np.float32(action - 0.5)
        return np.array([self._at]), float(self._at), False, False, {}

    def render(self):
        picture = np.zeros((31, 41, 3), np.uint8)
        picture[:, int(self._at) + 20] = RED
        return picture
"""


@pytest.fixture
def walk(shell):
    """A file with a class, and a module beside it that it imports."""
    (shell.folder / "code").mkdir()
    (shell.folder / "code/walk.py").write_text(DRAWS)
    (shell.folder / "code/colors.py").write_text("RED = (255, 0, 0)\n")
    return shell


def test_a_class_in_a_file_is_trained_by_env_runners_resumed_elsewhere_and_gives_a_video(walk):
    small = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--num-env-runners", "1")
    done = walk.train("--env", "code/walk.py:Walk", "--env-config", "start=2", "--stop-iters", "2", *small)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PPO (tf) on Walk\n")
    [run] = walk.runs
    assert run.parent.name == "Walk"
    rows = [json.loads(line) for line in (run / "result.json").read_text().splitlines()]
    assert rows[-1]["env_runners/episode_len_mean"] == 9
    # Nine steps from 2 give 13.5 to 40.5 less 22.5.
    assert -4.5 <= rows[-1]["env_runners/episode_return_min"] <= rows[-1]["env_runners/episode_return_max"] <= 40.5
    elsewhere = walk.folder / "elsewhere"
    elsewhere.mkdir()
    walk.folder, home = elsewhere, walk.folder
    verb = ("exec", "--bind", str(home))
    assert walk("train", "--resume", run, "--stop-iters", "3", verb=verb).returncode == 0
    assert walk("evaluate", run, "--video", "walk.mp4", "--episodes", "2", verb=verb).returncode == 0
    assert (elsewhere / "walk.mp4").stat().st_size > 500
    frames = "import imageio; v = imageio.get_reader('walk.mp4'); print(v.count_frames(), v.get_meta_data()['fps'])"
    assert walk("python", "-c", frames).stdout == "10 10.0\n"
    assert walk("evaluate", run, "--video", "walk.gif", "--episodes", "1", "--last", verb=verb).returncode == 0
    assert (elsewhere / "walk.gif").read_bytes()[:4] == b"GIF8"


def test_every_name_of_the_example_trains(shell):
    """Three trainings until they have learned; other tests have env runners find classes in files, and ids."""
    shutil.copytree(EXAMPLE, shell.folder, dirs_exist_ok=True)
    here = ("--local-mode",)
    names = {"basic_env:BasicEnv": (), "basic_env:Basic-v0": here, "basic_env/__init__.py:BasicEnv": here}
    until = ("--env-config", "reward=2", "--stop-reward", "1.9", "--stop-iters", "60")
    for name, where in names.items():
        done = shell.train("--env", name, *until, *where)
        assert done.returncode == 0, done.stderr
        assert re.search(r"done: mean return (1\.9|2\.0)", done.stdout)


def test_check_says_what_is_right_and_wrong(walk):
    done = walk("check", "code/walk.py:Walk", "--env-config", "start=2")
    assert done.returncode == 0
    assert "ok       Gymnasium's checker finds nothing.\n" in done.stdout
    assert "sampled in NumPy, the fast way" in done.stdout and "it can be pickled" in done.stdout
    done = walk("check", "code/walk.py:Walk", "--env-config", "start=nan")
    assert done.returncode == 1
    assert re.search(r"^error .* has nan at \[0\]", done.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "code/none.py:Walk"), "there is no file"),
        (("check", "code/walk.py:Run"), "has no class Run, and registers no such id; it has Walk"),
        (("train", "--env", "code/walk.py:Walk", "--env-config", "start"), "--env-config 'start' has no value"),
        (("train", "--env", "code/walk.py:Walk", "--env-config", "speed=3"), "cannot be made with {'speed': 3}"),
        (("rollout-demo", "--env", "colours:Walk"), "No module named 'colours'"),
    ],
)
def test_bad_names(walk, arguments, said):
    done = walk(*arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.fault(
    "an environment has the interface of Gym 0.25",
    promise="the sentence names what Gymnasium's interface returns",
)
def test_the_old_interface_is_named(walk):
    path = walk.folder / "code/walk.py"
    path.write_text(DRAWS.replace("return np.array([self._at]), {}", "return np.array([self._at])"))
    done = walk("train", "--env", "code/walk.py:Walk")
    assert done.returncode == 2
    assert "Gymnasium's reset returns (observation, info)" in done.stderr


# A file of RLlib's users, which says in which processes it is imported, and what is imported there by then.
OF_RLLIB = """
import os
import sys

import gymnasium
import numpy as np
import ray.rllib
from gymnasium.spaces import Box, Discrete

with open("imported.txt", "a") as told:
    print(os.getpid(), os.path.basename(sys.argv[0]), "tensorflow" in sys.modules, file=told)


class Short(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (2,), np.float32), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, True, False, {}
"""


@pytest.mark.fault(
    "the file of an environment imports RLlib",
    promise="a command imports it once a process, without TensorFlow where nothing learns or is evaluated",
)
def test_a_file_that_imports_rllib_brings_no_tensorflow(container):
    """Three commands import RLlib in processes of their own, with the file."""
    (container.folder / "of_rllib.py").write_text(OF_RLLIB)
    told = container.folder / "imported.txt"

    def imported(*command):
        told.unlink(missing_ok=True)
        done = container(*command)
        assert done.returncode == 0, done.stderr
        numbers, names, tensorflow = zip(*map(str.split, told.read_text().splitlines()), strict=True)
        assert len(set(numbers)) == len(numbers)
        return dict(zip(names, tensorflow, strict=True)), len(numbers)

    assert imported("check", "of_rllib.py:Short") == ({"check": "False"}, 1)
    small = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--set", "num_epochs=1")
    run = ("--stop-iters", "1", "--num-env-runners", "1", *small, "--results-dir", container.folder / "results")
    # The command and the env runner; the learner makes no environment.
    processes = {"train": "False", "default_worker.py": "False"}
    assert imported("train", "--env", "of_rllib.py:Short", *run) == (processes, 2)
    assert imported("evaluate", container.runs[0], "--episodes", "1") == ({"evaluate": "True"}, 1)
