"""What an image with extras can do, with the packages that it has: Box2D, PettingZoo, Weights & Biases, MLflow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXTRAS = Path(__file__).parents[2] / "containers/requirements/extras"
SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=1", "--local-mode")
TRAIN = ("--env", "CartPole-v1", "--stop-iters", "2", *SMALL)


def install(extra, folder):
    """Put an extra's packages beside the user's own code, where the image finds them, too."""
    uv = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--python-version", "3.11"]
    # As the build of an image installs them: a lock has all that is needed.
    where = ["--python-platform", "x86_64-manylinux_2_28", "--target", folder, "--no-deps", "--require-hashes"]
    subprocess.run([*uv, *where, "-r", EXTRAS / f"{extra}.lock"], check=True)


def test_the_lander_needs_box2d_and_says_how_to_have_it(shell):
    lander = ("--env", "LunarLander-v3", "--stop-iters", "1", "--local-mode", "--set", "num_epochs=1")
    done = shell.train(*lander)
    assert done.returncode == 2 and "make image-cpu EXTRAS=box2d" in done.stderr
    install("box2d", shell.folder)
    done = shell.train(*lander)
    assert done.returncode == 0, done.stderr
    assert "16 environments each, sampled in NumPy" in done.stdout


def test_atari_by_its_name_alone_and_by_the_protocol_of_choice(shell):
    """Games are played in four commands, and once beside ale-py's own."""
    missing = shell.train("--env", "ALE/Breakout-v5")
    assert missing.returncode == 2 and "make image-cpu EXTRAS=atari" in missing.stderr
    install("atari", shell.folder)
    script = Path(__file__).with_name("same_atari.py")
    compared = shell("python", script, shell.folder, verb=("exec", "--bind", str(script.parent)))
    for game in json.loads(compared.stdout.splitlines()[-1]).values():
        # A mean of pixels may be rounded in another way.
        assert game["pixels"] <= 1 and game["others"] == 0
        assert game["lives"] > 1 and game["return"] > 0
    small = ("--set", "train_batch_size=800", "--set", "minibatch_size=200", "--set", "num_epochs=1", "--local-mode")
    # An agent that has not learned may never fire, by which a game never ends.
    small += ("--num-envs-per-env-runner", "2", "--env-config", "max_num_frames_per_episode=1200")
    done = shell.train("--env", "ALE/Breakout-v5", "--atari", "deepmind", "--stop-iters", "2", *small)
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy" in done.stdout and "Atari after Mnih et al. 2015: up to 30 steps" in done.stdout
    [run] = shell.runs
    rows = [json.loads(line) for line in (run / "result.json").read_text().splitlines()]
    # A life takes some 30 steps, a game five lives, and no more than 300 steps.
    assert 100 < rows[-1]["env_runners/episode_len_mean"] <= 300
    found = shell("evaluate", run, "--episodes", "1", "--json")
    assert found.returncode == 0, found.stderr
    other = shell.train("--resume", run, "--atari", "machado", "--stop-iters", "3")
    assert other.returncode == 2 and "--atari is machado, but" in other.stderr


# Of both interfaces that Gym has had.
OLD = """
import gym
import numpy as np


class New(gym.Env):
    max_episode_steps = 50
    action_space = gym.spaces.Discrete(2, start=1)
    observation_space = gym.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        assert action in (1, 2)
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, False, False, {}


class Old(gym.Env):
    metadata = {"render.modes": ["rgb_array"]}
    action_space = gym.spaces.Box(-2, 2, (1,))
    observation_space = gym.spaces.Box(-1, 1, (2,))

    def reset(self):
        self.steps = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def step(self, action):
        self.steps += 1
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, self.steps == 20, {}

    def render(self, mode="human"):
        return np.zeros((64, 64, 3), np.uint8)
"""


def test_environments_of_gym_and_dm_control_train(shell):
    """Two extras are installed, and six commands import them in processes of their own."""
    install("gym", shell.folder)
    install("dm_control", shell.folder)
    (shell.folder / "old.py").write_text(OLD)
    small = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--stop-iters", "2", "--local-mode")
    for name, length in (("old.py:New", 50), ("old.py:Old", 20)):
        done = shell.train("--env", name, *small)
        assert done.returncode == 0 and f"length   {length}.0" in done.stdout, done.stderr
    [old] = (run for run in shell.runs if run.name.startswith("PPO_Old"))
    done = shell("evaluate", old, "--video", "old.gif", "--episodes", "1")
    assert done.returncode == 0 and (shell.folder / "old.gif").stat().st_size > 100, done.stderr
    for name in ("gym:CartPole-v1", "dm_control/cartpole-swingup-v0"):
        done = shell("check", name)
        assert done.returncode == 0 and "ok       the seed decides what happens." in done.stdout, done.stdout
    done = shell("check", "gym:CartPol-v1")
    assert done.returncode == 2 and "not known to Gym; did you mean CartPole-v1" in done.stderr


# How many first observations two copies have that were made without a seed.
UNSEEDED = """
import sys
from rlsif.envs.find import make
from rlsif.envs.reference import parse
print(len({make(parse(sys.argv[1])).reset()[0].tobytes() for _ in range(2)}))
"""


def test_envpools_tasks_train_by_their_names(shell):
    """The package is large, and each command imports it."""
    missing = shell.train("--env", "envpool:Pendulum-v1")
    assert missing.returncode == 2 and "make image-cpu EXTRAS=envpool" in missing.stderr
    install("envpool", shell.folder)
    for wrong, said in (
        (("envpool:Pendulumm-v1",), "'envpool:Pendulumm-v1' is not known to EnvPool; did you mean Pendulum-v1"),
        (("envpool:Pong-v5", "--env-config", "num_envs=3"), "; --num-envs-per-env-runner says how many"),
        (("envpool:Pong-v5", "--env-config", "frame_skip=two"), "must be of type int, as its default 4"),
    ):
        done = shell.train("--env", *wrong)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    done = shell.train("--env", "envpool:Pendulum-v1", "--num-env-runners", "1", "--stop-iters", "2")
    assert done.returncode == 0 and "sampled in NumPy" in done.stdout, done.stderr
    assert "length  200.0" in done.stdout and "Warning" not in done.stderr
    # Without a seed, every env runner and every run has episodes of its own.
    assert shell("python", "-c", UNSEEDED, "envpool:Pendulum-v1").stdout.split()[-1] == "2"
    [run] = shell.runs
    judged = shell("evaluate", run, "--episodes", "2", "--video", "swings.gif", "--json")
    assert judged.returncode == 0 and json.loads(judged.stdout)["lengths"] == [200, 200], judged.stderr
    assert len(set(json.loads(judged.stdout)["returns"])) == 2
    assert (shell.folder / "swings.gif").read_bytes()[:4] == b"GIF8"
    checked = shell("check", "envpool:MiniGrid-DoorKey-5x5-v0")
    assert checked.returncode == 0 and "the seed decides what happens" in checked.stdout, checked.stdout


def test_weights_and_biases_offline(shell):
    install("wandb", shell.folder)
    done = shell("train", *TRAIN, "--log-to", "wandb", "--results-dir", "results", env={"WANDB_MODE": "offline"})
    assert done.returncode == 0, done.stderr
    [run] = shell.runs
    [told] = run.glob("wandb/offline-run-*/run-*.wandb")
    assert b"episode_return_mean" in told.read_bytes() and run.name in told.name
    assert "is left out" not in (run / "train.log").read_text()


def test_mlflow_in_a_file(shell):
    install("mlflow", shell.folder)
    store = shell.folder / "mlruns"
    uri = {"MLFLOW_TRACKING_URI": store.as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    done = shell("train", *TRAIN, "--log-to", "mlflow", "--results-dir", "results", env=uri)
    assert done.returncode == 0, done.stderr
    [run] = shell.runs
    [name] = store.glob("*/*/tags/mlflow.runName")
    assert name.read_text() == run.name
    [steps] = name.parents[1].glob("metrics/num_env_steps_sampled_lifetime")
    assert len(steps.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "wandb",
            "needs the package wandb, which this image does not have; build one that has it: make image-cpu EXTRAS=",
        ),
        ("wandbb", "--log-to is 'wandbb'; it must be wandb or mlflow; did you mean wandb?"),
    ],
)
def test_what_is_not_there_is_told(shell, name, said):
    done = shell("train", *TRAIN, "--log-to", name)
    assert done.returncode == 2 and said in done.stderr


def test_pettingzoos_environments_train_and_give_videos(shell):
    """Agents who act together, and two who take turns with masks; without the extra the sentence says what to build."""
    spread = (
        "--env",
        "mpe2.simple_spread_v3",
        "--local-mode",
        "--seed",
        "1",
        "--stop-reward",
        "-60",
        "--stop-time",
        "200",
    )
    done = shell.train(*spread)
    assert done.returncode == 2 and "needs a package that is not installed: mpe2" in done.stderr
    assert "make image-cpu EXTRAS=pettingzoo" in done.stderr
    install("pettingzoo", shell.folder)
    for game in (spread, ("--env", "pettingzoo.classic:connect_four_v3", "--stop-iters", "1", *SMALL)):
        done = shell.train(*game)
        assert done.returncode == 0, done.stderr
        assert "agents in each, which share one policy" in done.stdout
    # By its preset, they share out the marks.
    [learned] = (shell.folder / "results").glob("mpe2.simple_spread_v3/*")
    assert json.loads((learned / "summary.json").read_text())["episode_return_mean"] >= -60
    [four] = (shell.folder / "results").glob("connect_four_v3/*")
    against = shell("evaluate", four, "--against", "random", "--episodes", "4", "--video", "four.gif")
    assert against.returncode == 0, against.stderr
    assert "of 4 episodes; win rate 0." in against.stdout or "win rate 1.00" in against.stdout
    assert (shell.folder / "four.gif").read_bytes()[:4] == b"GIF8"
    # By the name that was PettingZoo's own; and a game by PettingZoo's test of turns.
    for name in ("pettingzoo.mpe:simple_spread_v3", "pettingzoo.classic:tictactoe_v3"):
        checked = shell("check", name)
        assert checked.returncode == 0 and "PettingZoo's test finds nothing." in checked.stdout, checked.stdout
    # That test is for what derives from PettingZoo's classes, and not for what PettingZoo makes of one that does not.
    by_hand = shell("check", f"{Path(__file__).parents[1]}/data/heap.py:Rounds")
    assert by_hand.returncode == 0 and "PettingZoo's test" not in by_hand.stdout, by_hand.stdout
    no_cycle = shell("check", f"{Path(__file__).parents[1]}/data/heap.py:NoCycle")
    assert no_cycle.returncode == 1, no_cycle.stdout
    assert "its agents do not act in a cycle (expected agent" in no_cycle.stdout
    stays = shell("check", f"{Path(__file__).parents[1]}/data/heap.py:Rounds", "--env-config", "wrong=stays")
    assert stays.returncode == 1, stays.stdout
    assert "has ended, and is in agents still after its step by no action" in stays.stdout
